"""How much each searched parameter mattered."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from saccade_models.search.rounds import Search, Trial, study_of

#: With fewer trials than this a share would be noise.
FEWEST = 6


def importance_of(search: Search, done: Sequence[Trial]) -> dict[str, float]:
    """Each parameter's share (0..1, together 1) of the value's variance over the space, the largest first, by a
    functional analysis of variance over a random forest (Hutter, Hoos and Leyton-Brown 2014). Empty where too few
    trials went well, or all gave the same.
    """
    values = [trial.value for trial in done if trial.value is not None]
    if len(values) < FEWEST or max(values) - min(values) <= 0:
        return {}
    went_well = [trial for trial in done if trial.value is not None]
    found = get_param_importances(study_of(search, went_well), evaluator=FanovaImportanceEvaluator(seed=search.seed))
    return {name: round(float(share), 4) for name, share in found.items()}
