"""What came of a training, as files and as a result."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade_core.kind import Context, InputFile
from saccade_core.trained import TrainedRef
from saccade_kinds.train_tabular.contract import (
    TrainTabularBaseline,
    TrainTabularClass,
    TrainTabularParams,
    TrainTabularParts,
    TrainTabularResult,
)
from saccade_kinds.train_tabular.data import TabularData
from saccade_models.tables.facts import TableReport
from saccade_models.tables.report import write_dirty_cells
from saccade_models.training.baseline import Baseline
from saccade_models.training.card import Card, write_card
from saccade_models.training.data import PartName
from saccade_models.training.fit import Fitted
from saccade_models.training.forms import ROLES
from saccade_models.training.report import draw_confusion, draw_curves, draw_residuals, write_history
from saccade_models.training.scores import Scores

_CARD = "model-card.md"


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is told of one training; ``truth`` (N,) and ``outputs`` (N, ...) are of the part ``measured_on``."""

    data: TabularData
    report: TableReport
    fitted: Fitted
    parameters: int
    measured_on: PartName
    truth: NDArray[np.float32] | NDArray[np.int64]
    outputs: NDArray[np.float32]
    scores: Scores
    baseline: Baseline
    checks: Mapping[str, float]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each part."""
        parts = self.data.parts
        return {"train": len(parts.train), "valid": len(parts.valid), "test": len(parts.test)}


def write_artifacts(outcome: Outcome, folder: Path, context: Context) -> None:
    """The files beside the registered model in ``folder``."""
    for role in ("weights", "preprocess"):
        shutil.copyfile(folder / ROLES[role], context.artifact(ROLES[role]))
    fitted, parts = outcome.fitted, outcome.data.parts
    target = outcome.data.prepared.target.name
    write_history(context.artifact("history.csv"), fitted.history)
    draw_curves(context.artifact("curves.png"), fitted.history, fitted.best_epoch, target)
    context.check_cancelled()
    if parts.task == "regression":
        draw_residuals(context.artifact("residuals.png"), outcome.truth, outcome.outputs, target)
    else:
        draw_confusion(context.artifact("confusion.png"), outcome.scores.confusion, parts.labels, target)
    context.check_cancelled()
    context.artifact("columns.json").write_text(outcome.report.model_dump_json(indent=1), "utf-8")
    if outcome.report.dirty.total:
        write_dirty_cells(context.artifact("dirty-cells.csv"), outcome.data.prepared)


def write_model_card(
    outcome: Outcome, file: InputFile, params: TrainTabularParams, folder: Path, context: Context
) -> None:
    """The card, as an artefact and with the model."""
    report, fitted = outcome.report, outcome.fitted
    used = [column.name for column in report.columns if column.role == "feature"]
    dropped = [f"column {c.name!r} is not used: {c.reason}" for c in report.columns if c.role == "dropped"]
    dirty = [f"{count.count} cells of column {count.column!r}: {count.issue}" for count in report.dirty.counts]
    card = Card(
        model=context.registers,
        task=outcome.data.parts.task,
        what="A network for rows of a table.",
        dataset=f"{file.name}: {report.file.rows} rows; target {outcome.data.prepared.target.name!r}",
        dataset_sha256=file.sha256,
        inputs=f"It takes the {outcome.data.table_input.width} numbers that preprocess.json makes of a row.",
        rows=outcome.rows,
        parameters=outcome.parameters,
        params=params,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        stopped_by=fitted.stopped_by,
        measured_on=outcome.measured_on,
        scores=outcome.scores,
        baseline=outcome.baseline,
        findings=fitted.findings,
        checks=outcome.checks,
        notes=[f"columns used: {', '.join(used)}", *dropped, *dirty],
    )
    write_card(context.artifact(_CARD), card)
    shutil.copyfile(context.artifact(_CARD), folder / _CARD)


def result_of(outcome: Outcome, model: TrainedRef) -> TrainTabularResult:
    """The job's result."""
    fitted, scores, parts = outcome.fitted, outcome.scores, outcome.data.parts
    return TrainTabularResult(
        task=parts.task,
        target=outcome.data.prepared.target.name,
        labels=list(parts.labels),
        metrics=scores.metrics,
        measured_on=outcome.measured_on,
        baseline=TrainTabularBaseline(**outcome.baseline.model_dump()),
        classes=[TrainTabularClass(**c.model_dump()) for c in scores.classes],
        confusion=scores.confusion,
        notes=scores.notes,
        parameters=outcome.parameters,
        inputs=outcome.data.table_input.width,
        epochs_run=fitted.epochs_run,
        best_epoch=fitted.best_epoch,
        stopped_by=fitted.stopped_by,
        train_seconds=round(fitted.seconds, 3),
        diagnosis=fitted.findings,
        parts=TrainTabularParts(**outcome.rows),
        table=outcome.report,
        model=model,
    )
