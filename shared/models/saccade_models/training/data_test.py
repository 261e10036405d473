"""Parts of the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade_models.training.data import Split, SplitRows, TrainingData, split_rows


def _all(rows: SplitRows) -> NDArray[np.int64]:
    return np.sort(np.concatenate([rows.train, rows.valid, rows.test]))


def test_classes_keep_their_shares_and_no_row_is_in_two_parts() -> None:
    y = np.repeat([0, 1, 2], [700, 200, 100])
    rows = split_rows(y, "multiclass", 0.2, 0.1, seed=3)
    assert _all(rows).tolist() == list(range(1000))
    assert np.bincount(y[rows.valid]).tolist() == [140, 40, 20]
    assert np.bincount(y[rows.test]).tolist() == [70, 20, 10]


def test_the_same_seed_gives_the_same_parts_and_another_does_not() -> None:
    y = np.linspace(0, 1, 50, dtype=np.float32)
    first, second, other = (split_rows(y, "regression", 0.2, 0.2, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test, second.test)
    assert not np.array_equal(first.test, other.test)


def test_a_class_of_one_row_is_trained_on() -> None:
    rows = split_rows(np.array([0] * 9 + [1]), "binary", 0.4, 0.5, seed=0)
    assert 9 in rows.train
    assert len(rows.train) == 2


def test_nothing_asked_for_is_nothing_kept() -> None:
    rows = split_rows(np.array([0, 1, 1, 0]), "binary", 0, 0, seed=0)
    assert rows.train.tolist() == [0, 1, 2, 3]
    assert len(rows.valid) == len(rows.test) == 0


def test_held_out_is_the_part_furthest_from_training() -> None:
    def data(valid: int, test: int) -> TrainingData:
        train, kept, tested = (Split(np.zeros((n, 2), np.float32), np.zeros(n, np.float32)) for n in (5, valid, test))
        return TrainingData("regression", train, kept, tested)

    assert [data(*sizes).held_out()[0] for sizes in ((2, 3), (2, 0), (0, 0))] == ["test", "valid", "train"]
