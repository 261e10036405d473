"""The models that kinds need on this machine: which, and how they get here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from saccade.stack.environments import chosen_python, environment, pool_pythons
from saccade_core.kind import ModelFiles
from saccade_kinds import registry
from saccade_models.weights import pull, trained_wanted

Say = Callable[[str], None]


def sample_models(kind: str) -> list[str]:
    """Names of the models that the kind's own sample needs, with those before it, each once."""
    sample = registry.sample(kind)
    return list(dict.fromkeys(name for step in (*sample.before, sample) for name in _models(step)))


def needed_models(kinds: Iterable[str]) -> list[str]:
    """Names of the models that these kinds' samples need, each once."""
    return sorted({name for kind in kinds for name in sample_models(kind)})


def _models(sample: registry.Sample) -> Sequence[str]:
    """What users train is not brought: the samples before this one make it."""
    kind = registry.get(sample.kind)
    named = kind.models(registry.validate_params(kind, sample.params))
    return [name for name in named if trained_wanted(kind, name) is None]


def bring(name: str, say: Say) -> ModelFiles:
    """The model, downloaded and exported where it is not here yet; the export runs in the torch pool's environment.

    Raises what ``saccade_models.weights.pull`` raises; StackError where that environment cannot be made.
    """

    def torch_python() -> Path:
        folder = environment("torch")
        if not chosen_python("torch") and folder is not None and not folder.exists():
            say(f"{name}: the export needs the environment of pool torch, several GB, made once")
        return pool_pythons(["torch"], say)["torch"]

    return pull(name, say, torch_python)
