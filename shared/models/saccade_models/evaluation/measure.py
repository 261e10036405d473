"""Average precision of detections, as COCO measures it (``pycocotools``, its ``COCOeval`` for boxes).

Of each class, predictions are taken best first, at most so many in a picture; each is matched to the free true box
that it overlaps most, if by at least the threshold. Precision, made monotonous, is averaged at 101 recalls 0, 0.01
... 1. Overlap with a crowd box is measured against the prediction's own area; what matches one counts neither way.
All boxes count, whatever their size: no ranges of area are told apart, and normalised boxes have none.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from saccade_models.evaluation.annotations import Annotations, Floats

#: 0.50, 0.55 ... 0.95, computed as pycocotools does.
COCO_IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class ClassMeasure:
    """One class. ``ap50``, ``ap50_95`` and ``ap`` (at the threshold asked for) are 0..1, None where the truth has
    none of the class; ``curve`` (101,) is the precision at ``RECALLS``, at the threshold asked for. ``precision``,
    ``recall`` and ``f1`` are those of the predictions from ``score`` on, which gives the best F1."""

    label: str
    truths: int
    predictions: int
    ap50: float | None
    ap50_95: float | None
    ap: float | None
    curve: Floats
    precision: float | None
    recall: float | None
    f1: float | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """All classes that have truths or predictions; the means are over the classes that have truths."""

    classes: list[ClassMeasure]
    map50: float
    map50_95: float
    map: float


def measure(
    truth: Annotations,
    predictions: Annotations,
    iou: float,
    max_detections: int = 100,
    step: Callable[[int, int], None] | None = None,
) -> Measure:
    """Measure ``predictions`` against ``truth``, which have the same labels and images and units.

    ``iou`` is the threshold for curves and the best F1, besides COCO's ten; ``step`` is told the classes done and
    how many there are. The truth must have a box that is no crowd.
    """
    present = np.union1d(truth.class_id, predictions.class_id).tolist()
    classes: list[ClassMeasure] = []
    for number, class_id in enumerate(present):
        if step:
            step(number, len(present))
        classes.append(_measure_class(truth.of_class(class_id), predictions.of_class(class_id), iou, max_detections))
    counted = [c for c in classes if c.truths]
    return Measure(
        classes=classes,
        map50=float(np.mean([c.ap50 for c in counted if c.ap50 is not None])),
        map50_95=float(np.mean([c.ap50_95 for c in counted if c.ap50_95 is not None])),
        map=float(np.mean([c.ap for c in counted if c.ap is not None])),
    )


def _measure_class(truth: Annotations, predictions: Annotations, iou: float, max_detections: int) -> ClassMeasure:
    """One class, of which there are truths or predictions."""
    evaluation = _evaluated(truth, predictions, iou, max_detections)
    at = int(np.flatnonzero(evaluation.params.iouThrs == iou)[0])
    class_id = int((truth if len(truth) else predictions).class_id[0])
    truths = int((~truth.crowd).sum())
    # (thresholds, recalls) of the one class, area range and limit of detections.
    precision: Floats = evaluation.eval["precision"][:, :, 0, 0, 0]
    of_coco = np.isin(evaluation.params.iouThrs, COCO_IOUS)
    best = _best_f1(evaluation.evalImgs, at, truths) if truths else None
    return ClassMeasure(
        label=truth.labels[class_id],
        truths=truths,
        predictions=len(predictions),
        ap50=float(precision[0].mean()) if truths else None,
        ap50_95=float(precision[of_coco].mean()) if truths else None,
        ap=float(precision[at].mean()) if truths else None,
        curve=np.maximum(precision[at], 0),
        precision=best[0] if best else None,
        recall=best[1] if best else None,
        f1=best[2] if best else None,
        score=best[3] if best else None,
    )


def _evaluated(truth: Annotations, predictions: Annotations, iou: float, max_detections: int) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        evaluation = COCOeval(_coco(truth), _coco(predictions), "bbox")
        # Pictures without boxes of the class add nothing.
        evaluation.params.imgIds = np.union1d(truth.image, predictions.image).tolist()
        evaluation.params.catIds = [1]
        evaluation.params.iouThrs = COCO_IOUS if iou in COCO_IOUS else np.append(COCO_IOUS, iou)
        evaluation.params.recThrs = RECALLS
        evaluation.params.maxDets = [max_detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _coco(found: Annotations) -> COCO:
    """One class's boxes as pycocotools holds them. Ids count from 1: COCOeval takes a match with id 0 for none."""
    coco = COCO()
    scores = np.ones(len(found)) if found.scores is None else found.scores
    columns = zip(found.image.tolist(), found.boxes.tolist(), found.crowd.tolist(), scores.tolist(), strict=True)
    dataset: Any = {
        "images": [{"id": number} for number in np.unique(found.image).tolist()],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(crowd),
                "score": score,
            }
            for number, (image, box, crowd, score) in enumerate(columns, start=1)
        ],
    }
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _best_f1(pictures: Sequence[Any], at: int, truths: int) -> tuple[float, float, float, float | None]:
    """Precision, recall, F1 and the least score that give the best F1; of equal ones the highest score.

    ``pictures`` are COCOeval's ``evalImgs`` of one class, None where a picture has nothing of it; ``at`` is the
    threshold's place, ``truths`` how many boxes there are to find.
    """
    seen = [p for p in pictures if p is not None]
    scores = np.concatenate([np.asarray(p["dtScores"], dtype=np.float64) for p in seen])
    ignored = np.concatenate([p["dtIgnore"][at] for p in seen]).astype(bool)
    right = np.concatenate([p["dtMatches"][at] for p in seen]) > 0
    scores, right = scores[~ignored], right[~ignored]
    if not len(scores):
        return 0.0, 0.0, 0.0, None
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(right[order])
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores are in or out together
    precision, recall = hits[last] / (last + 1), hits[last] / truths
    f1 = 2 * hits[last] / (last + 1 + truths)
    best = int(f1.argmax())
    return float(precision[best]), float(recall[best]), float(f1[best]), float(scores[last[best]])
