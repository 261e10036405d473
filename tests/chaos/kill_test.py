"""Jobs go on, none is lost and none takes effect twice, while everything is killed with -9 at random.

``make test`` runs half a minute of it, and until the last job has ended; ``make chaos`` 20 minutes.
SACCADE_CHAOS_MINUTES, SACCADE_CHAOS_JOBS and SACCADE_CHAOS_SEED choose another length.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from chaos.load import mixed, submit_all
from chaos.mischief import Mischief, runners_of
from chaos.verdict import Verdict, judge
from saccade_core.jobs import JobState
from saccade_core.records.database import Database
from saccade_core.records.lookups import list_attempts
from saccade_core.records.tables import AttemptRow
from servers.probe import python_path
from servers.stack import Stack, eventually

pytestmark = pytest.mark.stack

_MINUTES = float(os.environ.get("SACCADE_CHAOS_MINUTES", "0.3"))
_JOBS = int(os.environ.get("SACCADE_CHAOS_JOBS", "500" if _MINUTES >= 1 else "50"))
_SEED = int(os.environ.get("SACCADE_CHAOS_SEED", "0")) or random.randrange(1, 1 << 32)
_PAUSE_S = 1.0 if _MINUTES < 1 else 1.5 if _MINUTES < 10 else 4.0

#: Promised: a job runs again so long after its child, and after its whole worker, was killed; that one is started
#: again after 10 s at most, and then ends its predecessor's lease, which would last for 60 s.
_CHILD_LIMIT_S = 5.0
_WORKER_LIMIT_S = 45.0


@dataclass
class Outcome:
    """What the whole run came to."""

    verdict: Verdict
    kills: dict[str, int]
    again_s: dict[str, float] = field(default_factory=dict[str, float])

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        again = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in self.again_s.items())
        v = self.verdict
        return (
            f"chaos: {v.jobs} jobs, {dict(v.states)}, {len(v.lost)} lost, {len(v.doubled)} doubled, "
            f"{len(v.damaged)} damaged; {sum(self.kills.values())} kills: {kills}; attempts {dict(v.attempts)}; "
            f"runs again after the kill of its {again}; seed {_SEED}"
        )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Generator[Outcome]:
    """The whole run: the two timed kills, the mischief, and the wait until the last job has ended."""
    folder = tmp_path_factory.mktemp("chaos")
    stack = Stack(env={"PYTHONPATH": python_path()})
    try:
        stack.start()
        db = Database(f"sqlite:///{stack.data_dir}/saccade.db")
        found = _run(stack, db, folder)
        print(f"\n{found}")
        yield found
        db.close()
    finally:
        stack.close()


def _run(stack: Stack, db: Database, folder: Path) -> Outcome:
    again = {"child": _runs_again_after(stack, db, "child")}
    jobs = mixed(_JOBS, folder, _SEED)
    mischief = Mischief(stack, lasting_s=_MINUTES * 60, pause_s=_PAUSE_S, seed=_SEED)
    mischief.start()
    ids = submit_all(stack, jobs, _MINUTES * 60)
    mischief.stop()
    with ThreadPoolExecutor(1) as pool:
        timed = pool.submit(_runs_again_after, stack, db, "worker")
        for job_id in ids.values():
            stack.client.wait(job_id, timeout_s=600)
        again["worker"] = timed.result()
    return Outcome(judge(stack.client, db, jobs, ids, folder), dict(mischief.counts), again)


def _runs_again_after(stack: Stack, db: Database, what: str) -> float:
    """Seconds from the kill of a running job's child, or whole worker, to the start of its next run."""
    params = {"mode": "sleep", "seconds": 50, "steps": 500}
    job_id = stack.client.submit("probe", {}, params, max_attempts=20).id

    def attempts() -> list[AttemptRow]:
        return list(list_attempts(db, job_id))

    eventually(lambda: bool((stack.client.job(job_id)).progress.stage == "sleeping"), within_s=120, what="the run")
    before = attempts()
    worker = int(before[-1].worker.rpartition(":")[2])
    victims = runners_of(worker) if what == "child" else [worker]
    killed_at = time.time()
    for pid in victims:
        psutil.Process(pid).kill()
    eventually(lambda: len(attempts()) > len(before), within_s=150, what=f"the run after the {what}'s")
    stack.client.cancel(job_id)
    assert stack.client.wait(job_id, timeout_s=60).state == JobState.CANCELLED
    return attempts()[len(before)].started_at - killed_at


def test_every_accepted_job_has_succeeded(outcome: Outcome) -> None:
    verdict = outcome.verdict
    assert verdict.lost == [], outcome
    assert verdict.states == {JobState.SUCCEEDED: verdict.jobs}, outcome


def test_no_job_took_effect_twice(outcome: Outcome) -> None:
    assert outcome.verdict.doubled == [], outcome
    assert outcome.verdict.unclaimed_runs == [], outcome


def test_repeated_submissions_made_no_second_job(outcome: Outcome) -> None:
    assert outcome.verdict.strangers == [], outcome


def test_every_artifact_is_whole(outcome: Outcome) -> None:
    assert outcome.verdict.damaged == [], outcome


def test_there_was_mischief(outcome: Outcome) -> None:
    assert outcome.kills["redis emptied"] == outcome.kills["redis lost its data"] == 1, outcome
    assert sum(outcome.kills.values()) >= 10, outcome
    assert outcome.verdict.attempts["lost"] > 0, outcome


def test_a_job_whose_child_was_killed_runs_again_soon(outcome: Outcome) -> None:
    assert outcome.again_s["child"] < _CHILD_LIMIT_S, outcome


def test_a_job_whose_worker_was_killed_runs_again_before_the_end_of_its_lease(outcome: Outcome) -> None:
    assert outcome.again_s["worker"] < _WORKER_LIMIT_S, outcome
