"""Run on a Python with TensorFlow: makes the network that is served, and measures it in bare loops.

``python benchmarks/bare_keras.py FOLDER`` saves it as a SavedModel in ``FOLDER/cnn/1`` and prints single images per
second, as JSON, of ``model.predict`` in a loop, of a ``tf.function``, and of ONNX Runtime; and of a ``tf.function``
with batches of 32.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnxruntime
import tensorflow as tf

#: 57,562 parameters, 28x28 grey pictures: what learns handwritten digits.
SHAPE, CLASSES = (28, 28, 1), 10


def network() -> Any:
    """Two convolutions with pooling, and two dense layers."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def rate(call: Callable[[], object], seconds: float, rows: int = 1) -> float:
    """Rows per second of ``call``, after a few calls that do not count."""
    for _ in range(5):
        call()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        call()
        count += rows
    return count / (time.perf_counter() - started)


def main(folder: Path, seconds: float) -> None:
    """Make it and measure."""
    model = network()
    spec = keras.InputSpec(shape=(None, *SHAPE), dtype="float32", name="inputs")
    model.export(str(folder / "cnn" / "1"), format="tf_saved_model", input_signature=[spec], verbose=False)
    model.export(str(folder / "cnn.onnx"), format="onnx", verbose=False)
    one = np.random.default_rng(0).random((1, *SHAPE), np.float32)
    many = np.repeat(one, 32, axis=0)
    tensorflow: Any = tf  # has no types
    function = tensorflow.function(model, input_signature=[tensorflow.TensorSpec((None, *SHAPE), tf.float32)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(str(folder / "cnn.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = {
        "parameters": model.count_params(),
        "predict": rate(lambda: model.predict(one, verbose=0), seconds),
        "function": rate(lambda: function(one).numpy(), seconds),
        "onnx": rate(lambda: session.run(None, {name: one}), seconds),
        "function_32": rate(lambda: function(many).numpy(), seconds, 32),
        "onnx_32": rate(lambda: session.run(None, {name: many}), seconds, 32),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
