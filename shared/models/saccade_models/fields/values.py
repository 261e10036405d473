"""Values that stand beside or below their label: dates and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from saccade_models.fields import labels
from saccade_models.fields.dates import FoundDate, find_dates
from saccade_models.page_text import Box
from saccade_models.rows import Row, share_columns

#: A value stands at most so many heights of its label below it.
_BELOW = 3.0


def below(rows: Sequence[Row], index: int, box: Box) -> Iterator[Row]:
    """Cells under ``box``, which is part of ``rows[index]``, nearest first."""
    height = box[3] - box[1]
    for row in rows[index + 1 : index + 5]:
        if row.page != rows[index].page or row.box[1] - box[3] > _BELOW * height:
            return
        yield from (cell for cell in row.cells if share_columns(cell.box, box))


def above(rows: Sequence[Row], index: int, box: Box) -> str:
    """The text of the nearest cell over ``box``, or nothing."""
    height = box[3] - box[1]
    for row in reversed(rows[max(0, index - 3) : index]):
        if row.page == rows[index].page and box[1] - row.box[3] <= _BELOW * height:
            for cell in row.cells:
                if share_columns(cell.box, box):
                    return cell.text
    return ""


def find_date(
    rows: Sequence[Row], wanted: re.Pattern[str], *, month_first: bool, only_labelled: bool = False
) -> str | None:
    """The date whose label is ``wanted``, else (not with ``only_labelled``) the likeliest one; ISO 8601."""
    best: tuple[float, str] | None = None
    for index, row in enumerate(rows):
        dates = find_dates(row.text, month_first=month_first)
        for found in dates:
            score = _date_score(rows, index, found, wanted) - 2 * (len(dates) > 1 and not only_labelled)
            if only_labelled and score < 4:
                continue
            if best is None or score > best[0]:
                best = (score, found.value.isoformat())
    return best[1] if best else None


def _date_score(rows: Sequence[Row], index: int, found: FoundDate, wanted: re.Pattern[str]) -> float:
    row = rows[index]
    before = row.text[: found.start]
    label = before if re.search(r"[^\W\d]{3}", before) else above(rows, index, row.span(found.start, found.end))
    if wanted.search(label):
        return 5
    if labels.DATE_DUE.search(label) or labels.OTHER_DATE.search(label):
        return -3
    return 3 if labels.DATE.search(label) else 0


def find_number(rows: Sequence[Row]) -> str | None:
    """The invoice's number, else the receipt's, else the document's."""
    for label in labels.NUMBERS:
        for index, row in enumerate(rows):
            match = label.search(row.text)
            if not match:
                continue
            value = labels.NUMBER_VALUE.match(row.text[match.end() :].lstrip(" :#.-"))
            if value:
                return value[0]
            for cell in below(rows, index, row.span(match.start(), match.end())):
                if value := labels.NUMBER_VALUE.fullmatch(cell.text):
                    return value[0]
    return None


def find_tax_number(rows: Sequence[Row]) -> str | None:
    """The first number under which a company pays value added tax, without blanks."""
    for index, row in enumerate(rows):
        match = labels.TAX_NUMBER.search(row.text)
        if not match:
            continue
        cell = next(c for c in row.cells if share_columns(c.box, row.span(match.start(), match.end())))
        beside = [row.text[match.end() :], cell.text]
        for text in [*beside, *(c.text for c in below(rows, index, row.span(match.start(), match.end())))]:
            if value := labels.TAX_NUMBER_VALUE.search(text):
                return re.sub(r"\s", "", value[0])
    return None
