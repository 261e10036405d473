"""A measure as a picture and a table: precision over recall, figures of each class."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from saccade_models.draw import PALETTE
from saccade_models.evaluation.draw_confusion import plain, save, short
from saccade_models.evaluation.measure import RECALLS, ClassMeasure, Measure
from saccade_models.formats.cells import cell

#: Curves with a legend that still can be read.
MOST_CURVES = 16
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
        axes.plot(RECALLS, found.curve, color=color, linewidth=1.8, label=f"{found.ap:.3f}  {short(found.label)}")
    mean = np.mean([c.curve for c in counted], axis=0)
    axes.plot(RECALLS, mean, color="black", linewidth=3, label=f"{measured.map:.3f}  mean of {len(counted)}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    hidden = len(counted) - MOST_CURVES
    axes.set_title(
        f"Precision over recall at IoU {iou:g}" + (f" ({hidden} classes not drawn)" if hidden > 0 else ""), fontsize=12
    )
    axes.grid(alpha=0.3)
    legend = axes.legend(title="average precision, class", loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    plain(legend.get_texts())
    save(figure, path)
