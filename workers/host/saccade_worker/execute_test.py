"""One job's way through a worker, over real Redis, SQLite and a local folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from saccade_core.blobs import Blobs
from saccade_core.errors import StorageFailed, Unavailable
from saccade_core.jobs import JobState
from saccade_core.live import events_key
from saccade_core.queue import connect
from saccade_core.records import leases, repair
from saccade_core.records.database import Database
from saccade_core.records.fleet import list_workers
from saccade_core.records.lookups import get_job, list_attempts
from saccade_core.records.requests import cancel_job
from saccade_worker.execute import execute
from saccade_worker.host import Host
from servers.records import PROJECT, accepted, alter, claimed, expire_lease, record, succeed
from servers.running import problem_of, run_probe

pytestmark = pytest.mark.stack


def _outcomes(db: Database, job_id: str) -> list[str | None]:
    return [attempt.outcome for attempt in list_attempts(db, job_id)]


def _events(host: Host, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    with connect(host.settings.redis_url) as client:
        entries: Any = client.xrange(events_key(job_id))
        return [(entry["type"], json.loads(entry["data"])) for _, entry in entries]


def _last_event(host: Host, job_id: str, kind: str, **data: Any) -> None:
    """Wait until this is the job's last event: they are told from a thread of their own."""
    _eventually(lambda: _events(host, job_id)[-1:] == [(kind, data)])


def _eventually(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.02)


def test_a_job_succeeds_with_its_artifacts(host: Host) -> None:
    found = run_probe(host, params={"text": "hello"})
    row = found.row
    assert row.state == JobState.SUCCEEDED
    assert row.result == {"text": "hello", "resumed_at": 0}
    assert row.progress is not None
    assert row.progress["fraction"] == 1.0
    assert row.provenance is not None
    assert row.provenance["models"] == [{"name": "probe", "version": "1", "sha256": ""}]
    assert row.provenance["device"] == "cpu"
    [artifact] = found.artifacts
    assert (artifact.name, artifact.media_type, artifact.bytes) == ("echo.txt", "text/plain", 5)
    assert artifact.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert artifact.key == f"jobs/{row.id}/1/echo.txt"
    assert host.blobs.get_range(artifact.key, 0, 5) == b"hello"
    assert [path.name for path in host.scratch.path.iterdir()] == ["lock"]


def test_what_happens_is_told_live(host: Host) -> None:
    found = run_probe(host, "sleep", params={"seconds": 0.3, "steps": 3, "text": "x"})
    _last_event(host, found.row.id, "done", id=found.row.id, state="succeeded")
    told = _events(host, found.row.id)
    kinds = [kind for kind, _ in told]
    assert told[0] == ("state", {"state": "running", "attempt": 1})
    assert {"progress", "log", "metric", "artifact"} <= set(kinds)
    fractions = [data["fraction"] for kind, data in told if kind == "progress"]
    assert fractions == sorted(fractions)


def test_an_error_of_the_input_ends_the_job(host: Host) -> None:
    found = run_probe(host, "fail")
    expected = {"code": "unreadable_input", "retryable": False, "field": "inputs.file"}
    assert expected.items() <= problem_of(found).items()
    assert found.artifacts == []
    _last_event(host, found.row.id, "done", id=found.row.id, state="failed")


def test_a_failure_that_may_pass_is_tried_again_later(host: Host, tmp_path: Path) -> None:
    job = run_probe(host, "fail_once", params={"effects": str(tmp_path / "effects")}).row
    assert job.state == JobState.WAITING
    assert job.run_at is not None
    _last_event(host, job.id, "state", state="waiting", attempt=1)
    execute(host, job.id)
    assert record(host.db, job.id).attempt == 1  # its time has not come
    alter(host.db, job.id, run_at=1.0)
    repair.wake_due(host.db)
    execute(host, job.id)
    assert record(host.db, job.id).state == JobState.SUCCEEDED
    assert record(host.db, job.id).error is None
    assert _outcomes(host.db, job.id) == ["failed", "succeeded"]


def test_a_job_whose_process_died_is_queued_at_once(host: Host) -> None:
    job = run_probe(host, "crash", max_attempts=2).row
    assert job.state == JobState.QUEUED
    assert host.queue.depth("cpu") == 1
    execute(host, job.id)
    assert problem_of(get_job(host.db, PROJECT, job.id))["code"] == "worker_lost"
    assert run_probe(host).row.state == JobState.SUCCEEDED


def test_a_second_attempt_goes_on_from_the_checkpoints(host: Host) -> None:
    job = accepted(host.db, params={"mode": "checkpoints", "seconds": 3, "steps": 6, "text": "x"})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, job.id)
        _eventually(lambda: len(list(host.blobs.list(f"jobs/{job.id}/checkpoints/"))) >= 2)
        assert host.child.pid is not None
        os.kill(host.child.pid, signal.SIGKILL)
        running.result(30)
    assert record(host.db, job.id).state == JobState.QUEUED
    execute(host, job.id)
    done = record(host.db, job.id)
    assert done.state == JobState.SUCCEEDED
    assert done.result is not None
    assert done.result["resumed_at"] >= 2
    assert _outcomes(host.db, job.id) == ["lost", "succeeded"]


def test_a_run_whose_lease_was_lost_is_thrown_away(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_S", 0.2)
    job = accepted(host.db, params={"mode": "sleep", "seconds": 30, "steps": 300, "text": "old"})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, job.id)
        _eventually(lambda: record(host.db, job.id).state == JobState.RUNNING)
        expire_lease(host.db, job.id)
        other = claimed(host.db, job.id, "other")
        running.result(20)  # the heartbeat tells it to stop long before the 30 s are over
    assert record(host.db, job.id).worker == "other"
    succeed(host.db, other)
    found = get_job(host.db, PROJECT, job.id)
    assert found.row.result == {"token": 2}
    assert found.artifacts == []
    host.live.event(job.id, "log", {"message": "the last"})
    _last_event(host, job.id, "log", message="the last")
    assert "done" not in [kind for kind, _ in _events(host, job.id)]


def test_a_result_that_comes_after_the_lease_was_lost_is_thrown_away(host: Host) -> None:
    job = accepted(host.db, params={"mode": "sleep", "seconds": 1, "steps": 1, "text": "old"})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, job.id)
        _eventually(lambda: record(host.db, job.id).state == JobState.RUNNING)
        expire_lease(host.db, job.id)
        other = claimed(host.db, job.id, "other")
        running.result(20)
    succeed(host.db, other)
    found = get_job(host.db, PROJECT, job.id)
    assert (found.row.result, found.artifacts) == ({"token": 2}, [])
    assert _outcomes(host.db, job.id) == ["lost", "succeeded"]


def test_a_draining_worker_hands_its_job_back_uncounted(host: Host) -> None:
    job = accepted(host.db, params={"mode": "sleep", "seconds": 30, "steps": 300}, max_attempts=1)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, job.id)
        _eventually(lambda: record(host.db, job.id).state == JobState.RUNNING)
        host.drain()
        running.result(20)
    row = record(host.db, job.id)
    assert (row.state, row.attempt, row.error) == (JobState.QUEUED, 0, None)
    assert _outcomes(host.db, job.id) == ["released"]
    assert host.queue.depth("cpu") == 1


def test_a_draining_worker_ends_a_short_job(host: Host) -> None:
    job = accepted(host.db, params={"mode": "sleep", "seconds": 0.3, "steps": 1})
    host.settings = host.settings.model_copy(update={"drain_s": 20.0})
    host.drain()
    execute(host, job.id)
    assert record(host.db, job.id).state == JobState.SUCCEEDED


@pytest.mark.parametrize("mode", ["hang", "sleep"])
@pytest.mark.parametrize("way", ["redis", "heartbeat"])
def test_a_running_job_is_cancelled(host: Host, mode: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_S", 0.2 if way == "heartbeat" else 60.0)
    job = accepted(host.db, params={"mode": mode, "seconds": 60, "steps": 600})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, job.id)
        _eventually(lambda: record(host.db, job.id).progress is not None)
        cancel_job(host.db, PROJECT, job.id)
        if way == "redis":
            host.live.cancel(job.id)
        running.result(20)
    assert record(host.db, job.id).state == JobState.CANCELLED
    _last_event(host, job.id, "done", id=job.id, state="cancelled")
    assert _outcomes(host.db, job.id) == ["cancelled"]


def test_a_cancelled_job_that_a_draining_worker_holds_is_told_as_cancelled(host: Host) -> None:
    job = accepted(host.db, params={"mode": "hang", "seconds": 60})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, job.id)
        _eventually(lambda: record(host.db, job.id).state == JobState.RUNNING)
        alter(host.db, job.id, cancel_requested=True)  # and no heartbeat comes in time to see it
        host.drain()
        running.result(20)
    assert record(host.db, job.id).state == JobState.CANCELLED
    _last_event(host, job.id, "done", id=job.id, state="cancelled")
    assert host.queue.depth("cpu") == 0


def test_a_job_ends_at_its_deadline(host: Host) -> None:
    found = run_probe(host, "sleep", params={"seconds": 60, "steps": 600}, deadline_s=1.5)
    assert problem_of(found)["code"] == "deadline_exceeded"


def test_a_message_of_a_job_that_is_not_to_be_claimed_is_dropped(host: Host) -> None:
    done = run_probe(host).row
    execute(host, done.id)
    execute(host, "job_none")
    assert _outcomes(host.db, done.id) == ["succeeded"]


def test_a_result_that_is_too_large_fails_the_job(host: Host) -> None:
    host.settings = host.settings.model_copy(update={"max_result_bytes": 100})
    assert problem_of(run_probe(host, params={"text": "x" * 500}))["code"] == "input_too_large"


def test_the_character_nul_does_not_reach_the_records(host: Host) -> None:
    found = run_probe(host, params={"text": "a\0b"})
    assert found.row.result == {"text": "ab", "resumed_at": 0}


def test_the_worker_is_on_record_while_it_works(host: Host) -> None:
    job = accepted(host.db, params={"mode": "sleep", "seconds": 30, "steps": 300})
    thread = threading.Thread(target=execute, args=(host, job.id))
    thread.start()
    try:
        _eventually(lambda: record(host.db, job.id).state == JobState.RUNNING)
        host.drain()
        _eventually(lambda: [w.state for w in list_workers(host.db)] == ["draining"])
    finally:
        thread.join(30)


@pytest.mark.parametrize("ending", ["deadline", "cancel"])
def test_deadline_and_cancel_reach_a_long_transfer(host: Host, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    def endless(*_: Any, check: Callable[[], None], **__: Any) -> None:
        for _turn in range(400):
            time.sleep(0.05)
            check()

    source = run_probe(host, params={"text": "made before"}).row
    monkeypatch.setattr(Blobs, "get_file", endless)
    job = accepted(
        host.db,
        params={"mode": "echo"},
        inputs={"file": f"{source.id}/echo.txt"},
        **({"deadline_s": 0.5} if ending == "deadline" else {}),
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, job.id)
        _eventually(lambda: record(host.db, job.id).state == JobState.RUNNING)
        if ending == "cancel":
            cancel_job(host.db, PROJECT, job.id)
            host.live.cancel(job.id)
        running.result(10)
    row = record(host.db, job.id)
    assert row.state == (JobState.CANCELLED if ending == "cancel" else JobState.FAILED)
    assert row.error is None if ending == "cancel" else row.error is not None


def test_an_outage_of_the_store_costs_no_attempt(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StorageFailed("The object store is away.")

    with monkeypatch.context() as patched:
        patched.setattr(Blobs, "put_file", away)
        job = accepted(host.db, params={"mode": "echo", "text": "kept"}, max_attempts=1)
        execute(host, job.id)
    row = get_job(host.db, PROJECT, job.id).row
    assert (row.state, row.attempt) == (JobState.WAITING, 0)
    alter(host.db, job.id, run_at=0.0)
    repair.wake_due(host.db)
    execute(host, job.id)
    assert get_job(host.db, PROJECT, job.id).row.state == JobState.SUCCEEDED


def test_an_end_that_cannot_be_recorded_at_once_is_recorded_later(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    succeed, failures = leases.succeed, iter([Unavailable("away"), Unavailable("away")])

    def shaky(*args: Any, **named: Any) -> JobState:
        for failure in failures:
            raise failure
        return succeed(*args, **named)

    monkeypatch.setattr(leases, "succeed", shaky)
    found = run_probe(host)
    assert (found.row.state, found.row.attempt) == (JobState.SUCCEEDED, 1)


def test_a_full_disk_of_the_worker_is_told_and_costs_no_attempt(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("saccade_worker.scratch.tempfile.mkdtemp", full)
    row = run_probe(host).row
    assert (row.state, row.attempt) == (JobState.WAITING, 0)
    assert row.error is not None and row.error["code"] == "storage_failed"
