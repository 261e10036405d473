"""How much of the loss's gradient reaches each layer."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from saccade_models.training.checkpoint import assign, values
from saccade_models.training.params import LayerGradient

#: Rows that gradients are taken over, and the most bytes of input that they may have.
MOST_ROWS, MOST_BYTES = 128, 1 << 20


class GradientProbe:
    """Gradients of one network over the same few rows; the network is the same afterwards."""

    def __init__(self, model: keras.Model, loss: keras.losses.Loss, x: Any, y: Any) -> None:
        self._model, self._loss = model, loss
        self._x, self._y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
        # Biases and scales say little: a layer is judged by its kernel.
        self._kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
        self._names = _layer_names([str(v.path) for v in self._kernels])
        self._rest = [v for v in model.variables if not v.trainable]

    def measure(self, epoch: int) -> list[LayerGradient]:
        """The root mean square of each kernel's gradient, from the layer next to the input on."""
        before = values(self._rest)  # batch normalisation's means and dropout's random states
        with tf.GradientTape() as tape:
            loss = self._loss(self._y, self._model(self._x, training=True))
        gradients: Any = tape.gradient(loss, [v.value for v in self._kernels])
        assign(self._rest, before)
        return [
            LayerGradient(epoch=epoch, layer=name, gradient=_rms(gradient))
            for name, gradient in zip(self._names, gradients, strict=True)
        ]


def probe_rows(rows: int, row_bytes: int, seed: int) -> Any:
    """Which rows to take gradients over: a few at random, (K,) int64."""
    count = max(1, min(rows, MOST_ROWS, MOST_BYTES // max(1, row_bytes)))
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def _rms(gradient: Any) -> float | None:
    if gradient is None:
        return 0.0
    found = float(np.sqrt(np.mean(np.square(np.asarray(gradient, dtype=np.float64)))))
    return found if math.isfinite(found) else None


def _layer_names(paths: list[str]) -> list[str]:
    """The layers' own names, or their whole paths where those are not different."""
    owners = [p.rsplit("/", 1)[0] for p in paths]
    short = [p.rsplit("/", 1)[-1] for p in owners]
    return short if len(set(short)) == len(short) else owners
