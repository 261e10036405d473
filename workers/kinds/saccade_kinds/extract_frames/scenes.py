"""Cuts between scenes, found as PySceneDetect's ContentDetector does.

A cut is a frame whose hue, saturation and value differ from the frame before by at least the threshold: the
absolute differences of the 8-bit HSV values (hue 0..179), averaged over the picture and then over the three.
Frames are made small first, which evens out noise. Scenes are at least ``MIN_SCENE_S`` long, so that a flash is
not two cuts.
"""

from __future__ import annotations

import cv2
import numpy as np

from saccade_models.images import Pixels
from saccade_models.video import Frame

MIN_SCENE_S = 0.5
_SIDE = 128


class SceneCuts:
    """Tells of each frame, given in order, whether a scene begins with it; the first one always does."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._last: Pixels | None = None
        self._began_s = 0.0

    def begins_with(self, frame: Frame) -> bool:
        """Whether ``frame`` is the first of a scene."""
        hsv = np.asarray(cv2.cvtColor(frame.bgr(_SIDE), cv2.COLOR_BGR2HSV), dtype=np.uint8)
        last, self._last = self._last, hsv
        if last is not None:
            change = float(cv2.absdiff(hsv, last).mean())
            if change < self._threshold or frame.time_s - self._began_s < MIN_SCENE_S:
                return False
        self._began_s = frame.time_s
        return True
