"""What ``train_detector`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from saccade_core.errors import SaccadeError
from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_core.trained import ModelName, TrainedRef, read_wanted
from saccade_models.weights import models, versions

_FAMILY = "yolo"
Share = Annotated[float, Field(ge=0, le=0.5)]


class TrainDetectorParams(Params):
    """What to start from, and how to train."""

    name: ModelName = Field(default="detector", description="Name in the registry; each run makes a new version of it")
    base: str = Field(
        default="yolo11n",
        max_length=130,
        description="The network to start from: "
        + ", ".join(name for name, model in models().items() if model.family == _FAMILY)
        + ", or a detector of your own: name, name@version or name@alias",
    )
    pretrained: bool = Field(
        default=True, description="Start from the base's weights; false: from chance, with the base's architecture"
    )
    image_size: int = Field(
        default=640, ge=64, le=1536, multiple_of=32, description="Pictures are scaled so that their longer side is this"
    )
    epochs: int = Field(default=50, ge=1, le=10_000, description="At most so many passes over the training part")
    batch_size: int = Field(default=16, ge=1, le=512, description="Pictures per batch")
    patience: int | None = Field(
        default=None, ge=1, description="Stop after so many epochs without a better mAP50-95; null never stops"
    )
    optimizer: Literal["auto", "sgd", "adam", "adamw", "nadam", "radam", "rmsprop"] = Field(
        default="auto", description="auto chooses one, and its learning rate, by the length of the training"
    )
    learning_rate: float | None = Field(
        default=None, gt=0, le=1, description="Step size at the start; null is 0.01 for sgd, 0.001 for the others"
    )
    validation_split: Share = Field(
        default=0.2, description="Of a data set without valid part: share of its pictures that becomes one"
    )
    test_split: Share = Field(
        default=0.1, description="Of a data set without valid and test part: share of its pictures for the figures"
    )
    time_budget_s: float | None = Field(
        default=None, gt=0, description="Stop when training took so long, all attempts together; null is no limit"
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Of split, start and order: same seed, same weights (CPU)"
    )

    @field_validator("base")
    @classmethod
    def _is_yolo(cls, name: str) -> str:
        known = [n for n, model in models().items() if model.family == _FAMILY]
        if not _is_registered(name):
            if read_wanted(name) is None:
                raise ValueError(f"{name[:80]!r} can be no model's name; registered are: {', '.join(known)}")
            return name
        try:
            family = versions(name)[0].family
        except SaccadeError as error:
            raise ValueError(error.message) from None
        if family != _FAMILY:
            raise ValueError(f"{name!r} cannot be trained; those that can are: {', '.join(known)}")
        return name

    @model_validator(mode="after")
    def _has_use_for_its_rate(self) -> Self:
        if self.optimizer == "auto" and self.learning_rate is not None:
            raise ValueError("with optimizer 'auto' the learning rate is chosen too: name an optimizer")
        if self.validation_split == 0:
            raise ValueError("validation_split must be above 0: the best epoch is chosen on that part")
        return self

    @property
    def rate(self) -> float | None:
        """The learning rate; None where the optimizer is chosen with it."""
        if self.optimizer == "auto":
            return None
        return self.learning_rate or (0.01 if self.optimizer == "sgd" else 0.001)

    @property
    def architecture(self) -> str | None:
        """The registered base whose architecture alone is taken, its weights not; None where weights are needed."""
        return None if self.pretrained or not _is_registered(self.base) else self.base.partition("@")[0]


class TrainDetectorClass(Result):
    """One class on the part that was measured; null where that part has no box of it."""

    label: str
    pictures: int
    boxes: int
    precision: float | None
    recall: float | None
    map50: float | None
    map50_95: float | None


class TrainDetectorPart(Result):
    """One part of the data set. ``background``: pictures without any box; ``by_class``: boxes of each label;
    ``given``: whether the data set had this part, else it was cut off at random."""

    pictures: int
    boxes: int
    background: int
    by_class: dict[str, int]
    given: bool


class TrainDetectorUnreadable(Result):
    """A picture that was left out, and why."""

    picture: str
    reason: str


class TrainDetectorData(Result):
    """What was found in the data set, and what was mended; of lists of names the first 100, and all counted."""

    source: str = Field(description="The file that describes the data set: data.yaml or classes.txt")
    labels: list[str]
    parts: dict[Literal["train", "valid", "test"], TrainDetectorPart]
    unreadable: list[TrainDetectorUnreadable]
    unreadable_count: int
    labels_without_picture: list[str]
    labels_without_picture_count: int
    clipped_boxes: int = Field(description="Reached out of the picture a little, and were cut off there")
    polygons: int = Field(description="Outlines of which the box around was taken")
    duplicate_boxes: int = Field(description="Given twice for one picture; each counts once")
    boxes_without_area: int = Field(description="Left out")
    notes: list[str]


class TrainDetectorResult(Result):
    """How good the best epoch's weights are on ``measured_on``, a part that was not learnt from (``valid`` chose the
    epoch, so figures on it are a little too good). ``map50`` is the mean over classes of the average precision at an
    overlap of 0.5, ``map50_95`` that over the overlaps 0.5, 0.55 ... 0.95, as COCO defines them."""

    map50: float
    map50_95: float
    precision: float
    recall: float
    measured_on: Literal["test", "valid"]
    classes: list[TrainDetectorClass]
    model: TrainedRef
    epochs_run: int
    best_epoch: int
    stopped_by: Literal["epochs", "patience", "time_budget"]
    onnx_difference: float = Field(
        description="Largest difference of the ONNX form's output on a picture, as part of the largest output"
    )
    data: TrainDetectorData


def _is_registered(name: str) -> bool:
    return name.partition("@")[0] in models()


def _models(params: TrainDetectorParams) -> list[str]:
    return [] if params.architecture else [params.base]


def _registers(params: TrainDetectorParams) -> str:
    return params.name


KIND = Kind(
    name="train_detector",
    pool="torch",
    summary="Train a YOLO detector on labelled pictures.",
    inputs={
        "dataset": Input(
            accepts=("application/zip",),
            description="Pictures and YOLO labels as zip: with data.yaml (train, val or valid, test), or with "
            "classes.txt, as LabelImg writes it",
        )
    },
    params=TrainDetectorParams,
    result=TrainDetectorResult,
    artifacts=(
        Artifact("best.pt", "The best epoch's weights, as ultralytics loads them"),
        Artifact("best.onnx", "The same for ONNX Runtime and others; pictures of any size"),
        Artifact("history.csv", "Losses and figures on valid, epoch by epoch"),
        Artifact("curves.png", "The same as curves"),
        Artifact("confusion.png", "What is taken for what"),
        Artifact("samples.png", "Pictures with their labels, beside what was found in them"),
    ),
    train=True,
    time_limit_s=7 * 86_400,
    memory_mb=24_000,
    models=_models,
    families=("yolo",),
    registers=_registers,
)
