"""Real trainings on small data: what is learnt, repeated, resumed, cancelled, stopped and said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import make_moons

from saccade_core.errors import Cancelled, InvalidParams
from saccade_core.testing import LocalContext
from saccade_models.training import checkpoint, loop
from saccade_models.training.compiling import row_weights
from saccade_models.training.data import Split, Task, TrainingData, split_rows
from saccade_models.training.fit import Fitted, check_learnt, fit
from saccade_models.training.outputs import outputs_of
from saccade_models.training.params import LEARNING_RATES, TrainingParams
from saccade_models.training.pipeline import Batches, steps_at_once
from saccade_models.training.scores import score

layers = keras.layers


def _dense(
    *units: int, inputs: int = 2, ends: str = "sigmoid", outputs: int = 1, activation: str = "relu", he: bool = True
) -> Callable[[], keras.Model]:
    def network() -> keras.Model:
        x = start = keras.Input((inputs,), name="inputs")
        for n, count in enumerate(units):
            starts = "he_normal" if he else "glorot_uniform"
            x = layers.Dense(count, activation=activation, kernel_initializer=starts, name=f"dense_{n}")(x)
        return keras.Model(start, layers.Dense(outputs, activation=ends, name="out")(x))

    return network


def _mixed() -> keras.Model:
    """A network with all that keeps a state."""
    x = start = keras.Input((2,))
    x = layers.Dense(16, activation="relu", name="first")(x)
    x = layers.Dropout(0.3)(layers.BatchNormalization()(x))
    x = layers.Dense(8, activation="relu", name="second")(x)
    return keras.Model(start, layers.Dense(1, activation="sigmoid", name="out")(x))


def _data(
    task: Task, x: Any, y: Any, labels: Sequence[str] = (), shares: tuple[float, float] = (0.2, 0.2)
) -> TrainingData:
    x, y = np.asarray(x, np.float32), np.asarray(y, np.int64 if task == "multiclass" else np.float32)
    rows = split_rows(y, task, *shares, seed=0)
    return TrainingData(task, *(Split(x[i], y[i]) for i in (rows.train, rows.valid, rows.test)), labels=labels)


def _moons(rows: int = 300) -> TrainingData:
    return _data("binary", *make_moons(rows, noise=0.15, random_state=0), labels=["up", "down"])


def _weights(fitted: Fitted) -> bytes:
    return b"".join(np.ascontiguousarray(v.numpy()).tobytes() for v in fitted.model.variables)


def _curve(fitted: Fitted) -> list[dict[str, Any]]:
    return [row.model_dump(exclude={"seconds"}) for row in fitted.history]


def _fit(folder: Path, network: Callable[[], keras.Model], data: TrainingData, **params: Any) -> Fitted:
    return fit(network, data, TrainingParams.model_validate(params), LocalContext(folder))


CORNERS = [[0, 0], [0, 1], [1, 0], [1, 1]]


def _logic_accuracy(folder: Path, truth: Sequence[int], network: Callable[[], keras.Model]) -> float:
    data = _data("binary", CORNERS, truth, ["no", "yes"], shares=(0, 0))
    fitted = _fit(folder, network, data, epochs=80, batch_size=None, learning_rate=0.2)
    outputs = outputs_of(fitted.model, data.train.x, lambda: None)
    return score("binary", data.train.y, outputs, data.labels).metrics["accuracy"]


def test_a_perceptron_learns_and_and_or_and_not_xor_which_two_layers_do(tmp_path: Path) -> None:
    perceptron = _dense()
    assert _logic_accuracy(tmp_path / "and", [0, 0, 0, 1], perceptron) == 1
    assert _logic_accuracy(tmp_path / "or", [0, 1, 1, 1], perceptron) == 1
    assert _logic_accuracy(tmp_path / "xor", [0, 1, 1, 0], perceptron) < 1
    assert _logic_accuracy(tmp_path / "mlp", [0, 1, 1, 0], _dense(8)) == 1


def test_a_deep_sigmoid_network_is_diagnosed_as_vanishing_and_relu_with_he_mends_it(tmp_path: Path) -> None:
    data, deep = _moons(600), [16] * 9
    sigmoid = _fit(tmp_path / "s", _dense(*deep, activation="sigmoid", he=False), data, epochs=6, activation="sigmoid")
    assert [f.code for f in sigmoid.findings] == ["vanishing_gradients", "under_fitting"]
    assert "dense_0" in sigmoid.diagnosis[0] and "activation relu with initializer he" in sigmoid.diagnosis[0]
    mended = _fit(tmp_path / "r", _dense(*deep), data, epochs=12, initializer="he")
    assert "vanishing_gradients" not in {f.code for f in mended.findings}
    outputs = outputs_of(mended.model, data.test.x, lambda: None)
    assert score("binary", data.test.y, outputs, data.labels).metrics["accuracy"] > 0.93
    assert [g.epoch for g in mended.gradients if g.layer == "out"] == [0, 6, 12]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    first, second, other = (
        _fit(tmp_path / str(n), _mixed, _moons(), epochs=2, seed=seed) for n, seed in enumerate((5, 5, 6))
    )
    assert _weights(first) == _weights(second)
    assert _curve(first) == _curve(second)
    assert _weights(first) != _weights(other)


@dataclass
class _StopsAt(LocalContext):
    """Is cancelled at the first progress that has this much done."""

    at: float = 1e9

    def check_cancelled(self) -> None:
        if self.reported and self.reported[-1][0] >= self.at:
            raise Cancelled("The job was cancelled.")


def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_S", 0)
    monkeypatch.setattr(loop, "SAVE_TIMES", 0)
    monkeypatch.setattr(loop, "LOOK_S", 0)
    data, params = _moons(), TrainingParams(epochs=5, patience=4, class_weights="balanced", optimizer="nesterov")

    def noise() -> keras.layers.Layer:
        return layers.GaussianNoise(0.1)

    whole = fit(_mixed, data, params, LocalContext(tmp_path / "whole"), noise())
    cut = _StopsAt(tmp_path / "cut", at=2.4)
    with pytest.raises(Cancelled):
        fit(_mixed, data, params, cut, noise())
    assert max(done for done, _, _ in cut.reported) < 3
    saved = checkpoint.read(cut.checkpoints / checkpoint.NAME)
    assert saved and saved.standing.epochs == 2 and cut.saved == [checkpoint.NAME] * 2
    again = LocalContext(tmp_path / "cut")
    resumed = fit(_mixed, data, params, again, noise())
    assert "goes on after epoch 2" in again.logged[0]
    assert min(step for _, _, step in again.metrics) == 3
    assert _curve(resumed) == _curve(whole) and _weights(resumed) == _weights(whole)
    assert resumed.gradients == whole.gradients and resumed.diagnosis == whole.diagnosis
    # Killed after training and before the job's end: nothing is trained again.
    once_more = LocalContext(tmp_path / "cut")
    finished = fit(_mixed, data, params, once_more, noise())
    assert _weights(finished) == _weights(whole) and once_more.metrics == []


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_gone_on_from(tmp_path: Path) -> None:
    fresh = _fit(tmp_path / "fresh", _mixed, _moons(), epochs=1, seed=1)
    context = LocalContext(tmp_path / "other")
    fit(_mixed, _moons(), TrainingParams(epochs=1, seed=2), context)
    other = fit(_mixed, _moons(), TrainingParams(epochs=1, seed=1), context)
    assert _weights(other) == _weights(fresh) and "another training" in context.logged[0]
    (context.checkpoints / checkpoint.NAME).write_bytes(b"PK\x03\x04 nothing")
    assert _weights(_fit(tmp_path / "other", _mixed, _moons(), epochs=1, seed=1)) == _weights(fresh)


def test_another_number_of_threads_is_told(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    fit(_mixed, _moons(), TrainingParams(epochs=1), context)
    path = context.checkpoints / checkpoint.NAME
    found = checkpoint.read(path)
    assert found
    found.standing.threads = 77
    checkpoint.write(path, found)
    fit(_mixed, _moons(), TrainingParams(epochs=1), context)
    assert "77 threads" in context.logged[0]


def test_live_figures_of_each_epoch(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    fit(_dense(4), _moons(), TrainingParams(epochs=3), context)
    names = ["loss", "val_loss", "accuracy", "val_accuracy", "learning_rate", "seconds"]
    assert [(n, s) for n, _, s in context.metrics] == [(n, s) for s in (1, 2, 3) for n in names]
    assert context.reported[0] == (0, 3, "epoch 1 of 3")
    assert context.reported[-1][0] == 3


def test_patience_stops_and_the_best_epochs_weights_come_back(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 20))
    data = _data("binary", x, np.arange(80) % 2, ["a", "b"], shares=(0.5, 0))  # nothing to learn but by heart
    fitted = _fit(tmp_path, _dense(64, 64, inputs=20), data, epochs=60, patience=10, learning_rate=0.01)
    losses = [row.val_loss or 0 for row in fitted.history]
    assert fitted.stopped_by == "patience" and fitted.best_epoch == int(np.argmin(losses)) + 1
    assert fitted.epochs_run == fitted.best_epoch + 10
    outputs = outputs_of(fitted.model, data.valid.x, lambda: None)
    found = score("binary", data.valid.y, outputs, data.labels).metrics["log_loss"]
    assert found == pytest.approx(min(losses), rel=1e-3)
    assert "over_fitting" in {f.code for f in fitted.findings}


def test_the_time_budget_counts_all_attempts(tmp_path: Path) -> None:
    first = _fit(tmp_path / "a", _dense(4), _moons(), epochs=50, time_budget_s=1e-6)
    assert (first.stopped_by, first.epochs_run) == ("time_budget", 1)
    context, params = LocalContext(tmp_path / "b"), TrainingParams(epochs=50, time_budget_s=1000)
    with pytest.raises(Cancelled):
        fit(_dense(4), _moons(), params, _StopsAt(tmp_path / "b", at=2))
    path = context.checkpoints / checkpoint.NAME
    saved = checkpoint.read(path)
    assert saved
    saved.standing.seconds = 999.9999
    checkpoint.write(path, saved)
    resumed = fit(_dense(4), _moons(), params, context)
    assert resumed.stopped_by == "time_budget" and resumed.epochs_run == saved.standing.epochs + 1


def test_a_loss_that_diverges_ends_with_a_diagnosis_and_finite_weights(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(200, 3)) * 1e3
    data = _data("regression", x, x.sum(axis=1))
    fitted = _fit(tmp_path, _dense(8, 8, inputs=3, ends="linear"), data, epochs=10, optimizer="sgd", learning_rate=90)
    assert fitted.stopped_by == "diverged" and fitted.epochs_run < 10
    assert fitted.findings[0].code == "diverged" and "0.05 instead of 90" in fitted.diagnosis[0]
    assert all(np.isfinite(v.numpy()).all() for v in fitted.model.variables)
    with pytest.raises(InvalidParams, match=r"Nothing was learnt\. The loss diverged.*0\.05 instead of 90") as caught:
        check_learnt(replace(fitted, best_epoch=0))
    assert (caught.value.field, caught.value.received) == ("params.learning_rate", 90)
    check_learnt(replace(fitted, best_epoch=1))


def test_a_regression_is_learnt_and_answered_in_its_own_unit(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(600, 3))
    data = _data("regression", x, 250_000 + 40_000 * (x[:, 0] - 0.5 * x[:, 1]))
    fitted = _fit(tmp_path, _dense(16, inputs=3, ends="linear"), data, epochs=30, learning_rate=0.01)
    found = score("regression", data.valid.y, outputs_of(fitted.model, data.valid.x, lambda: None)).metrics
    assert found["r2"] > 0.98
    assert found["mae"] == pytest.approx(fitted.history[fitted.best_epoch - 1].val_mae, rel=1e-3)
    assert (fitted.history[0].loss or 9) < 3


@pytest.mark.parametrize("optimizer", LEARNING_RATES)
def test_every_optimizer_learns(tmp_path: Path, optimizer: str) -> None:
    fitted = _fit(tmp_path, _dense(16), _moons(), epochs=6, optimizer=optimizer, batch_size=8)
    losses = [row.loss or 9 for row in fitted.history]
    assert losses[-1] < 0.8 * losses[0]


def test_classes_with_weights_are_found_more_often(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    y = (random.random(800) < 0.08).astype(int)
    data = _data("multiclass", random.normal(size=(800, 2)) + 1.2 * y[:, None], y, ["often", "rare"])
    network = _dense(8, ends="softmax", outputs=2)
    recalls: list[float] = []
    for weights in ("none", "balanced"):
        fitted = _fit(tmp_path / weights, network, data, epochs=15, class_weights=weights)
        found = score("multiclass", data.test.y, outputs_of(fitted.model, data.test.x, lambda: None), data.labels)
        recalls.append(found.classes[1].recall or 0)
    assert recalls[1] > recalls[0] + 0.3
    assert row_weights(data.train, data.train).mean() == pytest.approx(1, abs=1e-5)


def test_outputs_are_the_networks_own_for_any_number_of_rows() -> None:
    model = _dense(8)()
    x = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    assert np.allclose(outputs_of(model, x, lambda: None), np.asarray(model(x)), atol=1e-6)
    assert outputs_of(model, x[:0], lambda: None).shape == (0, 1)


def test_an_epochs_order_follows_from_seed_and_epoch() -> None:
    x = np.arange(10, dtype=np.float32)

    def orders(seed: int, first: int) -> list[list[float]]:
        batches = Batches([x], 4)
        rows = [float(v) for (batch,) in batches.shuffled(seed, first).take(3 * batches.steps) for v in batch.numpy()]
        return [rows[:10], rows[10:20], rows[20:]]

    zero, one, two = orders(3, 0)
    assert sorted(zero) == sorted(one) == x.tolist() and zero != one
    assert orders(3, 1)[:2] == [one, two]
    assert orders(4, 0)[0] != zero
    assert [float(v) for (batch,) in Batches([x], 4).in_order() for v in batch.numpy()] == x.tolist()


def test_small_networks_run_several_steps_in_a_call_and_large_ones_one() -> None:
    x = np.zeros((3200, 2), np.float32)
    batches = Batches([x], 32)
    assert steps_at_once(_dense(8)(), batches, 20) == 10  # 100 steps an epoch
    assert steps_at_once(_dense(8)(), Batches([x[:97]], 1), 20) == 1
    assert steps_at_once(_dense(8)(), batches, 1) == 1
    assert steps_at_once(_dense(4000, 4000)(), batches, 20) == 1
