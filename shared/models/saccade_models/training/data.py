"""What is trained on: rows in three parts, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal["binary", "multiclass", "regression"]
PartName = Literal["train", "valid", "test"]


@dataclass(frozen=True, slots=True)
class Split:
    """N rows.

    ``x``: (N, ...) float32, as the network takes it. ``y``: (N,), of a binary task float32 of 0 and 1, of a multiclass
    task int64, the class's index into ``TrainingData.labels``, of a regression float32 in the target's own unit.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32] | NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Rows to train on, to choose the best epoch by (may be empty), and to measure with (may be empty).

    ``labels`` are the classes' names in the order of the network's outputs, of a binary task [class 0, class 1]; of a
    regression none.
    """

    task: Task
    train: Split
    valid: Split
    test: Split
    labels: Sequence[str] = ()

    def held_out(self) -> tuple[PartName, Split]:
        """The part that figures are best taken from: test, else validation, else (nothing was kept) training."""
        if len(self.test):
            return "test", self.test
        return ("valid", self.valid) if len(self.valid) else ("train", self.train)


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Row numbers of each part, sorted."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def split_rows(
    y: NDArray[np.float32] | NDArray[np.int64], task: Task, validation_split: float, test_split: float, seed: int
) -> SplitRows:
    """Deal the rows of ``y`` to the parts at random, of classes each in the same shares as far as they can be.

    A class's (of a regression, all) n rows give ``round(n * share)`` to validation and test, and keep at least one in
    training. A class of few rows may therefore have none in a part; ``scores.score`` names it. Same arguments, same
    parts.
    """
    random = np.random.default_rng(seed)
    groups = [np.arange(len(y))] if task == "regression" else [np.flatnonzero(y == value) for value in np.unique(y)]
    parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for rows in groups:
        dealt = random.permutation(rows)
        tested = round(len(rows) * test_split)
        kept = min(tested + round(len(rows) * validation_split), len(rows) - 1)
        tested = min(tested, kept)
        for part, piece in zip(parts, np.split(dealt, [tested, kept]), strict=True):
            part.append(piece)
    test, valid, train = (np.sort(np.concatenate(p)).astype(np.int64) if p else np.empty(0, np.int64) for p in parts)
    return SplitRows(train=train, valid=valid, test=test)
