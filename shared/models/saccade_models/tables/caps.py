"""Caps on tables from outside, and what is said of one that is over them or broken: light."""

from __future__ import annotations

from dataclasses import dataclass

from saccade_core.errors import InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile

MAX_BYTES = 2 << 30
MAX_ROWS = 5_000_000
MAX_COLUMNS = 2_000
MAX_CELLS = 100_000_000
#: Characters of one cell, and of all together (a workbook, or Parquet, may say one long text a million times).
MAX_CELL = 131_072
MAX_TEXT = 4 << 30


@dataclass(slots=True)
class Caps:
    """Counts what is read of ``file``; raises InputTooLarge as soon as it is over a cap."""

    file: InputFile
    rows: int = 0
    cells: int = 0
    text: int = 0

    def columns(self, count: int) -> None:
        """``count`` columns are there."""
        self._most(count, MAX_COLUMNS, "columns")

    def row(self, cells: list[str | None]) -> None:
        """One more row is there."""
        self.rows += 1
        self.cells += len(cells)
        lengths = [len(cell) for cell in cells if cell]
        self.longest(max(lengths, default=0))
        self.text += sum(lengths)
        self.check()

    def longest(self, length: int) -> None:
        """A cell of ``length`` characters is there."""
        self._most(length, MAX_CELL, "characters in one cell")

    def check(self) -> None:
        """Whether the sums are within the caps."""
        self._most(self.rows, MAX_ROWS, "rows")
        self._most(self.cells, MAX_CELLS, "cells")
        self._most(self.text, MAX_TEXT, "characters in all")

    def _most(self, count: int, cap: int, what: str) -> None:
        if count > cap:
            raise InputTooLarge(f"A table may have at most {cap:,} {what}.", field=self.file.field, received=count)


def check_bytes(file: InputFile) -> None:
    """Raises InputTooLarge over MAX_BYTES, and UnreadableInput of an empty file."""
    size = file.path.stat().st_size
    if size > MAX_BYTES:
        raise InputTooLarge(f"A table may have at most {MAX_BYTES >> 20} MiB.", field=file.field, received=size)
    if size == 0:
        raise broken(file, "it is empty")


def broken(file: InputFile, reason: str) -> UnreadableInput:
    """The table cannot be read, and why."""
    return UnreadableInput(f"The table cannot be read: {reason}.", field=file.field, received=file.name)
