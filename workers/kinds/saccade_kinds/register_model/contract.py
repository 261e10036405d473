"""What ``register_model`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_core.trained import ModelName, TrainedRef
from saccade_models.serving.preprocess import Preprocess

Label = Annotated[str, Field(min_length=1, max_length=200)]


class RegisterModelParams(Params):
    """How the model is called, what its outputs mean, and what it takes."""

    name: ModelName = Field(description="The trained model of which this becomes the next version")
    labels: list[Label] | None = Field(
        default=None,
        min_length=2,
        max_length=1000,
        description="Classes in the order of the outputs (of one output: no, yes). "
        "Null: a network on rows with one output gives a value, all others classes called 0, 1, 2 ...",
    )
    preprocess: Preprocess | None = Field(
        default=None,
        description="How raw rows or pictures become the network's input, with labels, as in preprocess.json. "
        "Null: rows of numbers called x1, x2 ... as they are; of pictures, values 0..255 divided by 255",
    )

    @model_validator(mode="after")
    def _labels_once(self) -> Self:
        if self.labels is not None and self.preprocess is not None:
            raise ValueError("give labels, or preprocess with its labels, not both")
        if self.labels is not None and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels are unique")
        return self


class RegisterModelForm(Result):
    """A form in which the model is kept."""

    name: str
    difference: float | None = Field(
        description="By how much its outputs on made-up rows differ from the .h5's, as part of the largest output "
        "where that is above 1; null: it is what the others are compared with"
    )


class RegisterModelResult(Result):
    """What was registered. ``servable``: by the model server, under the model's name."""

    format: Literal["h5", "keras", "onnx"]
    family: Literal["tabular", "classifier"]
    task: Literal["binary", "multiclass", "regression"]
    labels: list[str]
    input_shape: list[int] = Field(description="Without the batch")
    output_shape: list[int]
    parameters: int
    forms: list[RegisterModelForm]
    servable: bool
    notes: list[str] = Field(description="What was taken for granted, or is missing")
    model: TrainedRef


KIND = Kind(
    name="register_model",
    pool="keras",
    summary="Register a network from outside (.h5, .keras, ONNX), checked, as a version of a trained model.",
    inputs={
        "model": Input(
            accepts=("application/x-hdf5", "application/zip"),
            description="model.h5 or model.keras of stock Keras layers, or model.onnx of standard operations, with one "
            "input (rows of numbers, or pictures) and one output",
        )
    },
    params=RegisterModelParams,
    result=RegisterModelResult,
    artifacts=(
        Artifact("model.h5", "Of a Keras model: as it was registered"),
        Artifact("model.onnx", "The network in ONNX, where it converts"),
        Artifact("preprocess.json", "How rows or pictures become the network's input, where that is known"),
    ),
    memory_mb=8_000,
    registers=lambda p: p.name,
)
