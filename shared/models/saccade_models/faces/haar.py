"""The Haar cascade for frontal faces (Viola and Jones, 2001; Lienhart's cascade) that comes with OpenCV."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from saccade_models.faces import DEFAULTS, Face, Settings, found, resized
from saccade_models.images import Pixels, to_gray

CASCADE = "haarcascade_frontalface_default"
#: Larger pictures are searched at this longest side: time goes by area, and so do false hits.
AT_MOST = 1024


class HaarCascade:
    """The cascade, loaded from OpenCV's data."""

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / f"{CASCADE}.xml"))

    def detect(self, picture: Pixels, settings: Settings = DEFAULTS) -> list[Face]:
        """As FaceDetector says. ``score`` only orders: it is the logistic function of the last stage's sum, no
        probability; so by default none is too low."""
        seen, (scale_x, scale_y) = resized(picture, at_least=1, at_most=AT_MOST)
        boxes, _, weights = self._cascade.detectMultiScale3(
            to_gray(seen), settings.scale_factor, settings.min_neighbors, outputRejectLevels=True
        )
        rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) / [scale_x, scale_y, scale_x, scale_y]
        rows[:, 2:] += rows[:, :2]
        scores = 1 / (1 + np.exp(-np.asarray(weights, dtype=np.float64).ravel()))
        kept = scores >= (settings.min_score or 0)
        return found(rows[kept], scores[kept], picture)


@cache
def load() -> HaarCascade:
    """The detector, loaded once in a process."""
    return HaarCascade()
