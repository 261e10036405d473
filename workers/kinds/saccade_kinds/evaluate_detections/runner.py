"""Runs ``evaluate_detections``."""

from __future__ import annotations

from importlib.metadata import version

from saccade_core.kind import Context, Inputs
from saccade_kinds.evaluate_detections.contract import (
    EvaluateDetectionsClass,
    EvaluateDetectionsParams,
    EvaluateDetectionsResult,
)
from saccade_models.evaluation.confusion import confusion
from saccade_models.evaluation.draw_confusion import draw_confusion
from saccade_models.evaluation.measure import ClassMeasure, measure
from saccade_models.evaluation.pairing import read_pair
from saccade_models.evaluation.report import draw_curves, write_csv

#: Shares of the work after reading, in hundredths: measuring, confusion, drawing.
_READ, _MEASURED, _CONFUSED, _ALL = 20, 80, 90, 100


def run(inputs: Inputs, params: EvaluateDetectionsParams, context: Context) -> EvaluateDetectionsResult:
    """Read both files, measure, draw; raises InputError where one breaks its format (``read_pair``)."""
    context.uses_model("pycocotools", version("pycocotools"))
    context.progress(0, _ALL, "reading")
    pair = read_pair(inputs.one("truth"), inputs.one("predictions"))

    def step(done: int, total: int) -> None:
        context.progress(_READ + (_MEASURED - _READ) * done / total, _ALL, "measuring")

    measured = measure(pair.truth, pair.predictions, params.iou, params.max_detections, step)
    context.progress(_MEASURED, _ALL, "confusion")
    table = confusion(pair.truth, pair.predictions, params.iou, params.min_score, context.check_cancelled)
    context.progress(_CONFUSED, _ALL, "drawing")
    draw_confusion(context.artifact("confusion.png"), table, pair.truth.labels, params.iou, params.min_score)
    draw_curves(context.artifact("pr-curves.png"), measured, params.iou)
    write_csv(context.artifact("evaluation.csv"), measured.classes)
    context.progress(_ALL, _ALL, "done")
    return EvaluateDetectionsResult(
        map50=measured.map50,
        map50_95=measured.map50_95,
        map=measured.map,
        images=len(pair.truth.images),
        truths=int((~pair.truth.crowd).sum()),
        predictions=len(pair.predictions),
        classes=[_shown(found) for found in measured.classes],
        notes=list(pair.notes),
    )


def _shown(found: ClassMeasure) -> EvaluateDetectionsClass:
    names = EvaluateDetectionsClass.model_fields
    return EvaluateDetectionsClass.model_validate({name: getattr(found, name) for name in names})
