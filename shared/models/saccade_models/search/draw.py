"""The picture of a search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from saccade_models.search.rounds import Search, Trial
from saccade_models.search.space import Choices, Range

_DOT, _BEST, _FAILED = "#3b6fb6", "#d1495b", "#8a8a8a"
#: Parameters that are shown one by one, and places for them in a row.
_MOST_SLICES, _COLUMNS = 8, 4
_MOST_WORDS = 18


def draw_search(
    path: Path, search: Search, done: Sequence[Trial], metric: str, importance: Mapping[str, float]
) -> None:
    """A PNG: every trial's value with the best so far, each parameter's importance, and the value over each parameter.

    A trial that failed is a cross at the bad end. At least one trial has a value.
    """
    names = [*importance, *(name for name in search.space if name not in importance)][:_MOST_SLICES]
    rows = -(-len(names) // _COLUMNS)
    figure = Figure(figsize=(13, 4.2 + 2.9 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + rows, _COLUMNS, height_ratios=[1.35, *[1.0] * rows])
    limits = _limits(search, done)
    _history(figure.add_subplot(grid[0, :3]), search, done, metric, limits)
    _importances(figure.add_subplot(grid[0, 3]), importance)
    for place, name in enumerate(names):
        axes = figure.add_subplot(grid[1 + place // _COLUMNS, place % _COLUMNS])
        _slice(axes, search, done, name, limits)
        if place % _COLUMNS == 0:
            axes.set_ylabel(metric)
    figure.savefig(path, format="png")


def _limits(search: Search, done: Sequence[Trial]) -> tuple[float, float]:
    """What the value's axis shows: all but wild trials, with room for the crosses at the bad end."""
    values = np.array([trial.value for trial in done if trial.value is not None])
    low, high = float(values.min()), float(values.max())
    quarter, middle, three = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    reach = 4 * (three - quarter) or (high - low)
    if search.direction == "maximize":
        low = max(low, middle - reach)
    else:
        high = min(high, middle + reach)
    room = 0.08 * (high - low) or 0.05 * (abs(high) or 1.0)
    return low - room, high + room


def _placed(search: Search, trial: Trial, limits: tuple[float, float]) -> tuple[float, bool]:
    """Where the trial's mark is, and whether it is a cross: it failed, or is beyond the axis."""
    bad = limits[0] if search.direction == "maximize" else limits[1]
    if trial.value is None or not limits[0] <= trial.value <= limits[1]:
        inside = 0.03 * (limits[1] - limits[0])
        return (bad + inside if search.direction == "maximize" else bad - inside), True
    return trial.value, False


def _marks(axes: Axes, search: Search, done: Sequence[Trial], at: Sequence[float], limits: tuple[float, float]) -> None:
    best = search.best(done)
    placed = [_placed(search, trial, limits) for trial in done]
    for crosses, marker, color, label in ((False, "o", _DOT, "trial"), (True, "x", _FAILED, "failed or far off")):
        chosen = [n for n, (_, cross) in enumerate(placed) if cross is crosses]
        if chosen:
            heights = [placed[n][0] for n in chosen]
            axes.scatter(
                [at[n] for n in chosen], heights, s=34, c=color, marker=marker, alpha=0.75, label=label, zorder=3
            )
    for n, trial in enumerate(done):
        if best is not None and trial.number == best.number:
            axes.scatter([at[n]], [placed[n][0]], s=170, c=_BEST, marker="*", label="the best", zorder=4)
    axes.set_ylim(*limits)
    axes.grid(visible=True, alpha=0.3)


def _history(axes: Axes, search: Search, done: Sequence[Trial], metric: str, limits: tuple[float, float]) -> None:
    numbers = [float(trial.number + 1) for trial in done]
    so_far = [search.best(done[: n + 1]) for n in range(len(done))]
    known = [
        (number, found.value)
        for number, found in zip(numbers, so_far, strict=True)
        if found is not None and found.value is not None
    ]
    axes.step([n for n, _ in known], [v for _, v in known], where="post", color=_BEST, linewidth=2, label="best so far")
    _marks(axes, search, done, numbers, limits)
    for first in range(search.parallel, len(done), search.parallel):
        axes.axvline(first + 0.5, color="black", alpha=0.12, linewidth=1)
    if len(done) > search.spread:
        axes.axvspan(0.5, search.spread + 0.5, color="black", alpha=0.05, label="spread evenly")
    axes.set_xlim(0.5, len(done) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    wish = "higher" if search.direction == "maximize" else "lower"
    axes.set(xlabel="trial", ylabel=metric, title=f"{metric} of each trial ({wish} is better)")
    axes.legend(loc="best", fontsize=9)


def _importances(axes: Axes, importance: Mapping[str, float]) -> None:
    axes.set_title("Importance")
    if not importance:
        axes.axis("off")
        axes.text(0.5, 0.5, "too few trials", ha="center", va="center", color=_FAILED, transform=axes.transAxes)
        return
    shares = list(importance.items())[::-1]
    bars = axes.barh([_short(name) for name, _ in shares], [share for _, share in shares], color=_DOT)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in shares], padding=3, fontsize=9)
    axes.set_xlim(0, 1.18 * max(share for _, share in shares) or 1)
    axes.set_xlabel("share of the variance")
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _slice(axes: Axes, search: Search, done: Sequence[Trial], name: str, limits: tuple[float, float]) -> None:
    domain = search.space[name]
    if isinstance(domain, Choices):
        words = [json.dumps(choice) for choice in domain.choices]
        at = [float(words.index(json.dumps(trial.values[name]))) for trial in done]
        labels = axes.set_xticks(range(len(words)), [_short(_word(choice)) for choice in domain.choices])
        if len(words) > 3 or max(map(len, words)) > 8:
            axes.tick_params(axis="x", labelrotation=30)
        for label in labels:
            label.label1.set_parse_math(False)  # pyright: ignore[reportAttributeAccessIssue] - matplotlib's Text
        axes.set_xlim(-0.5, len(words) - 0.5)
    else:
        at = [float(trial.values[name]) for trial in done]
        _range_axis(axes, domain)
    _marks(axes, search, done, at, limits)
    axes.set_title(_short(name), fontsize=11)


def _range_axis(axes: Axes, domain: Range) -> None:
    if domain.log:
        axes.set_xscale("log")
        margin = (domain.high / domain.low) ** 0.04
        axes.set_xlim(domain.low / margin, domain.high * margin)
    else:
        margin = 0.04 * (domain.high - domain.low)
        axes.set_xlim(domain.low - margin, domain.high + margin)


def _word(choice: Any) -> str:
    return "-".join(map(str, choice)) if isinstance(choice, list) else str(choice)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_WORDS else text[: _MOST_WORDS - 1] + "…"
