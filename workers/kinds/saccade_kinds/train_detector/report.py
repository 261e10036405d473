"""The result's figures and the description of the data set, from what was measured and found."""

from __future__ import annotations

from collections.abc import Sequence

from saccade_kinds.train_detector.contract import (
    TrainDetectorClass,
    TrainDetectorData,
    TrainDetectorPart,
    TrainDetectorUnreadable,
)
from saccade_models.datasets.yolo import Picture, YoloDataset
from saccade_models.detectors.yolo_trained import Figures

_MOST_LISTED = 100


def classes(data: YoloDataset, figures: Figures) -> list[TrainDetectorClass]:
    """A row for each class of the data set, also for those of which the measured part has no box."""
    measured = {found.class_id: found for found in figures.classes}
    rows: list[TrainDetectorClass] = []
    for number, label in enumerate(data.labels):
        found = measured.get(number)
        rows.append(
            TrainDetectorClass(
                label=label,
                pictures=found.pictures if found else 0,
                boxes=found.boxes if found else 0,
                precision=found.precision if found else None,
                recall=found.recall if found else None,
                map50=found.map50 if found else None,
                map50_95=found.map50_95 if found else None,
            )
        )
    return rows


def described(data: YoloDataset) -> TrainDetectorData:
    """What was found in the data set."""
    return TrainDetectorData(
        source=data.source,
        labels=list(data.labels),
        parts={
            part: _part(data.parts[part], data.labels, given=part not in data.split)
            for part in ("train", "valid", "test")
            if part in data.parts
        },
        unreadable=[
            TrainDetectorUnreadable(picture=left.picture, reason=left.reason) for left in data.unreadable[:_MOST_LISTED]
        ],
        unreadable_count=len(data.unreadable),
        labels_without_picture=list(data.labels_without_picture[:_MOST_LISTED]),
        labels_without_picture_count=len(data.labels_without_picture),
        clipped_boxes=data.found.clipped,
        polygons=data.found.polygons,
        duplicate_boxes=data.found.duplicates,
        boxes_without_area=data.found.without_area,
        notes=list(data.notes),
    )


def _part(pictures: Sequence[Picture], labels: Sequence[str], *, given: bool) -> TrainDetectorPart:
    by_class = dict.fromkeys(labels, 0)
    for picture in pictures:
        for box in picture.boxes:
            by_class[labels[box[0]]] += 1
    return TrainDetectorPart(
        pictures=len(pictures),
        boxes=sum(by_class.values()),
        background=sum(not picture.boxes for picture in pictures),
        by_class=by_class,
        given=given,
    )
