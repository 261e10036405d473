"""Networks to start from: what was learnt on other pictures, without its last layer.

Of the registered SSD MobileNet (COCO; TFLite, 8-bit weights) the MobileNet v1 is taken: Howard et al., "MobileNets:
Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017, table 1, with batch normalisation folded
into the convolutions, as in the file. How many filters its layers have, the file says (width 0.75).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# The schema that comes with TensorFlow; its interpreter is deprecated, and would compute nothing that is needed here.
from tensorflow.lite.python import schema_py_generated as tflite

from saccade_core.errors import InvalidParams
from saccade_models.networks.spec import INPUT_NAME

#: Strides of the 13 depthwise convolutions; the convolution before them has 2, so one place sees 32 pixels a side.
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_SCOPE = "FeatureExtractor/MobilenetV1/MobilenetV1/"
#: How the network was trained: values 0..255 become -1..1.
MOBILENET_SCALE, MOBILENET_MEAN = 1 / 128, 1.0
#: Pixels a side below which nothing is left of a picture after five halvings.
MOBILENET_MIN_SIDE = 32

_Tensors = Mapping[str, NDArray[np.float32]]


def mobilenet(weights: Path, shape: tuple[int, int, int]) -> keras.Model:
    """MobileNet v1 with the weights of an SSD's ``.tflite``: (H, W, 3) RGB in -1..1 -> (H/32, W/32, filters).

    Raises InvalidParams for pictures that are not in colour or under 32 pixels a side.
    """
    if shape[2] != 3 or min(shape[:2]) < MOBILENET_MIN_SIDE:
        raise InvalidParams(
            f"This base takes colour pictures of at least {MOBILENET_MIN_SIDE} pixels a side.",
            field="params.image_size",
            received=list(shape),
        )
    tensors = read_tflite(weights)
    inputs: Any = keras.Input(shape, name=INPUT_NAME)
    outputs: Any = _convolution(inputs, tensors, "Conv2d_0", strides=2)
    for number, strides in enumerate(_STRIDES, start=1):
        outputs = _depthwise(outputs, tensors, f"Conv2d_{number}_depthwise", strides)
        outputs = _convolution(outputs, tensors, f"Conv2d_{number}_pointwise", strides=1)
    return keras.Model(inputs, outputs, name="mobilenet_v1")


def without_head(model: keras.Model) -> keras.Model:
    """A classifier up to what its last dense layer sees, without the dropout before it: that belongs to the head.

    Raises InvalidParams where it has no dense layer.
    """
    dense = next((layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense)), None)
    if dense is None:
        raise InvalidParams("The base has no dense layer to be replaced.", field="params.base", received=model.name)
    seen: Any = dense.input  # a tensor; Keras has no public way from it to its layer
    while isinstance(dropout := seen._keras_history.operation, keras.layers.Dropout):
        seen = dropout.input
    return keras.Model(model.inputs, seen, name=model.name)


def free_name(model: keras.Model, wanted: str) -> str:
    """``wanted``, with a number behind it where a layer of ``model`` is called so."""
    taken = {layer.name for layer in model.layers}
    names = (wanted if n == 1 else f"{wanted}_{n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def read_tflite(path: Path) -> _Tensors:
    """All constants of a registered TFLite file by name, de-quantised: ``scale * (value - zero point)``."""
    model: Any = tflite.Model.GetRootAs(path.read_bytes())  # generated code: what it says of types is too wide
    graph = model.Subgraphs(0)
    types = {
        tflite.TensorType.UINT8: np.uint8,
        tflite.TensorType.INT32: np.int32,
        tflite.TensorType.FLOAT32: np.float32,
    }
    found: dict[str, NDArray[np.float32]] = {}
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        data = model.Buffers(tensor.Buffer()).DataAsNumpy()
        if not isinstance(data, np.ndarray) or tensor.Type() not in types:
            continue  # made while it runs, not a constant
        values = data.view(types[tensor.Type()]).reshape(tensor.ShapeAsNumpy()).astype(np.float32)
        found[tensor.Name().decode()] = _real(values, tensor)
    return found


def _real(values: NDArray[np.float32], tensor: Any) -> NDArray[np.float32]:
    quantization = tensor.Quantization()
    if quantization is None or quantization.ScaleLength() == 0:
        return values
    return ((values - quantization.ZeroPoint(0)) * quantization.Scale(0)).astype(np.float32)


def _convolution(inputs: keras.KerasTensor, tensors: _Tensors, name: str, strides: int) -> keras.KerasTensor:
    kernel = tensors[f"{_SCOPE}{name}/weights_quant/FakeQuantWithMinMaxVars"].transpose(1, 2, 3, 0)  # from O, H, W, I
    layer = keras.layers.Conv2D(kernel.shape[3], kernel.shape[:2], strides, padding="same", name=name)
    return _filled(layer, inputs, kernel, tensors[f"{_SCOPE}{name}/Conv2D_Fold_bias"])


def _depthwise(inputs: keras.KerasTensor, tensors: _Tensors, name: str, strides: int) -> keras.KerasTensor:
    kernel = tensors[f"{_SCOPE}{name}/weights_quant/FakeQuantWithMinMaxVars"].transpose(1, 2, 3, 0)  # from 1, H, W, C
    layer = keras.layers.DepthwiseConv2D(kernel.shape[:2], strides, padding="same", name=name)
    return _filled(layer, inputs, kernel, tensors[f"{_SCOPE}{name}/depthwise_Fold_bias"])


def _filled(
    layer: keras.layers.Layer, inputs: keras.KerasTensor, kernel: NDArray[np.float32], bias: NDArray[np.float32]
) -> keras.KerasTensor:
    outputs = layer(inputs)
    layer.set_weights([kernel, bias])
    return keras.layers.ReLU(max_value=6.0, name=f"{layer.name}_relu6")(outputs)
