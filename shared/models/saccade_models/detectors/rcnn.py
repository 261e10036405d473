"""Classic R-CNN (Girshick, Donahue, Darrell, Malik: Rich Feature Hierarchies for Accurate Object Detection and
Semantic Segmentation, CVPR 2014), small, for comparison and teaching.

Proposals from selective search; each is warped to one size with some of what is around it; a small network gives
the crop's classes (the last is background) and, for each class, a refinement of its box; then non-maximum
suppression for each class. Two things are younger than the paper: softmax scores take the place of its SVMs, and
classifier and regression share one network (both as in Fast R-CNN, 2015). ``rcnn_training`` makes the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from saccade_core.kind import ModelFiles
from saccade_models.boxes import Floats, class_nms, clip
from saccade_models.detectors import Detections, Thresholds
from saccade_models.detectors.box_refinement import decode
from saccade_models.detectors.proposals import Search, propose
from saccade_models.images import Pixels

#: How pictures are searched, in training as in detection.
SEARCH = Search(max_side=256, scales=(40.0, 120.0, 300.0), min_size=8)
#: Share of a crop's side that shows what is around the box, at each edge.
CONTEXT = 0.125
#: Colour of what lies outside the picture.
OUTSIDE = (128, 128, 128)
#: Crops that go through the network at once, and detections of one picture that are kept.
CHUNK, MAX_DETECTIONS = 256, 300


class RCNN:
    """A loaded R-CNN; see ``detectors.Detector``. The registry's facts name its ``labels``."""

    def __init__(self, model: ModelFiles) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
        self._side = int(self._session.get_inputs()[0].shape[1])
        self.labels: Sequence[str] = tuple(model.facts["labels"])

    def detect(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> list[Detections]:
        """Each picture's detections, at most ``MAX_DETECTIONS``; pictures are (H, W, 3) uint8 BGR."""
        return [self._detect(picture, thresholds) for picture in pictures]

    def _detect(self, picture: Pixels, thresholds: Thresholds) -> Detections:
        proposals = propose(picture, SEARCH)
        scores, targets = self._look(crops(picture, proposals, self._side))
        rows, classes = np.nonzero(scores[:, : len(self.labels)] >= thresholds.min_score)
        if thresholds.class_ids is not None:
            wanted = np.isin(classes, list(thresholds.class_ids))
            rows, classes = rows[wanted], classes[wanted]
        height, width = picture.shape[:2]
        boxes = clip(decode(proposals[rows], targets[rows, classes]), width, height)
        kept = class_nms(boxes, scores[rows, classes], classes, thresholds.iou, MAX_DETECTIONS)
        return Detections(
            boxes=boxes[kept].astype(np.float32),
            scores=scores[rows, classes][kept],
            class_ids=classes[kept].astype(np.int64),
        )

    def _look(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores (N, classes + 1) and refinements (N, classes, 4) of crops (N, S, S, 3)."""
        count = len(self.labels)
        scores, targets = [np.zeros((0, count + 1), np.float32)], [np.zeros((0, count, 4), np.float32)]
        for start in range(0, len(pixels), CHUNK):
            some_scores, some_targets = self._session.run(None, {"crops": pixels[start : start + CHUNK]})
            scores.append(np.asarray(some_scores))
            targets.append(np.asarray(some_targets))
        return np.concatenate(scores), np.concatenate(targets)


def crops(picture: Pixels, boxes: ArrayLike, side: int) -> Pixels:
    """(N, side, side, 3) uint8 BGR: each box (N, 4) of ``picture``, grown by ``CONTEXT`` and warped to a square."""
    rows = _with_context(np.asarray(boxes, dtype=np.float64).reshape(-1, 4))
    height, width = picture.shape[:2]
    margin = int(np.ceil(max(0, -rows.min(initial=0), (rows[:, 2:] - (width, height)).max(initial=0)))) + 1
    padded = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=OUTSIDE)
    corners = np.rint(rows).astype(np.int64) + margin
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2] + 1)
    made = np.empty((len(rows), side, side, 3), dtype=np.uint8)
    for crop, (x1, y1, x2, y2) in zip(made, corners.tolist(), strict=True):
        crop[:] = cv2.resize(padded[y1:y2, x1:x2], (side, side), interpolation=cv2.INTER_AREA)
    return made


def _with_context(rows: Floats) -> Floats:
    around = (rows[:, 2:] - rows[:, :2]) * CONTEXT / (1 - 2 * CONTEXT)
    return np.hstack([rows[:, :2] - around, rows[:, 2:] + around])
