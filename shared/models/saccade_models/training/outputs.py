"""What a network says of many rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from saccade_models.training.pipeline import validation_batch


def outputs_of(model: keras.Model, x: NDArray[np.float32], check_cancelled: Callable[[], None]) -> NDArray[np.float32]:
    """The outputs of ``x``, (N, ...): (N, 1) of a binary task (probability of class 1) or a regression, (N, C)
    probabilities of a multiclass task. Looks at cancelling between batches."""
    size = validation_batch(x, 32)

    def call(rows: Any) -> Any:
        return model(rows, training=False)

    # Eager for a few batches: tracing a graph takes longer than running them.
    run: Callable[[Any], Any] = call if len(x) <= 4 * size else tf.function(call, reduce_retracing=True)
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(x), size):
        check_cancelled()
        found.append(np.asarray(run(tf.convert_to_tensor(x[start : start + size])), dtype=np.float32))
    return np.concatenate(found) if found else np.empty((0, *model.output_shape[1:]), dtype=np.float32)
