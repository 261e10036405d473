"""OpenCV's own SSD for faces (ResNet-10, 300x300) by ``cv2.dnn``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from saccade_models.faces import DEFAULTS, Face, Settings, found
from saccade_models.images import Pixels

MIN_SCORE = 0.5
_SIZE = (300, 300)
#: Mean of its training pictures, in BGR (the model's own configuration).
_MEAN = (104.0, 177.0, 123.0)


class FaceSsd:
    """The network, loaded from its weights (.pb) and configuration (.pbtxt)."""

    def __init__(self, weights: Path, config: Path) -> None:
        self._net = cv2.dnn.readNetFromTensorflow(str(weights), str(config))

    def detect(self, picture: Pixels, settings: Settings = DEFAULTS) -> list[Face]:
        """As FaceDetector says. The whole picture is squeezed to 300x300, so small faces are missed."""
        self._net.setInput(cv2.dnn.blobFromImage(picture, 1.0, _SIZE, _MEAN))
        # (1, 1, N, 7): picture, class, score, and the box as shares of the picture.
        rows = np.asarray(self._net.forward(), dtype=np.float64).reshape(-1, 7)
        rows = rows[rows[:, 2] >= (MIN_SCORE if settings.min_score is None else settings.min_score)]
        height, width = picture.shape[:2]
        return found(rows[:, 3:7] * [width, height, width, height], rows[:, 2], picture)


@cache
def load(weights: Path, config: Path) -> FaceSsd:
    """The detector, loaded once in a process."""
    return FaceSsd(weights, config)
