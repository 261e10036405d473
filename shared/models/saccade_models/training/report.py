"""A training as files: its history as a table, curves, confusion and residuals as pictures."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from saccade_models.draw import PALETTE
from saccade_models.training.params import EpochRow, LayerGradient

TRAIN, VALID, BEST = PALETTE[2], PALETTE[3], PALETTE[1]
#: Classes whose counts and shares still can be written into the cells, and those whose counts can.
BOTH_WRITTEN, COUNTS_WRITTEN = 12, 30
#: Points of a scatter; of more, these are drawn at random.
MOST_POINTS = 5000


def write_history(path: Path, history: Sequence[EpochRow]) -> None:
    """A row for each epoch; figures that no epoch has are no columns, and one that is no number is an empty cell."""
    rows = [r.model_dump() for r in history]
    names = [n for n in EpochRow.model_fields if n in {"epoch", "loss"} or any(r[n] is not None for r in rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(names)
        table.writerows([f"{v:.8g}" if isinstance(v, float) else v for v in (row[n] for n in names)] for row in rows)


def draw_curves(path: Path, history: Sequence[EpochRow], best_epoch: int, title: str = "") -> None:
    """Loss and, beside it, accuracy (or mean absolute error) over the epochs, of training and validation."""
    metric = "mae" if any(r.mae is not None for r in history) else "accuracy"
    figure = Figure(figsize=(11, 4.4), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    _curve(left, history, "loss", best_epoch)
    _curve(right, history, metric, best_epoch)
    left.set_ylabel("loss")
    right.set_ylabel("mean absolute error" if metric == "mae" else "accuracy")
    if _spans(left):
        left.set_yscale("log")
    if left.get_lines():
        left.legend(fontsize=9)
    if title:
        figure.suptitle(_plain(title, 90), fontsize=12, parse_math=False)
    _save(figure, path)


def _curve(axes: Axes, history: Sequence[EpochRow], name: str, best_epoch: int) -> None:
    epochs = [r.epoch for r in history]
    marker = "o" if len(history) <= 30 else None
    style: dict[str, Any] = {"linewidth": 1.8, "marker": marker, "markersize": 3.5}
    shown: list[float | None] = []
    for prefix, color, label in (("", TRAIN, "training"), ("val_", VALID, "validation")):
        values: list[float | None] = [getattr(r, f"{prefix}{name}") for r in history]
        if any(v is not None for v in values):
            axes.plot(epochs, _numbers(values), color=color, label=label, **style)
            shown = values
    value = shown[best_epoch - 1] if 1 <= best_epoch <= len(shown) else None
    if value is not None:
        axes.axvline(best_epoch, color=BEST, linewidth=1, linestyle="--")
        label = f"best epoch: {best_epoch}"
        axes.plot([best_epoch], [value], "*", color=BEST, markersize=12, linestyle="none", label=label, zorder=3)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if v is None else v for v in values]


def _spans(axes: Axes) -> bool:
    """Whether the lines fall over so wide a range that only a logarithmic scale shows the end."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()] or [np.ones(1)])
    values = values[np.isfinite(values) & (values > 0)]
    return len(values) > 0 and values.max() / values.min() > 50


def draw_confusion(path: Path, table: Sequence[Sequence[int]], labels: Sequence[str], title: str = "") -> None:
    """Counts (C, C), truth down and answer across; colour is the share of the truth's row, which is written below the
    count while there is room. From 31 classes on only colours, and the largest confusions are named."""
    counts = np.asarray(table, dtype=np.int64)
    size = len(counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = 0.62 if size <= BOTH_WRITTEN else 0.42 if size <= COUNTS_WRITTEN else 0.12
    side = min(16.0, 3.0 + cell * size)
    figure = Figure(figsize=(side + 1.2, side), dpi=110, layout="constrained")
    axes = figure.subplots()
    # Without numbers the few that are wrong must be seen by their colour.
    norm = PowerNorm(1 if size <= COUNTS_WRITTEN else 0.4, vmin=0, vmax=1)
    image = axes.imshow(share, cmap="Blues", norm=norm)
    figure.colorbar(image, ax=axes, label="share of the truth's row", shrink=0.8)
    _name_ticks(axes, labels, size)
    if size <= COUNTS_WRITTEN:
        _write_cells(axes, counts, share)
    axes.set_xlabel("predicted" if size <= COUNTS_WRITTEN else f"predicted\n{_largest(counts, labels)}")
    axes.set_ylabel("truth")
    if size > COUNTS_WRITTEN:
        axes.xaxis.label.set_parse_math(False)
    axes.set_title(_plain(title, 90), fontsize=11, parse_math=False)
    _save(figure, path)


def _name_ticks(axes: Axes, labels: Sequence[str], size: int) -> None:
    names = [_plain(labels[n]) if n < len(labels) else str(n) for n in range(size)]
    small = 9 if size <= COUNTS_WRITTEN else 6
    axes.set_xticks(np.arange(size), names, rotation=45 if size <= COUNTS_WRITTEN else 90, ha="right", fontsize=small)
    axes.set_yticks(np.arange(size), names, fontsize=small)
    for text in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        text.set_parse_math(False)
        text.set_rotation_mode("anchor")
    if size > COUNTS_WRITTEN:
        for text in axes.get_xticklabels():
            text.set_verticalalignment("center")


def _write_cells(axes: Axes, counts: NDArray[np.int64], share: NDArray[np.float64]) -> None:
    both = len(counts) <= BOTH_WRITTEN
    for row, column in np.argwhere(counts > 0).tolist():
        color = "white" if share[row, column] > 0.55 else "black"
        words = f"{counts[row, column]}\n{share[row, column]:.0%}" if both else str(counts[row, column])
        axes.text(column, row, words, ha="center", va="center", color=color, fontsize=9 if both else 7)


def _largest(counts: NDArray[np.int64], labels: Sequence[str]) -> str:
    """The confusions that happen most, in words."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:4]
    pairs = [(int(n) // len(wrong), int(n) % len(wrong)) for n in order]
    told = [f"{_plain(labels[a])} taken for {_plain(labels[b])}: {wrong[a, b]}" for a, b in pairs if wrong[a, b]]
    return "most often " + "; ".join(told) if told else "no row was confused"


def draw_residuals(path: Path, truth: NDArray[Any], answers: NDArray[Any], unit: str = "") -> None:
    """Predicted over true values, (N,) each, and how the differences are spread. ``unit``: the target's name."""
    truth, answers = np.asarray(truth, dtype=float).reshape(-1), np.asarray(answers, dtype=float).reshape(-1)
    figure = Figure(figsize=(11, 4.8), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    few = np.random.default_rng(0).permutation(len(truth))[:MOST_POINTS]
    alpha = float(np.clip(200 / len(few), 0.15, 0.8))
    left.scatter(truth[few], answers[few], s=14, alpha=alpha, color=TRAIN, linewidths=0)
    low, high = min(truth.min(), answers.min()), max(truth.max(), answers.max())
    left.plot([low, high], [low, high], color="black", linewidth=1, linestyle="--", label="predicted = true")
    left.set_xlabel(f"true {_plain(unit)}".strip(), parse_math=False)
    left.set_ylabel(f"predicted {_plain(unit)}".strip(), parse_math=False)
    left.legend(fontsize=9)
    residuals = answers - truth
    middle, reach = (residuals.min() + residuals.max()) / 2, np.ptp(residuals) / 2
    reach = max(reach, 1e-6 * float(np.abs(truth).max()), 1e-9)  # all the same are a bar, too
    bins = np.linspace(middle - reach, middle + reach, 1 + min(60, max(8, round(2 * len(residuals) ** (1 / 3)))))
    right.hist(residuals, bins=bins.tolist(), color=TRAIN, alpha=0.8)
    right.axvline(0, color="black", linewidth=1, linestyle="--")
    right.axvline(residuals.mean(), color=VALID, linewidth=1.5, label=f"mean {residuals.mean():.3g}")
    right.set(xlabel="predicted - true", ylabel="rows")
    right.legend(fontsize=9, title=f"standard deviation {residuals.std():.3g}", title_fontsize=9)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    _save(figure, path)


def draw_gradients(path: Path, gradients: Sequence[LayerGradient]) -> None:
    """The root mean square of the gradient over each layer's weights, from input to output, by epoch."""
    epochs = sorted({g.epoch for g in gradients})
    layers = list(dict.fromkeys(g.layer for g in gradients))
    figure = Figure(figsize=(max(6.0, 2.5 + 0.55 * len(layers)), 4.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    for n, epoch in enumerate(epochs):
        at = {g.layer: g.gradient for g in gradients if g.epoch == epoch}
        values = _numbers([at.get(name) or None for name in layers])
        label = "before the first epoch" if epoch == 0 else f"after epoch {epoch}"
        axes.plot(range(len(layers)), values, marker="o", linewidth=1.8, color=PALETTE[(2, 3, 1)[n % 3]], label=label)
    axes.set_yscale("log")
    axes.set_xticks(range(len(layers)), [_plain(name) for name in layers], rotation=45, ha="right", fontsize=8)
    for text in axes.get_xticklabels():
        text.set_parse_math(False)
    axes.set(ylabel="gradient of a weight (root mean square)", xlabel="layer, from input to output")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    _save(figure, path)


def _plain(words: str, most: int = 24) -> str:
    """Words from outside on one line, short, without what cannot be drawn."""
    shown = "".join(c if c.isprintable() else " " for c in words)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(path)
