"""What goes before and after a YOLO network, whatever library runs it (YOLOv8 to YOLO11: one output, no anchors).

Pictures are fitted and outputs read as ultralytics does (``LetterBox``, ``scale_boxes``, ``non_max_suppression``),
so that both give the same boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_models.boxes import Floats, class_nms, clip, cxcywh_to_xyxy
from saccade_models.detectors import Detections, Thresholds
from saccade_models.images import Pixels

#: The network halves the picture five times: sides are multiples of 32.
STRIDE = 32
#: Detections of one picture, and candidates that suppression looks at, the best first (as ultralytics).
MAX_DETECTIONS, MAX_CANDIDATES = 300, 30_000
_GRAY = (114, 114, 114)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture as the network sees it: (H, W, 3) uint8 BGR, scaled by ``scale`` (x, y) and moved by ``shift``
    (x, y) pixels into a grey frame; ``size`` is the source's (width, height)."""

    pixels: Pixels
    scale: tuple[float, float]
    shift: tuple[int, int]
    size: tuple[int, int]

    def to_source(self, boxes: Floats) -> Floats:
        """Boxes (N, 4) xyxy of the fitted picture in pixels of the source, inside of it."""
        moved = (boxes - np.array(self.shift * 2)) / np.array(self.scale * 2)
        return clip(moved, *self.size)


def fit(picture: Pixels, side: int) -> Fitted:
    """``picture`` scaled (up or down) so that its longer side is ``side``, centred on as little grey as makes both
    sides multiples of 32: a 4:3 picture costs a quarter less than a square."""
    height, width = picture.shape[:2]
    ratio = side / max(height, width)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    across, down = -new_width % STRIDE, -new_height % STRIDE
    left, top = round(across / 2 - 0.1), round(down / 2 - 0.1)
    scaled = picture
    if (new_width, new_height) != (width, height):
        scaled = cv2.resize(picture, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    if across or down:
        edges = (top, down - top, left, across - left)
        scaled = cv2.copyMakeBorder(scaled, *edges, cv2.BORDER_CONSTANT, value=_GRAY)
    return Fitted(
        pixels=np.asarray(scaled, dtype=np.uint8),
        scale=(new_width / width, new_height / height),
        shift=(left, top),
        size=(width, height),
    )


def tensor(fitted: Fitted) -> NDArray[np.float32]:
    """(1, 3, H, W) float32 RGB 0..1, the network's input."""
    return np.asarray(cv2.dnn.blobFromImage(fitted.pixels, 1 / 255, swapRB=True), dtype=np.float32)


def read_output(output: NDArray[np.float32], fitted: Fitted, thresholds: Thresholds) -> Detections:
    """Detections of one picture from the network's ``output`` (4 + classes, boxes): centre x, centre y, width and
    height in pixels of the fitted picture, then each class's score. A box counts for its best class only."""
    class_scores = output[4:]
    best = class_scores.max(axis=0)
    rows = np.flatnonzero(best >= thresholds.min_score)
    class_ids = class_scores[:, rows].argmax(axis=0).astype(np.int64)
    if thresholds.class_ids is not None:
        wanted = np.isin(class_ids, list(thresholds.class_ids))
        rows, class_ids = rows[wanted], class_ids[wanted]
    if rows.size > MAX_CANDIDATES:
        first = np.argsort(-best[rows], kind="stable")[:MAX_CANDIDATES]
        rows, class_ids = rows[first], class_ids[first]
    boxes, scores = cxcywh_to_xyxy(output[:4, rows].T), best[rows]
    kept = class_nms(boxes, scores, class_ids, thresholds.iou, MAX_DETECTIONS)
    return Detections(
        boxes=fitted.to_source(boxes[kept]).astype(np.float32),
        scores=np.minimum(scores[kept], 1).astype(np.float32),
        class_ids=class_ids[kept],
    )
