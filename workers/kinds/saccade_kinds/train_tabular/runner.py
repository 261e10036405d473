"""Runs ``train_tabular``."""

from __future__ import annotations

from saccade_core.kind import Context, Inputs
from saccade_core.trained import TrainedModel
from saccade_kinds.train_tabular.contract import TrainTabularParams, TrainTabularResult
from saccade_kinds.train_tabular.data import read
from saccade_kinds.train_tabular.network import layers_of
from saccade_kinds.train_tabular.outcome import Outcome, result_of, write_artifacts, write_model_card
from saccade_models.networks.build import build
from saccade_models.networks.shapes import describe
from saccade_models.tables.report import table_report
from saccade_models.training.baseline import measure_baseline
from saccade_models.training.fit import check_learnt, fit
from saccade_models.training.forms import ROLES, roles, write_forms
from saccade_models.training.outputs import outputs_of
from saccade_models.training.scores import score

_STEPS = 4


def run(inputs: Inputs, params: TrainTabularParams, context: Context) -> TrainTabularResult:
    """Read the table, train, measure, write all forms and register the model."""
    file = inputs.one("table")
    data = read(file, params, context)
    report = table_report(data.prepared, data.table_input)
    if report.dirty.total:
        context.log(f"{report.dirty.total} dirty cells; {report.dirty.rows_left_out} rows are left out.")
    parts, shape = data.parts, (data.table_input.width,)
    layers = layers_of(params, parts.task, len(parts.labels))
    described = describe(shape, layers)
    fitted = fit(lambda: build(shape, layers, seed=params.seed), parts, params, context)
    check_learnt(fitted)
    context.progress(0, _STEPS, "measuring")
    measured_on, part = parts.held_out()
    outputs = outputs_of(fitted.model, part.x, context.check_cancelled)
    scores = score(parts.task, part.y, outputs, parts.labels)
    baseline = measure_baseline(parts, params.seed)
    context.progress(1, _STEPS, "writing the model")
    folder = context.scratch / "model"
    checks = write_forms(fitted.model, folder, part.x, context.check_cancelled, context.log)
    (folder / ROLES["preprocess"]).write_text(data.table_input.model_dump_json(indent=1), "utf-8")
    context.progress(2, _STEPS, "writing the report")
    outcome = Outcome(
        data=data,
        report=report,
        fitted=fitted,
        parameters=described.parameters,
        measured_on=measured_on,
        truth=part.y,
        outputs=outputs,
        scores=scores,
        baseline=baseline,
        checks=checks,
    )
    write_artifacts(outcome, folder, context)
    write_model_card(outcome, file, params, folder, context)
    context.progress(3, _STEPS, "registering")
    facts = {
        "labels": list(parts.labels),
        "task": parts.task,
        "target": data.prepared.target.name,
        "columns": [column.name for column in data.table_input.columns],
        "parameters": described.parameters,
    }
    context.register(TrainedModel("tabular", folder, roles(folder), scores.metrics, facts, checks))
    context.progress(_STEPS, _STEPS, "done")
    return result_of(outcome, context.registers)
