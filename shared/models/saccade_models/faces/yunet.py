"""YuNet (Wu, Peng, Yu: "YuNet: A tiny millisecond-level face detector", 2023) by OpenCV."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from saccade_models.faces import DEFAULTS, Face, Settings, found, resized
from saccade_models.images import Pixels

MIN_SCORE = 0.7
#: The picture's longest side as YuNet sees it: boxes on the small faces of small pictures are better when enlarged,
#: and large pictures cost time by their area (a face should have 10 px and more of the 1024).
AT_LEAST, AT_MOST = 640, 1024
_NMS_IOU, _TOP_K = 0.3, 5000
#: Of a picture with a side below this OpenCV gives rows of noise, and no face has so few pixels.
_LEAST_SIDE = 10


class YuNet:
    """YuNet, loaded from its ONNX file."""

    def __init__(self, path: Path) -> None:
        self._net = cv2.FaceDetectorYN.create(str(path), "", (AT_LEAST, AT_LEAST), MIN_SCORE, _NMS_IOU, _TOP_K)

    def detect(self, picture: Pixels, settings: Settings = DEFAULTS) -> list[Face]:
        """As FaceDetector says, with five landmarks."""
        seen, (scale_x, scale_y) = resized(picture, at_least=AT_LEAST, at_most=AT_MOST)
        if min(seen.shape[:2]) < _LEAST_SIDE:
            return []
        self._net.setInputSize((seen.shape[1], seen.shape[0]))
        self._net.setScoreThreshold(MIN_SCORE if settings.min_score is None else settings.min_score)
        _, raw = self._net.detect(seen)
        # A row: x, y, width, height, five times x and y, score. OpenCV's stubs leave out that it may be None.
        rows = np.asarray([] if raw is None else raw, dtype=np.float64).reshape(-1, 15)  # pyright: ignore[reportUnnecessaryComparison] - see above
        rows[:, :14] /= np.tile([scale_x, scale_y], 7)
        rows[:, 2:4] += rows[:, :2]
        points = [[(x, y) for x, y in row[4:14].reshape(5, 2).tolist()] for row in rows]
        return found(rows[:, :4], rows[:, 14], picture, points)


@cache
def load(path: Path) -> YuNet:
    """The detector, loaded once in a process."""
    return YuNet(path)
