"""Learning how rows become a network's input, from the training part alone; and making whole tables so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from saccade_core.errors import InvalidRequest
from saccade_models.tables.columns import MAX_CATEGORIES, Look, missing_of, numbers_of, spelled
from saccade_models.tables.encode import FARTHEST, CategoryColumn, NumberColumn, TableInput
from saccade_models.tables.target import Target
from saccade_models.tables.values import Decimal, spelling

#: Standardised values end here, or where the training part's own do if that is farther: beyond what it was trained on
#: a network's answers mean nothing and grow with the input. 10 deviations keep all that the tails of a usual column
#: have in order (at most 1 row in 100 of any column is farther away, by Chebyshev; of a normal one none).
NEAR = 10.0
#: Where so large a share of the training part is missing, that is told to the network too.
MANY_MISSING = 0.05


def learn(looks: Sequence[Look], train: NDArray[np.int64], target: Target, decimal: Decimal) -> TableInput:
    """What to do with each column of ``looks``, as the rows at ``train`` (positions in the table) have it."""
    return TableInput(
        columns=[_learn_words(look, train) if look.numbers is None else _learn_numbers(look, train) for look in looks],
        target=target.name,
        task=target.task,
        labels=list(target.labels),
        decimal=decimal,
    )


def encode_table(table_input: TableInput, frame: pl.DataFrame, decimal: Decimal) -> NDArray[np.float32]:
    """N rows of text cells, by column name, as the network takes them: (N, width) float32.

    Cells that cannot be read are taken as missing, ``unreadable`` says which. Raises InvalidRequest where a column is
    not there. Gives what ``TableInput.encode_rows`` gives.
    """
    out = np.zeros((frame.height, table_input.width), dtype=np.float32)
    at = 0
    for column in table_input.columns:
        if column.name not in frame.columns:
            raise InvalidRequest(
                f"The table has no column {column.name!r}; it has {', '.join(map(repr, frame.columns[:50]))}.",
                field=column.name,
                received=None,
            )
        series, part = frame[column.name], out[:, at : at + column.width]
        if isinstance(column, CategoryColumn):
            _encode_words(column, series, part)
        else:
            _encode_numbers(column, series, decimal, part)
        at += column.width
    return out


def unreadable(table_input: TableInput, frame: pl.DataFrame, decimal: Decimal) -> list[tuple[int, str]]:
    """Position and column of each cell of ``frame`` that ``encode_table`` takes as missing though it says something."""
    found: list[tuple[int, str]] = []
    for column in table_input.columns:
        if isinstance(column, NumberColumn):
            series = frame[column.name]
            wrong = np.isnan(numbers_of(series, column.values, decimal, column.unit)) & ~missing_of(series)
            found += [(int(place), column.name) for place in np.flatnonzero(wrong)]
    return sorted(found)


def _learn_numbers(look: Look, train: NDArray[np.int64]) -> NumberColumn:
    assert look.numbers is not None  # noqa: S101 (the caller has looked)
    numbers = look.numbers[train]
    absent = np.isnan(numbers)
    median = float(np.median(numbers[~absent])) if not absent.all() else 0.0
    filled = np.where(absent, median, numbers)
    mean, std = float(filled.mean()), float(filled.std())
    # A column that is constant in the training part says nothing, whatever other rows have: it becomes 0.
    std = std if std > 1e-12 * float(np.abs(filled).max()) else 0.0
    farthest = float(np.abs(filled - mean).max()) / std if std else 0.0
    return NumberColumn(
        name=look.name,
        values=look.values,
        median=median,
        mean=mean,
        std=std,
        farthest=min(FARTHEST, max(NEAR, farthest)),
        unit=look.unit,
        flag=bool(absent.mean() >= MANY_MISSING),
    )


def _learn_words(look: Look, train: NDArray[np.int64]) -> CategoryColumn:
    assert look.words is not None  # noqa: S101 (the caller has looked)
    words = look.words.gather(train).alias("word")
    counts = words.drop_nulls().value_counts().sort("count", "word", descending=[True, False])
    # Words that stand once are what the place of the others is trained with.
    repeated = counts.filter(pl.col("count") > 1)
    kept = repeated["word"].head(MAX_CATEGORIES).to_list() or counts["word"].head(MAX_CATEGORIES).to_list()
    if not kept:  # none in the training part
        kept = look.words.drop_nulls().head(1).to_list()
    absent = words.null_count() / len(words)
    return CategoryColumn(name=look.name, categories=kept, most_frequent=kept[0], flag=absent >= MANY_MISSING)


def _encode_numbers(column: NumberColumn, series: pl.Series, decimal: Decimal, out: NDArray[np.float32]) -> None:
    numbers = numbers_of(series, column.values, decimal, column.unit)
    absent = np.isnan(numbers) | missing_of(series)
    numbers[absent] = column.median
    if column.std:
        out[:, 0] = np.clip((numbers - column.mean) / column.std, -column.farthest, column.farthest)
    if column.flag:
        out[:, 1] = absent


def _encode_words(column: CategoryColumn, series: pl.Series, out: NDArray[np.float32]) -> None:
    absent = missing_of(series)
    keys = spelled(series.set(pl.Series(absent), None)).fill_null(spelling(column.most_frequent))
    known = list(column.places)
    places = keys.replace_strict(known, list(column.places.values()), default=len(known), return_dtype=pl.Int64)
    out[np.arange(len(series)), places.to_numpy()] = 1.0
    if column.flag:
        out[:, -1] = absent
