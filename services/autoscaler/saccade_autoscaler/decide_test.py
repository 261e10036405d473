from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade_autoscaler.decide import Decision, Memory, Policy, Seen, decide, wanted_replicas

POLICY = Policy(least=1, most=8, target_wait_s=10, scale_in_after_s=120, cool_down_s=10)
_STEP_S = 5.0
_START_S = 8.0
_DAY_S = 86_400.0


@dataclass
class Day:
    """A pool whose jobs come at a rate that changes over the day; workers take ``_START_S`` to start."""

    rate: list[float]  # jobs per second in each hour
    run_s: float
    policy: Policy = POLICY
    waits: list[float] = field(default_factory=list[float])
    sizes: list[int] = field(default_factory=list[int])
    changes: int = 0

    def live(self, seed: int) -> Day:
        """Go through the day, looking each ``_STEP_S`` seconds."""
        chance = random.Random(seed)
        arrivals = self._arrivals(chance)
        waiting: deque[float] = deque()
        ends: list[float] = []
        starting: list[float] = []
        ready, memory, at = 1, Memory(), 0.0
        while at < _DAY_S:
            at += _STEP_S
            while arrivals and arrivals[0] <= at:
                waiting.append(arrivals.popleft())
            ready += sum(t <= at for t in starting)
            starting = [t for t in starting if t > at]
            self._work(at, ready, waiting, ends, chance)
            left = sum(max(0.0, end - at) for end in ends)
            seen = Seen(at, ready + len(starting), len(ends), len(waiting) * self.run_s, left)
            decision = decide(self.policy, seen, memory)
            memory = decision.memory
            more = decision.replicas - seen.replicas
            self.changes += more != 0
            starting += [at + _START_S] * max(0, more)
            ready += min(0, more)
            assert ready >= len(ends), "a worker with a job was taken away"
            self.sizes.append(decision.replicas)
        return self

    def _arrivals(self, chance: random.Random) -> deque[float]:
        found: deque[float] = deque()
        at = 0.0
        while at < _DAY_S:
            rate = self.rate[int(at / 3600) % len(self.rate)]
            at += chance.expovariate(rate) if rate else 3600.0
            found.append(at)
        return found

    def _work(self, at: float, ready: int, waiting: deque[float], ends: list[float], chance: random.Random) -> None:
        """Let the workers do what they could do since the last look."""
        while ends and ends[0] <= at:
            free = heapq.heappop(ends)
            if waiting and len(ends) < ready:
                self._begin(max(free, waiting[0]), waiting, ends, chance)
        while waiting and len(ends) < ready:
            self._begin(max(at - _STEP_S, waiting[0]), waiting, ends, chance)

    def _begin(self, at: float, waiting: deque[float], ends: list[float], chance: random.Random) -> None:
        self.waits.append(at - waiting.popleft())
        heapq.heappush(ends, at + chance.uniform(0.5, 1.5) * self.run_s)


def test_a_day_with_a_busy_noon() -> None:
    rate = [0.05] * 8 + [0.3, 0.8, 1.5, 2.5, 2.5, 1.5, 0.8, 0.3] + [0.05] * 8
    day = Day(rate, run_s=2.0).live(seed=1)
    assert quantiles(day.waits, n=100)[98] <= 2 * POLICY.target_wait_s
    noon = day.sizes[int(11.5 * 3600 / _STEP_S) : int(12.5 * 3600 / _STEP_S)]
    night = day.sizes[int(20 * 3600 / _STEP_S) :]
    assert min(noon) >= 3
    assert max(noon) <= POLICY.most
    assert set(night) == {1}
    assert day.changes < 24 * 12


def test_quiet_days_change_nothing() -> None:
    day = Day([0.02], run_s=1.0).live(seed=2)
    assert day.changes == 0
    assert set(day.sizes) == {1}


def test_more_work_than_the_most_workers_can_do_does_not_flap() -> None:
    day = Day([10.0], run_s=2.0, policy=Policy(least=1, most=4)).live(seed=3)
    assert day.changes <= 3
    assert set(day.sizes[20:]) == {4}


def test_a_burst_after_nothing_starts_from_zero_workers() -> None:
    policy = Policy(least=0, most=4, target_wait_s=10)
    first = decide(policy, Seen(0.0, 0, 0, 0.0, 0.0), Memory())
    assert first.replicas == 0
    assert decide(policy, Seen(5.0, 0, 0, 200.0, 0.0), first.memory).replicas == 1


def test_new_workers_get_time_to_start_before_others_come() -> None:
    decision = decide(POLICY, Seen(100.0, 2, 2, 500.0, 2.0), Memory())
    assert decision.replicas == 4
    waits = decide(POLICY, Seen(105.0, 4, 2, 500.0, 2.0), decision.memory)
    assert waits.replicas == 4
    assert "may help" in waits.reason
    assert decide(POLICY, Seen(111.0, 4, 4, 500.0, 4.0), waits.memory).replicas == 8


def test_long_jobs_keep_their_workers() -> None:
    memory, replicas = Memory(), 3
    for at in range(0, 3600, 5):
        decision = decide(POLICY, Seen(float(at), replicas, 3, 0.0, 9000.0), memory)
        memory, replicas = decision.memory, decision.replicas
        assert replicas == 3


@given(
    replicas=st.integers(0, 12),
    busy=st.integers(0, 12),
    waiting_s=st.floats(0, 1e6),
    running_s=st.floats(0, 1e6),
    wanted=st.lists(st.tuples(st.floats(0, 999), st.integers(1, 8)), max_size=5),
)
def test_it_stays_within_the_policy_and_never_below_those_that_work(
    replicas: int, busy: int, waiting_s: float, running_s: float, wanted: list[tuple[float, int]]
) -> None:
    seen = Seen(1000.0, replicas, min(busy, replicas), waiting_s, running_s)
    decision: Decision = decide(POLICY, seen, Memory(wanted=tuple(sorted(wanted))))
    assert POLICY.least <= decision.replicas <= POLICY.most
    assert decision.replicas >= min(seen.busy, POLICY.most)
    assert decision.replicas <= max(2 * replicas, replicas + 1, POLICY.least)
    assert decision.reason


def test_the_expected_wait_is_what_decides() -> None:
    assert wanted_replicas(POLICY, Seen(0, 1, 1, 25.0, 4.0)) == math.ceil(29 / 10)


def test_a_policy_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="least"):
        Policy(least=3, most=2)
