"""Overlays that can be read at any size: boxes, polygons and labels on a picture.

Everything draws in place on contiguous uint8 arrays ``(H, W, 3)`` BGR or ``(H, W, 4)`` BGRA. Line width and
letters' size follow from the picture's size, a label's colour from its words.
"""

from __future__ import annotations

import importlib.util
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from saccade_models.images import Pixels
from saccade_models.label_places import LabelPlaces

Bgr: TypeAlias = tuple[int, int, int]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

#: Distinct on photos and on paper, in #rrggbb (after S. Trubetskoy's list of 20 distinct colours, without pale ones).
# fmt: off
PALETTE = (
    "#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#00a5c8", "#f032e6", "#808000",
    "#008080", "#9a6324", "#800000", "#000075", "#ffd700", "#2e8b57", "#ff6f61", "#6a5acd",
)
# fmt: on
WHITE: Bgr = (255, 255, 255)
BLACK: Bgr = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing to show: its ``box`` [x1, y1, x2, y2] or its ``polygon`` (at least 3 points) in pixels.

    ``score`` 0..1 is written behind the label, as 0.87.
    """

    box: Sequence[float]
    label: str = ""
    score: float | None = None
    polygon: Sequence[Sequence[float]] | None = None

    @property
    def caption(self) -> str:
        """The words of the label."""
        return " ".join(part for part in (self.label, "" if self.score is None else f"{self.score:.2f}") if part)


@dataclass(frozen=True, slots=True)
class Label:
    """Words for the thing in ``box``: the first of ``texts`` for which there is room, the fullest first."""

    box: Sequence[float]
    texts: Sequence[str]
    color: Bgr


def bgr(color: str) -> Bgr:
    """``#rrggbb`` as OpenCV's (blue, green, red)."""
    value = int(color[1:], 16)
    return value & 255, value >> 8 & 255, value >> 16


class LabelColors:
    """A colour for each label: distinct among those seen (up to the palette's 16), and kept from frame to frame.

    The first choice depends on the label's words only, so that a class mostly has one colour in all jobs. With
    ``by_label_only`` it always has, and two may share one: for pieces of a video that are drawn apart.
    """

    def __init__(self, *, by_label_only: bool = False) -> None:
        self._chosen: dict[str, Bgr] = {}
        self._by_label_only = by_label_only

    def __getitem__(self, label: str) -> Bgr:
        if label not in self._chosen:
            start = zlib.crc32(label.encode()) % len(PALETTE)
            turned = [bgr(c) for c in (*PALETTE[start:], *PALETTE[:start])]
            taken = set[Bgr]() if self._by_label_only else set(self._chosen.values())
            self._chosen[label] = next((c for c in turned if c not in taken), turned[0])
        return self._chosen[label]


def line_width(pixels: Pixels) -> int:
    """Width of lines for a picture of this size: 1 pixel on a thumbnail, 2 on 500x400, 4 on 1280x720."""
    return max(1, round(sum(pixels.shape[:2]) * 0.002))


def text_size(pixels: Pixels) -> int:
    """Height of letters for a picture of this size: 11 pixels at least, 20 on 1280x720."""
    return max(11, round(sum(pixels.shape[:2]) * 0.01))


def line_height(size: int) -> int:
    """From one line of text to the next, in pixels, for letters of ``size``."""
    return round(size * 1.25)


def draw_marks(pixels: Pixels, marks: Iterable[Mark], colors: LabelColors | None = None) -> None:
    """All outlines, then all labels above them, so that no box crosses a label's words; see ``draw_labels``."""
    marks, colors = list(marks), colors or LabelColors()
    for mark in marks:
        if mark.polygon is None:
            draw_box(pixels, mark.box, colors[mark.label])
        else:
            draw_polygon(pixels, mark.polygon, colors[mark.label])
    best = sorted(marks, key=lambda mark: 0 if mark.score is None else -mark.score)
    labels = [Label(mark.box, (mark.caption, mark.label), colors[mark.label]) for mark in best]
    draw_labels(pixels, labels, keep_clear=[mark.box for mark in marks])


def draw_box(
    pixels: Pixels, box: Sequence[float], color: Bgr, *, thickness: int | None = None, fill: bool = False
) -> None:
    """The border of ``box`` (its right and lower ends not part of it), grown inwards, or all of it.

    It is thinner on a small box.
    """
    x1, y1, x2, y2 = (round(v) for v in box)
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    side = min(x2 - x1, y2 - y1)
    width = side if fill else thickness or min(line_width(pixels), max(1, side // 12))
    for part in (
        (x1, y1, x2, y1 + width),
        (x1, y2 - width, x2, y2),
        (x1, y1, x1 + width, y2),
        (x2 - width, y1, x2, y2),
    ):
        _fill(pixels, (max(part[0], x1), max(part[1], y1), min(part[2], x2), min(part[3], y2)), color)


def draw_polygon(
    pixels: Pixels, points: Sequence[Sequence[float]], color: Bgr, *, thickness: int | None = None
) -> None:
    """A closed line through ``points`` ``[[x, y], ...]``."""
    corners = np.rint(np.asarray(points, dtype=np.float64)[:, :2]).astype(np.int32)
    cv2.polylines(
        pixels,
        [corners],
        isClosed=True,
        color=_channels(color, pixels),
        thickness=thickness or line_width(pixels),
        lineType=cv2.LINE_AA,
    )


def draw_label(pixels: Pixels, text: str, box: Sequence[float], color: Bgr, *, size: int | None = None) -> None:
    """One label, as ``draw_labels`` does it; on a picture too small for it there is none."""
    draw_labels(pixels, [Label(box, (text,), color)], size=size)


def draw_labels(
    pixels: Pixels, labels: Iterable[Label], *, keep_clear: Iterable[Sequence[float]] = (), size: int | None = None
) -> None:
    """Each label's words on a plate of its colour above its box, below it, or inside: the first place that is free.

    No label covers one before it, most of a small box in ``keep_clear``, or reaches out of the picture: it is shorter
    then, or left out. So the most important come first.
    """
    size = size or text_size(pixels)
    margin = _margin(size)
    height, width = pixels.shape[:2]
    places = LabelPlaces(width, height, line_height(size) + 2 * margin, keep_clear)
    for label in labels:
        for text in dict.fromkeys(filter(None, label.texts)):
            words = _shortened(_printable(text), size, width - 2 * margin)
            place = places.take(label.box, _text_width(words, size) + 2 * margin)
            if place:
                x, y = place
                plate = _plate(words, size, label.color)
                pixels[y : y + plate.shape[0], x : x + plate.shape[1], :3] = plate
                pixels[y : y + plate.shape[0], x : x + plate.shape[1], 3:] = 255
                break


def draw_text(
    pixels: Pixels,
    text: str,
    position: Sequence[float],
    color: Bgr,
    *,
    size: int | None = None,
    background: Bgr | None = None,
) -> None:
    """Lines of ``text`` from ``position`` [x, y] (not negative) down and to the right; the rest is cut off.

    ``size`` is the font's size in pixels, about the height of a capital with its accent.
    """
    size = size or text_size(pixels)
    x, y = round(position[0]), round(position[1])
    step = line_height(size)
    shown = text.splitlines()[: max(0, pixels.shape[0] - y) // step + 1]
    lines = [_letters(_visible(_printable(line), size, pixels.shape[1] - x), size) for line in shown]
    if background is not None:
        margin = max(1, size // 6)
        for number, letters in enumerate(lines):
            top = y + number * step
            plate = (x - margin, top - margin, x + letters.shape[1] + margin, top + step + margin)
            _fill(pixels, plate, background)
    for number, letters in enumerate(lines):
        _blend(pixels, letters, x, y + number * step, color)


def _contrasting(color: Bgr) -> Bgr:
    """Black on light colours, white on dark ones, by luma."""
    blue, green, red = color
    return BLACK if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else WHITE


def _channels(color: Bgr, pixels: Pixels) -> tuple[int, ...]:
    return (*color, 255) if pixels.shape[2] == 4 else color


def _fill(pixels: Pixels, box: tuple[int, int, int, int], color: Bgr) -> None:
    x1, y1, x2, y2 = (max(0, v) for v in box)
    pixels[y1:y2, x1:x2] = _channels(color, pixels)


def _blend(pixels: Pixels, letters: Pixels, x: int, y: int, color: Bgr) -> None:
    """Lay ``color`` over the picture as far as ``letters`` (coverage 0..255) say; x, y are not negative."""
    target = pixels[y : y + letters.shape[0], x : x + letters.shape[1]]
    coverage = letters[: target.shape[0], : target.shape[1], None] / 255
    paint = np.array(_channels(color, pixels))
    target[:] = np.rint(target * (1 - coverage) + paint * coverage).astype(np.uint8)


@cache
def _font(size: int) -> Font:
    """DejaVu Sans (Latin, Greek, Cyrillic, Arabic ...) from matplotlib's files, else Pillow's own small font."""
    found = importlib.util.find_spec("matplotlib")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


def _letters(text: str, size: int, margin: int = 0) -> Pixels:
    """Coverage of one line of text, ``(height, width)`` uint8; the height is the same for every text of a size."""
    canvas = Image.new("L", (_text_width(text, size) + 2 * margin, line_height(size) + 2 * margin))
    baseline = (margin, margin + round(size * 0.98))
    ImageDraw.Draw(canvas).text(baseline, text, fill=255, font=_font(size), anchor="ls")
    return np.array(canvas)


def _plate(text: str, size: int, color: Bgr) -> Pixels:
    """A label as it is drawn, ``(height, width, 3)`` uint8 BGR; the last 128 are kept if they are not large."""
    small = _text_width(text, size) * size <= 60_000
    return _kept_plate(text, size, color) if small else _kept_plate.__wrapped__(text, size, color)


@lru_cache(maxsize=128)
def _kept_plate(text: str, size: int, color: Bgr) -> Pixels:
    coverage = np.arange(256)[:, None] / 255
    mixed = np.rint(np.array(color) * (1 - coverage) + np.array(_contrasting(color)) * coverage).astype(np.uint8)
    return mixed[_letters(text, size, _margin(size))]


def _margin(size: int) -> int:
    """Around a label's letters."""
    return max(2, size // 5)


@lru_cache(maxsize=512)
def _text_width(text: str, size: int) -> int:
    return max(1, round(_font(size).getlength(text)))


def _visible(text: str, size: int, width: int) -> str:
    """The start of ``text`` that shows in ``width`` pixels, its last letter perhaps in part."""
    return text[: _letters_within(text, size, width) + 1]


@lru_cache(maxsize=512)
def _shortened(text: str, size: int, width: int) -> str:
    """``text``, with an ellipsis where it is wider than ``width``."""
    if len(text) < width and _text_width(text, size) <= width:  # the first for words far too long to measure
        return text
    return text[: max(1, _letters_within(text, size, width - size))] + "…"


def _letters_within(text: str, size: int, width: float) -> int:
    """How many letters of ``text`` fit into ``width`` pixels (found by bisection: text may be long and wide)."""
    font = _font(size)
    return max(0, bisect_right(range(len(text) + 1), width, key=lambda n: font.getlength(text[:n])) - 1)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
