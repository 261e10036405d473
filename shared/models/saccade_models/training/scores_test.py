"""Figures against scikit-learn's and against what can be counted by hand; baselines."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from saccade_models.training.baseline import measure_baseline
from saccade_models.training.data import Split, TrainingData, split_rows
from saccade_models.training.scores import better, main_metric, score

RANDOM = np.random.default_rng(0)


def test_binary_figures_counted_by_hand() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.float32)
    outputs = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.1, 0.1, 0.4], np.float32).reshape(-1, 1)
    found = score("binary", truth, outputs, ["stays", "leaves"])
    assert found.confusion == [[4, 1], [1, 2]]
    assert found.metrics["accuracy"] == 0.75
    assert found.metrics["precision"] == found.metrics["recall"] == pytest.approx(2 / 3)
    assert found.metrics["balanced_accuracy"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found.metrics["roc_auc"] == pytest.approx(13 / 15)  # of 15 pairs two are the wrong way round
    assert found.metrics["log_loss"] == pytest.approx(metrics.log_loss(truth, outputs[:, 0]), rel=1e-5)
    assert [c.label for c in found.classes] == ["stays", "leaves"] and found.notes == []


def test_multiclass_figures_are_scikit_learns() -> None:
    truth = RANDOM.integers(0, 4, 300)
    outputs = RANDOM.dirichlet(np.ones(4), 300) + np.eye(4)[truth] * 0.4
    outputs /= outputs.sum(axis=1, keepdims=True)
    found = score("multiclass", truth, outputs.astype(np.float32), list("abcd")).metrics
    answers = outputs.argmax(axis=1)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, outputs, multi_class="ovr"))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, answers))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, answers, average="macro"))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, outputs), rel=1e-4)


def test_a_class_that_does_not_occur_has_no_recall_and_does_not_count() -> None:
    truth = np.array([0, 0, 1, 1])
    outputs = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    found = score("multiclass", truth, outputs, ["a", "b", "c"])
    assert found.classes[2].recall is None and found.classes[2].precision == 0
    assert found.metrics["balanced_accuracy"] == 0.75
    assert len(found.confusion) == 3


def test_a_part_of_one_class_has_no_roc_auc_and_says_so() -> None:
    found = score("binary", np.ones(3, np.float32), np.full((3, 1), 0.6, np.float32), ["no", "yes"])
    assert "roc_auc" not in found.metrics and "balanced_accuracy" not in found.metrics
    assert found.metrics["accuracy"] == 1.0
    assert "'yes'" in found.notes[0]


def test_regression_figures_and_a_constant_target() -> None:
    truth = np.array([1, 2, 3, 4], np.float32)
    found = score("regression", truth, truth.reshape(-1, 1) + 1).metrics
    assert found == pytest.approx({"r2": 1 - 4 / 5, "mae": 1.0, "rmse": 1.0})
    constant = score("regression", np.ones(4, np.float32), np.ones((4, 1), np.float32))
    assert "r2" not in constant.metrics and constant.notes


def test_outputs_that_are_no_numbers_give_figures() -> None:
    outputs = np.full((4, 1), np.nan, np.float32)
    assert score("binary", np.array([0, 1, 0, 1], np.float32), outputs, ["a", "b"]).metrics["accuracy"] == 0.5
    assert score("regression", np.arange(4, dtype=np.float32), outputs).metrics["r2"] < 0


def test_which_figure_is_better_and_told_first() -> None:
    assert better("accuracy", 0.9, 0.8) and better("rmse", 1, 2)
    assert [main_metric(m) for m in ({"f1": 1, "accuracy": 1}, {"mae": 1, "r2": 1}, {"mae": 1})] == [
        "accuracy",
        "r2",
        "mae",
    ]


def _data(task: str, y: np.ndarray, labels: list[str]) -> TrainingData:
    x = RANDOM.normal(size=(len(y), 3)).astype(np.float32)
    x[:, 0] += 2 * y
    cut = len(y) // 2
    empty = Split(x[:0], y[:0])
    return TrainingData(task, Split(x[:cut], y[:cut]), empty, Split(x[cut:], y[cut:]), labels)  # pyright: ignore[reportArgumentType] - parametrised


def test_baselines_of_a_classification() -> None:
    y = (RANDOM.random(600) < 0.3).astype(np.float32)
    found = measure_baseline(_data("binary", y, ["a", "b"]), seed=0)
    assert found.blind["accuracy"] == pytest.approx(1 - y[300:].mean(), abs=1e-6)
    assert found.blind["roc_auc"] == 0.5
    assert found.linear and found.linear["accuracy"] > 0.8 and found.linear["roc_auc"] > 0.85


def test_baselines_of_classes_that_training_does_not_have() -> None:
    y = RANDOM.integers(0, 3, 400)
    y[:200][y[:200] == 1] = 2
    found = measure_baseline(_data("multiclass", y, ["a", "b", "c"]), seed=0)
    assert found.linear and found.linear["accuracy"] > found.blind["accuracy"]
    one = measure_baseline(_data("binary", np.zeros(20, np.float32), ["a", "b"]), seed=0)
    assert one.linear is None and one.notes


def test_baselines_of_a_regression() -> None:
    y = RANDOM.normal(5, 2, 400).astype(np.float32)
    found = measure_baseline(_data("regression", y, []), seed=0)
    assert found.linear and found.linear["r2"] > 0.8
    assert found.blind["r2"] < 0.05


def test_large_pictures_and_many_rows_are_thinned_out() -> None:
    x = RANDOM.random((60, 96, 96, 3)).astype(np.float32)
    y = np.tile([0, 1], 30).astype(np.float32)
    x[y == 1] += 0.2
    part = Split(x, y)
    found = measure_baseline(TrainingData("binary", part, part, part, ["dark", "light"]), seed=0)
    assert found.linear and found.linear["accuracy"] > 0.9


def test_classes_without_rows_in_the_measured_part_are_named() -> None:
    y = np.array([0] * 20 + [1] * 20 + [2] * 2)
    tested = y[split_rows(y, "multiclass", 0.2, 0.2, seed=0).test]
    outputs = np.eye(3, dtype=np.float32)[tested]
    found = score("multiclass", tested, outputs, ["oak", "elm", "yew"])
    assert found.notes == ["No row measured is of class 'yew': how well it is found is not known."]
    many = score("multiclass", np.array([0, 1]), np.eye(40, dtype=np.float32)[[0, 1]], [f"c{n}" for n in range(40)])
    assert many.notes[0].endswith("'c21' and 18 more: how well it is found is not known.")
