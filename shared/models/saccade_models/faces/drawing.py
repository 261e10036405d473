"""Faces on a picture: boxes, captions, and landmarks as dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from saccade_models.draw import BLACK, Bgr, bgr, draw_box, draw_label, line_width, text_size
from saccade_models.images import Pixels

#: One colour for each landmark in turn: the two sides of a face differ.
_DOTS = tuple(bgr(c) for c in ("#ffd700", "#00a5c8", "#ff6f61", "#ffd700", "#00a5c8", "#3cb44b"))
_PLAIN = bgr("#3cb44b")


@dataclass(frozen=True, slots=True)
class FaceMark:
    """What to draw of a face; ``box`` and ``landmarks`` in pixels."""

    box: Sequence[float]
    caption: str = ""
    landmarks: Sequence[Sequence[float]] = ()
    color: Bgr = _PLAIN


def draw_faces(pixels: Pixels, marks: Sequence[FaceMark]) -> None:
    """In place on a contiguous BGR picture: boxes, above them dots, above these captions, larger faces' last."""
    ordered = sorted(marks, key=lambda mark: mark.box[2] - mark.box[0])
    for mark in ordered:
        draw_box(pixels, mark.box, mark.color)
        _draw_dots(pixels, mark)
    for mark in ordered:
        if mark.caption:
            draw_label(pixels, mark.caption, mark.box, mark.color)


def has_room(pixels: Pixels, box: Sequence[float]) -> bool:
    """Whether a face is wide enough for a short caption that covers nothing beside it."""
    return box[2] - box[0] >= 2.5 * text_size(pixels)


def _draw_dots(pixels: Pixels, mark: FaceMark) -> None:
    radius = max(1, min(2 * line_width(pixels), round((mark.box[2] - mark.box[0]) / 30)))
    for number, (x, y) in enumerate(mark.landmarks):
        center = (round(x), round(y))
        if radius > 1:
            cv2.circle(pixels, center, radius + 1, BLACK, -1, cv2.LINE_AA)
        cv2.circle(pixels, center, radius, _DOTS[number % len(_DOTS)], -1, cv2.LINE_AA)
