"""What a network is trained with: optimizer and loss by parameters and task."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from saccade_models.training.data import Split, Task
from saccade_models.training.params import LEARNING_RATES, TrainingParams


def optimizer_of(params: TrainingParams) -> keras.optimizers.Optimizer:
    """The optimizer that ``params`` ask for, new."""
    rate = learning_rate_of(params)
    match params.optimizer:
        case "sgd" | "momentum" | "nesterov":
            momentum = 0.0 if params.optimizer == "sgd" else params.momentum
            return keras.optimizers.SGD(rate, momentum=momentum, nesterov=params.optimizer == "nesterov")
        case "adagrad":
            return keras.optimizers.Adagrad(rate)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate)
        case "adam":
            return keras.optimizers.Adam(rate)
        case "adamw":
            return keras.optimizers.AdamW(rate, weight_decay=params.weight_decay)


def learning_rate_of(params: TrainingParams) -> float:
    """The learning rate that is trained with."""
    return LEARNING_RATES[params.optimizer] if params.learning_rate is None else params.learning_rate


def loss_of(task: Task) -> keras.losses.Loss:
    """Cross-entropy of probabilities, or of a regression the mean squared error."""
    match task:
        case "binary":
            return keras.losses.BinaryCrossentropy()
        case "multiclass":
            return keras.losses.SparseCategoricalCrossentropy()
        case "regression":
            return keras.losses.MeanSquaredError()


def metrics_of(task: Task) -> list[Any]:
    """What is measured in each epoch beside the loss."""
    match task:
        case "binary":
            return [keras.metrics.BinaryAccuracy(name="accuracy")]
        case "multiclass":
            return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        case "regression":
            return [keras.metrics.MeanAbsoluteError(name="mae")]


def row_weights(train: Split, part: Split) -> NDArray[np.float32]:
    """Of each row of ``part``, the weight that makes all classes count the same: N / (classes * rows of its class),
    counted in ``train`` (King and Zeng 2001); 1 for a class that ``train`` does not have."""
    values, counts = np.unique(train.y, return_counts=True)
    weights = len(train) / (len(values) * counts)
    at = np.minimum(np.searchsorted(values, part.y), len(values) - 1)
    return np.where(values[at] == part.y, weights[at], 1.0).astype(np.float32)
