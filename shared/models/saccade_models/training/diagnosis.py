"""What a training's curves and gradients say, in words with the figures. Pure functions.

The limits are rules of thumb; each is measured in units of the blind baseline's loss, so that they fit every task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from saccade_models.training.params import (
    LEARNING_RATES,
    EpochRow,
    Finding,
    LayerGradient,
    StoppedBy,
    TrainingParams,
)
from saccade_models.training.yardstick import Yardstick

#: Layers next to the input whose gradient is so small a part of that next to the output do not learn.
VANISHED = 1e-3
#: Fewer layers cannot tell.
FEWEST_LAYERS = 4


@dataclass(frozen=True, slots=True)
class Curves:
    """All that the rules look at; ``history`` has at least one epoch, ``losses`` are its finite training losses and
    ``watched`` those that chose the best epoch."""

    history: Sequence[EpochRow]
    gradients: Sequence[LayerGradient]
    params: TrainingParams
    stopped_by: StoppedBy | None
    yardstick: Yardstick

    @property
    def losses(self) -> list[float]:
        return [r.loss for r in self.history if r.loss is not None]

    @property
    def validation(self) -> list[float]:
        return [r.val_loss for r in self.history if r.val_loss is not None and r.loss is not None]

    @property
    def watched(self) -> list[float]:
        return self.validation or self.losses

    @property
    def baseline(self) -> float:
        """The blind baseline's loss, not quite 0."""
        return max(self.yardstick.baseline_loss, 1e-6)

    @property
    def rate(self) -> float:
        return self.history[-1].learning_rate

    def norms(self, last: bool) -> list[float]:
        """The layers' gradients at the first or last time they were taken, those that are numbers."""
        if not self.gradients:
            return []
        epoch = self.gradients[-1 if last else 0].epoch
        return [g.gradient for g in self.gradients if g.epoch == epoch and g.gradient is not None]


def diagnose(
    history: Sequence[EpochRow],
    gradients: Sequence[LayerGradient],
    params: TrainingParams,
    stopped_by: StoppedBy | None,
    yardstick: Yardstick,
) -> list[Finding]:
    """What can be said, the gravest first; that all is well where no rule speaks."""
    if not history:
        return []
    curves = Curves(history, gradients, params, stopped_by, yardstick)
    found = [finding for rule in _RULES if (finding := rule(curves)) is not None]
    return found or [_train_longer(curves) or _healthy(curves)]


def _diverged(curves: Curves) -> Finding | None:
    losses = curves.losses
    if curves.stopped_by == "diverged":
        before = f"it was {losses[-1]:.4g} before" if losses else "from the first epoch on"
        text = f"The loss diverged: it was no number any more in epoch {curves.history[-1].epoch} ({before})."
    elif losses and losses[-1] > max(10 * curves.baseline, 2 * min(losses)):
        text = (
            f"The loss diverged: it ended at {losses[-1]:.4g}, where answering blindly has {curves.baseline:.4g}"
            f" and the best epoch had {min(losses):.4g}."
        )
    else:
        return None
    return Finding(code="diverged", text=f"{text} {_lower_rate(curves)}")


def _lower_rate(curves: Curves) -> str:
    good = LEARNING_RATES[curves.params.optimizer]
    wanted = good if curves.rate > good else curves.rate / 10
    return f"Try a lower learning rate: {wanted:.2g} instead of {curves.rate:.2g}; and check the data for wild values."


def _exploding(curves: Curves) -> Finding | None:
    first, last = curves.norms(last=False), curves.norms(last=True)
    broken = any(g.gradient is None for g in curves.gradients)
    if not first or (not broken and not (last and median(last) > 100 * max(median(first), 1e-6))):
        return None
    grown = f"from {median(first):.2g} to {median(last):.2g}" if last and not broken else f"from {median(first):.2g} on"
    return Finding(
        code="exploding_gradients",
        text=f"The gradients exploded: a weight's typical one grew {grown}"
        f"{' until it was no number any more' if broken else ''}. Try a lower learning rate, batch normalisation, or"
        " fewer layers.",
    )


def _vanishing(curves: Curves) -> Finding | None:
    first, last = curves.norms(last=False), curves.norms(last=True)
    if len(last) < FEWEST_LAYERS or max(last) == 0:
        return None
    blind = min(curves.watched, default=0) > 0.9 * curves.baseline
    now, then = _reaches(last), _reaches(first)
    if not (now < VANISHED or (then < VANISHED and blind)):
        return None
    layers = [g for g in curves.gradients if g.epoch == curves.gradients[0].epoch]
    text = (
        f"The gradients vanish: in {layers[0].layer}, next to the input, a weight's gradient is {min(now, then):.1e}"
        f" times that in {layers[-1].layer}, next to the output, so the {len(layers)} layers' first ones hardly learn."
    )
    saturating = curves.params.activation in {"sigmoid", "tanh"}
    mend = "activation relu with initializer he" if saturating else "batch normalisation"
    return Finding(code="vanishing_gradients", text=f"{text} Try {mend}, or fewer layers.")


def _reaches(norms: Sequence[float]) -> float:
    """The share of the output side's gradient that is left at the input side."""
    return norms[0] / max(norms[-1], 1e-30) if norms else 1.0


def _under_fitting(curves: Curves) -> Finding | None:
    losses = curves.losses
    if not losses or curves.stopped_by == "diverged" or min(losses) < 0.97 * curves.baseline:
        return None
    advice = (
        f" Try more or larger hidden layers, another learning rate (now {curves.rate:.2g}), or other inputs: these may"
        " say nothing of the target."
    )
    return Finding(
        code="under_fitting",
        text=f"The network under-fits: its best training loss, {min(losses):.4g}, is no better than that of answering"
        f" blindly, {curves.baseline:.4g}.{'' if _vanishing(curves) else advice}",
    )


def _over_fitting(curves: Curves) -> Finding | None:
    valid, losses = curves.validation, curves.losses
    if not valid:
        return None
    best = min(range(len(valid)), key=valid.__getitem__)
    rise, gap = valid[-1] - valid[best], valid[best] - losses[best]
    rose = rise > max(0.05 * curves.baseline, 0.1 * valid[best]) and losses[-1] < losses[best]
    apart = gap > 0.15 * curves.baseline and losses[best] < 0.5 * valid[best]
    by_heart = valid[best] > 0.98 * curves.baseline and min(losses) < 0.8 * curves.baseline
    if rose:
        text = (
            f"The network over-fits: the validation loss was least in epoch {curves.history[best].epoch}"
            f" ({valid[best]:.4g}) and rose to {valid[-1]:.4g}, while the training loss fell on to {losses[-1]:.4g}."
            " The weights are those of the best epoch."
        )
    elif apart or by_heart:
        text = (
            f"The network over-fits: in its best epoch the validation loss is {valid[best]:.4g} and the training loss"
            f" {losses[best]:.4g} (answering blindly has {curves.baseline:.4g})."
        )
    else:
        return None
    missing = [
        *(["dropout"] if not curves.params.dropout else []),
        *(["patience, to stop early"] if rose and curves.params.patience is None else []),
        "fewer or smaller layers, or more data",
    ]
    return Finding(code="over_fitting", text=f"{text} Try {', '.join(missing)}.")


def _class_collapse(curves: Curves) -> Finding | None:
    given, majority = curves.yardstick.most_predicted, curves.yardstick.majority
    if given < 0.99 or majority > 0.95 or given - majority < 0.05 or _vanishing(curves):
        return None
    weigh = "class_weights balanced and " if curves.params.class_weights == "none" else ""
    return Finding(
        code="class_collapse",
        text=f"The network gives {given:.0%} of the rows one and the same class, which {majority:.0%} have at most."
        f" Try {weigh}a lower learning rate (now {curves.rate:.2g}).",
    )


def _learning_rate_high(curves: Curves) -> Finding | None:
    losses = curves.losses[-11:]
    if len(losses) < 6 or curves.stopped_by == "diverged" or mean(losses) < 0.05 * curves.baseline:
        return None
    steps = [(b - a) / max(a, 1e-9) for a, b in pairwise(losses)]
    rises = [s for s in steps if s > 0.03]
    if len(rises) < 0.3 * len(steps):
        return None
    larger = " or a larger batch" if curves.params.batch_size is not None and curves.params.batch_size < 16 else ""
    return Finding(
        code="learning_rate_high",
        text=f"The training loss swings: it rose in {len(rises)} of the last {len(steps)} epochs, by up to"
        f" {max(rises):.0%}. Try a lower learning rate, {curves.rate / 5:.2g} instead of {curves.rate:.2g}{larger}.",
    )


def _train_longer(curves: Curves) -> Finding | None:
    watched = curves.watched
    if curves.stopped_by not in {"epochs", "time_budget"} or len(watched) < 2:
        return None
    back = max(2, len(watched) // 5)
    if min(watched) < min(watched[-2:]):
        return None
    gain = (min(watched[:-back] or watched[:1]) - min(watched)) / max(min(watched[:-back] or watched[:1]), 1e-9)
    if gain < 0.02 or gain * min(watched) < 0.002 * curves.baseline:
        return None
    what = "validation" if curves.validation else "training"
    more = "a longer time_budget_s" if curves.stopped_by == "time_budget" else f"more epochs than {len(curves.history)}"
    return Finding(
        code="train_longer",
        text=f"The {what} loss still fell when training ended, by {gain:.0%} over the last {back} epochs,"
        f" to {min(watched):.4g}. Try {more}, with patience.",
    )


def _healthy(curves: Curves) -> Finding:
    watched = curves.watched
    what = "validation" if curves.validation else "training"
    best = min(range(len(watched)), key=watched.__getitem__)
    return Finding(
        code="healthy",
        text=f"Nothing unusual: the {what} loss came down to {watched[best]:.4g} in epoch {curves.history[best].epoch}"
        f" of {len(curves.history)}; answering blindly has {curves.baseline:.4g}.",
    )


_RULES: Sequence[Callable[[Curves], Finding | None]] = (
    _diverged,
    _exploding,
    _vanishing,
    _under_fitting,
    _class_collapse,
    _over_fitting,
    _learning_rate_high,
)
