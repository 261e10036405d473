"""One cell of a table as a number, a truth value, a day or a category: light (no library), so that a raw row of a
request and a cell of a file are read by the same rules."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Literal

Decimal = Literal[".", ","]
#: What a column of numbers holds.
NumberValues = Literal["number", "integer", "boolean", "date"]

#: What ``str.strip`` takes away, for libraries that take away other characters.
BLANKS = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
#: What stands for a value that is not there, besides an empty cell; in any case.
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "-", "?", "."})
_TRUE = frozenset({"1", "1.0", "true", "t", "yes", "y"})
_FALSE = frozenset({"0", "0.0", "false", "f", "no", "n"})

#: Numbers beyond this are taken for slips; up to it they and their sums are finite in float32, which ends at 3.4e38.
LARGEST = 1e30
#: What may stand behind or before all numbers of a column. ``%`` too is taken away: 12 % is 12.
UNITS = ("%", "€", "$", "£", "¥", "₹", "EUR", "USD", "GBP", "CHF", "JPY")
#: A number as most programs write it; groups of three digits are taken apart first.
PLAIN = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_PLAIN = re.compile(PLAIN)
#: Thousands by the other sign, or by spaces (also those that do not break).
_GROUPED = {
    ".": re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+|(?:[ \u00a0\u202f][0-9]{3})+)(?:\.[0-9]*)?"),
    ",": re.compile(r"[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+|(?:[ \u00a0\u202f][0-9]{3})+)(?:,[0-9]*)?"),
}
_GROUP_SIGNS = {".": re.compile(r"[, \u00a0\u202f]"), ",": re.compile(r"[. \u00a0\u202f]")}
_SECONDS_A_DAY = 86_400.0
#: ISO 8601's day, with or without a time; nothing that could be meant otherwise (01/02/2020).
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}.*)?")


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.strip().casefold() in MISSING


def parse_number(text: str, decimal: Decimal = ".") -> float | None:
    """The finite number that ``text`` is, with ``decimal`` before its fraction; None where it is none.

    Thousands may stand in groups of three. Takes no ``inf``, ``nan``, hexadecimal digits or underscores, and nothing
    beyond ``LARGEST``.
    """
    number = _number(text, decimal)
    return number if number is not None and abs(number) <= LARGEST else None


def is_out_of_range(text: str, decimal: Decimal = ".") -> bool:
    """Whether ``text`` is a number beyond ``LARGEST``."""
    number = _number(text, decimal)
    return number is not None and abs(number) > LARGEST


def without_unit(text: str, unit: str) -> str:
    """A number without its ``unit`` of ``UNITS`` behind or before it, where there is one: -3.50 of ``-$3.50``."""
    text = text.strip()
    if not unit:
        return text
    if text.endswith(unit):
        return text[: -len(unit)].rstrip()
    sign = text[:1] if text[:1] in {"+", "-"} else ""
    bare = text[len(sign) :].lstrip()
    return sign + bare[len(unit) :].lstrip() if bare.startswith(unit) else text


def _number(text: str, decimal: Decimal) -> float | None:
    text = text.strip()
    if _GROUPED[decimal].fullmatch(text):
        text = _GROUP_SIGNS[decimal].sub("", text)
    if decimal == ",":
        text = text.replace(",", ".") if "." not in text else ("" if "," in text else text)
    if not _PLAIN.fullmatch(text):
        return None
    return float(text)


def parse_boolean(text: str) -> float | None:
    """1 for true, yes, y, t, 1 and 0 for false, no, n, f, 0, in any case; None for all else."""
    word = text.strip().casefold()
    return 1.0 if word in _TRUE else 0.0 if word in _FALSE else None


def parse_day(text: str) -> float | None:
    """Days since 1970-01-01 of an ISO 8601 date, with or without time (UTC unless it says so); None for all else."""
    text = text.strip()
    if not _DAY.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp() / _SECONDS_A_DAY
    except OverflowError:  # year 1 and an offset
        return None


def spelling(text: str) -> str:
    """What two ways to write one category have in common: neither case nor blanks count."""
    return " ".join(text.split()).casefold()


def number_text(number: float) -> str:
    """A number as people write it: whole ones without a fraction."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def text_of(value: object) -> str | None:
    """A scalar of JSON as the cell of a table that it would be; None for null, not a number, lists and objects."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number_cell(value)
        case date():
            return value.isoformat()
        case _:
            return None


def _number_cell(value: float) -> str | None:
    if isinstance(value, int):
        return str(value) if abs(value) < 10**100 else None
    return number_text(value) if math.isfinite(value) else None
