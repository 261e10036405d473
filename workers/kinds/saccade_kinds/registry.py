"""Finds every kind of job: the folders of this package, and the entry points ``saccade.kinds``.

An entry point's value is the import path of a kind's folder (a package with ``contract.py``, ``runner.py`` and
``sample/``), so a kind from another installed package joins without a change here.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

import saccade_kinds
from saccade_core.errors import UnknownKind
from saccade_core.kind import Context, Inputs, Kind, Params, Result
from saccade_core.parts import DonePart, Part, Plan

Runner = Callable[[Inputs, Any, Context], Result]


class PartsRunner(Protocol):
    """The runner of a kind with parts; saccade_core.parts.Part says what each function does."""

    def run(self, inputs: Inputs, params: Any, context: Context, /) -> Result: ...

    def plan(self, inputs: Inputs, params: Any, context: Context, /) -> Sequence[Part] | Plan: ...

    def run_part(self, inputs: Inputs, params: Any, context: Context, part: Part, /) -> Mapping[str, Any]: ...

    def join(self, inputs: Inputs, params: Any, context: Context, parts: Sequence[DonePart], /) -> Result | Plan: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """A small request that works: the kind, files by input name, and params.

    ``before``: samples that must have succeeded before this one can (a gallery is filled before it is searched).
    """

    kind: str
    files: Mapping[str, list[Path]]
    params: Mapping[str, Any]
    before: tuple[Sample, ...] = ()


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


def load_parts_runner(name: str) -> PartsRunner:
    """As ``load_runner``, for a kind with parts: all four functions."""
    load_runner(name)
    return cast("PartsRunner", import_module(f"{_packages()[name][1]}.runner"))


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
    before = tuple(_sample(earlier["kind"], earlier, folder) for earlier in request.get("before", []))
    return replace(_sample(name, request, folder), before=before)


def _sample(kind: str, request: Mapping[str, Any], folder: Path) -> Sample:
    get(kind)
    files = {
        key: [folder / f for f in ([value] if isinstance(value, str) else value)]
        for key, value in request["inputs"].items()
    }
    return Sample(kind=kind, files=files, params=request["params"])


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
