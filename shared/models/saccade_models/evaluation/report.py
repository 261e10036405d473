"""A measure as pictures and a table: precision over recall, confusion, figures of each class."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from saccade_models.draw import PALETTE
from saccade_models.evaluation.measure import RECALLS, ClassMeasure, Measure
from saccade_models.formats.cells import cell

#: Curves with a legend, and rows of the matrix, that still can be read.
MOST_CURVES, MOST_ROWS = 16, 30
#: The rest of the classes in one row and column, and no class at all.
OTHERS, BACKGROUND = "other classes", "background"
HEADER = ("label", "truths", "predictions", "ap50", "ap50_95", "ap", "precision", "recall", "f1", "score")


def write_csv(path: Path, classes: Sequence[ClassMeasure]) -> None:
    """A row for each class, with ``HEADER``'s columns; what is not defined is empty, and no label is a formula."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for found in classes:
            rows.writerow(_shown(getattr(found, name)) for name in HEADER)


def _shown(value: str | float | None) -> str | float:
    if isinstance(value, str):
        return cell(value)
    return "" if value is None else round(value, 6)


def draw_curves(path: Path, measured: Measure, iou: float) -> None:
    """Precision over recall of each class, of the ``MOST_CURVES`` with most truths where there are more."""
    figure = Figure(figsize=(9, 5.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    counted = sorted((c for c in measured.classes if c.truths), key=lambda c: -c.truths)
    for color, found in zip(PALETTE, counted, strict=False):
        axes.plot(RECALLS, found.curve, color=color, linewidth=1.8, label=f"{found.ap:.3f}  {_short(found.label)}")
    mean = np.mean([c.curve for c in counted], axis=0)
    axes.plot(RECALLS, mean, color="black", linewidth=3, label=f"{measured.map:.3f}  mean of {len(counted)}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    hidden = len(counted) - MOST_CURVES
    axes.set_title(
        f"Precision over recall at IoU {iou:g}" + (f" ({hidden} classes not drawn)" if hidden > 0 else ""), fontsize=12
    )
    axes.grid(alpha=0.3)
    legend = axes.legend(title="average precision, class", loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    _plain(legend.get_texts())
    _save(figure, path)


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
    _plain([*axes.get_xticklabels(), *axes.get_yticklabels()])
    for row, column in np.argwhere(table > 0).tolist():
        color = "white" if share[row, column] > 0.55 else "black"
        axes.text(column, row, str(table[row, column]), ha="center", va="center", color=color, fontsize=9)
    axes.set(xlabel="predicted", ylabel="truth")
    axes.set_title(f"Matched at IoU {iou:g}, scores from {min_score:g}", fontsize=11)
    _save(figure, path)


def _readable(table: NDArray[np.int64], labels: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Classes that occur, at most ``MOST_ROWS`` of them, the rest as one; then background."""
    weight = table[:-1].sum(axis=1) + table[:, :-1].sum(axis=0)
    order = np.argsort(-weight, kind="stable")
    most = order[:MOST_ROWS]
    shown = np.sort(most[weight[most] > 0]).tolist()
    rest = np.setdiff1d(np.flatnonzero(weight > 0), shown)
    groups = [np.array([n]) for n in shown] + ([rest] if len(rest) else []) + [np.array([len(labels)])]
    small = np.array([[table[np.ix_(rows, columns)].sum() for columns in groups] for rows in groups], dtype=np.int64)
    names = [_short(str(labels[n])) for n in shown] + ([OTHERS] if len(rest) else []) + [BACKGROUND]
    return small, names


def _short(label: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in label)
    return shown if len(shown) <= 24 else shown[:23] + "…"


def _plain(texts: Sequence[object]) -> None:
    """Words from outside are words: a dollar sign starts no formula."""
    for text in texts:
        text.set_parse_math(False)  # pyright: ignore[reportAttributeAccessIssue] - matplotlib's Text


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(path)
