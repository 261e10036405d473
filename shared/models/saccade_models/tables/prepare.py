"""From a table to what a network trains on: which columns are used, which rows, and a report of all that was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InvalidParams
from saccade_models.tables.columns import MOST, Found, Look, look_at
from saccade_models.tables.read import Table
from saccade_models.tables.target import Target, Task, read_target

#: Types of columns that are left out unless they are asked for.
_DROPPED = {
    "identifier": "it names each row",
    "text": "its words hardly repeat",
    "constant": "all its values are the same",
    "empty": "it has no values",
    "nested": "it holds lists, structures or bytes",
}
#: Words that are mostly digits, a number and a unit, or a date with its month's name.
_UNREAD = (
    r"^(?:[^\p{L}]*[0-9][^\p{L}]*|[+-]?[0-9][0-9.,]*\s?\p{L}{1,3}"
    r"|[0-9]{1,2}[ .-]+\p{L}{3,9}[ .,-]+[0-9]{2,4}|\p{L}{3,9} [0-9]{1,2},? [0-9]{4})$"
)
_UNREAD_REASON = "its values look like dates or numbers in a form that is not read; write 2026-01-31 or 1234.5"
#: Of these no use can be made even so.
_USELESS = frozenset({"empty", "nested"})


@dataclass(frozen=True, slots=True)
class Choice:
    """Which columns the user wants: ``drop`` never, ``keep`` even though they look useless."""

    target: str
    task: Literal["auto"] | Task = "auto"
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """``features``: the columns to learn from. ``dropped``: the others, with the reason. ``found``: dirty cells."""

    table: Table
    target: Target
    target_look: Look
    features: Sequence[Look]
    dropped: Sequence[tuple[Look, str]]
    found: Sequence[Found]

    @property
    def rows_left_out(self) -> int:
        """Rows that cannot be used."""
        return self.table.frame.height - len(self.target.at) + len(self.table.ragged.long)


def prepare(table: Table, choice: Choice, step: Callable[[], None]) -> Prepared:
    """Look at all columns of ``table``; ``step`` is called between them.

    Raises InvalidParams where a named column is not there, the target cannot be one, or no column is left.
    """
    target_name = _named(table, choice.target, "params.target")
    drop = {_named(table, name, f"params.drop[{i}]") for i, name in enumerate(choice.drop)}
    keep = {_named(table, name, f"params.keep[{i}]") for i, name in enumerate(choice.keep)}
    for name in (target_name, *sorted(keep)):
        if name in drop:
            raise InvalidParams(f"{name!r} is to be dropped, and to be used.", field="params.drop", received=name)
    looks: dict[str, Look] = {}
    for series in table.frame.iter_columns():
        step()
        looks[series.name] = look_at(series, table.decimal)
    target_look = looks.pop(target_name)
    target = read_target(target_look, choice.task)
    features, dropped = _sorted_out(list(looks.values()), drop, keep)
    none = np.zeros(table.frame.height, dtype=np.bool_)
    dropped += [(Look(name, "nested", none, 0), _DROPPED["nested"]) for name in table.nested]
    if not features:
        raise InvalidParams(
            "No column is left to learn from; 'keep' names those to use all the same.",
            field="params.drop",
            received=[f"{look.name}: {reason}" for look, reason in dropped[:20]],
        )
    found = [*target.found, *(f for look in features for f in _found(look))]
    return Prepared(table, target, target_look, features, dropped, found)


def _sorted_out(looks: Sequence[Look], drop: set[str], keep: set[str]) -> tuple[list[Look], list[tuple[Look, str]]]:
    features: list[Look] = []
    dropped: list[tuple[Look, str]] = []
    for look in looks:
        if look.name in drop:
            dropped.append((look, "asked for"))
        elif look.type in _USELESS or (look.type in _DROPPED and look.name not in keep):
            dropped.append((look, _reason(look)))
        else:
            features.append(look)
    return features, dropped


def _reason(look: Look) -> str:
    """Why a column of a type that is left out is."""
    if look.words is not None and look.type in {"identifier", "text"}:
        unread = look.words.drop_nulls().str.contains(_UNREAD)
        if int(unread.sum()) >= MOST * len(unread):
            return _UNREAD_REASON
    return _DROPPED[look.type]


def _found(look: Look) -> list[Found]:
    missing: NDArray[np.int64] = np.flatnonzero(look.missing)
    filled = "taken as the median" if look.words is None else "taken as the most frequent word"
    return [*look.found, *([Found(look.name, "missing", missing, filled)] if len(missing) else [])]


def _named(table: Table, name: str, place: str) -> str:
    """The column called so, blanks around the name or not; by its case only where that is not ambiguous."""
    columns = [*table.frame.columns, *table.nested]
    if name.strip() in table.frame.columns:
        return name.strip()
    alike = [column for column in table.frame.columns if column.casefold() == name.strip().casefold()]
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(repr(column[:100]) for column in columns[:100])
    raise InvalidParams(f"The table has no column {name.strip()[:100]!r}; it has {shown}.", field=place, received=name)
