"""Rows with fewer or more cells than there are columns: a few bytes each, since a whole file may be of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge

import numpy as np
import polars as pl
from numpy.typing import NDArray

from saccade_models.tables.facts import DirtyCell, Issue

#: Long rows of which the beginning is kept; of later ones only the number is.
KEPT = 10_000
_SHOWN = 100


def _numbers() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Ragged:
    """Rows' numbers, as ``DirtyCell.row``, rising. ``lacking``: how many cells each short row lacks. ``texts``: the
    first long rows' beginnings; short rows are in the table."""

    short: array[int] = field(default_factory=_numbers)
    lacking: array[int] = field(default_factory=_numbers)
    long: array[int] = field(default_factory=_numbers)
    texts: list[str] = field(default_factory=list[str])

    def add_short(self, number: int, lacking: int) -> None:
        """Row ``number`` has ``lacking`` cells less than there are columns."""
        self.short.append(number)
        self.lacking.append(lacking)

    def add_long(self, number: int, cells: Sequence[str | None]) -> None:
        """Row ``number`` has more cells than there are columns."""
        self.long.append(number)
        if len(self.texts) < KEPT:
            self.texts.append(_shown(cells))

    @property
    def counts(self) -> Mapping[Issue, int]:
        """Rows of each sort."""
        return {"long_row": len(self.long), "short_row": len(self.short)}

    def cells(self, frame: pl.DataFrame, rows: NDArray[np.int64], issue: Issue | None = None) -> Iterator[DirtyCell]:
        """Each such row (of one ``issue``), by its number; ``frame`` and ``rows`` are the ``Table``'s."""
        found = {"long_row": self._long_rows(), "short_row": self._short_rows(frame, rows)}
        yield from merge(*(cells for name, cells in found.items() if issue in {None, name}), key=lambda cell: cell.row)

    def _long_rows(self) -> Iterator[DirtyCell]:
        for place, number in enumerate(self.long):
            shown = self.texts[place] if place < len(self.texts) else None
            yield DirtyCell(row=number, column=None, value=shown, issue="long_row", action="row left out")

    def _short_rows(self, frame: pl.DataFrame, rows: NDArray[np.int64]) -> Iterator[DirtyCell]:
        for number, lacking in zip(self.short, self.lacking, strict=True):
            cells = frame.row(int(np.searchsorted(rows, number)))[: frame.width - lacking]
            action = f"{lacking} cells at its end taken as missing"
            yield DirtyCell(row=number, column=None, value=_shown(cells), issue="short_row", action=action)


def _shown(cells: Sequence[str | None]) -> str:
    return ",".join(cell or "" for cell in cells)[:_SHOWN]
