"""What ``train_classifier`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_core.trained import TrainedRef
from saccade_models.datasets.picture_input import Side
from saccade_models.networks.spec import Initializer, Layers
from saccade_models.training.params import Finding, StoppedBy, TrainingParams

Share = Annotated[float, Field(ge=0, le=0.5)]
#: ``cnn`` has as many blocks of convolution and pooling as the pictures' size needs; the others are always the same.
ClassifierPreset = Literal["cnn", "cnn_valid", "cnn_same", "cnn_pool"]
#: Parameters that shape the preset ``cnn``, with what they are where nothing is said; dropout also a new head.
_SHAPING = ("initializer", "activation", "batch_norm")


class TrainClassifierAugment(Params):
    """Random changes of each training picture in each epoch. 0 and none leave a change out."""

    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        default="horizontal", description="Mirrored, or not"
    )
    shift: Share = Field(default=0.1, description="Up to so much of height and width")
    rotate: float = Field(default=10, ge=0, le=180, description="Up to so many degrees, either way")
    zoom: Share = Field(default=0.1, description="Larger or smaller by up to so much")
    contrast: Share = Field(default=0.1, description="More or less by up to so much")


class TrainClassifierParams(TrainingParams):
    """Which network learns from the pictures, and how. At most one of ``layers``, ``preset`` and ``base`` is given."""

    layers: Layers | None = Field(default=None, description="The network, layer by layer, its last one of the classes")
    preset: ClassifierPreset | None = Field(default=None, description="A network by name; null is cnn")
    base: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}(@[a-z0-9][a-z0-9._-]{0,62})?$",
        description="A trained network whose last layer is replaced: ssd_mobilenet (its MobileNet, trained on COCO), "
        "or your own classifier: name, name@version or name@alias",
    )
    fine_tune: bool = Field(default=False, description="Train the base too, not only its new last layer")
    image_size: Side | tuple[Side, Side] | None = Field(
        default=None,
        description="Pixels a side, or [height, width], to which pictures are resized; null: as they are where all "
        "have one size of 64 pixels or less, else 128; with a base 160, or what it was trained with",
    )
    augment: TrainClassifierAugment | None = Field(default=None, description="Change training pictures at random")
    initializer: Initializer = Field(default="he", description="How the weights of preset cnn start: he suits relu")
    dropout: float = Field(
        default=0.25, ge=0, le=0.95, description="Before the last layer of preset cnn or a base: share left out a step"
    )
    batch_norm: bool = Field(default=True, description="In preset cnn: normalise layers' outputs over each batch")
    max_failure_rate: float = Field(default=0.1, ge=0, le=1, description="Share of pictures that may be unreadable")

    @model_validator(mode="after")
    def _names_one_network(self) -> Self:
        given = [name for name in ("layers", "preset", "base") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of layers, preset and base, not {' and '.join(given)}")
        if self.fine_tune and self.base is None:
            raise ValueError("fine_tune needs a base")
        if self.base is None and self.preset in {None, "cnn"} and self.layers is None:
            return self
        for name in (*_SHAPING, *(() if self.base else ("dropout",))):
            if name in self.model_fields_set and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} shapes the preset cnn; {given[0]} says all of that itself")
        return self


class TrainClassifierUnreadable(Result):
    """A picture that was left out, and why."""

    name: str
    reason: str


class TrainClassifierPart(Result):
    """One part of the data: how many pictures of each class, in the order of ``labels``, and who made the part."""

    pictures: int
    of_class: list[int]
    given: bool = Field(description="Whether the data set had this part; else it was cut off at random")


class TrainClassifierCopies(Result):
    """Pictures that are byte for byte the same: groups of their names, 100 of each kind at most, and all counted."""

    repeated: list[list[str]] = Field(description="In one part and class")
    contradicting: list[list[str]] = Field(description="In several classes")
    leaking: list[list[str]] = Field(description="In several parts: figures are better than they should be")
    repeated_count: int
    contradicting_count: int
    leaking_count: int
    left_out: int = Field(description="Where the parts were made by us, copies are left out before, so that none leaks")


class TrainClassifierData(Result):
    """What was found in the data set."""

    form: Literal["folders", "idx", "npz"]
    height: int = Field(description="Of the network's input")
    width: int
    channels: int = Field(description="1: grey, 3: RGB")
    train: TrainClassifierPart
    valid: TrainClassifierPart
    test: TrainClassifierPart
    unreadable: list[TrainClassifierUnreadable] = Field(description="The first 100")
    unreadable_count: int
    ignored: list[str] = Field(description="What else lay in the archive: the first 100 names")
    copies: TrainClassifierCopies


class TrainClassifierBaseline(Result):
    """What simple models reach on the same pictures: ``blind`` always answers the most frequent class; ``linear`` is a
    logistic regression on the pixels."""

    blind: dict[str, float]
    linear: dict[str, float] | None
    notes: list[str]


class TrainClassifierClass(Result):
    """One class: ``rows`` of the pictures measured truly show it. Null where a figure is not defined."""

    label: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


class TrainClassifierMistake(Result):
    """A picture of the part ``measured_on`` that is taken for another class, and how surely (0..1)."""

    name: str
    true: str
    predicted: str
    score: float


class TrainClassifierResult(Result):
    """A trained, registered classifier and how good it is."""

    labels: list[str] = Field(description="Of classes, in the order of the network's outputs")
    metrics: dict[str, float] = Field(
        description="accuracy, balanced_accuracy, precision, recall, f1 (means over the classes), log_loss, roc_auc"
    )
    measured_on: Literal["train", "valid", "test"] = Field(description="test, where pictures were given or kept for it")
    baseline: TrainClassifierBaseline
    classes: list[TrainClassifierClass]
    confusion: list[list[int]] = Field(description="Counts: truth down, answer across, in the order of labels")
    worst: list[TrainClassifierMistake] = Field(description="The surest mistakes, at most 24; worst.png shows them")
    notes: list[str]
    parameters: int = Field(description="Weights of the network")
    trained_parameters: int = Field(description="Of these, those that were learnt here")
    epochs_run: int
    best_epoch: int = Field(description="Whose weights were kept: that of the least validation loss")
    stopped_by: StoppedBy
    train_seconds: float
    diagnosis: list[Finding]
    data: TrainClassifierData
    model: TrainedRef


def _models(params: TrainClassifierParams) -> tuple[str, ...]:
    return () if params.base is None else (params.base,)


KIND = Kind(
    name="train_classifier",
    pool="keras",
    summary="Train a network to tell classes of pictures apart and register it.",
    inputs={
        "dataset": Input(
            accepts=("application/zip", "application/gzip"),
            description="A zip with a folder of pictures for each class, or with such folders in train, valid and "
            "test; an .npz with x_train, y_train (x_test, y_test ...); or IDX files, in a zip or one by one",
            many=True,
            max_items=6,
        )
    },
    params=TrainClassifierParams,
    result=TrainClassifierResult,
    artifacts=(
        Artifact("model.h5", "The network, for keras.models.load_model; preprocess.json says what it takes"),
        Artifact("preprocess.json", "How a picture becomes the network's input: size, channels, scale, labels"),
        Artifact("history.csv", "Losses and figures of each epoch"),
        Artifact("curves.png", "The same, drawn"),
        Artifact("confusion.png", "Truth against answers"),
        Artifact("worst.png", "The mistakes that the network was surest of"),
        Artifact("model-card.md", "What the model is, what it was trained on, how good it is"),
    ),
    train=True,
    time_limit_s=7 * 86_400.0,
    memory_mb=12_000,
    models=_models,
    families=("classifier",),
    registers=lambda p: p.name,
)
