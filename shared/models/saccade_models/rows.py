"""Rows of a page by position: what stands side by side, whatever order a PDF or an engine gives it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from saccade_models.page_text import Box, PageText, Word

#: A gap wider than this many letters' heights parts two cells of a table.
_CELL_GAP = 1.2


@dataclass(frozen=True)
class Row:
    """Words on one height of page ``page``, from left to right."""

    page: int
    words: Sequence[Word]

    @cached_property
    def text(self) -> str:
        """The words, parted by blanks."""
        return " ".join(word.text for word in self.words)

    @cached_property
    def box(self) -> Box:
        """Around all words."""
        return bounds([word.box for word in self.words])

    @cached_property
    def cells(self) -> list[Row]:
        """The row in parts with wide gaps between them."""
        parts: list[list[Word]] = [[self.words[0]]]
        gap = _CELL_GAP * (self.box[3] - self.box[1])
        for word in self.words[1:]:
            if word.box[0] - parts[-1][-1].box[2] > gap:
                parts.append([])
            parts[-1].append(word)
        return [Row(self.page, part) for part in parts]

    def span(self, start: int, end: int) -> Box:
        """The box around the words that hold the characters ``start`` to ``end`` of ``text``."""
        boxes: list[Box] = []
        position = 0
        for word in self.words:
            if position < end and position + len(word.text) > start:
                boxes.append(word.box)
            position += len(word.text) + 1
        return bounds(boxes or [self.box])


def rows_of(page: PageText) -> list[Row]:
    """The page's rows from top to bottom: words belong together when they overlap by half of the lower one's height.

    Pages whose text is turned give rows of little meaning.
    """
    rows: list[list[Word]] = []
    for word in sorted(page.words, key=lambda w: (w.box[1] + w.box[3], w.box[0])):
        row = next((r for r in reversed(rows[-6:]) if _side_by_side(r[-1].box, word.box)), None)
        if row is None:
            rows.append([word])
        else:
            row.append(word)
    return [Row(page.number, sorted(row, key=lambda w: w.box[0])) for row in rows]


def bounds(boxes: Sequence[Box]) -> Box:
    """The smallest box around all."""
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def share_columns(a: Box, b: Box) -> bool:
    """Whether two boxes stand one above the other."""
    return min(a[2], b[2]) > max(a[0], b[0])


def _side_by_side(a: Box, b: Box) -> bool:
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    return overlap > 0.5 * min(a[3] - a[1], b[3] - b[1])
