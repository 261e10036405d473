"""The photo that is kept of a face, and the contact sheet of a job."""

from __future__ import annotations

import textwrap

import cv2
import numpy as np

from saccade_models.draw import Bgr, bgr, draw_box, draw_text, line_height
from saccade_models.faces import Face
from saccade_models.faces.drawing import FaceMark, draw_faces
from saccade_models.images import Pixels

_MARGIN = 0.6  # of the face's longer side, on each side of it
_PHOTO_SIDE = 512
_CELL, _COLUMNS, _MOST_CELLS, _LETTERS, _LINES, _BORDER = 200, 6, 600, 13, 3, 4
_ACCEPTED, _DOUBTFUL, _REJECTED = bgr("#2e8b57"), bgr("#f58231"), bgr("#c62828")
_INK: Bgr = (40, 40, 40)
_PAPER = 245


def photo_of(picture: Pixels, face: Face) -> Pixels:
    """The face and some of what is around it, BGR, no side longer than 512 pixels."""
    left, top, right, bottom = _window(picture, face)
    return _fitted(picture[top:bottom, left:right], _PHOTO_SIDE)


class Sheet:
    """All photos of a job in small, with a frame by what became of each, and the words below it."""

    def __init__(self) -> None:
        self._cells: list[Pixels] = []
        self._left_out = 0

    def add(self, picture: Pixels | None, face: Face | None, words: str, *, accepted: bool) -> None:
        """A photo; without its pixels where it cannot be read."""
        if len(self._cells) == _MOST_CELLS:
            self._left_out += 1
            return
        cell = np.full((_CELL + _LINES * line_height(_LETTERS), _CELL, 3), _PAPER, dtype=np.uint8)
        if picture is not None:
            small = _marked(picture, face)
            top, left = (_CELL - small.shape[0]) // 2, (_CELL - small.shape[1]) // 2
            cell[top : top + small.shape[0], left : left + small.shape[1]] = small
        color = _REJECTED if not accepted else _DOUBTFUL if words else _ACCEPTED
        draw_box(cell, (0, 0, _CELL, _CELL), color, thickness=_BORDER)
        text = _wrapped(words or "enrolled")
        draw_text(cell, text, (4, _CELL + 2), _INK, size=_LETTERS)
        self._cells.append(cell)

    def pixels(self) -> Pixels:
        """The sheet, BGR."""
        columns = min(_COLUMNS, len(self._cells))
        blank = np.full_like(self._cells[0], _PAPER)
        cells = self._cells + [blank] * (-len(self._cells) % columns)
        rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
        if self._left_out:
            note = np.full((30, rows[0].shape[1], 3), _PAPER, dtype=np.uint8)
            draw_text(note, f"and {self._left_out} more", (8, 6), _INK, size=_LETTERS)
            rows.append(note)
        return np.asarray(np.vstack(rows), dtype=np.uint8)


def _marked(picture: Pixels, face: Face | None) -> Pixels:
    """The photo around its face, or all of it, with the landmarks."""
    side = _CELL - 2 * _BORDER
    if face is None:
        return _fitted(picture, side, enlarge=True)
    left, top, right, bottom = _window(picture, face)
    small = _fitted(picture[top:bottom, left:right], side, enlarge=True)
    scale = small.shape[1] / (right - left)
    box = [(v - start) * scale for v, start in zip(face.box, (left, top, left, top), strict=True)]
    draw_faces(small, [FaceMark(box, landmarks=[((x - left) * scale, (y - top) * scale) for x, y in face.landmarks])])
    return small


def _window(picture: Pixels, face: Face) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the face with its margin, inside the picture."""
    height, width = picture.shape[:2]
    margin = _MARGIN * max(face.width, face.height)
    left, top = max(0, int(face.box[0] - margin)), max(0, int(face.box[1] - margin))
    return left, top, min(width, int(face.box[2] + margin) + 1), min(height, int(face.box[3] + margin) + 1)


def _fitted(pixels: Pixels, side: int, *, enlarge: bool = False) -> Pixels:
    """A contiguous copy whose longer side is at most, or with ``enlarge`` exactly, ``side``."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1 and not enlarge:
        return np.ascontiguousarray(pixels).copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(pixels, size, interpolation=how), dtype=np.uint8)


def _wrapped(words: str) -> str:
    """In lines of about a cell's width."""
    return "\n".join(textwrap.wrap(words, width=round(1.85 * _CELL / _LETTERS), max_lines=_LINES, placeholder="…"))
