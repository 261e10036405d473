"""The mistakes that a classifier was surest of, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_models.datasets.load import Loaded
from saccade_models.draw import BLACK, Bgr, draw_text, line_height
from saccade_models.images import Pixels

#: Pixels: a picture's place, the letters under it, the space between.
_SIDE, _LETTERS, _GAP = 160, 12, 10
_COLUMNS = 6
_PAPER, _GREY, _RED = (255, 255, 255), (110, 110, 110), (40, 40, 200)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One picture (uint8, RGB or one channel), what it is and what was said."""

    pixels: Pixels
    name: str
    true: str
    predicted: str
    score: float


def worst_mistakes(part: Loaded, scores: NDArray[np.float32], labels: Sequence[str], most: int) -> list[Mistake]:
    """Of pictures that are taken for another class, the ``most`` with the surest answer; ``scores`` (N, classes)."""
    said = scores.argmax(axis=1)
    wrong = np.flatnonzero(said != part.labels)
    sure = scores[wrong, said[wrong]]
    places: list[int] = wrong[np.argsort(-sure, kind="stable")][:most].tolist()
    return [
        Mistake(
            pixels=part.pixels[i],
            name=part.names[i],
            true=labels[int(part.labels[i])],
            predicted=labels[int(said[i])],
            score=float(scores[i, said[i]]),
        )
        for i in places
    ]


def sheet(mistakes: Sequence[Mistake], title: str) -> Pixels:
    """The mistakes side by side, each with its truth, the prediction and its score; BGR."""
    columns = max(3, min(_COLUMNS, len(mistakes)))
    rows = max(1, -(-len(mistakes) // columns))
    line = line_height(_LETTERS)
    cell = (_SIDE + 3 * line + _GAP, _SIDE + _GAP)
    top = 2 * line
    paper = np.full((top + rows * cell[0] + _GAP, columns * cell[1] + _GAP, 3), _PAPER, np.uint8)
    draw_text(paper, title, (_GAP, _GAP), BLACK, size=_LETTERS + 2)
    for number, mistake in enumerate(mistakes):
        y, x = top + number // columns * cell[0] + _GAP, number % columns * cell[1] + _GAP
        small = _shown(mistake.pixels)
        paper[y : y + small.shape[0], x : x + small.shape[1]] = small
        lines: tuple[tuple[str, Bgr], ...] = (
            (f"is {mistake.true}", BLACK),
            (f"said {mistake.predicted} {mistake.score:.2f}", _RED),
            (mistake.name.rpartition("/")[2], _GREY),
        )
        for n, (text, color) in enumerate(lines):
            words = paper[y + _SIDE + n * line : y + _SIDE + (n + 1) * line, x : x + _SIDE]
            draw_text(words, text, (0, 0), color, size=_LETTERS)
    return paper


def _shown(pixels: Pixels) -> Pixels:
    """In its place's size, proportions kept; small pictures keep their pixels' edges."""
    height, width = pixels.shape[:2]
    factor = _SIDE / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_NEAREST if factor > 2 else cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    shown = np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=how), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR if shown.ndim == 2 else cv2.COLOR_RGB2BGR), dtype=np.uint8)
