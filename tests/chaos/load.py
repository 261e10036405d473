"""Mixed jobs, submitted over HTTP by several threads for as long as the mischief lasts."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade_kinds import registry
from servers.stack import Stack

_MAX_ATTEMPTS = 20
_SUBMITTERS = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """One job to be submitted. ``key`` is its Idempotency-Key, its label, and what an echo writes."""

    key: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def text(self) -> str | None:
        """What the job's artefact ``echo.txt`` holds, for jobs that have one."""
        return self.key if self.kind == "probe" else None

    @property
    def said(self) -> str | None:
        """The text of the job's result; a split job's has a line of each part."""
        parts = range(self.params.get("parts", 0))
        return "\n".join(f"{self.key} {index}" for index in parts) or self.text


def mixed(count: int, folder: Path, seed: int) -> list[Wanted]:
    """Echoes, sleeps, jobs that fail at first or are split, and small pictures; each probe notes its runs, or those of
    its plan and its join, in ``folder/key``."""
    chance = random.Random(seed)
    forms = chance.choices(["echo", "sleep", "fail_once", "split", "edit_image"], [40, 25, 10, 10, 15], k=count)
    return [_wanted(form, f"chaos-{number:04d}", folder, chance) for number, form in enumerate(forms)]


def submit_all(stack: Stack, jobs: Iterable[Wanted], lasting_s: float) -> dict[str, str]:
    """Submit the jobs evenly over ``lasting_s`` seconds; the accepted jobs' ids by key."""
    wanted = list(jobs)
    begin = time.monotonic()

    def submit(number: int) -> tuple[str, str]:
        job = wanted[number]
        time.sleep(max(0.0, begin + lasting_s * number / len(wanted) - time.monotonic()))
        labels = {"key": job.key}
        accepted = stack.client.submit(
            job.kind, job.inputs, job.params, idempotency_key=job.key, labels=labels, max_attempts=_MAX_ATTEMPTS
        )
        return job.key, accepted.id

    with ThreadPoolExecutor(_SUBMITTERS) as pool:
        return dict(pool.map(submit, range(len(wanted))))


def effects_of(folder: Path) -> Iterator[tuple[str, int]]:
    """How often each probe began to run, by key."""
    for path in folder.glob("chaos-????"):
        yield path.name, len(path.read_text().splitlines())


def _wanted(form: str, key: str, folder: Path, chance: random.Random) -> Wanted:
    if form == "edit_image":
        sample = registry.sample("edit_image")
        picture = base64.b64encode(sample.files["image"][0].read_bytes()).decode()
        return Wanted(key, form, dict(sample.params), {"image": f"data:image/png;base64,{picture}"})
    params: dict[str, Any] = {"mode": form, "text": key, "effects": str(folder / key)}
    if form == "split":
        params |= {"mode": "sleep", "parts": 3, "seconds": round(chance.uniform(0.2, 1.0), 1), "steps": 10}
    if form == "sleep":
        params |= {"seconds": round(chance.uniform(0.2, 2.0), 1), "steps": 10}
    return Wanted(key, "probe", params)
