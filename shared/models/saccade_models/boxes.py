"""Boxes: overlap, non-maximum suppression, clipping, and the forms in which formats write them.

A box is ``x1, y1, x2, y2`` in pixels, ``x1 <= x2`` and ``y1 <= y2``, x to the right and y down; several boxes are
an array (N, 4). Arithmetic is in float64 whatever number type comes in; no function changes its arguments.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]


def _rows(boxes: ArrayLike) -> Floats:
    """(N, 4) float64, also of an empty list."""
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def areas(boxes: ArrayLike) -> Floats:
    """(N,) areas in square pixels."""
    rows = _rows(boxes)
    return (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])


def iou_matrix(a: ArrayLike, b: ArrayLike) -> Floats:
    """(N, M) intersection over union of each of ``a`` (N, 4) with each of ``b`` (M, 4), 0..1.

    It is the Jaccard index (shared area over covered area); 0 where both boxes have no area.
    """
    first, second = _rows(a), _rows(b)
    shared = _intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _intersections(a: Floats, b: Floats) -> Floats:
    upper_left = np.maximum(a[:, None, :2], b[None, :, :2])
    lower_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(lower_right - upper_left, 0)
    return sides[..., 0] * sides[..., 1]


def nms(boxes: ArrayLike, scores: ArrayLike, iou: float, limit: int | None = None) -> Indices:
    """Indices of the boxes that greedy non-maximum suppression keeps, best first, at most ``limit``.

    The best box is kept and all that overlap it by more than ``iou`` go; then the best of those left, and so on.
    Of equal scores the first in the list is the better one.
    """
    return class_nms(boxes, scores, np.zeros(len(_rows(boxes)), dtype=np.int64), iou, limit)


def class_nms(
    boxes: ArrayLike, scores: ArrayLike, class_ids: ArrayLike, iou: float, limit: int | None = None
) -> Indices:
    """As ``nms``, each class (``class_ids``, (N,) integers) for itself."""
    rows, values, classes = _rows(boxes), np.asarray(scores, dtype=np.float64), np.asarray(class_ids)
    waiting = np.argsort(-values, kind="stable")
    kept: list[int] = []
    while waiting.size and (limit is None or len(kept) < limit):
        best, rest = waiting[0], waiting[1:]
        kept.append(int(best))
        overlap = iou_matrix(rows[best], rows[rest])[0]
        waiting = rest[(overlap <= iou) | (classes[rest] != classes[best])]
    return np.asarray(kept, dtype=np.int64)


def clip(boxes: ArrayLike, width: float, height: float) -> Floats:
    """The boxes cut off at the edges of a picture of ``width`` x ``height``; what lies outside loses its area."""
    return np.clip(_rows(boxes), 0, np.array([width, height, width, height], dtype=np.float64))


def xyxy_to_xywh(boxes: ArrayLike) -> Floats:
    """``x1, y1, width, height``, as COCO writes boxes."""
    rows = _rows(boxes)
    return np.hstack([rows[:, :2], rows[:, 2:] - rows[:, :2]])


def xywh_to_xyxy(boxes: ArrayLike) -> Floats:
    """The inverse of ``xyxy_to_xywh``."""
    rows = _rows(boxes)
    return np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:]])


def xyxy_to_cxcywh(boxes: ArrayLike) -> Floats:
    """``center x, center y, width, height``."""
    rows = _rows(boxes)
    return np.hstack([(rows[:, :2] + rows[:, 2:]) / 2, rows[:, 2:] - rows[:, :2]])


def cxcywh_to_xyxy(boxes: ArrayLike) -> Floats:
    """The inverse of ``xyxy_to_cxcywh``."""
    rows = _rows(boxes)
    return np.hstack([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2])


def xyxy_to_yolo(boxes: ArrayLike, width: float, height: float) -> Floats:
    """``center x, center y, width, height`` as shares 0..1 of a picture of ``width`` x ``height``."""
    return xyxy_to_cxcywh(boxes) / np.array([width, height, width, height], dtype=np.float64)


def yolo_to_xyxy(boxes: ArrayLike, width: float, height: float) -> Floats:
    """The inverse of ``xyxy_to_yolo``."""
    return cxcywh_to_xyxy(_rows(boxes) * np.array([width, height, width, height], dtype=np.float64))
