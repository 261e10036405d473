"""Output shapes and parameter counts of a network, layer by layer, without building it: light.

Formulas: of a window k that moves by s over n, ``valid`` gives floor((n - k) / s) + 1 and ``same`` ceil(n / s)
(Dumoulin and Visin, A guide to convolution arithmetic, 2016); a unit or filter has a weight for each value that it
sees and a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, prod
from typing import NoReturn, TypeAlias

from saccade_core.errors import InvalidParams
from saccade_models.networks.spec import (
    ActivationLayer,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    MinPool2D,
    Padding,
    Pool2D,
    Size,
    names,
    pair,
)

Shape: TypeAlias = tuple[int, ...]
#: A network over these is refused: weights, optimizer and gradients would take 3 GB, one layer's values 200 MB.
MAX_PARAMETERS, MAX_VALUES = 200_000_000, 50_000_000


@dataclass(frozen=True, slots=True)
class LayerShape:
    """One layer: shapes without the batch, all its parameters and those of them that are learnt, and how both follow
    in words and figures."""

    name: str
    type: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    trainable: int
    formula: str


@dataclass(frozen=True, slots=True)
class Description:
    """A network: its layers in order, and the sums."""

    input_shape: Shape
    layers: tuple[LayerShape, ...]

    @property
    def output_shape(self) -> Shape:
        """What the last layer gives, without the batch."""
        return self.layers[-1].output_shape

    @property
    def parameters(self) -> int:
        """All weights; those that are not learnt (batch_norm's averages) too."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """The weights that are learnt."""
        return sum(layer.trainable for layer in self.layers)


@dataclass(frozen=True, slots=True)
class _Step:
    """What a layer makes of a shape."""

    output_shape: Shape
    formula: str
    parameters: int = 0
    fixed: int = 0


_Refuse: TypeAlias = Callable[[str], NoReturn]


def describe(input_shape: Sequence[int], layers: Sequence[Layer]) -> Description:
    """Shapes and counts of ``layers`` on inputs of ``input_shape``: (features,) or (height, width, channels).

    Raises InvalidParams where a layer's input does not fit it (names the layer and both shapes), and where the
    network has over ``MAX_PARAMETERS`` or a layer gives over ``MAX_VALUES`` for one input.
    """
    shape, total = tuple(input_shape), 0
    described: list[LayerShape] = []
    for index, (name, layer) in enumerate(zip(names(layers), layers, strict=True)):
        refuse = partial(_refuse, name, index, shape)
        step = _step(layer, shape, refuse)
        total += step.parameters
        if prod(step.output_shape) > MAX_VALUES:
            refuse(f"would give {step.output_shape}, which is over {MAX_VALUES:,} values,")
        if total > MAX_PARAMETERS:
            refuse(f"has {step.parameters:,} parameters: the network would have over {MAX_PARAMETERS:,}")
        trainable = step.parameters - step.fixed
        described.append(
            LayerShape(name, layer.type, shape, step.output_shape, step.parameters, trainable, step.formula)
        )
        shape = step.output_shape
    return Description(tuple(input_shape), tuple(described))


def _refuse(name: str, index: int, shape: Shape, reason: str) -> NoReturn:
    raise InvalidParams(
        f"Layer {name!r} {reason}; its input is {shape}.", field=f"params.layers[{index}]", received=list(shape)
    )


def _step(layer: Layer, shape: Shape, refuse: _Refuse) -> _Step:
    match layer:
        case Dense():
            count = (shape[-1] + 1) * layer.units
            step = _Step((*shape[:-1], layer.units), f"({shape[-1]} + 1) * {layer.units} = {count:,}", count)
        case Conv2D():
            step = _convolved(layer, shape, refuse)
        case MaxPool2D() | AveragePool2D() | MinPool2D():
            step = _pooled(layer, shape, refuse)
        case Flatten():
            step = _Step((prod(shape),), f"{_times(shape)} = {prod(shape):,} values in a row")
        case BatchNorm():
            count = 4 * shape[-1]
            words = f"4 * {shape[-1]} = {count:,}: scale and shift, learnt, mean and variance, followed"
            step = _Step(shape, words, count, fixed=2 * shape[-1])
        case Dropout():
            step = _Step(shape, f"while training, {layer.rate:.0%} of the values are 0")
        case ActivationLayer():
            step = _Step(shape, f"{layer.activation} of each value")
    return step


def _convolved(layer: Conv2D, shape: Shape, refuse: _Refuse) -> _Step:
    kernel = pair(layer.kernel_size)
    sides, words = _windows(shape, kernel, layer.strides, layer.padding, refuse)
    count = (kernel[0] * kernel[1] * shape[2] + 1) * layer.filters
    weights = f"({_times((*kernel, shape[2]))} + 1) * {layer.filters} = {count:,}"
    return _Step((*sides, layer.filters), f"{words}; {weights}", count)


def _pooled(layer: Pool2D, shape: Shape, refuse: _Refuse) -> _Step:
    strides = layer.pool_size if layer.strides is None else layer.strides
    sides, words = _windows(shape, pair(layer.pool_size), strides, layer.padding, refuse)
    return _Step((*sides, shape[2]), words)


def _windows(
    shape: Shape, window: tuple[int, int], strides: Size, padding: Padding, refuse: _Refuse
) -> tuple[tuple[int, int], str]:
    """Places of ``window`` over (height, width, channels): along height and width, and how that follows."""
    if len(shape) != 3:
        refuse("takes (height, width, channels)")
    if padding == "valid" and (window[0] > shape[0] or window[1] > shape[1]):
        refuse(f"has a window of {window}, which does not fit into {shape[:2]}")
    steps = pair(strides)
    high, wide = (_places(*side, padding) for side in zip(shape[:2], window, steps, strict=True))
    words = f"height {high[1]}, width {wide[1]}"
    return (high[0], wide[0]), words


def _places(size: int, window: int, stride: int, padding: Padding) -> tuple[int, str]:
    if padding == "same":
        places = ceil(size / stride)
        rounded = ", rounded up," if size % stride else ""
        return places, f"{size} / {stride}{rounded} = {places}" if stride > 1 else f"{size}"
    places = (size - window) // stride + 1
    moves = f"({size} - {window})" + (f" / {stride}" if stride > 1 else "")
    rounded = ", rounded down," if (size - window) % stride else ""
    return places, f"{moves}{rounded} + 1 = {places}"


def _times(sizes: Sequence[int]) -> str:
    return " * ".join(map(str, sizes))
