"""What was found in a table, for people and programs."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import get_args

from saccade_models.formats.cells import cell
from saccade_models.tables.columns import Found, Look
from saccade_models.tables.encode import TableInput
from saccade_models.tables.facts import ColumnFacts, DirtyCell, DirtyCount, DirtyReport, Issue, TableReport
from saccade_models.tables.prepare import Prepared

#: Cells listed in a result; the file that is made beside it has so many.
LISTED, WRITTEN = 100, 1_000_000
_SHOWN = 100
_ORDER: dict[Issue, int] = {issue: place for place, issue in enumerate(get_args(Issue))}


def table_report(prepared: Prepared, table_input: TableInput) -> TableReport:
    """Everything: the file, its columns in their order, its dirty cells."""
    order = {name: place for place, name in enumerate(prepared.table.frame.columns)}
    widths = {column.name: column.width for column in table_input.columns}
    columns = [_facts(look).model_copy(update={"inputs": widths[look.name]}) for look in prepared.features]
    columns.append(_facts(prepared.target_look).model_copy(update={"role": "target"}))
    columns += [
        _facts(look).model_copy(update={"role": "dropped", "reason": reason}) for look, reason in prepared.dropped
    ]
    columns.sort(key=lambda column: order.get(column.name, len(order)))
    return TableReport(file=prepared.table.facts, columns=columns, dirty=dirty_report(prepared))


def dirty_report(prepared: Prepared) -> DirtyReport:
    """All counted, the first ``LISTED`` named."""
    counts: Counter[tuple[str | None, Issue]] = Counter()
    for found in prepared.found:
        counts[found.column, found.issue] += len(found.at)
    counts.update({(None, issue): count for issue, count in prepared.table.ragged.counts.items() if count})
    ordered = sorted(counts.items(), key=lambda item: (_ORDER[item[0][1]], item[0][0] or ""))
    return DirtyReport(
        total=counts.total(),
        counts=[DirtyCount(column=column, issue=issue, count=count) for (column, issue), count in ordered],
        cells=[c for c, _ in zip(dirty_cells(prepared), range(LISTED), strict=False)],
        rows_left_out=prepared.rows_left_out,
    )


def dirty_cells(prepared: Prepared) -> Iterator[DirtyCell]:
    """Each dirty cell, the worst issues first, then by row."""
    for issue in _ORDER:
        of_rows = prepared.table.dirty_rows(issue)
        of_columns = (_cells(prepared, found) for found in prepared.found if found.issue == issue)
        yield from merge(of_rows, *of_columns, key=lambda c: c.row)


def write_dirty_cells(path: Path, prepared: Prepared) -> int:
    """The first ``WRITTEN`` dirty cells as a CSV; gives their number."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["row", "column", "value", "issue", "action"])
        for count, dirty in enumerate(dirty_cells(prepared), start=1):
            texts = (dirty.column or "", dirty.value or "", dirty.issue, dirty.action)
            writer.writerow([dirty.row, *map(cell, texts)])
            if count == WRITTEN:
                break
    return count


def _cells(prepared: Prepared, found: Found) -> Iterator[DirtyCell]:
    table = prepared.table
    assert found.column is not None  # noqa: S101 (what concerns whole rows is the table's own)
    column = table.frame[found.column]
    for place in found.at.tolist():
        value: str | None = column[place]
        shown = None if value is None else value[:_SHOWN]
        yield DirtyCell(
            row=int(table.rows[place]), column=found.column, value=shown, issue=found.issue, action=found.action
        )


def _facts(look: Look) -> ColumnFacts:
    return ColumnFacts(
        name=look.name, type=look.type, role="feature", missing=int(look.missing.sum()), distinct=look.distinct
    )
