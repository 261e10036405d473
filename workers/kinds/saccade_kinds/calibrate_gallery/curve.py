"""The picture of a calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from saccade_models.faces.calibrate import Calibration, Pairs

_IMPOSTOR, _GENUINE = "#c62828", "#2e8b57"
_BINS = np.linspace(-0.4, 1.0, 71)


def draw_curve(path: Path, found: Pairs, calibration: Calibration) -> None:
    """A PNG of 1,200 x 900 pixels: above the similarities of both sorts of pairs, below both error rates, each with
    the chosen threshold."""
    figure = Figure(figsize=(12, 9), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    for values, color, words in (
        (found.impostor, _IMPOSTOR, f"{calibration.impostor_pairs:,} pairs of different people"),
        (found.genuine, _GENUINE, f"{calibration.genuine_pairs:,} pairs of one person"),
    ):
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            above.hist(
                np.clip(values, _BINS[0], _BINS[-1]), _BINS, weights=weights, color=color, alpha=0.6, label=words
            )
    above.set_ylabel("share of the pairs")
    thresholds = [p.threshold for p in calibration.curve]
    for name, color, words in (
        ("false_accept_rate", _IMPOSTOR, "false-accept rate"),
        ("false_reject_rate", _GENUINE, "false-reject rate"),
    ):
        rates = [getattr(p, name) for p in calibration.curve]
        if rates[0] is not None:
            below.plot(thresholds, rates, color=color, label=words, linewidth=2)
    below.set_yscale("symlog", linthresh=1e-4)
    below.set_ylim(0, 1.2)
    below.set_ylabel("error rate")
    below.set_xlabel("cosine similarity")
    for axes in (above, below):
        chosen = calibration.point.threshold
        axes.axvline(chosen, color="black", linestyle="--", label=f"threshold {chosen:g}")
        axes.legend(loc="best")
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, format="png")
