"""Runs ``describe_network``."""

from __future__ import annotations

import keras

from saccade_core.errors import EngineFailed
from saccade_core.kind import Context, Inputs
from saccade_kinds.describe_network.contract import (
    DescribeNetworkLayer,
    DescribeNetworkParams,
    DescribeNetworkResult,
)
from saccade_models.networks.build import build, built, weightless
from saccade_models.networks.diagram import draw
from saccade_models.networks.presets import preset
from saccade_models.networks.shapes import Description, Shape, describe
from saccade_models.networks.spec import Layer


def run(inputs: Inputs, params: DescribeNetworkParams, context: Context) -> DescribeNetworkResult:  # noqa: ARG001
    """Count by the formulas, and hold that against Keras; raises InvalidParams where a layer does not fit."""
    context.uses_model("keras", keras.__version__)
    shape, layers = _network(params)
    described = describe(shape, layers)
    context.progress(1, 3, "building")
    _verify(described, layers)
    context.progress(2, 3, "drawing")
    draw(context.artifact("diagram.png"), described, layers)
    context.progress(3, 3, "done")
    return DescribeNetworkResult(
        input_shape=list(described.input_shape),
        output_shape=list(described.output_shape),
        layers=[
            DescribeNetworkLayer(
                name=layer.name,
                type=layer.type,
                input_shape=list(layer.input_shape),
                output_shape=list(layer.output_shape),
                parameters=layer.parameters,
                trainable=layer.trainable,
                formula=layer.formula,
            )
            for layer in described.layers
        ],
        parameters=described.parameters,
        trainable=described.trainable,
    )


def _network(params: DescribeNetworkParams) -> tuple[Shape, list[Layer]]:
    """Input shape and layers that the params name."""
    if params.layers is not None and params.input_shape is not None:
        return params.input_shape, params.layers
    chosen = preset(params.preset or "cnn_pool")
    return params.input_shape or chosen.input_shape, chosen.layers(params.outputs)


def _verify(described: Description, layers: list[Layer]) -> None:
    """Raise EngineFailed where Keras, which trains such networks, counts otherwise."""
    with weightless():
        found = built(build(described.input_shape, layers), layers)
    for layer, (shape, parameters) in zip(described.layers, found, strict=True):
        if (shape, parameters) != (layer.output_shape, layer.parameters):
            raise EngineFailed(
                f"Layer {layer.name!r}: the formulas give {layer.output_shape} and {layer.parameters:,} parameters, "
                f"Keras {shape} and {parameters:,}."
            )
