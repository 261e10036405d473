"""One picture of many small ones."""

from __future__ import annotations

import math

import numpy as np

from saccade_models.draw import draw_text
from saccade_models.images import Pixels
from saccade_models.video import Frame

_MOST = 48
_COLUMNS = 8
_THUMB_SIDE = 240
_GAP = 4


class ContactSheet:
    """Collects thumbnails, evenly spread over however many frames come, and lays them out in rows."""

    def __init__(self) -> None:
        self._thumbs: list[Pixels] = []
        self._stride = 1
        self._seen = 0

    def add(self, frame: Frame) -> None:
        """Offer the next frame."""
        if self._seen % self._stride == 0:
            thumb = frame.bgr(_THUMB_SIDE)
            draw_text(thumb, f"{frame.time_s:.2f} s", (4, 4), (255, 255, 255), size=14, background=(0, 0, 0))
            self._thumbs.append(thumb)
            if len(self._thumbs) == 2 * _MOST:
                del self._thumbs[1::2]
                self._stride *= 2
        self._seen += 1

    def picture(self) -> Pixels:
        """The sheet of at least one thumbnail, (H, W, 3) BGR."""
        chosen = np.linspace(0, len(self._thumbs) - 1, min(_MOST, len(self._thumbs))).round().astype(int)
        thumbs = [self._thumbs[i] for i in chosen]
        columns = min(_COLUMNS, math.ceil(math.sqrt(len(thumbs))))
        rows = math.ceil(len(thumbs) / columns)
        height, width = thumbs[0].shape[:2]
        step_y, step_x = height + _GAP, width + _GAP
        sheet = np.zeros((rows * step_y + _GAP, columns * step_x + _GAP, 3), dtype=np.uint8)
        for number, thumb in enumerate(thumbs):
            y, x = _GAP + number // columns * step_y, _GAP + number % columns * step_x
            sheet[y : y + height, x : x + width] = thumb
        return sheet
