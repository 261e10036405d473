"""Searches over ``learner``, which trains nothing: its loss is least at a learning rate of 0.01 without dropout."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from pydantic import ValidationError

from saccade_core.errors import InvalidParams, InvalidRequest, SaccadeError, UnsupportedMediaType
from saccade_core.kind import Inputs
from saccade_core.parts import DonePart, Part, Plan
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds import registry
from saccade_kinds.search_hyperparameters.contract import (
    KIND,
    SearchHyperparametersParams,
    SearchHyperparametersResult,
    trainings,
)
from saccade_kinds.search_hyperparameters.report import add_to_card
from saccade_kinds.search_hyperparameters.runner import join, plan, run_part

_RATE = {"low": 1e-4, "high": 1.0, "log": True}
pytestmark = pytest.mark.usefixtures("probe")


def _params(**changes: Any) -> SearchHyperparametersParams:
    values = {
        "training": "learner",
        "fixed": {"target": "kind"},
        "space": {"learning_rate": _RATE, "dropout": {"low": 0, "high": 0.5}},
        "trials": 6,
        "parallel": 2,
    }
    return SearchHyperparametersParams.model_validate({**values, **changes})


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "rows.csv").write_text("rows")
    found = inputs_of(table=tmp_path / "rows.csv").files["table"]
    return Inputs({"table": [replace(found[0], media_type="text/csv", field="inputs.table")]})


@dataclass
class _Searched:
    """A search that ended: its result, the join's context, each round's parts and all parts as they were done."""

    result: SearchHyperparametersResult
    context: LocalContext
    rounds: list[list[Part]]
    done: list[DonePart]
    contexts: list[LocalContext] = field(default_factory=list[LocalContext])


def _search(inputs: Inputs, params: SearchHyperparametersParams, root: Path) -> _Searched:
    """Run a search as workers do, each part and join told over again as JSON."""
    context = LocalContext(root / "plan")
    made: Any = plan(inputs, params, context)
    rounds: list[list[Part]] = []
    done: list[DonePart] = []
    contexts: list[LocalContext] = []
    while isinstance(made, Plan):
        assert [part.index for part in made.parts] == list(range(len(done), len(done) + len(made.parts)))
        assert made.expected == params.trials
        rounds.append([replace(part, spec=json.loads(json.dumps(part.spec))) for part in made.parts])
        for part in rounds[-1]:
            contexts.append(LocalContext(root / f"part-{part.index}"))
            done.append(_part(inputs, params, contexts[-1], part))
        context = LocalContext(root / f"join-{len(rounds)}")
        made = join(inputs, params, context, done)
    assert isinstance(made, SearchHyperparametersResult)
    assert not any(context.registered for context in contexts)
    return _Searched(made, context, rounds, done, contexts)


def _part(inputs: Inputs, params: SearchHyperparametersParams, context: LocalContext, part: Part) -> DonePart:
    assert part.may_fail
    try:
        result: Mapping[str, Any] = json.loads(json.dumps(run_part(inputs, params, context, part)))
    except SaccadeError as error:
        return DonePart(part, {}, context.artifacts, {"code": error.code, "message": error.message})
    return DonePart(part, result, context.artifacts)


def test_the_best_trials_model_is_the_jobs(inputs: Inputs, tmp_path: Path) -> None:
    searched = _search(inputs, _params(), tmp_path)
    result, context = searched.result, searched.context
    assert [len(parts) for parts in searched.rounds] == [2, 2, 2]
    assert [trial.round for trial in result.trials] == [1, 1, 2, 2, 3, 3]
    values = [trial.value for trial in result.trials]
    assert result.best.value == max(v for v in values if v is not None)
    rate, dropout = result.best.params["learning_rate"], result.best.params["dropout"]
    loss = abs(math.log10(rate) + 2) + dropout + 0.3
    assert result.best.value == pytest.approx(math.exp(-loss), abs=1e-9)  # at the best of its three epochs
    assert (result.metric, result.direction, result.stopped_by) == ("val_accuracy", "maximize", "trials")
    assert (result.failed, result.rounds, result.best.seconds, result.best.epochs_run) == (0, 3, 1.5, 3)
    [model] = context.registered
    assert (model.folder / "model.h5").read_text() == f"{rate!r} rows"
    assert (model.folder / "saved_model" / "saved_model.pb").exists()
    assert (model.family, model.roles, model.checks) == ("tabular", {"weights": "model.h5"}, {"saved_model": 0.0})
    assert math.isnan(model.metrics["roc_auc"]) and result.metrics["roc_auc"] is None
    assert result.model == context.registers
    assert result.training["metrics"]["accuracy"] == result.metrics["accuracy"] == pytest.approx(math.exp(-loss))
    assert SearchHyperparametersResult.model_validate_json(result.model_dump_json()) == result


def test_the_search_is_told_in_files(inputs: Inputs, tmp_path: Path) -> None:
    searched = _search(inputs, _params(), tmp_path)
    result, artifacts = searched.result, searched.context.artifacts
    names = {path.name for path in artifacts.iterdir()}
    assert names == {"trials.csv", "search.png", "model.h5", "model-card.md", "history.csv", "curves.png"}
    with (artifacts / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [trial.value for trial in result.trials]
    so_far = [float(row["best_so_far"]) for row in rows]
    assert so_far == sorted(so_far) and so_far[-1] == result.best.value
    assert rows[0]["learning_rate"] == f"{result.trials[0].params['learning_rate']:.6g}"
    with PIL.Image.open(artifacts / "search.png") as picture:
        assert picture.size[0] == 1300
    card = (artifacts / "model-card.md").read_text()
    assert f"Trial {result.best.trial} of 6, in 3 rounds" in card
    assert "`0.0001 to 1, by orders of magnitude`" in card
    assert (searched.context.registered[0].folder / "model-card.md").read_text() == card


def test_same_seed_same_search_and_a_join_that_is_repeated_plans_the_same(inputs: Inputs, tmp_path: Path) -> None:
    first, second = (_search(inputs, _params(), tmp_path / name) for name in ("first", "second"))
    assert first.rounds == second.rounds and first.result == second.result
    for rounds in (1, 2):
        again = join(inputs, _params(), LocalContext(tmp_path / f"again-{rounds}"), first.done[: 2 * rounds])
        assert isinstance(again, Plan) and again.parts == first.rounds[rounds]
    other = _search(inputs, _params(seed=1), tmp_path / "other")
    assert other.rounds != first.rounds


def test_only_a_trial_that_beats_all_before_keeps_its_model(inputs: Inputs, tmp_path: Path) -> None:
    searched = _search(inputs, _params(parallel=1), tmp_path)
    best = -math.inf
    for context, trial in zip(searched.contexts, searched.result.trials, strict=True):
        names = {path.name for path in context.artifacts.iterdir()}
        assert trial.value is not None
        assert ("model" in names) == (trial.value > best) == ("model.h5" in names)
        assert {"history.csv", "curves.png"} <= names
        best = max(best, trial.value)


def test_what_is_seen_live_names_the_trial(inputs: Inputs, tmp_path: Path) -> None:
    searched = _search(inputs, _params(trials=2), tmp_path)
    second = searched.contexts[1]
    assert [(name, step) for name, _, step in second.metrics] == [
        ("val_loss of trial 2", 1),
        ("val_loss of trial 2", 2),
        ("val_loss of trial 2", 3),
        ("val_accuracy", 2),
    ]
    assert searched.context.logged == [f"2 of 2 trials: the best val_accuracy is {searched.result.best.value:.6g}."]


def test_a_trial_that_fails_or_diverges_is_a_bad_one(inputs: Inputs, tmp_path: Path) -> None:
    space = {"batch_size": {"choices": [13, 32]}, "learning_rate": {"choices": [0.01, 50.0]}}
    result = _search(inputs, _params(space=space, trials=4), tmp_path).result
    told = {(t.params["batch_size"], t.params["learning_rate"]): (t.value, t.error) for t in result.trials}
    assert told[13, 0.01] == told[13, 50.0] == (None, "13 rows at once bring bad luck.")
    assert told[32, 50.0] == (None, "The loss was no number any more.")
    assert result.best.params == {"batch_size": 32, "learning_rate": 0.01}
    assert result.failed == 3


def test_a_search_in_which_everything_fails_is_given_up(inputs: Inputs, tmp_path: Path) -> None:
    hopeless = _params(fixed={"target": "kind", "batch_size": 13}, trials=50)
    with pytest.raises(InvalidParams, match="None of 4 trials went well; the first: 13 rows at once"):
        _search(inputs, hopeless, tmp_path)


def test_the_time_budget_begins_no_further_round(inputs: Inputs, tmp_path: Path) -> None:
    result = _search(inputs, _params(time_budget_s=4.0), tmp_path).result
    assert (len(result.trials), result.stopped_by) == (4, "time_budget")  # 1.5 s each


def test_a_space_of_choices_ends_when_all_are_tried(inputs: Inputs, tmp_path: Path) -> None:
    space = {"hidden_layers": {"choices": [None, [8], [16, 8]]}}
    result = _search(inputs, _params(space=space, trials=20), tmp_path).result
    assert (len(result.trials), result.stopped_by, result.importance) == (3, "nothing_left", {})
    assert result.best.params["hidden_layers"] is not None


def test_importance_is_told_where_there_are_enough_trials(inputs: Inputs, tmp_path: Path) -> None:
    result = _search(inputs, _params(trials=12, parallel=6), tmp_path).result
    assert next(iter(result.importance)) == "learning_rate"


@pytest.mark.parametrize("metric", ["val_loss", "val_mae"])
def test_less_loss_and_less_error_are_better(inputs: Inputs, tmp_path: Path, metric: str) -> None:
    fixed = {"target": "kind", "measures": "mae"}
    result = _search(inputs, _params(metric=metric, fixed=fixed), tmp_path).result
    assert (result.metric, result.direction) == (metric, "minimize")
    assert result.best.value == min(trial.value for trial in result.trials if trial.value is not None)
    assert _search(inputs, _params(fixed=fixed, trials=1), tmp_path / "own").result.metric == "val_loss"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"metric": "val_mae"}, "has no val_mae; it has val_accuracy, val_loss"),
        ({"fixed": {"target": "kind", "validation_split": 0.0}}, "give a validation_split above 0"),
    ],
)
def test_trials_that_cannot_be_compared_are_refused(
    inputs: Inputs, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidParams, match=problem):
        _search(inputs, _params(**changes), tmp_path)


def test_the_inputs_are_the_trainings(inputs: Inputs, tmp_path: Path) -> None:
    [file] = inputs.files["table"]
    context = LocalContext(tmp_path / "context")
    with pytest.raises(InvalidRequest, match="learner needs the input 'table'") as refused:
        plan(Inputs({}), _params(), context)
    assert refused.value.field == "inputs.table"
    with pytest.raises(InvalidRequest, match="takes no input 'dataset'"):
        plan(Inputs({**inputs.files, "dataset": [file]}), _params(), context)
    with pytest.raises(UnsupportedMediaType, match="learner takes text; the file is application/zip"):
        plan(Inputs({"table": [replace(file, media_type="application/zip")]}), _params(), context)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"training": "probe"}, "training has to be one of"),
        ({"fixed": {}}, "learner: target: Field required"),
        ({"fixed": {"target": "kind", "name": "x"}}, "must not have name"),
        ({"fixed": {"target": "kind", "epochs": 0}}, "learner: epochs: Input should be greater"),
        ({"fixed": {"target": "kind", "magic": 1}}, "learner: magic: Extra inputs are not permitted"),
        ({"fixed": {"target": "kind", "dropout": 0.1}}, "space.dropout is fixed"),
        ({"space": {"seed": {"low": 1, "high": 5}}}, "space.seed cannot be varied"),
        ({"fixed": {}, "space": {"target": {"choices": ["kind", "other"]}}}, "space.target cannot be varied"),
        ({"space": {"validation_split": {"low": 0.1, "high": 0.3}}}, "space.validation_split cannot be varied"),
        ({"space": {"magic": {"low": 1, "high": 5}}}, "space.magic is no parameter"),
        ({"space": {"dropout": {"low": 0, "high": 2}}}, "learner: dropout: Input should be less than"),
        ({"space": {"batch_size": {"low": 1.5, "high": 3}}}, "whole numbers"),
        ({"space": {"measures": {"choices": ["accuracy", "x"]}}}, "learner: measures"),
        ({"space": {}}, "at least 1 item"),
        ({"trials": 0}, "greater than or equal to 1"),
    ],
)
def test_what_the_training_would_refuse_is_refused_at_once(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        _params(**changes)


@pytest.mark.parametrize("name", ["target", "task", "sheet", "validation_split", "test_split", "seed"])
def test_rows_and_what_is_predicted_are_the_same_in_all_trials(name: str) -> None:
    choices: dict[str, list[Any]] = {"task": ["binary", "multiclass"], "sheet": ["a", "b"], "target": ["a", "b"]}
    space = {name: {"choices": choices.get(name, [0, 0.1] if name != "seed" else [0, 1])}}
    fixed = {} if name == "target" else {"target": "kind"}
    with pytest.raises(ValidationError, match=f"space.{name} cannot be varied"):
        _params(training="train_tabular", fixed=fixed, space=space)


def test_class_weights_are_varied_only_where_they_do_not_weigh_what_is_compared() -> None:
    space = {"class_weights": {"choices": ["none", "balanced"]}}
    with pytest.raises(ValidationError, match=r"space.class_weights .*compared by val_loss"):
        _params(training="train_tabular", space=space, metric="val_loss")
    assert _params(training="train_tabular", space=space, metric="val_accuracy").searched().keys() == space.keys()


def test_which_part_the_figures_are_of_is_said(inputs: Inputs, tmp_path: Path) -> None:
    params = _params(trials=2)
    searched = _search(inputs, params, tmp_path)
    assert searched.result.measured_on is None
    said: Any = next(done.result["result"] for done in searched.done if done.result["result"])
    said["measured_on"] = "valid"
    context = LocalContext(tmp_path / "told")
    result = join(inputs, params, context, searched.done)
    assert isinstance(result, SearchHyperparametersResult) and result.measured_on == "valid"
    own = [context.artifacts / "model-card.md", context.registered[0].folder / "model-card.md"]
    assert all("are on the validation part too, which chose this trial" in card.read_text() for card in own)
    for part, words in (("test", "took no part in the choice."), ("train", "were learnt"), (None, "does not say.")):
        add_to_card(tmp_path / f"{part}.md", params.searched(), result.model_copy(update={"measured_on": part}))
        assert words in (tmp_path / f"{part}.md").read_text()
    assert not any("took no part in the choice." in card.read_text() for card in (*own, tmp_path / "train.md"))


def test_without_a_space_the_usual_parameters_are_varied_unless_fixed() -> None:
    usual = _params(space=None)
    assert set(usual.searched()) == {"learning_rate", "batch_size", "hidden_layers", "dropout"}
    assert {"batch_size", "epochs"} <= usual.whole and not {"learning_rate", "hidden_layers"} & usual.whole
    fixed = {"target": "kind", "learning_rate": 0.1, "batch_size": 8}
    assert set(_params(space=None, fixed=fixed).searched()) == {"hidden_layers", "dropout"}


def test_the_kind_follows_its_training() -> None:
    params = _params(name="mine")
    assert KIND.registers(params) == "mine" and params.trial({}).model_dump()["name"] == "mine"
    assert list(KIND.models(params)) == []
    assert "learner" in trainings() and KIND.name not in trainings() and "probe" not in trainings()
    assert SearchHyperparametersParams.model_json_schema()["properties"]["training"]["enum"] == trainings()
    sample = registry.sample(KIND.name)
    assert registry.validate_params(KIND, sample.params) == SearchHyperparametersParams.model_validate(sample.params)
