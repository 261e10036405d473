"""What the columns of a table hold, and which of their cells do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from saccade_models.tables.facts import ColumnType, Issue
from saccade_models.tables.values import (
    BLANKS,
    LARGEST,
    MISSING,
    PLAIN,
    UNITS,
    Decimal,
    NumberValues,
    is_out_of_range,
    parse_boolean,
    parse_day,
    parse_number,
    spelling,
    without_unit,
)

#: A column is of numbers (dates) where at least this share of its values are; the others are dirty.
MOST = 0.8
#: More categories than this are not told apart: the rarer ones count as "other".
MAX_CATEGORIES = 50
#: A word that stands once is wrong only where words stand this often on average, and there are not too many of them.
_FREQUENT = 10
#: Below this many rows nothing can be said about values that never repeat.
_FEW = 20
_NAMED_ID = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|key|index|idx|rownumber|row number|serial|no|nr)([^a-z]|$)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Found:
    """Cells of one column with one issue: ``at`` are their positions in the table, ``action`` what was done."""

    column: str | None
    issue: Issue
    at: NDArray[np.int64]
    action: str


@dataclass(frozen=True, slots=True)
class Look:
    """One column, N rows.

    ``missing``: (N,) bool. ``numbers``: (N,) float64 of a column of numbers, truth values or dates (``values`` says of
    which), NaN where missing or unreadable. ``words``: (N,) of all others, each by its most frequent spelling, null
    where missing. ``distinct`` counts values.
    ``unit``: which of ``values.UNITS`` stands at the numbers. ``truths``: of truth values, how false and true are
    mostly written.
    """

    name: str
    type: ColumnType
    missing: NDArray[np.bool_]
    distinct: int
    numbers: NDArray[np.float64] | None = None
    values: NumberValues = "number"
    unit: str = ""
    words: pl.Series | None = None
    truths: tuple[str, str] = ("0", "1")
    found: Sequence[Found] = field(default_factory=list[Found])


def look_at(series: pl.Series, decimal: Decimal) -> Look:
    """Find out what the column ``series``, (N,) String, holds."""
    missing = missing_of(series)
    present = series.filter(pl.Series(~missing))
    if present.is_empty():
        return Look(series.name, "empty", missing, 0)
    for values, issue in _READERS:
        numbers = numbers_of(series, values, decimal)
        readable = int(np.isfinite(numbers[~missing]).sum())
        if readable >= (1.0 if values == "boolean" else MOST) * len(present):
            return _number_look(series, _Reading(values, issue, decimal), numbers, missing)
    for unit in UNITS:
        if int(present.str.contains(unit, literal=True).sum()) >= MOST * len(present):
            numbers = numbers_of(series, "number", decimal, unit)
            if int(np.isfinite(numbers[~missing]).sum()) >= MOST * len(present):
                return _number_look(series, _Reading("number", "not_a_number", decimal, unit), numbers, missing)
    return _word_look(series, missing)


@dataclass(frozen=True, slots=True)
class _Reading:
    """As what a column's cells were read, and what those are that cannot be."""

    values: NumberValues
    issue: Issue
    decimal: Decimal
    unit: str = ""


def missing_of(series: pl.Series) -> NDArray[np.bool_]:
    """Which cells of a String column say that there is no value, as ``values.is_missing``."""
    said = series.str.strip_chars(BLANKS).str.to_lowercase().is_in(list(MISSING))
    return (series.is_null() | said.fill_null(value=False)).to_numpy()


def numbers_of(series: pl.Series, values: NumberValues, decimal: Decimal, unit: str = "") -> NDArray[np.float64]:
    """(N,) the cells of a String column as numbers (``unit`` may stand at them), truth values or dates; NaN where
    missing or not to be read."""
    match values:
        case "boolean":
            return _each(series, parse_boolean)
        case "date":
            return _each(series, parse_day)
        case _:
            pass
    # What is written plainly is read by polars, many times as fast; all else by our own rules.
    bare = series.str.strip_chars(BLANKS)
    plain = bare.str.contains(f"^(?:{PLAIN})$") if decimal == "." else bare.str.contains("^[+-]?[0-9]+$")
    numbers = bare.set(~plain.fill_null(value=False), None).cast(pl.Float64, strict=False)
    left = np.flatnonzero((numbers.is_null() & series.is_not_null()).to_numpy())
    read = numbers.fill_null(np.nan).to_numpy().copy()
    if len(left):
        read[left] = _each(series.gather(left), lambda text: parse_number(without_unit(text, unit), decimal))
    read[~(np.abs(read) <= LARGEST)] = np.nan
    return read


def spelled(series: pl.Series) -> pl.Series:
    """Each word's ``values.spelling``; null where missing."""
    unique = series.drop_nulls().unique()
    keys = pl.Series([spelling(word) for word in unique], dtype=pl.String)
    return series.replace_strict(unique, keys, default=None, return_dtype=pl.String)


def _each(series: pl.Series, parse: Callable[[str], float | None]) -> NDArray[np.float64]:
    """``parse`` of each different cell; NaN where it gives none."""
    unique = series.drop_nulls().unique()
    parsed = pl.Series([parse(text) for text in unique], dtype=pl.Float64)
    numbers = series.replace_strict(unique, parsed, default=None, return_dtype=pl.Float64)
    return numbers.fill_null(np.nan).to_numpy().copy()


_READERS: tuple[tuple[NumberValues, Issue], ...] = (
    ("boolean", "wrong_label"),
    ("number", "not_a_number"),
    ("date", "not_a_date"),
)


def _number_look(
    series: pl.Series, reading: _Reading, numbers: NDArray[np.float64], missing: NDArray[np.bool_]
) -> Look:
    values, unit = reading.values, reading.unit
    numbers[missing] = np.nan
    readable = numbers[np.isfinite(numbers)]
    distinct = len(np.unique(readable))
    found = _unreadable(series, reading, np.flatnonzero(~missing & np.isnan(numbers)))
    if values == "number" and bool((readable == np.round(readable)).all()):
        values = "integer"
    kind: ColumnType = "constant" if distinct == 1 else values
    if kind == "integer" and not unit and _names_rows(series.name, readable, distinct):
        kind = "identifier"
    if values != "boolean":
        return Look(series.name, kind, missing, distinct, numbers=numbers, values=values, unit=unit, found=found)
    names, ways = _truths(series, numbers)
    return Look(series.name, kind, missing, distinct, numbers=numbers, values=values, truths=names, found=ways)


def _unreadable(series: pl.Series, reading: _Reading, wrong: NDArray[np.int64]) -> list[Found]:
    """The cells at ``wrong``, by what is wrong with them."""
    beyond = np.zeros(len(wrong), dtype=np.bool_)
    if reading.issue == "not_a_number":
        cells = series.gather(wrong)
        beyond = _each(cells, lambda t: float(is_out_of_range(without_unit(t, reading.unit), reading.decimal))) == 1
    parts: list[tuple[Issue, NDArray[np.int64]]] = [(reading.issue, wrong[~beyond]), ("out_of_range", wrong[beyond])]
    return [Found(series.name, issue, at, "taken as missing") for issue, at in parts if len(at)]


def _truths(series: pl.Series, numbers: NDArray[np.float64]) -> tuple[tuple[str, str], list[Found]]:
    """How false and true are mostly written, and the cells where they are written otherwise (1.0 for 1 does not
    count)."""
    names: list[str] = []
    found: list[Found] = []
    for truth, default in ((0.0, "0"), (1.0, "1")):
        at = np.flatnonzero(numbers == truth)
        cells = series.gather(at).alias("way")
        ways = cells.value_counts().sort("count", "way", descending=[True, False])["way"].to_list()
        usual: str = ways[0] if ways else default
        names.append(usual.strip())
        wrong = [way for way in ways[1:] if parse_number(way) is None or parse_number(usual) is None]
        if wrong:
            places = at[cells.is_in(wrong).to_numpy()]
            found.append(Found(series.name, "other_spelling", places, f"read as {names[-1][:100]!r}"))
    return (names[0], names[1]), found


def _names_rows(name: str, numbers: NDArray[np.float64], distinct: int) -> bool:
    """Whether whole numbers are a name of each row: all different, and counted up from 0 or 1 or called so."""
    if distinct < len(numbers) or distinct < _FEW:
        return False
    first, last = numbers.min(), numbers.max()
    counted = first in {0, 1} and last - first + 1 == distinct
    return bool(counted or _NAMED_ID.search(_HUMP.sub(" ", name).casefold()))


def _word_look(series: pl.Series, missing: NDArray[np.bool_]) -> Look:
    present = series.set(pl.Series(missing), None)
    keys = spelled(present)
    ways = pl.DataFrame({"key": keys, "word": present}).drop_nulls().group_by("key", "word").len()
    # The most frequent way to write a word is the right one; of two as frequent ones the first by alphabet.
    ways = ways.sort("len", "word", descending=[True, False])
    right = ways.unique("key", keep="first", maintain_order=True)
    counts = ways.group_by("key").agg(pl.col("len").sum())
    words = keys.replace_strict(
        right["key"], right["word"].str.strip_chars(BLANKS), default=None, return_dtype=pl.String
    )
    total, distinct = int(counts["len"].sum()), counts.height
    kind = _word_type(counts["len"], total)
    found = [*_other_spellings(present, keys, right), *_wrong_labels(series.name, keys, counts, kind, total)]
    return Look(series.name, kind, missing, distinct, words=words, found=found if kind != "text" else [])


def _word_type(counts: pl.Series, total: int) -> ColumnType:
    distinct = len(counts)
    if distinct == 1:
        return "constant"
    if total < _FEW:
        return "category"
    if distinct == total:
        return "identifier"
    covered = int(counts.top_k(MAX_CATEGORIES).sum())
    return "text" if distinct > total / 2 or covered < total / 2 else "category"


def _other_spellings(present: pl.Series, keys: pl.Series, right: pl.DataFrame) -> list[Found]:
    """Cells that are written otherwise than most of their word."""
    usual = keys.replace_strict(right["key"], right["word"], default=None, return_dtype=pl.String)
    at = np.flatnonzero((present != usual).fill_null(value=False).to_numpy())
    by_word: dict[str, list[int]] = {}
    for place, word in zip(at.tolist(), usual.gather(at).to_list(), strict=True):
        by_word.setdefault(word.strip(), []).append(place)
    return [
        Found(present.name, "other_spelling", np.array(places, dtype=np.int64), f"read as {word[:100]!r}")
        for word, places in by_word.items()
    ]


def _wrong_labels(name: str, keys: pl.Series, counts: pl.DataFrame, kind: ColumnType, total: int) -> list[Found]:
    """Cells with a word that stands only there, in a column of few words that are frequent."""
    if kind != "category" or counts.height > MAX_CATEGORIES or total < _FREQUENT * counts.height:
        return []
    once = counts.filter(pl.col("len") == 1)["key"]
    at = np.flatnonzero(keys.is_in(once.to_list()).fill_null(value=False).to_numpy())
    return [Found(name, "wrong_label", at, "counts as 'other'")] if len(at) else []
