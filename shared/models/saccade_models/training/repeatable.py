"""The same bytes from the same seed: random states, operations and the number of threads."""

from __future__ import annotations

import os

import keras
import numpy as np
import tensorflow as tf

from saccade_core.kind import Context


def make_repeatable(seed: int, context: Context, threads: int | None) -> int:
    """Seed everything, and spread an operation over ``threads`` (None: as set, else one for each core that we have);
    the number of threads that it is. On the CPU operations are made to give the same bits in each run; on a GPU,
    where that can cost more than half of the speed and some operations do not have it, they are not."""
    keras.utils.set_random_seed(seed)
    if context.device == "cpu":
        tf.config.experimental.enable_op_determinism()
    now: int = tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0))
    threads = threads or now
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:  # TensorFlow has begun to work in this process
        if threads != now:
            context.log(f"Begun with {threads} threads, going on with {now}: weights may differ in their last bits.")
        return now
    return threads


def start_augmentation(augment: keras.layers.Layer, seed: int) -> None:
    """Let the random states of ``augment`` follow from ``seed``, whenever it was made."""
    states = [v for v in augment.variables if str(v.path).endswith("seed_generator_state")]
    for n, state in enumerate(states):
        state.assign(np.random.SeedSequence([seed, n]).generate_state(2) >> 1)  # below 2**31: it may be signed
