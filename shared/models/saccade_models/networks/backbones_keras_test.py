from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest

from saccade_core.assets import asset
from saccade_core.errors import InvalidParams
from saccade_core.kind import InputFile
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.datasets.prepare import as_floats, read_fitting
from saccade_models.networks.backbones import (
    MOBILENET_MEAN,
    MOBILENET_SCALE,
    free_name,
    mobilenet,
    read_tflite,
    without_head,
)
from saccade_models.weights import local_model

PHOTO = PictureInput(
    height=300, width=300, channels=3, scale=MOBILENET_SCALE, mean=MOBILENET_MEAN, labels=["any", "other"]
)
#: Places in the interpreter of the input, and of what the layers give, as (index, scale).
INPUT = 175
TENSORS = {
    "Conv2d_0_relu6": (85, 0.023528477177023888),
    "Conv2d_5_pointwise_relu6": (139, 0.023528477177023888),
    "Conv2d_11_pointwise_relu6": (97, 0.023528477177023888),
    "Conv2d_13_pointwise_relu6": (109, 0.023527588695287704),
}


def test_every_layer_gives_what_the_registered_detector_computes_inside() -> None:
    weights = local_model("ssd_mobilenet").path
    with warnings.catch_warnings():
        # Deprecated in favour of ai-edge-litert, which this pool does not have; only this test uses it.
        warnings.simplefilter("ignore", UserWarning)
        from tensorflow.lite.python.interpreter import Interpreter

        inside: Any = Interpreter(str(weights), num_threads=1, experimental_preserve_all_tensors=True)
    inside.allocate_tensors()
    model = mobilenet(weights, PHOTO.shape)
    assert model.output_shape == (None, 10, 10, 768)
    layers = keras.Model(model.input, [model.get_layer(name).output for name in TENSORS])
    for name in ("000000475732", "000000052891"):
        path = asset(f"images/objects/{name}.jpg")
        pixels = read_fitting(InputFile(path, path.name, "image/jpeg", "inputs.images[0]"), PHOTO)
        inside.set_tensor(INPUT, pixels[None])
        inside.invoke()
        found = layers(as_floats(pixels, PHOTO)[None], training=False)
        for (layer, (index, scale)), ours in zip(TENSORS.items(), found, strict=True):
            theirs = inside.get_tensor(index).astype(np.float32) * scale
            # Theirs is rounded to 8 bits after each layer.
            assert np.corrcoef(theirs.ravel(), np.asarray(ours).ravel())[0, 1] > 0.995, layer
            assert abs(float(theirs.mean()) - float(np.asarray(ours).mean())) < 0.02, layer


def test_constants_are_in_their_own_unit() -> None:
    tensors = read_tflite(local_model("ssd_mobilenet").path)
    anchors = tensors["anchors"]
    assert anchors.shape == (1917, 4)
    assert 0 <= anchors.min() < 0.1
    assert 1 < anchors.max() < 2
    assert not any(name.endswith("Relu6") for name in tensors)


@pytest.mark.parametrize("shape", [(160, 160, 1), (31, 160, 3)])
def test_pictures_that_a_mobilenet_cannot_take(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidParams, match="colour pictures of at least 32") as caught:
        mobilenet(local_model("ssd_mobilenet").path, shape)
    assert caught.value.field == "params.image_size"


def test_a_head_is_the_last_dense_layer() -> None:
    inputs: Any = keras.Input((4, 4, 1))
    outputs: Any = keras.layers.Dense(3, activation="relu")(keras.layers.Flatten()(inputs))
    outputs = keras.layers.Activation("softmax")(keras.layers.Dense(2)(keras.layers.Dropout(0.5)(outputs)))
    assert without_head(keras.Model(inputs, outputs)).output_shape == (None, 3)
    inputs = keras.Input((3,), name="inputs")
    outputs = keras.layers.Dense(5, name="features")(inputs)
    outputs = keras.layers.Dense(2)(keras.layers.Dropout(0.5)(keras.layers.Dropout(0.5, name="head_dropout")(outputs)))
    cut = without_head(keras.Model(inputs, outputs))
    assert [layer.name for layer in cut.layers] == ["inputs", "features"]
    assert [free_name(cut, name) for name in ("head", "features")] == ["head", "features_2"]
    inputs = keras.Input((4, 4, 1))
    with pytest.raises(InvalidParams, match="no dense layer"):
        without_head(keras.Model(inputs, keras.layers.Flatten()(inputs)))
