"""What is taken for what: predictions and truths matched whatever their classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from saccade_models.boxes import Floats, iou_matrix, xywh_to_xyxy
from saccade_models.evaluation.annotations import Annotations, Indices

_NONE = np.empty(0, dtype=np.int64)


def confusion(
    truth: Annotations,
    predictions: Annotations,
    iou: float,
    min_score: float,
    step: Callable[[], None] | None = None,
) -> NDArray[np.int64]:
    """(C + 1, C + 1) counts, truth down and prediction across; the last of each is background.

    Predictions from ``min_score`` on are matched in each picture to true boxes that they overlap by at least ``iou``,
    the greatest overlap first, each box once. A truth that is left over was missed (last column), a prediction that
    is left over is of nothing (last row), unless it lies at least that far in a crowd box of its class. ``step`` is
    called before each picture.
    """
    count = len(truth.labels)
    table = np.zeros((count + 1, count + 1), dtype=np.int64)
    shown = predictions
    if predictions.scores is not None:
        shown = predictions.taken(np.flatnonzero(predictions.scores >= min_score))
    real, crowds = truth.taken(np.flatnonzero(~truth.crowd)), truth.taken(np.flatnonzero(truth.crowd))
    real_by, shown_by, crowds_by = _by_image(real), _by_image(shown), _by_image(crowds)
    for image in sorted(real_by.keys() | shown_by.keys()):
        if step:
            step()
        here, seen, crowd = (
            part.taken(rows.get(image, _NONE))
            for part, rows in ((real, real_by), (shown, shown_by), (crowds, crowds_by))
        )
        pairs = _matched(iou_matrix(xywh_to_xyxy(here.boxes), xywh_to_xyxy(seen.boxes)), iou)
        for row, column in pairs:
            table[here.class_id[row], seen.class_id[column]] += 1
        for row in set(range(len(here))) - {row for row, _ in pairs}:
            table[here.class_id[row], count] += 1
        for column in set(range(len(seen))) - {column for _, column in pairs}:
            if not _in_crowd(seen, column, crowd, iou):
                table[count, seen.class_id[column]] += 1
    return table


def _by_image(found: Annotations) -> dict[int, Indices]:
    """The rows of each picture that has any."""
    order = np.argsort(found.image, kind="stable")
    images, starts = np.unique(found.image[order], return_index=True)
    return dict(zip(images.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else {}


def _matched(overlaps: Floats, iou: float) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(overlaps >= iou)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    of_row: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in of_row and column not in taken:
            of_row[row] = column
            taken.add(column)
    return list(of_row.items())


def _in_crowd(seen: Annotations, column: int, crowd: Annotations, iou: float) -> bool:
    """Whether the share of the box that lies in one crowd box of its class is at least ``iou``."""
    crowds = crowd.of_class(int(seen.class_id[column])).boxes
    x, y, width, height = seen.boxes[column].tolist()
    across = np.minimum(crowds[:, 0] + crowds[:, 2], x + width) - np.maximum(crowds[:, 0], x)
    down = np.minimum(crowds[:, 1] + crowds[:, 3], y + height) - np.maximum(crowds[:, 1], y)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    return bool((shared >= iou * width * height).any())
