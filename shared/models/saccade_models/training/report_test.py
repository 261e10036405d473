"""Files for people: tables, pictures and the card."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade_core.trained import TrainedRef
from saccade_models.training import report
from saccade_models.training.baseline import Baseline
from saccade_models.training.card import Card, write_card
from saccade_models.training.params import EpochRow, Finding, LayerGradient, TrainingParams
from saccade_models.training.scores import score


def _history(epochs: int, *, regression: bool = False) -> list[EpochRow]:
    metric = "mae" if regression else "accuracy"
    return [
        EpochRow(
            epoch=n + 1, loss=1 / (n + 1), val_loss=None if n == 1 else 1.1 / (n + 1), learning_rate=0.1, seconds=2,
            **{metric: 0.5, f"val_{metric}": 0.4},  # pyright: ignore[reportArgumentType] - by name
        )
        for n in range(epochs)
    ]  # fmt: skip


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        assert len(image.convert("L").getcolors(65536) or []) > 10
        return image.size


def test_the_history_has_only_columns_that_hold_something(tmp_path: Path) -> None:
    report.write_history(tmp_path / "history.csv", _history(3))
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "accuracy", "val_accuracy", "learning_rate", "seconds"]
    assert [float(r["loss"]) for r in rows] == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-7)
    assert [r["val_loss"] for r in rows] == ["1.1", "", "0.36666667"]


@pytest.mark.parametrize("epochs", [1, 3, 200])
@pytest.mark.parametrize("regression", [False, True])
def test_curves_of_any_length(tmp_path: Path, epochs: int, regression: bool) -> None:
    report.draw_curves(tmp_path / "curves.png", _history(epochs, regression=regression), epochs, "a $b$ model")
    assert _size(tmp_path / "curves.png") == (1210, 484)


def test_curves_of_a_run_that_diverged_at_once(tmp_path: Path) -> None:
    report.draw_curves(tmp_path / "curves.png", [EpochRow(epoch=1, loss=None, learning_rate=1, seconds=1)], 0)
    assert _size(tmp_path / "curves.png") == (1210, 484)


@pytest.mark.parametrize("classes", [2, 13, 100])
def test_confusions_from_2_to_100_classes(tmp_path: Path, classes: int) -> None:
    table = np.diag(np.arange(1, classes + 1)).tolist()
    table[0][1] = 3
    report.draw_confusion(tmp_path / "c.png", table, [f"class {n} of $x_{{" for n in range(classes)], "test")
    width, height = _size(tmp_path / "c.png")
    assert 400 < height <= 16 * 110 < width + 1400


def test_residuals_and_gradients(tmp_path: Path) -> None:
    truth = np.random.default_rng(0).normal(size=6000)
    report.draw_residuals(tmp_path / "r.png", truth, truth + 0.1, "Chance of Admit")
    assert _size(tmp_path / "r.png") == (1210, 528)
    report.draw_residuals(tmp_path / "one.png", np.ones(1), np.ones(1))
    found = [
        LayerGradient(epoch=e, layer=n, gradient=g) for e in (0, 3) for n, g in (("a", 0.1), ("b", None), ("c", 0.0))
    ]
    report.draw_gradients(tmp_path / "g.png", found)
    assert _size(tmp_path / "g.png")[0] == 660


def test_the_card_tells_it_all_and_names_are_no_markdown(tmp_path: Path) -> None:
    outputs = np.array([[0.9], [0.2], [0.7], [0.1]], np.float32)
    scores = score("binary", np.array([1, 0, 0, 0], np.float32), outputs, ["stays", "<b>|leaves|"])
    card = Card(
        model=TrainedRef(name="churn", version=3), task="binary", what="A network of dense layers.",
        dataset="bank_[x](http://a).csv", dataset_sha256="ab" * 32, inputs="It takes 12 numbers.",
        rows={"train": 6000, "valid": 2000, "test": 2000}, parameters=1234, params=TrainingParams(name="churn", seed=7),
        history=_history(3), best_epoch=2, stopped_by="patience", measured_on="test", scores=scores,
        baseline=Baseline(blind={"accuracy": 0.75}, linear={"accuracy": 0.6}),
        findings=[Finding(code="healthy", text="Nothing unusual.")], checks={"saved_model": 0.0, "model.onnx": 9e-8},
    )  # fmt: skip
    write_card(tmp_path / "model-card.md", card)
    text = (tmp_path / "model-card.md").read_text()
    for told in (
        "# churn, version 3", "1,234 parameters", "sha256 `" + "ab" * 32, "| test | 2,000 |",
        "| accuracy | 0.75 | 0.6 | 0.75 |",
        "no better epoch", "Nothing unusual.", "| seed | 7 |", "| model.onnx | 9e-08 |", "load_model('model.h5'",
        r"\<b\>\|leaves\|", r"bank\_\[x\](http://a).csv", "/v1/models/churn/predict",
    ):  # fmt: skip
        assert told in text
