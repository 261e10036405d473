"""What ``describe_network`` takes and gives."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from saccade_core.kind import Artifact, Kind, Params, Result
from saccade_models.networks.presets import PresetChoice
from saccade_models.networks.spec import InputShape, Layers

_SHAPE = "[features] or [height, width, channels], without the batch"


class DescribeNetworkParams(Params):
    """A preset, or layers of one's own."""

    preset: PresetChoice | None = Field(
        default=None, description="A network by name; null: cnn_pool, where no layers are given"
    )
    input_shape: InputShape | None = Field(default=None, description=f"{_SHAPE}; null: what the preset is made for")
    outputs: int | None = Field(
        default=None, ge=1, le=100_000, description="Units of a preset's last layer; null: what it is made for"
    )
    layers: Layers | None = Field(default=None, description="The layers in order, without the input")

    @model_validator(mode="after")
    def _one_network(self) -> Self:
        if self.layers is None:
            return self
        if self.input_shape is None:
            raise ValueError("layers need input_shape")
        if self.preset is not None or self.outputs is not None:
            raise ValueError("give layers, or preset (with outputs), not both")
        return self


class DescribeNetworkLayer(Result):
    """One layer; shapes are without the batch."""

    name: str
    type: str
    input_shape: list[int]
    output_shape: list[int] = Field(description=_SHAPE)
    parameters: int
    trainable: int = Field(description="Of the parameters, those that are learnt")
    formula: str = Field(description="How shape and parameters follow from the layer's settings")


class DescribeNetworkResult(Result):
    """The layers in order, and the sums."""

    input_shape: list[int]
    output_shape: list[int]
    layers: list[DescribeNetworkLayer]
    parameters: int
    trainable: int


KIND = Kind(
    name="describe_network",
    pool="keras",
    summary="Output shapes and parameter counts of a neural network, layer by layer, with its picture, untrained.",
    inputs={},
    params=DescribeNetworkParams,
    result=DescribeNetworkResult,
    artifacts=(Artifact("diagram.png", "The network: each layer's output as a body of its own size"),),
)
