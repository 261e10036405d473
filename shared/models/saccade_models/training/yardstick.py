"""What a loss is compared with: that of somebody who knows nothing of the row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade_models.training.data import Split, Task, TrainingData


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Of some rows that were not trained on (where there are such).

    ``baseline_loss``: of always answering the training part's class shares, or its mean. ``majority``: the share of
    the most frequent class; ``most_predicted``: the share of rows that the network gives one and the same class. Both
    0 of a regression.
    """

    task: Task
    baseline_loss: float
    majority: float = 0.0
    most_predicted: float = 0.0


def yardstick(data: TrainingData, part: Split, outputs: NDArray[np.float32], *, weighed: bool) -> Yardstick:
    """``data`` and ``part`` (N rows) as they were learnt (a regression's target standardised), ``outputs`` (N, 1) or
    (N, C) of the network for ``part``; ``weighed``: all classes count the same in the loss."""
    if data.task == "regression":
        errors = part.y.astype(np.float64) - float(data.train.y.mean())
        return Yardstick(data.task, float(np.mean(np.square(errors))))
    classes = max(2, len(data.labels), int(max(data.train.y.max(), part.y.max())) + 1)
    known = np.bincount(data.train.y.astype(np.int64), minlength=classes).astype(np.float64)
    found = np.bincount(part.y.astype(np.int64), minlength=classes)
    answered = np.bincount(predicted_classes(outputs), minlength=classes)
    shares = known / known.sum()
    if weighed:
        # Each class has the same weight in sum: the best blind answer is that all are as likely.
        loss = float(np.log(np.count_nonzero(known)))
    else:
        loss = float(-(found * np.log(np.maximum(shares, 1e-7))).sum() / found.sum())
    return Yardstick(data.task, loss, float(found.max() / found.sum()), float(answered.max() / answered.sum()))


def predicted_classes(outputs: NDArray[np.float32]) -> NDArray[np.int64]:
    """The class of each row, (N,): the likeliest of (N, C), or 1 where the one probability of (N, 1) is 0.5 or more."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] >= 0.5).astype(np.int64)
    return outputs.argmax(axis=1).astype(np.int64)
