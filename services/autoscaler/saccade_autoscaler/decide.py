"""How many workers a pool should have: one pure function of what is seen and what was wanted lately.

As many as keep the expected wait under the pool's target: with n workers the last of the waiting jobs begins after
(work that waits + work that runs) / n seconds. More come at once, at most twice as many at a time, after a pause in
which the last ones could start. Fewer come when for ``scale_in_after_s`` never as many were wanted, as the
Horizontal Pod Autoscaler's stabilisation window has it
(https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#stabilization-window).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """A pool's rule: between ``least`` and ``most`` workers, so that a job waits ``target_wait_s`` at most."""

    least: int = 1
    most: int = 4
    target_wait_s: float = 10.0
    scale_in_after_s: float = 120.0
    cool_down_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.target_wait_s <= 0:
            raise ValueError("a pool has 0 <= least <= most workers and a target above 0 s")


@dataclass(frozen=True, slots=True)
class Seen:
    """A pool at second ``at``: its workers, started or starting; those that run a job; and how many seconds of one
    worker's time the due jobs that wait, and what is left of those that run, are expected to take."""

    at: float
    replicas: int
    busy: int
    waiting_s: float
    running_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """When workers were last added, and what was wanted when, of the last ``scale_in_after_s`` seconds."""

    added_at: float = float("-inf")
    wanted: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers there should be now, and why."""

    replicas: int
    reason: str
    memory: Memory


def decide(policy: Policy, seen: Seen, memory: Memory) -> Decision:
    """What to do about what is seen."""
    wanted = wanted_replicas(policy, seen)
    remembered = Memory(memory.added_at, (*_lately(memory, seen.at - policy.scale_in_after_s), (seen.at, wanted)))
    now = seen.replicas
    if not policy.least <= now <= policy.most:
        within = min(max(now, policy.least), policy.most)
        return Decision(within, f"{now} workers are not within {policy.least} to {policy.most}", remembered)
    if wanted > now:
        return _more(policy, seen, remembered, wanted)
    if wanted < now:
        return _fewer(policy, seen, remembered, wanted)
    return Decision(now, f"{now} workers are right for {_work(seen)}", remembered)


def wanted_replicas(policy: Policy, seen: Seen) -> int:
    """As many workers as the work asks for, whatever was before."""
    work = seen.waiting_s + seen.running_s if seen.waiting_s > 0 else 0.0
    needed = max(math.ceil(work / policy.target_wait_s), seen.busy)
    return min(max(needed, policy.least), policy.most)


def _more(policy: Policy, seen: Seen, memory: Memory, wanted: int) -> Decision:
    now, since = seen.replicas, seen.at - memory.added_at
    if now and since < policy.cool_down_s:
        return Decision(now, f"{wanted} are wanted for {_work(seen)}; those added {since:.0f} s ago may help", memory)
    step = min(wanted, max(2 * now, now + 1))
    return Decision(step, f"{wanted} are wanted for {_work(seen)}", Memory(seen.at, memory.wanted))


def _lately(memory: Memory, since: float) -> tuple[tuple[float, int], ...]:
    """What was wanted since then, with the last of before: it held until the next."""
    before = [each for each in memory.wanted if each[0] <= since]
    return (*before[-1:], *(each for each in memory.wanted if each[0] > since))


def _fewer(policy: Policy, seen: Seen, memory: Memory, wanted: int) -> Decision:
    now = seen.replicas
    watched = seen.at - memory.wanted[0][0]
    lately = max(n for _, n in memory.wanted)
    if lately >= now or watched < policy.scale_in_after_s:
        return Decision(now, f"{wanted} would do; fewer come after {policy.scale_in_after_s:.0f} quiet s", memory)
    return Decision(lately, f"for {watched:.0f} s no more than {lately} were wanted", memory)


def _work(seen: Seen) -> str:
    return f"{seen.waiting_s:.0f} s of work that waits and {seen.running_s:.0f} s that runs"
