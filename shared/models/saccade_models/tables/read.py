"""Tables of users, every cell kept as it was given: CSV, Excel workbooks, Parquet."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from saccade_core.kind import InputFile
from saccade_core.media_types import HEAD_BYTES, XLSX, media_type_of
from saccade_models.tables.caps import MAX_COLUMNS, Caps, broken, check_bytes
from saccade_models.tables.csv_rows import Row, csv_form, csv_rows
from saccade_models.tables.facts import DirtyCell, Issue, TableFacts
from saccade_models.tables.parquet import read_parquet
from saccade_models.tables.ragged import Ragged
from saccade_models.tables.values import PLAIN, UNITS, Decimal
from saccade_models.tables.xlsx import xlsx_rows

#: Cells that are turned into columns at once.
_CHUNK = 500_000
_SHOWN = 100
_PARQUET = "application/vnd.apache.parquet"
_TEXT = frozenset({"text/csv", "text/tab-separated-values", "text/plain"})
#: Fractions that no grouping of thousands can be: 1,5 and 0,125 but not 1,125.
_UNIT = rf"\s*(?:{'|'.join(map(re.escape, UNITS))})?\s*"
_GROUP = {s: rf"^\s*[+-]?{_UNIT}[+-]?[1-9][0-9]{{0,2}}{re.escape(s)}[0-9]{{3}}{_UNIT}$" for s in ",."}
_FRACTION = {s: rf"^\s*[+-]?{_UNIT}[+-]?[0-9]*{re.escape(s)}[0-9]+{_UNIT}$" for s in ",."}


def _nothing() -> None:
    """Between steps, where nobody wants to cancel."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, N rows and C columns.

    ``frame``: (N, C) String, null where a cell is empty; names have no blanks around them. ``rows``: (N,) each row's
    number, as ``DirtyCell.row``, rising. ``nested``: columns that hold no scalars and are not in ``frame``. ``ragged``:
    rows that have too many cells, which are left out of ``frame``, and too few.
    """

    frame: pl.DataFrame
    rows: NDArray[np.int64]
    facts: TableFacts
    nested: Sequence[str] = ()
    ragged: Ragged = field(default_factory=Ragged)

    @property
    def dirty(self) -> Iterator[DirtyCell]:
        """The ragged rows, by number."""
        return self.dirty_rows()

    def dirty_rows(self, issue: Issue | None = None) -> Iterator[DirtyCell]:
        """The ragged rows (of one ``issue``), by number, each made as it is asked for."""
        return self.ragged.cells(self.frame, self.rows, issue)

    @property
    def decimal(self) -> Decimal:
        """What stands before a fraction in numbers."""
        return "," if self.facts.decimal == "," else "."


def read_table(file: InputFile, sheet: str | None = None, step: Callable[[], None] = _nothing) -> Table:
    """Read a CSV, workbook (the sheet called ``sheet``, or its first) or Parquet file; ``step`` is called often.

    Raises UnreadableInput, EncryptedInput or InputTooLarge, each naming ``file.field``, and
    InvalidParams where there is no such sheet.
    """
    check_bytes(file)
    with file.path.open("rb") as stream:
        media_type = media_type_of(stream.read(HEAD_BYTES), file.name)
    if media_type == _PARQUET:
        return _from_parquet(file)
    if media_type == XLSX or (media_type == "application/zip" and file.name.lower().endswith(".xlsx")):
        name, rows = xlsx_rows(file, sheet, step)
        return _from_rows(rows, file, TableFacts(format="xlsx", rows=0, columns=0, sheet=name), step)
    if media_type in _TEXT:
        form = csv_form(file, step)
        facts = TableFacts(format="csv", rows=0, columns=0, encoding=form.encoding, delimiter=form.delimiter)
        with closing(csv_rows(file, form)) as rows:
            return _from_rows(rows, file, facts, step)
    raise broken(file, f"it is no CSV, Excel workbook (.xlsx) or Parquet file, but {media_type}")


def _from_parquet(file: InputFile) -> Table:
    frame, nested = read_parquet(file)
    frame = frame.rename(dict(zip(frame.columns, _names(frame.columns, file), strict=True)))
    _check_rows(frame, file)
    facts = TableFacts(format="parquet", rows=frame.height, columns=frame.width + len(nested))
    return Table(frame, np.arange(1, frame.height + 1), facts, nested)


def _from_rows(rows: Iterator[Row], file: InputFile, facts: TableFacts, step: Callable[[], None]) -> Table:
    body = _Body(rows, file, tells_short=facts.format == "csv")
    frames: list[pl.DataFrame] = []
    for columns in body.chunks():
        step()
        frames.append(pl.DataFrame(columns, schema=dict.fromkeys(body.names, pl.String), orient="col"))
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(body.names, pl.String))
    # An empty cell of a CSV says as little as one that is not there.
    frame = frame.with_columns(pl.when(pl.col(body.names) != "").then(pl.col(body.names)))
    _check_rows(frame, file)
    facts = facts.model_copy(
        update={
            "rows": frame.height,
            "columns": frame.width,
            "blank_rows": body.blank,
            "decimal": _decimal(frame, facts.delimiter),
        }
    )
    return Table(frame, np.array(body.numbers, dtype=np.int64), facts, ragged=body.ragged)


@dataclass(slots=True)
class _Body:
    """Rows, sorted out: the header, blank ones, those with too many cells."""

    source: Iterator[Row]
    file: InputFile
    tells_short: bool
    names: list[str] = field(default_factory=list[str])
    numbers: array[int] = field(default_factory=lambda: array("q"))
    ragged: Ragged = field(default_factory=Ragged)
    blank: int = 0

    def __post_init__(self) -> None:
        for _, cells in self.source:
            if not _is_blank(cells):
                self.names = _names(_trimmed(cells, 0), self.file)
                return
        raise broken(self.file, "it has no rows")

    def chunks(self) -> Generator[list[tuple[str | None, ...]]]:
        """Columns of some rows at a time."""
        caps, kept, width = Caps(self.file), list[list[str | None]](), len(self.names)
        for number, cells in self.source:
            if _is_blank(cells):
                self.blank += 1
                continue
            caps.row(cells)
            row = self._fitted(number, cells, width)
            if row is not None:
                kept.append(row)
                self.numbers.append(number)
            if len(kept) * width >= _CHUNK:
                yield list(zip(*kept, strict=True))
                kept.clear()
        if kept:
            yield list(zip(*kept, strict=True))

    def _fitted(self, number: int, cells: list[str | None], width: int) -> list[str | None] | None:
        """The row with as many cells as there are columns; None where it has more that are not empty."""
        if len(cells) > width:
            cells = _trimmed(cells, width)
        if len(cells) > width:
            self.ragged.add_long(number, cells)
            return None
        if len(cells) < width:
            if self.tells_short:
                self.ragged.add_short(number, width - len(cells))
            cells = [*cells, *[None] * (width - len(cells))]
        return cells


def _is_blank(cells: Iterable[str | None]) -> bool:
    return not any(cell and not cell.isspace() for cell in cells)


def _trimmed(cells: list[str | None], least: int) -> list[str | None]:
    """Without the empty cells at the end, but for the first ``least``."""
    count = len(cells)
    while count > least and _is_blank(cells[count - 1 : count]):
        count -= 1
    return cells[:count]


def _names(cells: Sequence[str | None], file: InputFile) -> list[str]:
    """Columns' names without blanks around them, ``column_3`` where there is none; each once."""
    if len(cells) > MAX_COLUMNS:
        Caps(file).columns(len(cells))
    names = [(cell or "").strip().lstrip("\ufeff") or f"column_{place}" for place, cell in enumerate(cells, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise broken(file, f"two columns are called {twice[0][:_SHOWN]!r}")
    long = [name for name in names if len(name) > 1000]
    if long:
        raise broken(file, f"a column's name may have at most 1000 characters, unlike {long[0][:_SHOWN]!r}")
    if all(pl.Series([name]).str.contains(f"^{PLAIN}$")[0] for name in names):
        raise broken(file, "its first row must hold the columns' names, and holds numbers")
    return names


def _check_rows(frame: pl.DataFrame, file: InputFile) -> None:
    if frame.height == 0:
        raise broken(file, "it has no rows below the columns' names")


def _decimal(frame: pl.DataFrame, delimiter: str | None) -> Decimal:
    """What stands before fractions: what more numbers have that cannot be groups of thousands. Where all could be, a
    comma in a CSV whose cells are not parted by commas."""

    def count(pattern: str) -> int:
        return int(frame.select(pl.sum_horizontal(pl.all().str.contains(pattern).sum())).item() or 0)

    fractions = {sign: count(_FRACTION[sign]) for sign in ",."}
    groups = {sign: count(_GROUP[sign]) for sign in ",."}
    sure = {sign: fractions[sign] - groups[sign] for sign in ",."}
    if sure[","] != sure["."]:
        return "," if sure[","] > sure["."] else "."
    return "," if delimiter not in {None, ","} and groups[","] > groups["."] else "."
