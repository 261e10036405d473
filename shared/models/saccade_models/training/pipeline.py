"""Batches for the loop. The order of an epoch follows from (seed, epoch) alone, so that a resumed run has the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

#: Validation rows that are worked on at once hold at most about so many bytes of input.
_VALIDATION_BYTES = 4 << 20
#: Multiplications that one call into TensorFlow may have (0.1 s of two cores), and steps; fewer steps in all than
#: these do not earn back the longer compilation.
_CALL_MULTIPLICATIONS, _CALL_STEPS, _FEWEST_STEPS = 1e9, 16, 500


class Batches:
    """``arrays``, all (N, ...), in batches of ``batch_size`` rows, the last of a pass perhaps of fewer."""

    def __init__(self, arrays: Sequence[NDArray[Any]], batch_size: int) -> None:
        self._rows = len(arrays[0])
        self.batch_size = min(batch_size, self._rows)
        self.steps = -(-self._rows // self.batch_size)
        with tf.device("CPU:0"):
            self._arrays = tuple(tf.convert_to_tensor(a) for a in arrays)

    def shuffled(self, seed: int, first_epoch: int) -> Any:
        """An endless ``tf.data.Dataset`` of one pass after the other, beginning with that of ``first_epoch``: one for
        the whole training, since to begin one takes longer than a step."""

        @tf.autograph.experimental.do_not_convert
        def batches_of(epoch: Any) -> Any:
            key = tf.stack([tf.constant(seed, tf.int64), epoch])
            return self._cut(tf.random.experimental.stateless_shuffle(tf.range(self._rows, dtype=tf.int64), seed=key))

        return self._gathered(tf.data.Dataset.range(first_epoch, 1 << 40).flat_map(batches_of))

    def in_order(self) -> Any:
        """A ``tf.data.Dataset`` of one pass."""
        rows = self._cut(tf.range(self._rows, dtype=tf.int64))
        return self._gathered(rows).apply(tf.data.experimental.assert_cardinality(self.steps))

    def _cut(self, order: Any) -> Any:
        whole = self._rows // self.batch_size * self.batch_size
        batches = tf.data.Dataset.from_tensor_slices(tf.reshape(order[:whole], [-1, self.batch_size]))
        return batches.concatenate(tf.data.Dataset.from_tensors(order[whole:])) if whole < self._rows else batches

    def _gathered(self, batches: Any) -> Any:
        """Row numbers become rows, in the background."""

        @tf.autograph.experimental.do_not_convert
        def gather(rows: Any) -> tuple[Any, ...]:
            return tuple(tf.gather(a, rows) for a in self._arrays)

        dataset = batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        options = tf.data.Options()
        # As Keras's own pipeline does: rewriting the graph costs more than it gains.
        options.experimental_optimization.apply_default_optimizations = False
        return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def validation_batch(x: NDArray[np.float32], batch_size: int) -> int:
    """Rows at once where no gradients are kept: more than ``batch_size`` where they are small."""
    row = max(1, x[:1].nbytes)
    return max(batch_size, min(1024, _VALIDATION_BYTES // row))


def steps_at_once(model: keras.Model, batches: Batches, epochs: int) -> int:
    """How many steps of ``model`` to run in one call: of small networks several, since the call takes longer than the
    step, as far as they divide an epoch; of large ones 1, so that a run can be cancelled in between. Shapes alone say
    so: a run that goes on does as before."""
    if batches.steps * epochs < _FEWEST_STEPS:
        return 1
    step = 3 * batches.batch_size * _multiplications(model)  # forward, and back to inputs and to weights
    most = int(min(_CALL_STEPS, batches.steps, _CALL_MULTIPLICATIONS // max(1, step)))
    return max((n for n in range(2, most + 1) if batches.steps % n == 0), default=1)


def _multiplications(model: keras.Model) -> int:
    """Of one row through all kernels, each once for each place of its output."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += _multiplications(layer)
        elif (kernel := getattr(layer, "kernel", None)) is not None:
            total += math.prod(kernel.shape) * math.prod(n or 1 for n in layer.output.shape[1:-1])
    return total
