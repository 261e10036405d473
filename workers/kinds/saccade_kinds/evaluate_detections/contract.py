"""What ``evaluate_detections`` takes and gives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from saccade_core.kind import Artifact, Input, Kind, Params, Result

Share = Annotated[float, Field(ge=0, le=1)]


class EvaluateDetectionsParams(Params):
    """At which overlap curves and confusion are taken, and which predictions count."""

    iou: float = Field(
        default=0.5,
        ge=0.05,
        le=0.95,
        description="Overlap (intersection over union) that makes a prediction right, in curves, best F1 and confusion",
    )
    max_detections: int = Field(
        default=100, ge=1, le=10_000, description="Of one class in one picture, the best so many predictions count"
    )
    min_score: float = Field(default=0.25, ge=0, le=1, description="Confusion matrix: predictions from this score on")


class EvaluateDetectionsClass(Result):
    """One class. ``precision``, ``recall`` and ``f1`` are those of all predictions from ``score`` on, at which F1 is
    best. Null: the truth has none of the class (``score``: nothing was predicted)."""

    label: str
    ap50: Share | None = Field(description="Average precision at an overlap of 0.5")
    ap50_95: Share | None = Field(description="Its mean over the overlaps 0.50, 0.55 ... 0.95")
    ap: Share | None = Field(description="Average precision at the overlap `iou`")
    truths: int = Field(description="True boxes, without crowds")
    predictions: int
    precision: Share | None
    recall: Share | None
    f1: Share | None
    score: Share | None


class EvaluateDetectionsResult(Result):
    """The means are over all classes of which the truth has boxes."""

    map50: Share = Field(description="Mean average precision at an overlap of 0.5")
    map50_95: Share = Field(description="Mean average precision over the overlaps 0.50, 0.55 ... 0.95, COCO's AP")
    map: Share = Field(description="Mean average precision at the overlap `iou`")
    images: int
    truths: int = Field(description="True boxes, without crowds")
    predictions: int
    classes: list[EvaluateDetectionsClass] = Field(description="Classes of which there are truths or predictions")
    notes: list[str] = Field(description="What should be known: pictures without predictions, classes not counted")


_FORMATS = "COCO JSON with boxes (images, annotations, categories), or a YOLO folder as zip (labels/*.txt, data.yaml)"

KIND = Kind(
    name="evaluate_detections",
    pool="cpu",
    summary="Measure predicted boxes against true ones: average precision, curves, confusion.",
    inputs={
        "truth": Input(accepts=("application/json", "application/zip"), description=f"The true boxes: {_FORMATS}"),
        "predictions": Input(
            accepts=("application/json", "application/zip"),
            description=f"The predicted boxes, each with a score: {_FORMATS}, or a COCO list of results",
        ),
    },
    params=EvaluateDetectionsParams,
    result=EvaluateDetectionsResult,
    artifacts=(
        Artifact("pr-curves.png", "Precision over recall of each class, at the overlap `iou`"),
        Artifact("confusion.png", "What was taken for what, with background, at the overlap `iou`"),
        Artifact("evaluation.csv", "The figures of each class, an apostrophe before a formula"),
    ),
)
