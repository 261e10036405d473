"""SSD MobileNet with its own post-processing inside, as TensorFlow's object detection exported it to TFLite."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from saccade_core.kind import ModelFiles
from saccade_models.boxes import class_nms, clip
from saccade_models.detectors import Detections, Thresholds, labels_of
from saccade_models.images import Pixels

cv2.setNumThreads(1)


class SsdTflite:
    """A loaded SSD; see ``detectors.Detector``."""

    def __init__(self, model: ModelFiles) -> None:
        self.labels: Sequence[str] = labels_of(model)
        self._interpreter = Interpreter(model_path=str(model.path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def detect(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> list[Detections]:
        """Each picture's detections, at most 10; pictures are (H, W, 3) uint8 BGR and may differ in size."""
        return [self._detect(picture, thresholds) for picture in pictures]

    def _detect(self, picture: Pixels, thresholds: Thresholds) -> Detections:
        _, side_y, side_x, _ = np.asarray(self._input["shape"]).tolist()
        small = cv2.cvtColor(cv2.resize(picture, (side_x, side_y)), cv2.COLOR_BGR2RGB)
        self._interpreter.set_tensor(self._input["index"], small[None])
        self._interpreter.invoke()
        corners, classes, scores, count = (np.asarray(self._interpreter.get_tensor(i))[0] for i in self._outputs)
        found = slice(0, int(count))
        return self._selected(corners[found], classes[found].astype(np.int64), scores[found], picture, thresholds)

    def _selected(
        self,
        corners: np.ndarray,
        class_ids: np.ndarray,
        scores: np.ndarray,
        picture: Pixels,
        thresholds: Thresholds,
    ) -> Detections:
        """``corners`` (N, 4) are y1, x1, y2, x2 as shares of the picture."""
        wanted = (scores >= thresholds.min_score) & (class_ids < len(self.labels))
        if thresholds.class_ids is not None:
            wanted &= np.isin(class_ids, list(thresholds.class_ids))
        height, width = picture.shape[:2]
        boxes = clip(corners[wanted][:, [1, 0, 3, 2]] * np.array([width, height, width, height]), width, height)
        scores, class_ids = scores[wanted], class_ids[wanted]
        kept = class_nms(boxes, scores, class_ids, thresholds.iou)
        return Detections(boxes[kept].astype(np.float32), scores[kept].astype(np.float32), class_ids[kept])
