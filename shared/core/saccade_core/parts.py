"""A long job in pieces: what a runner plans, and what its join gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a long job, run by whichever worker is free. ``spec`` is JSON (1 MiB at most) that only the runner
    understands; ``weight`` (above 0) is its share of the work (frames), for the job's progress. A job's parts are
    numbered from 0 on, in order; there may be 5,000. A part that fails for good fails its job, but for one that
    ``may_fail``: that one is done, with its error.

    A runner of a kind with ``parts`` has, beside ``run(inputs, params, context)``::

        plan(inputs, params, context) -> Sequence[Part] | Plan             # empty: call run() instead
        run_part(inputs, params, context, part: Part) -> dict[str, Any]    # small JSON; bulk goes into artefacts
        join(inputs, params, context, parts: Sequence[DonePart]) -> Result | Plan

    A join that gives a plan is called again, with all parts, once these further ones are done too. It may be called
    more than once with the same parts (its worker was killed), and should plan the same then.
    """

    index: int
    spec: Mapping[str, Any]
    weight: float = 1.0
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Parts to be run next, numbered on from those that are done, and how many the job is ``expected`` to have in all,
    for its progress; they may become more or fewer."""

    parts: Sequence[Part]
    expected: int = 0


@dataclass(frozen=True, slots=True)
class DonePart:
    """A finished part as ``join`` gets it, in the order of ``index``: what ``run_part`` gave, and its artefacts
    as local files below ``folder``, by their names. One that failed has neither, but an ``error`` (``code``,
    ``message``)."""

    part: Part
    result: Mapping[str, Any]
    folder: Path
    error: Mapping[str, Any] | None = None
