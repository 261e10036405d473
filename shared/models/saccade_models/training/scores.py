"""How good answers are: the usual figures of scikit-learn, by task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn import metrics as figures

from saccade_core.kind import Result
from saccade_models.training.data import Task
from saccade_models.training.yardstick import predicted_classes

#: Classes that a note names.
_NAMED = 20


class ClassScores(Result):
    """One class: ``rows`` are truly of it; precision is null where nothing was given this class, recall where
    ``rows`` is 0, F1 where both are undefined."""

    label: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


class Scores(Result):
    """Figures of one part of the data.

    ``metrics`` of a classification: accuracy, balanced_accuracy, precision, recall, f1 (means over the classes that
    occur; of a binary task those of class 1), log_loss, roc_auc; of a regression r2, mae, rmse. A figure that the rows
    do not define (ROC AUC and balanced accuracy of a single class, R2 of a constant target) is left out, and ``notes``
    say so. ``confusion``: counts, truth down, answer across.
    """

    metrics: dict[str, float]
    classes: list[ClassScores] = Field(default_factory=list[ClassScores])
    confusion: list[list[int]] = Field(default_factory=list[list[int]])
    notes: list[str] = Field(default_factory=list[str])


def score(
    task: Task,
    y_true: NDArray[np.float32] | NDArray[np.int64],
    outputs: NDArray[np.float32],
    labels: Sequence[str] = (),
) -> Scores:
    """``y_true`` (N,) as ``data.Split.y``, ``outputs`` (N, 1) or (N, C) of the network, N at least 1."""
    if task == "regression":
        return _regression(y_true.astype(np.float64), outputs.reshape(-1).astype(np.float64))
    return _classification(task, y_true.astype(np.int64), outputs.astype(np.float64), labels)


def _regression(truth: NDArray[np.float64], answers: NDArray[np.float64]) -> Scores:
    answers = np.nan_to_num(answers)
    found = {
        "mae": float(figures.mean_absolute_error(truth, answers)),
        "rmse": float(figures.root_mean_squared_error(truth, answers)),
    }
    if len(truth) < 2 or np.ptp(truth) == 0:
        return Scores(metrics=found, notes=["All rows measured have one and the same target: R2 is not defined."])
    return Scores(metrics={"r2": float(figures.r2_score(truth, answers)), **found})


def _classification(
    task: Task, truth: NDArray[np.int64], outputs: NDArray[np.float64], labels: Sequence[str]
) -> Scores:
    chances = np.nan_to_num(outputs if outputs.shape[1] > 1 else np.hstack([1 - outputs, outputs]))
    answers = (
        predicted_classes(chances.astype(np.float32)) if task == "multiclass" else (chances[:, 1] >= 0.5).astype(int)
    )
    every = np.arange(max(len(labels), chances.shape[1]))
    confusion = figures.confusion_matrix(truth, answers, labels=every)
    classes = [_of_class(confusion, int(n), labels) for n in every]
    present = np.unique(truth)
    found = {"accuracy": float(np.trace(confusion) / confusion.sum())}
    notes: list[str] = []
    if len(present) > 1:
        found["balanced_accuracy"] = _mean([c.recall for c in classes])
        found["roc_auc"] = _roc_auc(truth, chances, present)
    else:
        only = classes[int(present[0])].label
        notes.append(f"All rows measured are of class {only!r}: ROC AUC and balanced accuracy are not defined.")
    told = [classes[1]] if task == "binary" else [c for c in classes if c.rows]
    for name in ("precision", "recall", "f1"):
        found[name] = _mean([getattr(c, name) or 0.0 for c in told])
    found["log_loss"] = float(-np.log(np.clip(chances[np.arange(len(truth)), truth], 1e-15, 1)).mean())
    notes += _unmeasured(classes)
    return Scores(metrics=found, classes=classes, confusion=confusion.tolist(), notes=notes)


def _unmeasured(classes: Sequence[ClassScores]) -> list[str]:
    """A small class may have no row in the part that is measured: its figures are of nothing."""
    names = [repr(c.label[:80]) for c in classes if not c.rows]
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"No row measured is of class {', '.join(names[:_NAMED])}{more}: how well it is found is not known."]


def _of_class(confusion: NDArray[np.int64], n: int, labels: Sequence[str]) -> ClassScores:
    hits, rows, given = int(confusion[n, n]), int(confusion[n].sum()), int(confusion[:, n].sum())
    return ClassScores(
        label=labels[n] if n < len(labels) else str(n),
        rows=rows,
        precision=hits / given if given else None,
        recall=hits / rows if rows else None,
        f1=2 * hits / (rows + given) if rows + given else None,
    )


def _roc_auc(truth: NDArray[np.int64], chances: NDArray[np.float64], present: NDArray[np.int64]) -> float:
    """Of two classes, or the mean over each class that occurs against the rest (Hand and Till 2001 compare this with
    one against one)."""
    if chances.shape[1] == 2:
        return float(figures.roc_auc_score(truth, chances[:, 1]))
    return _mean([float(figures.roc_auc_score(truth == n, chances[:, n])) for n in present.tolist()])


def _mean(values: Sequence[float | None]) -> float:
    found = [v for v in values if v is not None]
    return math.fsum(found) / len(found) if found else 0.0


#: Figures of which more is worse.
LESS_IS_BETTER = frozenset({"log_loss", "mae", "rmse"})


def better(name: str, first: float, second: float) -> bool:
    """Whether ``first`` is the better figure called ``name``."""
    return first < second if name in LESS_IS_BETTER else first > second


def main_metric(metrics: Mapping[str, float]) -> str:
    """The figure to tell first: R2 (or MAE) of a regression, else accuracy."""
    return next(name for name in ("accuracy", "r2", "mae") if name in metrics)
