"""What the child process is to do with a job, as both sides of the pipe write it: all of it, a part, or the join."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from saccade_core.errors import EngineFailed
from saccade_core.kind import DonePart, Part

#: A plan that has more, or larger, parts than this is a runner's mistake.
MOST_PARTS = 5000
_SPEC_BYTES = 1 << 20


class Split(Exception):
    """The runner planned parts instead of a result."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__(f"{len(parts)} parts")
        self.parts = parts


@dataclass(frozen=True, slots=True)
class Step:
    """``run`` plans first, where the kind has parts; ``run_part`` has the part to run, ``join`` those that are done."""

    name: Literal["run", "run_part", "join"] = "run"
    part: Part | None = None
    parts: Sequence[DonePart] = ()

    def message(self) -> dict[str, Any]:
        """This as JSON; ``read_step`` is its inverse."""
        done = [{**_part(d.part), "result": dict(d.result), "folder": str(d.folder)} for d in self.parts]
        return {"name": self.name, "part": _part(self.part) if self.part else None, "parts": done}


def read_step(message: Mapping[str, Any]) -> Step:
    """What ``Step.message`` wrote."""
    part = _read_part(message["part"]) if message["part"] else None
    done = tuple(DonePart(_read_part(item), item["result"], Path(item["folder"])) for item in message["parts"])
    return Step(message["name"], part, done)


def tell_plan(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """A plan as JSON; ``read_plan`` is its inverse."""
    return [_part(part) for part in parts]


def read_plan(message: Any) -> list[Part]:
    """A plan that the child process told; EngineFailed where it cannot be one."""
    checks: list[Callable[[list[Part]], bool]] = [
        lambda parts: 0 < len(parts) <= MOST_PARTS,
        lambda parts: [part.index for part in parts] == list(range(len(parts))),
        lambda parts: all(math.isfinite(part.weight) and part.weight > 0 for part in parts),
        lambda parts: all(len(json.dumps(part.spec)) <= _SPEC_BYTES for part in parts),
    ]
    try:
        parts = [_read_part(item) for item in message]
        right = all(check(parts) for check in checks)
    except (KeyError, TypeError, ValueError):
        right, parts = False, []
    if not right:
        raise EngineFailed("The runner planned parts that cannot be: their number, order, size or weights are wrong.")
    return parts


def _part(part: Part) -> dict[str, Any]:
    return {"index": part.index, "spec": dict(part.spec), "weight": part.weight}


def _read_part(item: Mapping[str, Any]) -> Part:
    return Part(int(item["index"]), dict(item["spec"]), float(item["weight"]))
