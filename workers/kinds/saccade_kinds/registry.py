"""Finds every kind of job: the folders of this package, and the entry points ``saccade.kinds``.

An entry point's value is the import path of a kind's folder (a package with ``contract.py``, ``runner.py`` and
``sample/``), so a kind from another installed package joins without a change here.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import saccade_kinds
from saccade_core.errors import UnknownKind
from saccade_core.kind import Context, Inputs, Kind, Params, Result

Runner = Callable[[Inputs, Any, Context], Result]


@dataclass(frozen=True, slots=True)
class Sample:
    """A small request that works: files by input name, and params."""

    files: Mapping[str, list[Path]]
    params: Mapping[str, Any]


@cache
def kinds() -> Mapping[str, Kind]:
    """All kinds by name, in alphabetical order."""
    return {name: kind for name, (kind, _) in sorted(_packages().items())}


def get(name: str) -> Kind:
    """The kind called ``name``; raises UnknownKind with the names there are."""
    try:
        return kinds()[name]
    except KeyError:
        raise UnknownKind(
            f"There is no kind of job called {name!r}; there are: {', '.join(kinds())}.",
            field="kind",
            received=name,
        ) from None


def load_runner(name: str) -> Runner:
    """Import the kind's runner; heavy, so only a worker's child process does it."""
    get(name)
    return import_module(f"{_packages()[name][1]}.runner").run


def validate_params(kind: Kind, params: Mapping[str, Any]) -> Params:
    """Parameters as the kind's model; raises pydantic.ValidationError."""
    return kind.params.model_validate(dict(params))


@cache
def sample(name: str) -> Sample:
    """The kind's own sample request."""
    get(name)
    module = import_module(_packages()[name][1])
    folder = Path(str(module.__file__)).parent / "sample"
    request: dict[str, Any] = json.loads((folder / "request.json").read_text("utf-8"))
    files = {
        key: [folder / f for f in ([value] if isinstance(value, str) else value)]
        for key, value in request["inputs"].items()
    }
    return Sample(files=files, params=request["params"])


@cache
def _packages() -> dict[str, tuple[Kind, str]]:
    own = [f"{saccade_kinds.__name__}.{m.name}" for m in pkgutil.iter_modules(saccade_kinds.__path__) if m.ispkg]
    others = [point.value for point in entry_points(group="saccade.kinds")]
    found: dict[str, tuple[Kind, str]] = {}
    for package in [*own, *others]:
        kind: Kind = import_module(f"{package}.contract").KIND
        if kind.name in found:
            raise RuntimeError(f"Two kinds are called {kind.name!r}: {found[kind.name][1]} and {package}.")
        found[kind.name] = (kind, package)
    return found
