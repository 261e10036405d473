"""Sentences from made-up curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from saccade_models.training.diagnosis import diagnose
from saccade_models.training.params import EpochRow, Finding, LayerGradient, StoppedBy, TrainingParams
from saccade_models.training.yardstick import Yardstick

BLIND = Yardstick("binary", baseline_loss=0.693, majority=0.5, most_predicted=0.52)
FALLING = [0.69, 0.5, 0.4, 0.35, 0.32, 0.31, 0.305, 0.303, 0.302, 0.302]


def _found(
    losses: Sequence[float | None],
    valid: Sequence[float | None] = (),
    *,
    gradients: Sequence[LayerGradient] = (),
    stopped_by: StoppedBy = "epochs",
    yardstick: Yardstick = BLIND,
    **params: Any,
) -> list[Finding]:
    history = [
        EpochRow(epoch=n, loss=loss, val_loss=val, learning_rate=0.05, seconds=1)
        for n, (loss, val) in enumerate(zip_longest(losses, valid), 1)
    ]
    return diagnose(history, gradients, TrainingParams.model_validate(params), stopped_by, yardstick)


def _codes(found: list[Finding]) -> list[str]:
    return [f.code for f in found]


def _layers(epoch: int, *gradients: float | None) -> list[LayerGradient]:
    return [LayerGradient(epoch=epoch, layer=f"dense_{n}", gradient=g) for n, g in enumerate(gradients)]


def test_a_good_run_is_called_so_with_its_figures() -> None:
    found = _found(FALLING, [v + 0.01 for v in FALLING])
    assert _codes(found) == ["healthy"]
    assert "0.312 in epoch 9 of 10" in found[0].text and "0.693" in found[0].text


def test_over_fitting_by_a_validation_loss_that_rises() -> None:
    found = _found([0.6, 0.4, 0.2, 0.1, 0.05], [0.6, 0.5, 0.45, 0.6, 0.8])
    assert _codes(found) == ["over_fitting"]
    assert "least in epoch 3 (0.45) and rose to 0.8" in found[0].text
    assert "dropout" in found[0].text and "patience" in found[0].text


def test_over_fitting_by_a_gap_and_by_heart() -> None:
    assert _codes(_found([0.5, 0.1, 0.05], [0.55, 0.4, 0.4])) == ["over_fitting"]
    assert _codes(_found([0.6, 0.5, 0.4], [0.70, 0.70, 0.70])) == ["over_fitting"]


def test_a_tiny_rise_at_a_tiny_loss_is_no_over_fitting() -> None:
    assert "over_fitting" not in _codes(_found([0.1, 0.02, 0.01, 0.005], [0.09, 0.02, 0.025, 0.03]))


def test_under_fitting_is_no_better_than_blind() -> None:
    found = _found([0.70, 0.694, 0.693], [0.70, 0.693, 0.693])
    assert _codes(found) == ["under_fitting"]
    assert "0.693" in found[0].text and "hidden layers" in found[0].text


def test_vanishing_gradients_name_both_layers_and_the_mend() -> None:
    gradients = [*_layers(0, 1e-8, 1e-6, 1e-4, 1e-2, 0.1), *_layers(10, 1e-8, 1e-6, 1e-4, 1e-2, 0.1)]
    found = _found([0.694] * 10, gradients=gradients, activation="sigmoid")
    assert _codes(found) == ["vanishing_gradients", "under_fitting"]
    assert all(word in found[0].text for word in ("dense_0", "dense_4", "1.0e-07", "relu", "he"))
    assert "larger hidden layers" not in found[1].text


def test_gradients_that_reach_the_input_or_came_back_are_no_finding() -> None:
    even, faded = _layers(10, 0.1, 0.2, 0.1, 0.3, 0.1), _layers(0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)
    assert _codes(_found(FALLING, gradients=[*faded, *even])) == ["healthy"]
    assert _codes(_found(FALLING, gradients=_layers(0, 1e-6, 0.1))) == ["healthy"]


def test_exploding_gradients() -> None:
    found = _found(FALLING, gradients=[*_layers(0, 0.1, 0.1, 0.2), *_layers(10, 30.0, 40.0, 50.0)])
    assert _codes(found) == ["exploding_gradients"]
    assert "from 0.1 to 40" in found[0].text
    broken = _found([0.5, None], gradients=[*_layers(0, 0.1, 0.1), *_layers(2, None, None)], stopped_by="diverged")
    assert _codes(broken) == ["diverged", "exploding_gradients"]


def test_a_loss_that_is_no_number_or_far_above_the_baseline_diverged() -> None:
    found = _found([0.7, 12.5, None], stopped_by="diverged")
    assert _codes(found)[0] == "diverged"
    assert all(word in found[0].text for word in ("epoch 3", "12.5", "0.001 instead of 0.05"))
    assert _codes(_found([None], stopped_by="diverged")) == ["diverged"]
    assert _codes(_found([0.7, 30.0, 900.0]))[0] == "diverged"


def test_a_loss_that_swings_has_too_high_a_learning_rate() -> None:
    found = _found([0.6, 0.5, 0.62, 0.45, 0.58, 0.44, 0.6, 0.41, 0.55, 0.4])
    assert _codes(found) == ["learning_rate_high"]
    assert "rose in 4 of the last 9 epochs" in found[0].text and "0.01 instead of 0.05" in found[0].text


def test_still_improving_at_the_end_is_trained_longer() -> None:
    found = _found([0.7, 0.6, 0.5, 0.4, 0.3], [0.7, 0.61, 0.52, 0.43, 0.34])
    assert _codes(found) == ["train_longer"]
    assert "more epochs than 5" in found[0].text
    assert "time_budget_s" in _found([0.7, 0.6, 0.5], stopped_by="time_budget")[0].text
    assert "train_longer" not in _codes(_found([0.7, 0.6, 0.5], [0.7, 0.6, 0.5], stopped_by="patience"))


def test_one_class_for_all_rows_is_a_collapse_unless_nearly_all_are_of_it() -> None:
    collapsed = Yardstick("binary", 0.693, majority=0.7, most_predicted=1.0)
    found = _found(FALLING, yardstick=collapsed)
    assert _codes(found) == ["class_collapse"]
    assert "100%" in found[0].text and "70%" in found[0].text and "balanced" in found[0].text
    assert _codes(_found(FALLING, yardstick=Yardstick("binary", 0.1, 0.97, 1.0))) != ["class_collapse"]


def test_no_epoch_says_nothing() -> None:
    assert _found([]) == []
