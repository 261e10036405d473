"""What came of a training, as files and as a result."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade_core.kind import Context, InputFile
from saccade_core.trained import TrainedRef
from saccade_kinds.train_classifier.contract import (
    TrainClassifierBaseline,
    TrainClassifierClass,
    TrainClassifierMistake,
    TrainClassifierParams,
    TrainClassifierResult,
)
from saccade_kinds.train_classifier.data import Pictures
from saccade_kinds.train_classifier.worst import Mistake, sheet
from saccade_models.images import write_image
from saccade_models.training.baseline import Baseline
from saccade_models.training.card import Card, write_card
from saccade_models.training.data import PartName, Task
from saccade_models.training.fit import Fitted
from saccade_models.training.forms import ROLES
from saccade_models.training.report import draw_confusion, draw_curves, write_history
from saccade_models.training.scores import Scores

_CARD = "model-card.md"


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is told of one training; ``scores``, ``baseline`` and ``mistakes`` are of the part ``measured_on``."""

    task: Task
    pictures: Pictures
    fitted: Fitted
    trained_parameters: int
    measured_on: PartName
    scores: Scores
    baseline: Baseline
    mistakes: Sequence[Mistake]
    checks: Mapping[str, float]

    @property
    def notes(self) -> list[str]:
        """What about the data makes the figures less than they seem, and what the figures do not say."""
        data, copies = self.pictures.found, self.pictures.found.copies
        found = (
            (data.unreadable_count, "pictures cannot be read and are left out"),
            (copies.contradicting_count, "pictures are in more than one class"),
            (
                copies.leaking_count,
                "pictures are in more than one part, so that figures are better than they should be",
            ),
            (copies.left_out, "copies of pictures are left out"),
        )
        return [f"{count} {words}." for count, words in found if count] + self.scores.notes


def write_artifacts(outcome: Outcome, folder: Path, context: Context) -> None:
    """The files beside the registered model in ``folder``."""
    for role in ("weights", "preprocess"):
        shutil.copyfile(folder / ROLES[role], context.artifact(ROLES[role]))
    fitted, labels = outcome.fitted, outcome.pictures.wanted.labels
    write_history(context.artifact("history.csv"), fitted.history)
    draw_curves(context.artifact("curves.png"), fitted.history, fitted.best_epoch)
    context.check_cancelled()
    draw_confusion(context.artifact("confusion.png"), outcome.scores.confusion, labels)
    context.check_cancelled()
    rows = sum(map(sum, outcome.scores.confusion))
    wrong = rows - sum(row[n] for n, row in enumerate(outcome.scores.confusion))
    title = f"{wrong} of {rows} {outcome.measured_on} pictures are wrong" + ("; the surest:" if wrong else "")
    write_image(context.artifact("worst.png"), sheet(outcome.mistakes, title))


def write_model_card(
    outcome: Outcome, file: InputFile, params: TrainClassifierParams, folder: Path, context: Context
) -> None:
    """The card, as an artefact and with the model."""
    data, fitted = outcome.pictures.found, outcome.fitted
    colour = "RGB" if data.channels == 3 else "grey"
    base = f" It was made from {params.base}." if params.base else ""
    card = Card(
        model=context.registers,
        task=outcome.task,
        what=f"A network for pictures.{base}",
        dataset=f"{file.name}: {len(outcome.pictures.wanted.labels)} classes",
        dataset_sha256=file.sha256,
        inputs=f"It takes {colour} pictures of {data.width}x{data.height}, resized as preprocess.json says.",
        rows={name: len(part.labels) for name, part in outcome.pictures.parts.items()},
        parameters=fitted.model.count_params(),
        params=params,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        stopped_by=fitted.stopped_by,
        measured_on=outcome.measured_on,
        scores=outcome.scores,
        baseline=outcome.baseline,
        findings=fitted.findings,
        checks=outcome.checks,
        notes=outcome.notes,
    )
    write_card(context.artifact(_CARD), card)
    shutil.copyfile(context.artifact(_CARD), folder / _CARD)


def result_of(outcome: Outcome, model: TrainedRef) -> TrainClassifierResult:
    """The job's result."""
    fitted, scores = outcome.fitted, outcome.scores
    return TrainClassifierResult(
        labels=outcome.pictures.wanted.labels,
        metrics=scores.metrics,
        measured_on=outcome.measured_on,
        baseline=TrainClassifierBaseline(**outcome.baseline.model_dump()),
        classes=[TrainClassifierClass(**c.model_dump()) for c in scores.classes],
        confusion=scores.confusion,
        worst=[
            TrainClassifierMistake(name=m.name, true=m.true, predicted=m.predicted, score=m.score)
            for m in outcome.mistakes
        ],
        notes=outcome.notes,
        parameters=fitted.model.count_params(),
        trained_parameters=outcome.trained_parameters,
        epochs_run=fitted.epochs_run,
        best_epoch=fitted.best_epoch,
        stopped_by=fitted.stopped_by,
        train_seconds=round(fitted.seconds, 3),
        diagnosis=fitted.findings,
        data=outcome.pictures.found,
        model=model,
    )
