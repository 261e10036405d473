"""Dates as invoices and receipts write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

#: Months by their first letters, in English, German, French, Spanish and Italian.
_MONTHS = (
    "jan gen ene",
    "feb fév fev",
    "mar mär maer mrz",
    "apr avr abr",
    "may mai mag",
    "jun juin giu",
    "jul juil lug",
    "aug aoû aou ago",
    "sep set",
    "oct okt ott",
    "nov",
    "dec dez déc dic",
)
_MONTH_OF = {start: month for month, starts in enumerate(_MONTHS, 1) for start in starts.split()}
_MONTH = r"(?P<month>[^\W\d_]{3,10})\.?"
_DAY = r"(?P<day>\d{1,2})(?:\.|st|nd|rd|th|er)?"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<year>\d{4})\s?(?P<sep>[-/.])\s?(?P<number>\d{1,2})\s?(?P=sep)\s?(?P<day>\d{1,2})(?!\d)",
        r"(?<![\w.])(?P<day>\d{1,2})\s?(?P<sep>[-/.])\s?(?P<number>\d{1,2})\s?(?P=sep)\s?(?P<year>\d{4}|\d{2})(?!\d)",
        rf"(?<!\d){_DAY}[\s-]*(?:de\s+)?{_MONTH}[\s,-]*(?:de\s+)?(?P<year>\d{{4}})(?!\d)",
        rf"\b{_MONTH}\s*{_DAY}\s*,?\s*(?P<year>\d{{4}})(?!\d)",
    )
)
#: The only way to write a date (with / or -) that leaves open which is the month.
_DAY_FIRST = _PATTERNS[1]
_YEARS = range(1980, 2100)


@dataclass(frozen=True, slots=True)
class FoundDate:
    """A date and where it stands in its text."""

    value: date
    start: int
    end: int


def find_dates(text: str, *, month_first: bool = False) -> list[FoundDate]:
    """All dates in the order of the text; ``month_first`` reads 03/04/2025 as the 4th of March."""
    return sorted(_all(text, month_first), key=lambda found: found.start)


def _all(text: str, month_first: bool) -> Iterator[FoundDate]:
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            value = _value(match.groupdict(), month_first=month_first and pattern is _DAY_FIRST and match["sep"] != ".")
            if value:
                yield FoundDate(value, match.start(), match.end())


def _value(parts: Mapping[str, str | None], *, month_first: bool) -> date | None:
    year, day = int(parts["year"] or 0), int(parts["day"] or 0)
    year += 2000 if year < 100 else 0
    month = int(parts.get("number") or _month(parts.get("month") or ""))
    if month > 12 >= day or (month_first and day <= 12):
        day, month = month, day
    if year not in _YEARS:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _month(name: str) -> int:
    """1..12, or 0 for what is no month."""
    lower = name.lower()
    return next((_MONTH_OF[lower[:n]] for n in (4, 3) if lower[:n] in _MONTH_OF), 0)
