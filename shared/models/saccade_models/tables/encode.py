"""Rows of a table as a network takes them: what a training learnt of its columns, saved beside the model as
``preprocess.json``. Light: pydantic only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from saccade_core.errors import InvalidRequest
from saccade_models.tables.values import (
    Decimal,
    NumberValues,
    is_missing,
    parse_boolean,
    parse_day,
    parse_number,
    spelling,
    text_of,
    without_unit,
)

#: Standardised values stay within this, so that they are finite in float32 whatever a row says.
FARTHEST = 1e6
_SHOWN = 100


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NumberColumn(_Model):
    """A number x becomes ``(x - mean) / std``, within -farthest to farthest, and 0 where ``std`` is 0 (all numbers of
    the training part were one); a missing one is taken for ``median``. With ``flag`` a second value says 1 where it was
    missing, else 0. All are of the training part; truth values are 0 and 1, dates days since 1970-01-01. ``unit`` may
    stand behind or before the number."""

    type: Literal["number"] = "number"
    name: str
    values: NumberValues = "number"
    median: float
    mean: float
    std: float = Field(ge=0)
    farthest: float = Field(default=FARTHEST, gt=0, le=FARTHEST)
    unit: str = Field(default="", max_length=8)
    flag: bool = False

    @property
    def width(self) -> int:
        """Values it gives the network."""
        return 1 + self.flag

    def read(self, text: str, decimal: Decimal) -> float | None:
        """The cell's number; None where it is none."""
        match self.values:
            case "boolean":
                return parse_boolean(text)
            case "date":
                return parse_day(text)
            case _:
                return parse_number(without_unit(text, self.unit), decimal)

    def scaled(self, number: float) -> float:
        """``number``, standardised."""
        if self.std == 0:
            return 0.0
        return min(self.farthest, max(-self.farthest, (number - self.mean) / self.std))

    def encode(self, text: str | None, decimal: Decimal) -> list[float] | None:
        """The network's values of a cell, None: missing. Gives None where the cell breaks the column's rule."""
        if text is None:
            return [self.scaled(self.median), *([1.0] if self.flag else [])]
        number = self.read(text, decimal)
        return None if number is None else [self.scaled(number), *([0.0] if self.flag else [])]

    @property
    def rule(self) -> str:
        """What a value must be."""
        match self.values:
            case "boolean":
                return "must be true or false (yes, no, 1, 0)"
            case "date":
                return "must be a date as 2026-01-31"
            case _:
                return "must be a number, not beyond 1e30"


class CategoryColumn(_Model):
    """A word becomes a 1 among zeros: one place for each of ``categories`` and a last one for all other words. A
    missing one is taken for ``most_frequent``; with ``flag`` one more place says 1 where it was missing, else 0."""

    type: Literal["category"] = "category"
    name: str
    categories: list[str] = Field(min_length=1, max_length=1000)
    most_frequent: str
    flag: bool = False

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Each category's place by its spelling; what is not in it has the place ``len(categories)``."""
        return {spelling(word): place for place, word in enumerate(self.categories)}

    @property
    def width(self) -> int:
        """Values it gives the network."""
        return len(self.categories) + 1 + self.flag

    def encode(self, text: str | None, decimal: Decimal) -> list[float]:  # noqa: ARG002 (as NumberColumn's)
        """The network's values of a cell, None: missing."""
        values = [0.0] * self.width
        word = self.most_frequent if text is None else text
        values[self.places.get(spelling(word), len(self.categories))] = 1.0
        if self.flag:
            values[-1] = float(text is None)
        return values

    @property
    def rule(self) -> str:
        """What a value must be."""
        return (
            f"must be one of {', '.join(map(repr, self.categories[:20]))}{' ...' if len(self.categories) > 20 else ''}"
        )


Column = Annotated[NumberColumn | CategoryColumn, Field(discriminator="type")]


class TableInput(_Model):
    """How a raw row becomes the network's input, and what its outputs mean.

    The network takes the values of all ``columns``, in this order: float32 (N, ``width``). It gives (N, 1), the
    probability of the second label (binary) or the value in the target's unit (regression), or (N, classes), the
    probabilities of ``labels`` (multiclass).
    """

    kind: Literal["table"] = "table"
    columns: list[Column] = Field(min_length=1, max_length=2000)
    target: str
    task: Literal["binary", "multiclass", "regression"]
    labels: list[str] = Field(default_factory=list[str], max_length=1000)
    decimal: Decimal = "."

    @property
    def width(self) -> int:
        """D, the network's number of inputs."""
        return sum(column.width for column in self.columns)

    def encode_rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        field: str = "rows",
        unknown: Literal["other", "error"] = "other",
        decimal: Decimal | None = None,
    ) -> list[list[float]]:
        """N rows by column name as the network takes them, (N, width).

        A value may be null (it is filled in as in training), and columns that the network does not use may be there or
        not. Raises InvalidRequest, which names row, column, value and rule: where a column is not there, where a value
        is of a wrong type or cannot be read, and with ``unknown="error"`` where a category is one that the training
        did not know; else that counts as "other". ``decimal`` is the sign before fractions in numbers that are text,
        where it is not the training table's.
        """
        if decimal not in {None, self.decimal}:
            return self.model_copy(update={"decimal": decimal}).encode_rows(rows, field, unknown)
        return [self._encode_row(row, f"{field}[{number}]", unknown) for number, row in enumerate(rows)]

    def _encode_row(self, row: Mapping[str, Any], place: str, unknown: Literal["other", "error"]) -> list[float]:
        values: list[float] = []
        names = _trimmed(row)
        for column in self.columns:
            name = names.get(column.name)
            if name is None:
                raise _refused(
                    place, column.name, None, f"{column.name!r} is not there; it may be null, or", column.rule
                )
            encoded = self._encode_value(column, row[name], unknown)
            if encoded is None:
                raise _refused(place, column.name, row[name], f"{column.name!r}", column.rule)
            values += encoded
        return values

    def _encode_value(
        self, column: NumberColumn | CategoryColumn, value: Any, unknown: Literal["other", "error"]
    ) -> list[float] | None:
        """None where the value breaks the column's rule."""
        if value is None or (isinstance(value, str) and is_missing(value)):
            return column.encode(None, self.decimal)
        text = text_of(value)
        if text is None:
            return None
        if isinstance(column, CategoryColumn):
            known = unknown == "other" or spelling(text) in column.places
            return column.encode(text, self.decimal) if known else None
        if isinstance(value, bool) and column.values != "boolean":
            return None
        # A number of JSON has a point, whatever the table had.
        return column.encode(text, self.decimal if isinstance(value, str) else ".")


def _trimmed(row: Mapping[str, Any]) -> dict[str, str]:
    """The row's own names of columns, by their names without blanks around them."""
    return {name.strip(): name for name in row}


def _refused(place: str, column: str, value: Any, what: str, rule: str) -> InvalidRequest:
    shown = value if value is None or isinstance(value, int | float) else str(value)[:_SHOWN]
    return InvalidRequest(f"{place}: {what} {rule}.", field=f"{place}.{column}", received=shown)
