"""What simple models reach on the same rows, to set a network's figures beside."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from saccade_core.kind import Result
from saccade_models.training.data import Split, TrainingData
from saccade_models.training.scores import score

#: The linear model is learnt from at most so many numbers (rows times inputs) and rows, drawn at random.
MOST_NUMBERS, MOST_ROWS = 2_000_000, 20_000
#: Of larger inputs (pictures) it sees every second pixel, or every third ...
MOST_INPUTS = 4096


class Baseline(Result):
    """Figures of simple models on the rows that the network is measured with.

    ``blind``: of always answering the training part's most frequent class (with its class shares as probabilities), or
    its mean. ``linear``: of logistic or ridge regression on the same inputs; null where training has one class only.
    """

    blind: dict[str, float]
    linear: dict[str, float] | None = None
    notes: list[str] = Field(default_factory=list[str])


def measure_baseline(data: TrainingData, seed: int) -> Baseline:
    """Learn from ``data.train``, measure on ``data.held_out()``."""
    _, part = data.held_out()
    blind = score(data.task, part.y, _blind(data, len(part)), data.labels).metrics
    if data.task != "regression" and len(np.unique(data.train.y)) < 2:
        return Baseline(blind=blind, notes=["The training part has one class only: there is nothing to learn."])
    linear, notes = _linear(data, part, seed)
    return Baseline(blind=blind, linear=score(data.task, part.y, linear, data.labels).metrics, notes=notes)


def _blind(data: TrainingData, rows: int) -> NDArray[np.float32]:
    if data.task == "regression":
        return np.full((rows, 1), data.train.y.mean(), dtype=np.float32)
    shares = np.bincount(data.train.y.astype(np.int64), minlength=max(2, len(data.labels))) / len(data.train)
    answer = shares[1:] if data.task == "binary" else shares
    return np.tile(answer.astype(np.float32), (rows, 1))


def _linear(data: TrainingData, part: Split, seed: int) -> tuple[NDArray[np.float32], list[str]]:
    """Outputs as a network's would be, (N, 1) or (N, C)."""
    x = _flat(data.train)
    most = min(len(x), MOST_ROWS, max(500, MOST_NUMBERS // max(1, x.shape[1])))
    rows = np.random.default_rng(seed).permutation(len(x))[:most]
    notes = [f"The linear model learnt from {most} of {len(x)} rows."] if most < len(x) else []
    scaler = StandardScaler().fit(x[rows])
    inputs, asked = scaler.transform(x[rows]), scaler.transform(_flat(part))
    if data.task == "regression":
        answers = Ridge().fit(inputs, data.train.y[rows]).predict(asked)
        return answers.reshape(-1, 1).astype(np.float32), notes
    if len(np.unique(data.train.y[rows])) < 2:
        return _blind(data, len(part)), notes
    model: Any = LogisticRegression(max_iter=100)
    with warnings.catch_warnings():
        # Not quite at its end after 100 rounds is near enough for a comparison.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, data.train.y[rows].astype(np.int64))
    chances = np.zeros((len(part), max(2, len(data.labels))), dtype=np.float32)
    chances[:, model.classes_] = model.predict_proba(asked)
    return (chances[:, 1:] if data.task == "binary" else chances), notes


def _flat(part: Split) -> NDArray[np.float32]:
    x = part.x
    step = 1
    while x.ndim > 2 and x[:1, ::step, ::step].size > MOST_INPUTS and step < x.shape[1]:
        step += 1
    return (x[:, ::step, ::step] if step > 1 else x).reshape(len(x), -1)
