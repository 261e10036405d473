"""A search over real trainings of a small table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from saccade_core.kind import Inputs
from saccade_core.parts import DonePart, Plan
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds import registry
from saccade_kinds.search_hyperparameters.contract import (
    KIND,
    SearchHyperparametersParams,
    SearchHyperparametersResult,
)
from saccade_kinds.search_hyperparameters.runner import join, plan, run_part

_SAMPLE = registry.sample(KIND.name)


def _done(inputs: Inputs, params: SearchHyperparametersParams, planned: Plan, root: Path) -> list[DonePart]:
    done: list[DonePart] = []
    for part in planned.parts:
        context = LocalContext(root / str(part.index))
        done.append(DonePart(part, json.loads(json.dumps(run_part(inputs, params, context, part))), context.artifacts))
    return done


def test_four_trials_in_two_rounds_and_the_best_is_registered(tmp_path: Path) -> None:
    inputs = inputs_of(table=_SAMPLE.files["table"][0])
    wanted: dict[str, Any] = {**_SAMPLE.params, "trials": 4, "parallel": 2}
    params = SearchHyperparametersParams.model_validate(wanted)
    first = plan(inputs, params, LocalContext(tmp_path / "plan"))
    done = _done(inputs, params, first, tmp_path)
    second = join(inputs, params, LocalContext(tmp_path / "join-1"), done)
    assert isinstance(second, Plan) and [part.index for part in second.parts] == [2, 3]
    again = _done(inputs, params, Plan(first.parts[:1]), tmp_path / "again")
    assert again[0].result["value"] == done[0].result["value"]
    done += _done(inputs, params, second, tmp_path)
    context = LocalContext(tmp_path / "join-2")
    result = join(inputs, params, context, done)
    assert isinstance(result, SearchHyperparametersResult)
    assert len(result.trials) == 4 and result.failed == 0 and result.rounds == 2
    assert result.best.value == max(trial.value or 0.0 for trial in result.trials) > 0.6
    assert (
        result.measured_on == "test"
        and "took no part in the choice" in (context.artifacts / "model-card.md").read_text()
    )
    [registered] = context.registered
    model: Any = keras.models.load_model(context.artifacts / "model.h5", compile=False)
    units = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert units == [*result.best.params["hidden_layers"], 1]
    other: Any = keras.models.load_model(registered.folder / "model.keras", compile=False)
    rows = np.random.default_rng(0).normal(size=(8, *model.input_shape[1:])).astype(np.float32)
    assert np.array_equal(model(rows), other(rows))
    assert registered.checks["saved_model"] < 1e-5 and (registered.folder / "preprocess.json").exists()
    assert result.training["epochs_run"] == result.best.epochs_run == 3
    patterns = {artifact.name for artifact in KIND.artifacts}
    names = {path.name for path in context.artifacts.iterdir()}
    assert {name for name in patterns if "*" not in name} <= names
