"""Jobs that one worker holds at once, over real Redis, SQLite and a local folder."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from saccade_core.errors import Unavailable
from saccade_core.jobs import JobState
from saccade_core.records import leases
from saccade_core.records.database import Database
from saccade_core.records.lookups import list_attempts
from saccade_core.records.requests import cancel_job
from saccade_core.records.successes import Success, succeed_all
from saccade_core.records.tables import JobRow
from saccade_worker.execute import execute
from saccade_worker.host import Host
from servers.records import PROJECT, accepted, record
from servers.running import run_probe

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def patient(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine changes nothing; the child is ready."""
    monkeypatch.setattr("saccade_worker.execute._PATIENCE_S", 60.0)
    monkeypatch.setattr("saccade_worker.execute._TAKE_FOR_S", 60.0)
    run_probe(host)


def _published(host: Host, *params: dict[str, Any], **changes: Any) -> list[JobRow]:
    """Queued jobs of the kind ``probe``, all but the first of them with their messages in the queue."""
    jobs = [accepted(host.db, params=p, **changes) for p in params]
    for job in jobs[1:]:
        host.queue.publish(job.id, job.queue)
    return jobs


def _states(host: Host, jobs: list[JobRow]) -> list[str]:
    return [record(host.db, job.id).state for job in jobs]


def _outcomes(host: Host, job: JobRow) -> list[str | None]:
    return [attempt.outcome for attempt in list_attempts(host.db, job.id)]


def _eventually(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.02)


def _clean(host: Host) -> bool:
    return [path.name for path in host.scratch.path.iterdir()] == ["lock"] and host.heart.leases == ()


def test_one_message_does_for_many_jobs(host: Host, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    jobs = _published(host, *({"text": str(n), "effects": str(effects)} for n in range(12)))
    execute(host, jobs[0].id)
    assert _states(host, jobs) == [JobState.SUCCEEDED] * 12
    assert [line.split()[0] for line in effects.read_text().splitlines()] == [str(n) for n in range(12)]
    assert [(record(host.db, j.id).result or {})["text"] for j in jobs] == [str(n) for n in range(12)]
    assert (host.queue.depth("cpu"), _clean(host)) == (0, True)


def test_one_bad_job_fails_alone(host: Host) -> None:
    jobs = _published(host, {}, {"mode": "fail"}, {"text": "good"}, {"text": "x"}, inputs={})
    execute(host, jobs[0].id)
    assert _states(host, jobs) == [JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]


def test_a_child_that_dies_takes_only_its_own_job(host: Host) -> None:
    jobs = _published(host, {}, {"mode": "crash"}, {"text": "a"}, {"text": "b"})
    execute(host, jobs[0].id)
    assert _states(host, jobs) == [JobState.SUCCEEDED, JobState.QUEUED, JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert [_outcomes(host, job) for job in jobs] == [["succeeded"], ["lost"], ["succeeded"], ["succeeded"]]


def test_a_killed_child_takes_only_its_own_job(host: Host) -> None:
    jobs = _published(host, {}, {"mode": "sleep", "seconds": 1.5, "steps": 15}, {}, {})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, jobs[0].id)
        _eventually(lambda: (record(host.db, jobs[1].id).progress or {}).get("stage") == "sleeping")
        assert host.child.pid is not None
        os.kill(host.child.pid, signal.SIGKILL)
        running.result(30)
    assert [_outcomes(host, job) for job in jobs] == [["succeeded"], ["lost"], ["succeeded"], ["succeeded"]]


def test_jobs_behind_a_long_one_are_handed_back_uncounted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade_worker.execute._PATIENCE_S", 0.5)
    jobs = _published(host, {"mode": "sleep", "seconds": 30, "steps": 300}, {}, {}, {})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, jobs[0].id)
        _eventually(lambda: any(_outcomes(host, job) == ["released"] for job in jobs[1:]))
        _eventually(lambda: _states(host, jobs[1:]) == [JobState.QUEUED] * 3)
        assert [record(host.db, job.id).attempt for job in jobs[1:]] == [0, 0, 0]
        assert host.queue.depth("cpu") == 3
        assert record(host.db, jobs[0].id).state == JobState.RUNNING
        host.drain()
        running.result(20)
    assert _clean(host)


def test_a_job_in_waiting_is_cancelled(host: Host) -> None:
    jobs = _published(host, {"mode": "sleep", "seconds": 1.8, "steps": 18}, {}, {}, {})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, jobs[0].id)
        _eventually(lambda: record(host.db, jobs[1].id).state == JobState.RUNNING)
        cancel_job(host.db, PROJECT, jobs[1].id)
        host.live.cancel(jobs[1].id)
        _eventually(lambda: record(host.db, jobs[1].id).state == JobState.CANCELLED)
        running.result(20)
    assert _outcomes(host, jobs[1]) == ["cancelled"]
    assert record(host.db, jobs[0].id).state == JobState.SUCCEEDED


def test_a_draining_worker_hands_back_what_it_has_not_begun(host: Host) -> None:
    host.settings = host.settings.model_copy(update={"drain_s": 20.0})
    jobs = _published(host, {"mode": "sleep", "seconds": 1, "steps": 10}, {}, {}, {})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, jobs[0].id)
        _eventually(lambda: record(host.db, jobs[1].id).state == JobState.RUNNING)
        host.drain()
        running.result(20)
    assert _states(host, jobs) == [JobState.SUCCEEDED, *[JobState.QUEUED] * 3]
    assert record(host.db, jobs[1].id).attempt == 0
    assert host.queue.depth("cpu") == 3
    assert _clean(host)


def test_another_kind_keeps_its_place_in_the_queue(host: Host) -> None:
    jobs = _published(host, {}, {})
    other = accepted(host.db, kind="edit_image")
    host.queue.publish(other.id, "cpu")
    last = accepted(host.db)
    host.queue.publish(last.id, "cpu")
    execute(host, jobs[0].id)
    assert [m.job_id for m in host.queue.take("cpu", 5, 0)][:1] == [other.id]
    assert record(host.db, other.id).state == JobState.QUEUED


def test_bulk_is_not_taken_while_somebody_waits(host: Host) -> None:
    jobs = _published(host, {}, {}, {}, queue="cpu.bulk", priority="bulk")
    waits = accepted(host.db)
    host.queue.publish(waits.id, "cpu")
    execute(host, jobs[0].id)
    assert _states(host, jobs) == [JobState.SUCCEEDED, JobState.QUEUED, JobState.QUEUED]
    assert host.queue.depth("cpu.bulk") == 2


def test_a_worker_leaves_others_their_share(host: Host) -> None:
    _published(host, *({} for _ in range(13)))
    assert len(host.queue.take("cpu", 8, 3)) == 2  # of twelve, for three
    assert len(host.queue.take("cpu", 3, 1)) == 3
    assert len(host.queue.take("cpu", 8, 100)) == 1


def test_messages_that_are_none_of_ours_are_put_back(host: Host) -> None:
    jobs = _published(host, {}, {})
    host.queue.publish("job_none", "cpu")
    execute(host, jobs[0].id)
    taken = host.queue.take("cpu", 5, 0)
    assert {m.job_id for m in taken} == {"job_none"}
    host.queue.put_back("cpu", taken)
    assert host.queue.depth("cpu") == 1


def test_ends_that_cannot_be_recorded_at_once_are_recorded_later(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([Unavailable("away")])

    def shaky(db: Database, done: Sequence[Success]) -> set[str]:
        for failure in failures:
            raise failure
        return succeed_all(db, done)

    monkeypatch.setattr("saccade_worker.finish.succeed_all", shaky)
    jobs = _published(host, {}, {}, {})
    execute(host, jobs[0].id)
    assert [_outcomes(host, job) for job in jobs] == [["succeeded"]] * 3


def test_an_end_that_can_never_be_recorded_is_not_the_others_fault(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = _published(host, {}, {}, {})

    def broken(db: Database, done: Sequence[Success]) -> set[str]:
        if any(success.job_id == jobs[1].id for success in done):
            raise RuntimeError("a row that no database takes")
        return succeed_all(db, done)

    monkeypatch.setattr("saccade_worker.finish.succeed_all", broken)
    execute(host, jobs[0].id)
    assert _states(host, jobs) == [JobState.SUCCEEDED, JobState.RUNNING, JobState.SUCCEEDED]
    assert _clean(host)


def test_jobs_in_waiting_are_kept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_S", 0.2)
    jobs = _published(host, {"mode": "sleep", "seconds": 1.8, "steps": 2}, {})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, jobs[0].id)
        _eventually(lambda: record(host.db, jobs[1].id).state == JobState.RUNNING)
        until = record(host.db, jobs[1].id).lease_until or 0.0
        _eventually(lambda: (record(host.db, jobs[1].id).lease_until or 0.0) > until + 0.3)
        running.result(20)
    assert _states(host, jobs) == [JobState.SUCCEEDED] * 2
