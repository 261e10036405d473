"""Small networks as SavedModels, and what they say by themselves; needs TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np


class Network:
    """One layer, with random weights by ``seed`` and all biases ``bias``: one sigmoid, or a softmax of ``outputs``.
    It is saved to ``folder``: float32 ``inputs`` of ``shape`` with any number of rows before it."""

    def __init__(self, folder: Path, shape: Sequence[int], outputs: int, *, seed: int = 1, bias: float = 0.0) -> None:
        keras.utils.set_random_seed(seed)
        ends = "softmax" if outputs > 1 else "sigmoid"
        layers = [keras.Input(tuple(shape)), keras.layers.Flatten(), keras.layers.Dense(outputs, ends)]
        self._network: Any = keras.Sequential(layers)
        weights, _ = self._network.get_weights()
        self._network.set_weights([weights, np.full(outputs, bias)])
        spec = keras.InputSpec(shape=(None, *shape), dtype="float32", name="inputs")
        self._network.export(str(folder), format="tf_saved_model", input_signature=[spec], verbose=False)

    def __call__(self, inputs: Any) -> list[list[float]]:
        """(N, outputs), for (N, ...)."""
        return np.asarray(self._network(np.asarray(inputs, np.float32))).tolist()
