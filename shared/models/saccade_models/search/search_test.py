"""Rounds of trials, what mattered in them, and their picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError

from saccade_models.search.draw import draw_search
from saccade_models.search.importance import FEWEST, importance_of
from saccade_models.search.rounds import Direction, Search, Trial, next_round
from saccade_models.search.space import USUAL, Choices, Domain, Range

_WHOLE = frozenset({"batch_size"})


def _search(space: dict[str, Domain] | None = None, **changes: Any) -> Search:
    values: dict[str, Any] = {"direction": "maximize", "trials": 20, "parallel": 4, "seed": 0}
    return Search(dict(USUAL) if space is None else space, _WHOLE, **{**values, **changes})


def _value(values: dict[str, Any]) -> float:
    """Best at a learning rate of 0.01 without dropout."""
    return 1.0 - 0.2 * abs(math.log10(values["learning_rate"]) + 2) - 0.3 * values["dropout"]


def _run(search: Search, failing: frozenset[int] = frozenset()) -> list[Trial]:
    done: list[Trial] = []
    sign = 1.0 if search.direction == "maximize" else -1.0
    while following := next_round(search, done):
        done += [
            Trial(n, values, None if n in failing else sign * _value(values))
            for n, values in enumerate(following, len(done))
        ]
    return done


def test_a_search_ends_after_its_trials_none_of_them_twice() -> None:
    done = _run(_search(trials=10))
    assert [trial.number for trial in done] == list(range(10))
    assert len({json.dumps(trial.values) for trial in done}) == 10
    assert [len(next_round(_search(trials=10), done[:n])) for n in (0, 4, 8, 10)] == [4, 4, 2, 0]


def test_the_same_trials_are_followed_by_the_same_and_another_seed_by_others() -> None:
    assert _run(_search()) == _run(_search())
    assert next_round(_search(), []) != next_round(_search(seed=1), [])
    done = _run(_search())[:12]
    assert next_round(_search(), done) == next_round(_search(), done)
    better = [*done[:-1], Trial(11, done[-1].values, 5.0)]
    assert next_round(_search(), better) != next_round(_search(), done)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_search_finds_better_than_its_first_even_spread(direction: Direction) -> None:
    for seed in range(3):
        search = _search(direction=direction, trials=40, seed=seed)
        done = _run(search)
        first, best = search.best(done[: search.spread]), search.best(done)
        assert first is not None and first.value is not None and best is not None and best.value is not None
        assert search.better(best.value, first.value)
        late = [abs(trial.value or 0.0) for trial in done[-12:]]
        early = [abs(trial.value or 0.0) for trial in done[: search.spread]]
        assert np.median(late) > np.median(early)


def test_the_first_trials_leave_no_quarter_of_a_range_empty() -> None:
    search = _search(trials=60)
    points = [trial.values for trial in _run(search)[: search.spread]]
    assert search.spread == 10
    rates = {min(3, int(4 * (math.log10(p["learning_rate"]) + 4) / 3)) for p in points}
    drops = {min(3, int(8 * p["dropout"])) for p in points}
    assert rates == drops == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("name", "domain", "allowed"),
    [
        ("batch_size", Range(low=8, high=64, step=8), set(range(8, 65, 8))),
        ("batch_size", Range(low=1, high=3), {1, 2, 3}),
        ("batch_size", Range(low=1, high=4, log=True), {1, 2, 3, 4}),
        ("dropout", Range(low=0.0, high=0.5, step=0.25), {0.0, 0.25, 0.5}),
        ("activation", Choices(choices=["relu", None, True, 2.5]), {"relu", None, True, 2.5}),
    ],
)
def test_every_value_of_a_small_space_is_tried_once_and_then_nothing_is_left(
    name: str, domain: Domain, allowed: set[Any]
) -> None:
    done: list[Trial] = []
    search = _search({name: domain}, trials=50, parallel=3)
    while following := next_round(search, done):
        done += [Trial(n, values, float(n)) for n, values in enumerate(following, len(done))]
    found = [trial.values[name] for trial in done]
    assert set(found) == allowed and len(found) == len(allowed)
    assert {type(value) for value in found} == {type(value) for value in allowed}


def test_values_stay_in_their_range() -> None:
    space: dict[str, Domain] = {
        "learning_rate": Range(low=1e-5, high=1.0, log=True),
        "dropout": Range(low=-1.0, high=1.0),
        "hidden_layers": Choices(choices=[[16], [32, 16], []]),
    }
    for trial in _run(_search(space, trials=24)):
        assert 1e-5 <= trial.values["learning_rate"] <= 1.0
        assert -1.0 <= trial.values["dropout"] <= 1.0
        assert trial.values["hidden_layers"] in ([16], [32, 16], [])


def test_failed_trials_count_as_bad_ones() -> None:
    failing = frozenset({0, 3, 9})
    search = _search()
    done = _run(search, failing)
    best = search.best(done)
    assert best is not None and best.number not in failing
    assert search.best([Trial(0, done[0].values, None)]) is None
    hopeless = [Trial(n, trial.values, None) for n, trial in enumerate(done[:12])]
    assert len(next_round(search, hopeless)) == 4


def test_of_equal_trials_the_first_is_the_best() -> None:
    done = [Trial(n, {}, value) for n, value in enumerate([None, 0.5, 0.7, 0.7])]
    for direction, number in (("maximize", 2), ("minimize", 1)):
        best = _search(direction=direction).best(done)
        assert best is not None and best.number == number


def test_importance_is_that_of_the_learning_rate_and_needs_some_trials() -> None:
    search = _search(trials=30)
    done = _run(search, frozenset({2}))
    found = importance_of(search, done)
    assert next(iter(found)) == "learning_rate" and found["learning_rate"] > 0.5
    assert set(found) == set(USUAL) and sum(found.values()) == pytest.approx(1.0, abs=1e-3)
    assert importance_of(search, done) == found
    assert importance_of(search, done[:FEWEST]) == {}  # one of them failed
    assert importance_of(search, [Trial(n, t.values, 0.5) for n, t in enumerate(done)]) == {}


@pytest.mark.parametrize("trials", [1, 30])
def test_the_picture_shows_something(tmp_path: Path, trials: int) -> None:
    space: dict[str, Domain] = {
        **USUAL,
        "initializer": Choices(choices=["$\\frac", "b"]),
        "batch_norm": Range(low=1, high=2),
    }
    search = _search(space, trials=trials)
    done = _run(search, frozenset({3}))
    wild = [Trial(t.number, t.values, -1e9 if t.number == 7 else t.value) for t in done]
    draw_search(tmp_path / "search.png", search, wild, "val_accuracy", importance_of(search, wild))
    with PIL.Image.open(tmp_path / "search.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] == 1300 and pixels.shape[0] > 900
    star = (abs(pixels.astype(int) - (0xD1, 0x49, 0x5B)).sum(axis=2) < 20).sum()
    assert star > 200


@pytest.mark.parametrize(
    ("domain", "problem"),
    [
        ({"low": 1, "high": 1}, "below high"),
        ({"low": 0, "high": 1, "log": True}, "above 0"),
        ({"low": 1, "high": 2, "log": True, "step": 1}, "do not go together"),
        ({"low": 1, "high": float("inf")}, "finite"),
    ],
)
def test_a_range_that_cannot_be_is_refused(domain: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Range.model_validate(domain)
    with pytest.raises(ValidationError, match="twice"):
        Choices.model_validate({"choices": [[1], [1]]})
