"""What is taken for what, as a picture. It measures nothing itself, so that every pool has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

#: Rows of the matrix that still can be read.
MOST_ROWS = 30
#: The rest of the classes in one row and column, and no class at all.
OTHERS, BACKGROUND = "other classes", "background"


def draw_confusion(path: Path, table: NDArray[np.int64], labels: Sequence[str], iou: float, min_score: float) -> None:
    """The (C + 1, C + 1) counts of ``confusion``: colour is the share of the truth's row, numbers are counts."""
    table, names = _readable(table, labels)
    side = min(15.0, 3.2 + 0.55 * len(names))
    figure = Figure(figsize=(side + 1, side), dpi=110, layout="constrained")
    axes = figure.subplots()
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = np.arange(len(names))
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    plain([*axes.get_xticklabels(), *axes.get_yticklabels()])
    for row, column in np.argwhere(table > 0).tolist():
        color = "white" if share[row, column] > 0.55 else "black"
        axes.text(column, row, str(table[row, column]), ha="center", va="center", color=color, fontsize=9)
    axes.set(xlabel="predicted", ylabel="truth")
    axes.set_title(f"Matched at IoU {iou:g}, scores from {min_score:g}", fontsize=11)
    save(figure, path)


def _readable(table: NDArray[np.int64], labels: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Classes that occur, at most ``MOST_ROWS`` of them, the rest as one; then background."""
    weight = table[:-1].sum(axis=1) + table[:, :-1].sum(axis=0)
    order = np.argsort(-weight, kind="stable")
    most = order[:MOST_ROWS]
    shown = np.sort(most[weight[most] > 0]).tolist()
    rest = np.setdiff1d(np.flatnonzero(weight > 0), shown)
    groups = [np.array([n]) for n in shown] + ([rest] if len(rest) else []) + [np.array([len(labels)])]
    small = np.array([[table[np.ix_(rows, columns)].sum() for columns in groups] for rows in groups], dtype=np.int64)
    names = [short(str(labels[n])) for n in shown] + ([OTHERS] if len(rest) else []) + [BACKGROUND]
    return small, names


def short(label: str) -> str:
    """A label as words of a picture."""
    shown = "".join(c if c.isprintable() else " " for c in label)
    return shown if len(shown) <= 24 else shown[:23] + "…"


def plain(texts: Sequence[object]) -> None:
    """Words from outside are words: a dollar sign starts no formula."""
    for text in texts:
        text.set_parse_math(False)  # pyright: ignore[reportAttributeAccessIssue] - matplotlib's Text


def save(figure: Figure, path: Path) -> None:
    """Write a PNG."""
    FigureCanvasAgg(figure).print_png(path)
