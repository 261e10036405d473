"""Faces on a picture: boxes, captions, and landmarks as dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from saccade_models.draw import BLACK, Bgr, Label, bgr, draw_box, draw_labels, text_size
from saccade_models.images import Pixels

#: One colour for each landmark in turn: the two sides of a face differ.
_DOTS = tuple(bgr(c) for c in ("#ffd700", "#00a5c8", "#ff6f61", "#ffd700", "#00a5c8", "#3cb44b"))
_PLAIN = bgr("#3cb44b")
#: A dot's width as a share of its face's; larger dots have a dark edge of a pixel besides.
_DOT = 0.03
_SHIFT = 4  # OpenCV draws at 1/16 of a pixel


@dataclass(frozen=True, slots=True)
class FaceMark:
    """What to draw of a face; ``box`` and ``landmarks`` in pixels, ``short`` where ``caption`` finds no room."""

    box: Sequence[float]
    caption: str = ""
    landmarks: Sequence[Sequence[float]] = ()
    color: Bgr = _PLAIN
    short: str = ""


def draw_faces(pixels: Pixels, marks: Sequence[FaceMark]) -> None:
    """In place on a contiguous BGR picture: boxes, above them dots, above these captions, larger faces' first.

    A caption that would cover another or a small face is left out.
    """
    ordered = sorted(marks, key=lambda mark: mark.box[0] - mark.box[2])
    for mark in reversed(ordered):
        draw_box(pixels, mark.box, mark.color)
        _draw_dots(pixels, mark)
    labels = [Label(mark.box, (mark.caption, mark.short), mark.color) for mark in ordered]
    draw_labels(pixels, labels, keep_clear=[mark.box for mark in marks])


def has_room(pixels: Pixels, box: Sequence[float]) -> bool:
    """Whether a face is not much smaller than a short caption."""
    return box[2] - box[0] >= 1.5 * text_size(pixels)


def _draw_dots(pixels: Pixels, mark: FaceMark) -> None:
    width = _DOT * (mark.box[2] - mark.box[0])
    for number, place in enumerate(mark.landmarks):
        color = _DOTS[number % len(_DOTS)]
        if width < 2:
            x, y = (int(v) for v in place)
            pixels[max(0, y) : max(0, y + 1), max(0, x) : max(0, x + 1)] = color
            continue
        if width >= 5:
            _draw_dot(pixels, place, width + 2, BLACK)
        _draw_dot(pixels, place, width, color)


def _draw_dot(pixels: Pixels, place: Sequence[float], width: float, color: Bgr) -> None:
    x, y = (round((v - 0.5) * (1 << _SHIFT)) for v in place)  # a whole number is a pixel's centre in OpenCV
    radius = round((width - 1) / 2 * (1 << _SHIFT))
    cv2.circle(pixels, (x, y), radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)
