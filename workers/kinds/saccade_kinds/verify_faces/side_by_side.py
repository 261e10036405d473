"""The overlay: two photos beside each other, the faces that were compared, and the verdict."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np

from saccade_models.draw import Bgr, bgr, draw_text
from saccade_models.faces import Face
from saccade_models.faces.drawing import FaceMark, draw_faces
from saccade_models.images import Pixels

Photo: TypeAlias = tuple[Pixels, Face]

_HEIGHT, _MOST_WIDE, _GAP, _BAR, _LETTERS = 480, 960, 8, 40, 22
_SAME, _DIFFERENT = bgr("#2e8b57"), bgr("#c62828")
_WHITE: Bgr = (255, 255, 255)


def side_by_side(first: Photo, second: Photo, *, same: bool, similarity: float) -> Pixels:
    """A BGR picture: a bar with the verdict, below it both photos at one height."""
    color = _SAME if same else _DIFFERENT
    photos = [_scaled(photo, color) for photo in (first, second)]
    width = sum(photo.shape[1] for photo in photos) + _GAP
    sheet = np.full((_BAR + _HEIGHT, width, 3), 255, dtype=np.uint8)
    sheet[:_BAR] = color
    verdict = f"{'same person' if same else 'different people'} {similarity:.2f}"
    draw_text(sheet, verdict, (10, (_BAR - _LETTERS) // 2 - 2), _WHITE, size=_LETTERS)
    x = 0
    for photo in photos:
        top = _BAR + (_HEIGHT - photo.shape[0]) // 2
        sheet[top : top + photo.shape[0], x : x + photo.shape[1]] = photo
        x += photo.shape[1] + _GAP
    return sheet


def _scaled(photo: Photo, color: Bgr) -> Pixels:
    pixels, face = photo
    height, width = pixels.shape[:2]
    scale = min(_HEIGHT / height, _MOST_WIDE / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.ascontiguousarray(cv2.resize(pixels, size, interpolation=how), dtype=np.uint8)
    landmarks = [(x * scale, y * scale) for x, y in face.landmarks]
    draw_faces(small, [FaceMark([v * scale for v in face.box], landmarks=landmarks, color=color)])
    return small
