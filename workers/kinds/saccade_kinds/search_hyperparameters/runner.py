"""The search: rounds of trials, each a part of the job; the results of the parts are all that it remembers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from saccade_core.errors import EngineFailed, InvalidParams, InvalidRequest, UnsupportedMediaType
from saccade_core.kind import Context, Inputs
from saccade_core.parts import DonePart, Part, Plan
from saccade_kinds import registry
from saccade_kinds.search_hyperparameters.contract import (
    Metric,
    SearchHyperparametersParams,
    SearchHyperparametersResult,
    SearchHyperparametersTrial,
)
from saccade_kinds.search_hyperparameters.report import CARD, add_to_card, write_trials
from saccade_kinds.search_hyperparameters.trial import MODEL, direction_of, registered, run_trial
from saccade_models.search.draw import draw_search
from saccade_models.search.importance import importance_of
from saccade_models.search.rounds import Search, Trial, next_round

#: A search of which so many trials went wrong, and none well, is given up.
_PATIENCE = 3


def run(inputs: Inputs, params: SearchHyperparametersParams, context: Context) -> SearchHyperparametersResult:
    """Never called: a search always has parts."""
    del inputs, params, context
    raise EngineFailed("A search is run in parts.")


def plan(inputs: Inputs, params: SearchHyperparametersParams, context: Context) -> Plan:
    """The first round. Raises InvalidRequest where the inputs are not the training's."""
    _check_inputs(inputs, params)
    context.progress(0, 1, "planning")
    try:
        search = _search(params, "val_loss")  # which metric it is does not matter yet
    except ValueError as error:
        raise InvalidParams(str(error), field="params.space") from None
    return _planned(search, [], next_round(search, []))


def run_part(inputs: Inputs, params: SearchHyperparametersParams, context: Context, part: Part) -> dict[str, Any]:
    """One trial."""
    return run_trial(inputs, params, context, part)


def join(
    inputs: Inputs, params: SearchHyperparametersParams, context: Context, parts: Sequence[DonePart]
) -> SearchHyperparametersResult | Plan:
    """The next round, or the best trial's model as the job's."""
    del inputs
    context.progress(0, 1, "choosing trials")
    standing = _Standing(params, parts)
    search, best = standing.search, standing.best
    given_up = len(parts) >= min(search.trials, _PATIENCE)
    used_up = params.time_budget_s is not None and standing.seconds >= params.time_budget_s
    stops = given_up if best is None else used_up
    following = [] if stops else next_round(search, standing.done)
    if best is not None:
        context.log(f"{len(parts)} of {search.trials} trials: the best {standing.metric} is {best.value:.6g}.")
    if following:
        return _planned(search, standing.done, following)
    if best is None:
        # Where the data is at fault, every trial says so of its input.
        field = (parts[0].error or {}).get("field") or "params.space"
        raise InvalidParams(f"None of {len(parts)} trials went well; the first: {_problem(parts[0])}", field=field)
    complete = len(parts) >= search.trials
    return _result(context, standing, best, "trials" if complete else "time_budget" if used_up else "nothing_left")


class _Standing:
    """Where a search stands, by the parts that are done."""

    def __init__(self, params: SearchHyperparametersParams, parts: Sequence[DonePart]) -> None:
        went_well: list[Metric] = [
            p.result["metric"] for p in parts if p.error is None and p.result["value"] is not None
        ]
        self.metric: Metric = went_well[0] if went_well else params.metric or "val_loss"
        self.parts = parts
        self.search = _search(params, self.metric)
        self.done = [_trial(part) for part in parts]
        self.best = self.search.best(self.done)

    @property
    def seconds(self) -> float:
        """What the trainings took together."""
        return sum(float(part.result["seconds"]) for part in self.parts if part.error is None)


def _search(params: SearchHyperparametersParams, metric: Metric) -> Search:
    return Search(params.searched(), params.whole, direction_of(metric), params.trials, params.parallel, params.seed)


def _planned(search: Search, done: Sequence[Trial], values: Sequence[dict[str, Any]]) -> Plan:
    best = search.best(done)
    spec = {"beat": best.value if best else None, "round": 1 + -(-len(done) // search.parallel)}
    parts = [Part(len(done) + n, {**spec, "values": found}, may_fail=True) for n, found in enumerate(values)]
    return Plan(parts, search.trials)


def _trial(part: DonePart) -> Trial:
    return Trial(part.part.index, part.part.spec["values"], None if part.error else part.result["value"])


def _problem(part: DonePart) -> str:
    return str(part.error["message"]) if part.error else "The loss was no number any more."


def _check_inputs(inputs: Inputs, params: SearchHyperparametersParams) -> None:
    kind = registry.get(params.training)
    for name, files in inputs.files.items():
        for file in files:
            if name not in kind.inputs:
                raise InvalidRequest(f"{kind.name} takes no input {name!r}.", field=file.field, received=file.name)
            if not kind.inputs[name].takes(file.media_type):
                accepts = " or ".join(kind.inputs[name].accepts)
                raise UnsupportedMediaType(
                    f"{kind.name} takes {accepts}; the file is {file.media_type}.",
                    field=file.field,
                    received=file.media_type,
                )
    for name, declared in kind.inputs.items():
        if declared.required and not inputs.many(name):
            raise InvalidRequest(f"{kind.name} needs the input {name!r}.", field=f"inputs.{name}")


def _result(
    context: Context, standing: _Standing, best: Trial, stopped_by: Literal["trials", "time_budget", "nothing_left"]
) -> SearchHyperparametersResult:
    search, done = standing.search, standing.done
    rows = [_row(part) for part in standing.parts]
    context.progress(0, 3, "measuring importance")
    chosen = standing.parts[best.number]
    model: dict[str, Any] = chosen.result["model"]
    result = SearchHyperparametersResult(
        best=rows[best.number],
        metric=standing.metric,
        direction=search.direction,
        trials=rows,
        failed=sum(row.value is None for row in rows),
        rounds=max(row.round for row in rows),
        stopped_by=stopped_by,
        importance=importance_of(search, done),
        training=chosen.result["result"],
        metrics=model["metrics"],
        measured_on=chosen.result["result"].get("measured_on"),
        model=context.registers,
    )
    context.progress(1, 3, "drawing")
    write_trials(context.artifact("trials.csv"), search, done, rows)
    draw_search(context.artifact("search.png"), search, done, standing.metric, result.importance)
    context.progress(2, 3, "registering")
    folder = _take_over(context, chosen)
    for card in (context.artifact(CARD), folder / CARD):
        if card.exists():
            add_to_card(card, search.space, result)
    context.register(registered(model, folder))
    return result


def _take_over(context: Context, chosen: DonePart) -> Path:
    """Make what the best trial wrote the job's; the folder of its model.

    The model is the trial's own, not one that is trained anew: that would cost one training more, and on a machine
    with another number of threads give another model than the one that was chosen.
    """
    folder = context.scratch / MODEL
    shutil.copytree(chosen.folder / MODEL, folder)
    for path in sorted(chosen.folder.rglob("*")):
        name = path.relative_to(chosen.folder).as_posix()
        if path.is_file() and not name.startswith(f"{MODEL}/"):
            shutil.copyfile(path, context.artifact(name))
    return folder


def _row(part: DonePart) -> SearchHyperparametersTrial:
    failed = part.error is not None or part.result["value"] is None
    return SearchHyperparametersTrial(
        trial=part.part.index + 1,
        round=part.part.spec["round"],
        params=part.part.spec["values"],
        value=None if part.error else part.result["value"],
        epochs_run=None if part.error else part.result["epochs_run"],
        seconds=None if part.error else round(part.result["seconds"], 3),
        error=_problem(part) if failed else None,
    )
