"""Which trials come next. Nothing but the trials that are done is remembered between rounds: the same give the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from saccade_models.search.space import Choices, Domain

optuna.logging.set_verbosity(optuna.logging.WARNING)

Direction = Literal["maximize", "minimize"]

#: Points that are spread evenly before anything can be learnt from earlier ones: so many, or a third of a short search.
_MOST_SPREAD = 10
#: How often a proposal that was tried already is drawn anew.
_DRAWS = 64


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of the search. ``values`` are the searched parameters as the training takes them; ``value`` is what
    the search is for, None where the training failed."""

    number: int
    values: Mapping[str, Any]
    value: float | None


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched: ``trials`` in all, ``parallel`` in a round; ``whole`` names those that are whole numbers."""

    space: Mapping[str, Domain]
    whole: frozenset[str]
    direction: Direction
    trials: int
    parallel: int
    seed: int

    @property
    def spread(self) -> int:
        """How many of the first trials are spread evenly over the space."""
        return min(self.trials, max(self.parallel, min(_MOST_SPREAD, self.trials // 3)))

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The space as Optuna writes it."""
        return {name: _distribution(self.space[name], name in self.whole) for name in sorted(self.space)}

    def better(self, one: float, other: float) -> bool:
        """Whether a trial of the value ``one`` is better than one of the value ``other``."""
        return one > other if self.direction == "maximize" else one < other

    def best(self, done: Sequence[Trial]) -> Trial | None:
        """The best trial, of equal ones the first; None where all failed."""
        scored = [(trial.value, trial) for trial in done if trial.value is not None]
        pick = max if self.direction == "maximize" else min
        return pick(scored, key=lambda pair: pair[0])[1] if scored else None


def next_round(search: Search, done: Sequence[Trial]) -> list[dict[str, Any]]:
    """The searched parameters of the next trials; fewer than ``parallel`` at the end, none when nothing is left to try.

    The first trials are points of a scrambled Halton sequence (Owen 2017), which leave no part of the space empty; the
    later ones are proposed by the multivariate tree-structured Parzen estimator (Bergstra et al. 2011; Falkner et al.
    2018) of Optuna, that takes trials of the same round as if they had gone badly ("constant liar"), so that they are
    not alike. No parameters are tried twice.
    """
    wanted = min(search.parallel, search.trials - len(done))
    if wanted <= 0:
        return []
    # Each round draws from a generator of its own, whichever worker plans it.
    seed = int(np.random.SeedSequence([search.seed, len(done)]).generate_state(1)[0])
    tried = {_text(trial.values) for trial in done}
    found: list[dict[str, Any]] = []
    spread = max(0, min(wanted, search.spread - len(done)))
    _add_new(found, tried, _spread_points(search, len(done)), spread)
    if len(found) < wanted:
        _add_new(found, tried, _Proposals(search, done, found, seed), wanted)
    return found


def study_of(search: Search, done: Sequence[Trial], seed: int = 0) -> optuna.Study:
    """The trials as Optuna's study; one that failed counts as the worst of those that did not."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction=search.direction, sampler=sampler)
    values = [trial.value for trial in done if trial.value is not None]
    worst = (min(values) if search.direction == "maximize" else max(values)) if values else None
    distributions = search.distributions
    for trial in done:
        value = worst if trial.value is None else trial.value
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        study.add_trial(_frozen(distributions, trial.values, state, value))
    return study


class _Proposals:
    """Optuna's proposals, one after the other; an iterator that ends when too many were tried already."""

    def __init__(self, search: Search, done: Sequence[Trial], running: Sequence[Mapping[str, Any]], seed: int) -> None:
        self._study = study_of(search, done, seed)
        self._distributions = search.distributions
        self._left = _DRAWS
        for values in running:
            self._study.add_trial(_frozen(self._distributions, values, TrialState.RUNNING, None))

    def __iter__(self) -> _Proposals:
        return self

    def __next__(self) -> dict[str, Any]:
        if self._left == 0:
            raise StopIteration
        self._left -= 1
        return _values(self._study.ask(self._distributions).params, self._distributions)


def _add_new(found: list[dict[str, Any]], tried: set[str], proposals: Any, wanted: int) -> None:
    """Add proposals that were not tried yet until there are ``wanted``, or there are no more."""
    for values in proposals if len(found) < wanted else ():
        text = _text(values)
        if text not in tried:
            tried.add(text)
            found.append(values)
        if len(found) >= wanted:
            return


def _spread_points(search: Search, first: int) -> list[dict[str, Any]]:
    distributions = search.distributions
    points = qmc.Halton(len(distributions), scramble=True, rng=search.seed).random(search.spread)[first:]
    return [
        {
            name: _at(distribution, float(u))
            for (name, distribution), u in zip(distributions.items(), point, strict=True)
        }
        for point in points
    ]


def _at(distribution: BaseDistribution, u: float) -> Any:
    """The value that lies at the share ``u`` (0..1) of a domain."""
    match distribution:
        case CategoricalDistribution():
            return _chosen(distribution.choices[min(int(u * len(distribution.choices)), len(distribution.choices) - 1)])
        case FloatDistribution(low=low, high=high, log=True):
            return float(np.exp(np.log(low) + u * (np.log(high) - np.log(low))))
        case IntDistribution(low=low, high=high, log=True):
            return min(high, max(low, round(float(np.exp(np.log(low - 0.5) + u * np.log((high + 0.5) / (low - 0.5)))))))
        case FloatDistribution(low=low, high=high, step=None):
            return low + u * (high - low)
        case FloatDistribution(low=low, high=high, step=float(step)):
            return low + min(int(u * (round((high - low) / step) + 1)), round((high - low) / step)) * step
        case IntDistribution(low=low, high=high, step=step):
            return low + min(int(u * ((high - low) // step + 1)), (high - low) // step) * step
        case _:
            raise TypeError(f"{distribution} is not a domain of a search")


def _distribution(domain: Domain, whole: bool) -> BaseDistribution:
    if isinstance(domain, Choices):
        return CategoricalDistribution([json.dumps(choice) for choice in domain.choices])
    if whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _frozen(
    distributions: Mapping[str, BaseDistribution], values: Mapping[str, Any], state: TrialState, value: float | None
) -> FrozenTrial:
    inside = {
        name: json.dumps(values[name]) if isinstance(distribution, CategoricalDistribution) else values[name]
        for name, distribution in distributions.items()
    }
    return optuna.create_trial(state=state, params=inside, distributions=dict(distributions), value=value)


def _values(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {
        name: _chosen(params[name]) if isinstance(distribution, CategoricalDistribution) else params[name]
        for name, distribution in distributions.items()
    }


def _chosen(text: Any) -> Any:
    return json.loads(str(text))


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
