"""What the child process is to do with a job, as both sides of the pipe write it: all of it, a part, or the join."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from saccade_core.errors import EngineFailed
from saccade_core.parts import DonePart, Part, Plan

#: A job that has more, or larger, parts than this is a runner's mistake.
MOST_PARTS = 5000
_SPEC_BYTES = 1 << 20


class Split(Exception):
    """The runner planned parts instead of a result."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(f"{len(plan.parts)} parts")
        self.plan = plan


@dataclass(frozen=True, slots=True)
class Step:
    """``run`` plans first, where the kind has parts; ``run_part`` has the part to run, ``join`` those that are done,
    and may plan more."""

    name: Literal["run", "run_part", "join"] = "run"
    part: Part | None = None
    parts: Sequence[DonePart] = ()

    def message(self) -> dict[str, Any]:
        """This as JSON; ``read_step`` is its inverse."""
        done = [
            {**_part(d.part), "result": dict(d.result), "folder": str(d.folder), "error": d.error and dict(d.error)}
            for d in self.parts
        ]
        return {"name": self.name, "part": _part(self.part) if self.part else None, "parts": done}


def read_step(message: Mapping[str, Any]) -> Step:
    """What ``Step.message`` wrote."""
    part = _read_part(message["part"]) if message["part"] else None
    done = tuple(
        DonePart(_read_part(item), item["result"], Path(item["folder"]), item["error"]) for item in message["parts"]
    )
    return Step(message["name"], part, done)


def tell_plan(plan: Plan) -> dict[str, Any]:
    """A plan as JSON; ``read_plan`` is its inverse."""
    return {"parts": [_part(part) for part in plan.parts], "expected": plan.expected}


def read_plan(message: Any, step: Step) -> Plan:
    """A plan that the child process told of this step; EngineFailed where it cannot be one."""
    first = len(step.parts)
    checks: list[Callable[[Sequence[Part]], bool]] = [
        lambda parts: step.name != "run_part" and len(parts) > 0,
        lambda parts: first + len(parts) <= MOST_PARTS,
        lambda parts: [part.index for part in parts] == list(range(first, first + len(parts))),
        lambda parts: all(math.isfinite(part.weight) and part.weight > 0 for part in parts),
        lambda parts: all(len(json.dumps(part.spec)) <= _SPEC_BYTES for part in parts),
    ]
    try:
        plan = Plan([_read_part(item) for item in message["parts"]], min(int(message["expected"]), MOST_PARTS))
        right = all(check(plan.parts) for check in checks)
    except (KeyError, TypeError, ValueError):
        right, plan = False, Plan(())
    if not right:
        raise EngineFailed("The runner planned parts that cannot be: their number, order, size or weights are wrong.")
    return plan


def _part(part: Part) -> dict[str, Any]:
    return {"index": part.index, "spec": dict(part.spec), "weight": part.weight, "may_fail": part.may_fail}


def _read_part(item: Mapping[str, Any]) -> Part:
    return Part(int(item["index"]), dict(item["spec"]), float(item["weight"]), bool(item["may_fail"]))
