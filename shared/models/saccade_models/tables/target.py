"""The column that is to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from saccade_core.errors import InvalidParams
from saccade_models.tables.columns import Found, Look
from saccade_models.tables.values import number_text, parse_boolean

Task = Literal["binary", "multiclass", "regression"]

MAX_CLASSES = 1000
#: Whole numbers of no more different values than this are taken for classes, where each stands often enough.
_FEW_CLASSES, _ROWS_A_CLASS = 20, 5


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be predicted. ``at``: (M,) positions of the rows that can be used; ``y``: (M,), of a binary task
    float32 of 0 and 1, of a multiclass one int64, of a regression float32; ``labels``: the classes' names."""

    name: str
    task: Task
    labels: Sequence[str]
    at: NDArray[np.int64]
    y: NDArray[np.float32] | NDArray[np.int64]
    found: Sequence[Found] = field(default_factory=list[Found])


def read_target(look: Look, task: Literal["auto"] | Task) -> Target:
    """The target's column as numbers; rows where it is missing or wrong are left out, and say so in ``found``.

    Raises InvalidParams where the column cannot be the target of ``task``.
    """
    numeric = look.numbers is not None
    if look.type == "empty":
        raise _unfit(look, "it has no values")
    if task == "regression" or (task == "auto" and _is_quantity(look)):
        if not numeric:
            raise _unfit(look, "a regression's target is a column of numbers; this one holds words")
        return _regression(look)
    return _classes(look, task)


def _is_quantity(look: Look) -> bool:
    """Whether a task that was left open is a regression: numbers, but few whole ones that repeat are classes."""
    if look.numbers is None or look.type == "boolean" or look.distinct <= 2:
        return False
    readable = look.numbers[np.isfinite(look.numbers)]
    whole = bool((readable == np.round(readable)).all())
    return not (whole and look.distinct <= _FEW_CLASSES and len(readable) >= _ROWS_A_CLASS * look.distinct)


def _regression(look: Look) -> Target:
    assert look.numbers is not None  # noqa: S101 (the caller has looked)
    y = look.numbers.astype(np.float32)
    at = np.flatnonzero(np.isfinite(y))
    if look.distinct < 2:
        raise _unfit(look, "all its values are the same")
    return Target(look.name, "regression", [], at, y[at], _left_out(look))


def _classes(look: Look, task: Literal["auto"] | Task) -> Target:
    words = _as_words(look)
    counts = words.drop_nulls().alias("word").value_counts()
    frequent = counts.filter(pl.col("count") > 1)
    found = _left_out(look)
    # A label that stands once cannot be learnt and measured; among frequent ones it is a slip.
    if 2 <= frequent.height < counts.height:
        once = words.is_in(counts.filter(pl.col("count") == 1)["word"].to_list()).fill_null(value=False)
        found.append(Found(look.name, "wrong_label", np.flatnonzero(once.to_numpy()), "row left out"))
        words, counts = words.set(once, None), frequent
    labels = _ordered(counts["word"].to_list())
    _check_classes(look, task, labels, counts)
    at = np.flatnonzero(words.is_not_null().to_numpy())
    y = words.drop_nulls().replace_strict(labels, list(range(len(labels))), return_dtype=pl.Int64).to_numpy()
    if task == "binary" or (task == "auto" and len(labels) == 2):
        return Target(look.name, "binary", labels, at, y.astype(np.float32), found)
    return Target(look.name, "multiclass", labels, at, y.copy(), found)


def _check_classes(look: Look, task: str, labels: Sequence[str], counts: pl.DataFrame) -> None:
    shown = ", ".join(repr(label[:40]) for label in labels[:20])
    if len(labels) < 2:
        raise _unfit(look, f"classes need at least two different values; there is {shown or 'none'}")
    if task == "binary" and len(labels) != 2:
        raise _unfit(look, f"a binary task has two classes; there are {len(labels)}: {shown}")
    if len(labels) > MAX_CLASSES:
        raise _unfit(look, f"there may be {MAX_CLASSES} classes at most; there are {len(labels)} different values")
    if counts.height > 2 and int(counts["count"].sum()) < 2 * counts.height:
        raise _unfit(look, "nearly every row has a value of its own: these are neither classes nor numbers")


def _as_words(look: Look) -> pl.Series:
    """The cells as names of classes; null where missing or wrong."""
    if look.words is not None:
        return look.words
    assert look.numbers is not None  # noqa: S101 (a column that is not of words is of numbers, or empty)
    unique = np.unique(look.numbers[np.isfinite(look.numbers)])
    names = [look.truths[round(n)] if look.values == "boolean" else number_text(n) for n in unique.tolist()]
    numbers = pl.Series(look.name, look.numbers).fill_nan(None)
    return numbers.replace_strict(unique, names, default=None, return_dtype=pl.String)


def _ordered(labels: Sequence[str]) -> list[str]:
    """Numbers by value, false before true, words by alphabet."""
    try:
        return sorted(labels, key=float)
    except ValueError:
        pass
    truths = {label: parse_boolean(label) for label in labels}
    return sorted(labels, key=lambda label: (truths[label] or 0.0, label.casefold()))


def _left_out(look: Look) -> list[Found]:
    """The target's dirty cells, whose rows cannot be used; other spellings are read."""
    found: list[Found] = []
    for cells in look.found:
        if cells.issue == "other_spelling":
            found.append(cells)
        elif cells.issue != "wrong_label" or look.words is None:
            found.append(Found(look.name, cells.issue, cells.at, "row left out"))
    if look.missing.any():
        found.append(Found(look.name, "missing_target", np.flatnonzero(look.missing), "row left out"))
    return found


def _unfit(look: Look, reason: str) -> InvalidParams:
    return InvalidParams(f"{look.name!r} cannot be the target: {reason}.", field="params.target", received=look.name)
