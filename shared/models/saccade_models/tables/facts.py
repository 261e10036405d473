"""What is said of a table, its columns and its dirty cells: light (pydantic only), for contracts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade_core.kind import Result

TableFormat = Literal["csv", "xlsx", "parquet"]
#: ``boolean`` is yes/no, true/false or 0/1; ``date`` ISO 8601; ``category`` words of which many rows share one;
#: ``text`` words that hardly repeat; ``identifier`` a name or a running number of each row; ``empty`` nothing;
#: ``nested`` lists, structures or bytes (Parquet).
ColumnType = Literal[
    "number", "integer", "boolean", "date", "category", "text", "identifier", "constant", "empty", "nested"
]
#: What is wrong with a cell, the worst first. ``long_row``: more cells than columns, so that none is certain to be in
#: its place. ``wrong_label``: a word that stands there only once, while all others are frequent. ``out_of_range``: a
#: number beyond 1e30. ``other_spelling``: as another word but for case and blanks, and read as that one.
Issue = Literal[
    "long_row",
    "missing_target",
    "wrong_label",
    "not_a_number",
    "out_of_range",
    "not_a_date",
    "other_spelling",
    "short_row",
    "missing",
]


class TableFacts(Result):
    """How a file was read. ``rows`` counts those below the header that are not blank."""

    format: TableFormat
    rows: int
    columns: int
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str = "."
    sheet: str | None = None
    blank_rows: int = 0


class ColumnFacts(Result):
    """One column: what it holds, and what became of it."""

    name: str
    type: ColumnType
    role: Literal["feature", "target", "dropped"]
    reason: str | None = Field(default=None, description="Of a dropped column: why")
    missing: int = Field(description="Cells without a value")
    distinct: int = Field(description="Different values, spellings of one word counted once")
    inputs: int = Field(default=0, description="Numbers that the network gets of it")


class DirtyCell(Result):
    """A cell that is not as the others of its column. ``row`` is as a spreadsheet counts: the header of a CSV is row 1;
    of Parquet, which has no header row, the first row is 1."""

    row: int
    column: str | None = Field(description="Null: the whole row")
    value: str | None = Field(
        description="As it stands, its first 100 characters; null: nothing there, or no longer known"
    )
    issue: Issue
    action: str = Field(description="What was done about it")


class DirtyCount(Result):
    """How many cells of a column have one issue."""

    column: str | None
    issue: Issue
    count: int


class DirtyReport(Result):
    """All dirty cells counted, the first of them listed, wrong ones before missing ones."""

    total: int = 0
    counts: list[DirtyCount] = Field(default_factory=list[DirtyCount])
    cells: list[DirtyCell] = Field(default_factory=list[DirtyCell])
    rows_left_out: int = Field(default=0, description="Rows that no use could be made of")


class TableReport(Result):
    """What was found in a table."""

    file: TableFacts
    columns: list[ColumnFacts]
    dirty: DirtyReport
