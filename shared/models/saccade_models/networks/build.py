"""Networks built in Keras, of stock layers only: a saved one loads in any clean process, without custom objects."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import layers as stock

from saccade_models.networks.shapes import Shape, describe
from saccade_models.networks.spec import (
    INPUT_NAME,
    Activation,
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
    Pool2D,
    names,
    pair,
)

#: Parts of one layer are called after it, with what they do behind this; no layer's own name has it.
_PART = "."
#: What brings every normal float32 that is not 0 beyond -1 and 1.
_STEEP = 1e38
_BY_NAME: frozenset[Activation] = frozenset({"linear", "sigmoid", "tanh", "relu", "softmax"})


def build(
    input_shape: Sequence[int],
    layers: Sequence[Layer],
    *,
    seed: int | None = None,
    name: str = "network",
    input_name: str = INPUT_NAME,
) -> keras.Model:
    """A functional model of ``layers`` on float32 inputs of ``input_shape``, channels last.

    Each initializer and dropout has a seed of its own, that follows from ``seed``. Raises InvalidParams as
    ``shapes.describe`` does. A layer that takes several of Keras' (min pooling; step, sign and leaky_relu) is called
    ``name.part`` but for the one that has the weights, or ends it.
    """
    describe(input_shape, layers)
    inputs = keras.Input(tuple(input_shape), name=input_name)
    outputs = inputs
    for index, (layer_name, layer) in enumerate(zip(names(layers), layers, strict=True)):
        for part in _parts(layer, layer_name, None if seed is None else _derived(seed, index)):
            outputs = part(outputs)
    return keras.Model(inputs, outputs, name=name)


def built(model: keras.Model, layers: Sequence[Layer]) -> list[tuple[Shape, int]]:
    """What Keras itself says of each of ``layers`` in a model that ``build`` made: output shape and parameters."""
    found: dict[str, tuple[Shape, int]] = {}
    for part in model.layers[1:]:
        name = part.name.split(_PART)[0]
        _, count = found.get(name, ((), 0))
        found[name] = (tuple(part.output.shape[1:]), count + part.count_params())
    return [found[name] for name in names(layers)]


@contextmanager
def weightless() -> Generator[None]:
    """What is built or loaded within has shapes and counts and no weights, so that its size costs no memory; it must
    not be used after. Names and numbers that Keras keeps for the process start anew."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # Keras would give the weights of these their first values when the next such scope ends.
        keras.utils.clear_session()


def _derived(seed: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _parts(layer: Layer, name: str, seed: int | None) -> list[stock.Layer]:
    """The stock layers that make ``layer``, in order."""
    parts: list[stock.Layer]
    match layer:
        case Dense():
            weighted = stock.Dense(layer.units, **_weighted(layer, name, seed))
            parts = [weighted, *_indirect(layer.activation, layer.alpha, name)]
        case Conv2D():
            weighted = stock.Conv2D(
                layer.filters,
                pair(layer.kernel_size),
                strides=pair(layer.strides),
                padding=layer.padding,
                **_weighted(layer, name, seed),
            )
            parts = [weighted, *_indirect(layer.activation, layer.alpha, name)]
        case MaxPool2D() | AveragePool2D() | MinPool2D():
            parts = _pooling(layer, name)
        case Flatten():
            parts = [stock.Flatten(name=name)]
        case Dropout():
            parts = [stock.Dropout(layer.rate, seed=seed, name=name)]
        case BatchNorm():
            parts = [stock.BatchNormalization(name=name)]
        case ActivationLayer():
            if layer.activation in _BY_NAME:
                parts = [stock.Activation(layer.activation, name=name)]
            else:
                parts = _indirect(layer.activation, layer.alpha, name)
    return parts


def _weighted(layer: Dense | Conv2D, name: str, seed: int | None) -> dict[str, Any]:
    """What dense and convolution have in common, as Keras' arguments."""
    he = layer.initializer == "he"
    initializer = keras.initializers.HeNormal(seed=seed) if he else keras.initializers.GlorotUniform(seed=seed)
    activation = layer.activation if layer.activation in _BY_NAME else "linear"
    return {"activation": activation, "kernel_initializer": initializer, "name": name}


def _pooling(layer: Pool2D, name: str) -> list[stock.Layer]:
    size = pair(layer.pool_size)
    strides = None if layer.strides is None else pair(layer.strides)
    match layer:
        case MaxPool2D():
            return [stock.MaxPooling2D(size, strides=strides, padding=layer.padding, name=name)]
        case AveragePool2D():
            return [stock.AveragePooling2D(size, strides=strides, padding=layer.padding, name=name)]
        case MinPool2D():
            # min(x) = -max(-x); Keras has no such layer, and a Lambda would not load elsewhere.
            return [
                stock.Rescaling(-1.0, name=f"{name}{_PART}negative"),
                stock.MaxPooling2D(size, strides=strides, padding=layer.padding, name=f"{name}{_PART}largest"),
                stock.Rescaling(-1.0, name=name),
            ]


def _indirect(activation: Activation, alpha: float, name: str) -> list[stock.Layer]:
    """Activations that Keras has not by name: leaky_relu with its own slope, step and sign (no Lambda)."""
    match activation:
        case "leaky_relu":
            return [stock.LeakyReLU(negative_slope=alpha, name=f"{name}{_PART}leaky_relu")]
        case "sign":
            # Cut at -1 and 1 what was made very steep.
            return [
                stock.Rescaling(_STEEP, name=f"{name}{_PART}steep"),
                stock.Activation("hard_tanh", name=f"{name}{_PART}sign"),
            ]
        case "step":
            # 1 - (1 where x < 0, else 0), so that 0 itself gives 1.
            return [
                stock.Rescaling(-_STEEP, name=f"{name}{_PART}steep"),
                stock.ReLU(max_value=1.0, name=f"{name}{_PART}below"),
                stock.Rescaling(-1.0, offset=1.0, name=f"{name}{_PART}step"),
            ]
        case _:
            return []
