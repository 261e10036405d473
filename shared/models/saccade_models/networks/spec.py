"""A network's layers as data, as users write them in JSON: light (pydantic only).

Shapes are without the batch and channels last, as in Keras: ``(features,)`` or ``(height, width, channels)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from saccade_core.kind import Params

#: ``step`` is 1 from 0 on and 0 below, ``sign`` is -1, 0 or 1: both without a gradient, so nothing before them learns.
Activation = Literal["linear", "step", "sign", "sigmoid", "tanh", "relu", "leaky_relu", "softmax"]
#: First weights: ``glorot`` uniform (Glorot and Bengio 2010), ``he`` normal (He et al. 2015; for ReLU).
Initializer = Literal["glorot", "he"]
Padding = Literal["valid", "same"]

_Side = Annotated[int, Field(ge=1, le=1024)]
#: One number for both sides, or [height, width].
Size: TypeAlias = _Side | tuple[_Side, _Side]
_Axis = Annotated[int, Field(ge=1, le=1_000_000)]
#: ``[features]`` or ``[height, width, channels]``.
InputShape = Annotated[tuple[_Axis, ...], Field(min_length=1, max_length=3)]

_Slope = Annotated[float, Field(ge=0, le=1, description="Of leaky_relu: its slope below 0")]
_ACTIVATION = "What is done to the layer's outputs"
#: What Keras takes where nothing is said.
DEFAULT_SLOPE = 0.2

LayerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
#: What a saved model's input and output are called.
INPUT_NAME, OUTPUT_NAME = "inputs", "outputs"


class _Layer(Params):
    """What every layer has."""

    name: LayerName | None = Field(default=None, description="Unique; null: its type and a number (dense_2)")


class Dense(_Layer):
    """Fully connected: each unit sees all features of the last axis."""

    type: Literal["dense"] = "dense"
    units: int = Field(ge=1, le=1_000_000)
    activation: Activation = Field(default="linear", description=_ACTIVATION)
    alpha: _Slope = DEFAULT_SLOPE
    initializer: Initializer = "glorot"


class Conv2D(_Layer):
    """Filters that slide over height and width."""

    type: Literal["conv2d"] = "conv2d"
    filters: int = Field(ge=1, le=65_536)
    kernel_size: Size = 3
    strides: Size = 1
    padding: Padding = Field(default="valid", description="valid: no edge added; same: zeros around")
    activation: Activation = Field(default="linear", description=_ACTIVATION)
    alpha: _Slope = DEFAULT_SLOPE
    initializer: Initializer = "glorot"


class _Pool2D(_Layer):
    """One value for each window of each channel."""

    pool_size: Size = 2
    strides: Size | None = Field(default=None, description="Null: as pool_size, windows side by side")
    padding: Padding = Field(default="valid", description="same: what is added around does not count")


class MaxPool2D(_Pool2D):
    """The largest value of each window."""

    type: Literal["max_pool2d"] = "max_pool2d"


class AveragePool2D(_Pool2D):
    """The mean of each window."""

    type: Literal["average_pool2d"] = "average_pool2d"


class MinPool2D(_Pool2D):
    """The smallest value of each window."""

    type: Literal["min_pool2d"] = "min_pool2d"


class Flatten(_Layer):
    """All values in one row."""

    type: Literal["flatten"] = "flatten"


class Dropout(_Layer):
    """While training, a share of the values is set to 0 (Srivastava et al. 2014)."""

    type: Literal["dropout"] = "dropout"
    rate: float = Field(default=0.5, ge=0, lt=1, description="The share")


class BatchNorm(_Layer):
    """Each channel to mean 0 and variance 1, then scaled and shifted as learnt (Ioffe and Szegedy 2015)."""

    type: Literal["batch_norm"] = "batch_norm"


class ActivationLayer(_Layer):
    """An activation as a layer of its own."""

    type: Literal["activation"] = "activation"
    activation: Activation
    alpha: _Slope = DEFAULT_SLOPE


Pool2D: TypeAlias = MaxPool2D | AveragePool2D | MinPool2D
Layer = Annotated[
    Dense | Conv2D | MaxPool2D | AveragePool2D | MinPool2D | Flatten | Dropout | BatchNorm | ActivationLayer,
    Field(discriminator="type"),
]


def names(layers: Sequence[Layer]) -> list[str]:
    """Each layer's own name, or its type and the first free number (``conv2d_1``)."""
    taken = {layer.name for layer in layers}
    seen: Counter[str] = Counter()
    named: list[str] = []
    for layer in layers:
        name = layer.name
        while name is None:
            seen[layer.type] += 1
            candidate = f"{layer.type}_{seen[layer.type]}"
            name = None if candidate in taken else candidate
        named.append(name)
    return named


def _unique(layers: list[Layer]) -> list[Layer]:
    given = [layer.name for layer in layers if layer.name is not None]
    twice = [name for name, count in Counter(given).items() if count > 1 or name in {INPUT_NAME, OUTPUT_NAME}]
    if twice:
        raise ValueError(
            f"layers' names are unique, and not {INPUT_NAME!r} or {OUTPUT_NAME!r}: {', '.join(map(repr, twice))}"
        )
    return layers


#: A network's layers, in order, without its input.
Layers = Annotated[list[Layer], Field(min_length=1, max_length=200), AfterValidator(_unique)]


def pair(size: Size) -> tuple[int, int]:
    """``size`` as (height, width)."""
    return (size, size) if isinstance(size, int) else size
