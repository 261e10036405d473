"""A split job's way through workers, over real Redis, SQLite and a local folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from saccade_core.blobs import Blobs
from saccade_core.errors import EngineFailed, UnreadableInput
from saccade_core.ids import part_id
from saccade_core.jobs import JobState
from saccade_core.live import events_key
from saccade_core.parts import DonePart, Part, Plan
from saccade_core.queue import connect
from saccade_core.records import leases, repair
from saccade_core.records.database import Database
from saccade_core.records.lookups import JobWithArtifacts, get_job, list_attempts
from saccade_core.records.requests import cancel_job, retry_job
from saccade_core.records.tables import JobRow
from saccade_worker.execute import execute
from saccade_worker.host import Host
from saccade_worker.parts import after_part, tell_progress
from saccade_worker.settings import WorkerSettings
from saccade_worker.steps import MOST_PARTS, Step, read_plan, read_step, tell_plan
from servers.records import PROJECT, accepted, claimed, record
from servers.running import problem_of

WORDS = "\n".join(f"w {index}" for index in range(4))


def _row(db: Database, job_id: str) -> JobRow:
    with db.read() as session:
        return session.scalars(select(JobRow).where(JobRow.id == job_id)).one()


def _queued(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(JobRow.id).where(JobRow.state == JobState.QUEUED).order_by(JobRow.id)))


def _work(*hosts: Host) -> None:
    """Let these workers run whatever is queued until nothing is."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        while queued := _queued(hosts[0].db):
            list(pool.map(execute, hosts, queued))


def _split(host: Host, mode: str = "echo", *, parts: int = 4, max_attempts: int = 3, **params: Any) -> str:
    """The id of a job of ``probe`` that was split just now."""
    wanted = {"mode": mode, "parts": parts, "text": "w", **params}
    job = accepted(host.db, params=wanted, max_attempts=max_attempts)
    execute(host, job.id)
    return job.id


def _found(host: Host, job_id: str) -> JobWithArtifacts:
    return get_job(host.db, PROJECT, job_id)


def _events(host: Host, job_id: str) -> list[str]:
    with connect(host.settings.redis_url) as client:
        entries: Any = client.xrange(events_key(job_id))
        return [entry["type"] for _, entry in entries]


def _eventually(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.02)


@contextmanager
def _running(host: Host, part: str) -> Generator[None]:
    """While the block lasts, the worker runs this part, which has made some progress when the block begins."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, host, part)
        _eventually(lambda: (_row(host.db, part).progress or {}).get("stage") == "sleeping")
        yield
        running.result(20)


@pytest.fixture
def other(worker_settings: WorkerSettings, host: Host) -> Generator[Host]:
    """A second worker."""
    del host
    made = Host(worker_settings, pool="cpu", queues="cpu,cpu.bulk", worker_id="other")
    made.start()
    try:
        yield made
    finally:
        made.close()


def test_a_step_survives_the_pipe(tmp_path: Path) -> None:
    part = Part(2, {"a": [1]}, 2.5, may_fail=True)
    failed = DonePart(part, {}, tmp_path, {"code": "engine_failed"})
    for step in (Step(), Step("run_part", part), Step("join", None, (DonePart(part, {"n": 1}, tmp_path), failed))):
        assert read_step(step.message()) == step
    plan = Plan([Part(0, {}), Part(1, {}, may_fail=True)], expected=8)
    assert read_plan(tell_plan(plan), Step()) == plan
    join = Step("join", None, (DonePart(Part(0, {}), {}, tmp_path),))
    assert read_plan(tell_plan(Plan([Part(1, {})])), join) == Plan([Part(1, {})])


_TOLD = tell_plan(Plan([Part(0, {})]))


@pytest.mark.parametrize(
    "plan",
    [
        None,
        [],
        {"parts": [], "expected": 0},
        {"parts": [{}], "expected": 0},
        {"parts": _TOLD["parts"], "expected": "many"},
        tell_plan(Plan([Part(1, {})])),
        tell_plan(Plan([Part(0, {}, 0.0)])),
        tell_plan(Plan([Part(0, {}, float("inf"))])),
        tell_plan(Plan([Part(0, {"x": "y" * 1_100_000})])),
        tell_plan(Plan([Part(i, {}) for i in range(MOST_PARTS + 1)])),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: Any) -> None:
    with pytest.raises(EngineFailed, match="planned parts"):
        read_plan(plan, Step())


def test_a_plan_that_does_not_fit_its_step_is_refused(tmp_path: Path) -> None:
    done = [DonePart(Part(i, {}), {}, tmp_path) for i in range(MOST_PARTS)]
    fits = tell_plan(Plan([Part(MOST_PARTS - 1, {})]))
    assert len(read_plan(fits, Step("join", None, done[:-1])).parts) == 1
    unfit = [
        (_TOLD, Step("join", None, done[:1])),  # numbered from 0 again
        (tell_plan(Plan([Part(MOST_PARTS, {})])), Step("join", None, done)),  # one too many
        (_TOLD, Step("run_part", Part(0, {}))),
    ]
    for plan, step in unfit:
        with pytest.raises(EngineFailed, match="planned parts"):
            read_plan(plan, step)


@pytest.mark.stack
def test_a_job_is_split_run_by_two_workers_and_joined(host: Host, other: Host) -> None:
    job_id = _split(host)
    assert host.queue.depth("cpu.bulk") == 4
    _work(host, other)
    found = _found(host, job_id)
    row = found.row
    assert (row.state, row.attempt, row.error) == (JobState.SUCCEEDED, 1, None)
    assert row.result == {"text": WORDS, "resumed_at": 0}
    assert [a.name for a in found.artifacts] == ["echo.txt"]
    assert row.provenance is not None
    assert [m["name"] for m in row.provenance["models"]] == ["probe", "joiner"]
    assert row.provenance["device"] == "cpu"
    assert row.progress is not None and row.progress["fraction"] == 1.0
    assert host.queue.depth("cpu") == 1  # the join, published by who ended the last part
    _eventually(lambda: _events(host, job_id)[-1:] == ["done"])
    told = _events(host, job_id)
    assert told.count("done") == 1
    assert told.count("artifact") == 5  # of each part, and the join's
    assert {"log", "progress", "state"} <= set(told)
    assert _events(host, part_id(job_id, 0)) == []


@pytest.mark.stack
def test_a_join_plans_more_parts_until_it_has_the_result(host: Host, other: Host) -> None:
    job_id = _split(host, parts=2, rounds=3)
    seen: list[tuple[float, str]] = []
    while queued := _queued(host.db):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(execute, (host, other), queued))
        found = _found(host, job_id)
        told = found.parts_progress or found.row.progress or {}
        seen.append((told["fraction"], told["stage"]))
    row = record(host.db, job_id)
    assert (row.state, row.attempt, row.error) == (JobState.SUCCEEDED, 1, None)
    assert row.result == {"text": "\n".join(f"w {index}" for index in range(6)), "resumed_at": 0}
    assert [a.name for a in _found(host, job_id).artifacts] == ["echo.txt"]
    stages = ["joining", "part 3 of 6", "joining", "part 5 of 6", "joining", "done"]
    assert [stage for _, stage in seen] == stages
    assert [f for f, _ in seen] == pytest.approx([0.3, 0.3, 0.6, 0.6, 0.9, 1.0], abs=1e-3)
    assert [a.outcome for a in list_attempts(host.db, job_id)] == ["split", "split", "split", "succeeded"]
    _eventually(lambda: _events(host, job_id)[-1:] == ["done"])
    assert _events(host, job_id).count("done") == 1


@pytest.mark.stack
@pytest.mark.parametrize("bad_join", [1, 2])
def test_a_join_that_dies_while_it_plans_is_repeated_and_plans_once(host: Host, tmp_path: Path, bad_join: int) -> None:
    effects = tmp_path / "effects"
    job_id = _split(host, parts=2, rounds=2, bad_join=bad_join, effects=str(effects), max_attempts=1)
    _work(host)
    done = record(host.db, job_id)
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 2)
    assert done.result == {"text": WORDS, "resumed_at": 0}
    ran = [line.split()[0] for line in Path(f"{effects}.parts").read_text().splitlines()]
    assert ran == ["0", "1", "2", "3"]


@pytest.mark.stack
def test_a_part_that_may_fail_is_done_with_its_error(host: Host, tmp_path: Path) -> None:
    options: dict[str, Any] = {"may_fail": True, "bad_part": 1, "rounds": 2, "effects": str(tmp_path / "effects")}
    expected = {"fail": "unreadable_input", "crash": "worker_lost"}
    for mode, code in expected.items():
        job_id = _split(host, mode, parts=2, max_attempts=2, **options)
        _work(host)
        row = record(host.db, job_id)
        assert (row.state, row.result) == (
            JobState.SUCCEEDED,
            {"text": f"w 0\n{code}\nw 2\nw 3", "resumed_at": 0},
        )
        _eventually(lambda job_id=job_id: _events(host, job_id)[-1:] == ["done"])
        assert _events(host, job_id).count("done") == 1
    ran = [line.split()[0] for line in Path(tmp_path / "effects.parts").read_text().splitlines()]
    assert sorted(ran) == sorted("01230112" + "3")  # the crash was tried again


@pytest.mark.stack
def test_a_cancel_in_a_later_round_and_a_retry_keep_the_rounds_before(host: Host, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    job_id = _split(host, parts=2, rounds=2, effects=str(effects))
    for queued in (part_id(job_id, 0), part_id(job_id, 1), job_id, part_id(job_id, 2)):
        execute(host, queued)
    assert cancel_job(host.db, PROJECT, job_id).state == JobState.CANCELLED
    assert _queued(host.db) == []
    retry_job(host.db, PROJECT, job_id)
    assert _queued(host.db) == [part_id(job_id, 3)]
    _work(host)
    assert record(host.db, job_id).result == {"text": WORDS, "resumed_at": 0}
    ran = [line.split()[0] for line in Path(f"{effects}.parts").read_text().splitlines()]
    assert ran == ["0", "1", "2", "3"]


@pytest.mark.stack
def test_what_parts_made_can_be_read_while_others_run(host: Host) -> None:
    job_id = _split(host)
    execute(host, part_id(job_id, 2))
    found = _found(host, job_id)
    [artifact] = found.artifacts
    assert artifact.name == "parts/0002/part.txt"
    assert artifact.key == f"jobs/{job_id}/parts/0002/1/part.txt"
    assert host.blobs.get_range(artifact.key, 0, 3) == b"w 2"
    assert found.row.seen_state is JobState.RUNNING
    assert found.parts_progress is not None and found.parts_progress["stage"] == "part 2 of 4"


@pytest.mark.stack
def test_a_job_without_a_plan_runs_as_ever(host: Host) -> None:
    job = accepted(host.db, params={"mode": "echo", "text": "whole"})
    execute(host, job.id)
    found = _found(host, job.id)
    assert (found.row.state, found.row.result) == (JobState.SUCCEEDED, {"text": "whole", "resumed_at": 0})
    assert found.row.parts_total is None


@pytest.mark.stack
def test_progress_of_parts_is_told_on_the_jobs_stream(host: Host) -> None:
    job_id = _split(host, "sleep", seconds=3, steps=30)
    with _running(host, part_id(job_id, 3)):
        _eventually(lambda: "progress" in _events(host, job_id)[-1:])
        cancel_job(host.db, PROJECT, job_id)
        host.live.cancel(job_id)


@pytest.mark.stack
def test_progress_of_parts_is_told_seldom(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [_split(host), _split(host)]
    before = [_events(host, job_id).count("progress") for job_id in jobs]
    rounds: list[int] = []

    def told(times: int) -> list[int]:
        """How often each job's progress was told by so many calls for each."""
        for number in range(times):
            for job_id in jobs:
                tell_progress(host, _row(host.db, part_id(job_id, number % 4)))
        host.live.event(jobs[-1], "metric", {})  # told in order: all before it has arrived then
        rounds.append(times)
        _eventually(lambda: _events(host, jobs[-1]).count("metric") == len(rounds))
        return [_events(host, job_id).count("progress") - n for job_id, n in zip(jobs, before, strict=True)]

    monkeypatch.setattr("saccade_worker.parts._TELL_EVERY_S", 3600.0)
    assert told(20) == [1, 1]
    monkeypatch.setattr("saccade_worker.parts._TELL_EVERY_S", 0.0)
    assert told(2) == [3, 3]


@pytest.mark.stack
def test_a_part_that_fails_ends_the_job_and_stops_the_others(host: Host, other: Host) -> None:
    job_id = _split(host, "sleep", seconds=30, steps=300)
    with _running(other, part_id(job_id, 0)):
        failing = claimed(host.db, part_id(job_id, 1))
        state = leases.fail(host.db, failing, UnreadableInput("It is broken.", field="inputs.file"))
        after_part(host, failing, state)
        begin = time.monotonic()
    assert time.monotonic() - begin < 15  # and not the half minute that it had to run
    error = problem_of(_found(host, job_id))
    assert (error["code"], error["field"]) == ("unreadable_input", "inputs.file")
    assert error["message"] == "Part 0001: It is broken."
    _eventually(lambda: "done" in _events(host, job_id))  # the other's last progress may come after it
    assert _events(host, job_id).count("done") == 1
    assert _queued(host.db) == []


@pytest.mark.stack
def test_a_cancel_stops_the_parts_and_a_retry_goes_on_from_the_done_ones(host: Host, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    job_id = _split(host, "sleep", seconds=3, steps=30, bad_part=1, effects=str(effects))
    execute(host, part_id(job_id, 0))
    with _running(host, part_id(job_id, 1)):
        assert cancel_job(host.db, PROJECT, job_id).state == JobState.CANCELLED
        host.live.cancel(job_id)
    assert [a.outcome for a in list_attempts(host.db, part_id(job_id, 1))] == ["cancelled"]
    retry_job(host.db, PROJECT, job_id)
    _work(host)
    assert record(host.db, job_id).result == {"text": WORDS, "resumed_at": 0}
    ran = [line.split()[0] for line in Path(f"{effects}.parts").read_text().splitlines()]
    assert sorted(ran) == ["0", "1", "1", "2", "3"]


@pytest.mark.stack
def test_a_part_whose_process_died_runs_again_and_the_rest_does_not(host: Host, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    job_id = _split(host, "sleep", seconds=3, steps=30, bad_part=2, effects=str(effects))
    for index in (0, 1):
        execute(host, part_id(job_id, index))
    with _running(host, part_id(job_id, 2)):
        assert host.child.pid is not None
        os.kill(host.child.pid, signal.SIGKILL)
    assert _row(host.db, part_id(job_id, 2)).state == JobState.QUEUED
    _work(host)
    done = record(host.db, job_id)
    assert (done.result, done.attempt) == ({"text": WORDS, "resumed_at": 0}, 1)
    ran = [line.split()[0] for line in Path(f"{effects}.parts").read_text().splitlines()]
    assert sorted(ran) == ["0", "1", "2", "2", "3"]


@pytest.mark.stack
def test_a_part_that_dies_every_time_fails_the_job(host: Host) -> None:
    job_id = _split(host, "crash", bad_part=3, max_attempts=2)
    _work(host)
    assert problem_of(_found(host, job_id))["code"] == "worker_lost"


@pytest.mark.stack
def test_a_draining_worker_hands_a_part_back(host: Host) -> None:
    job_id = _split(host, "sleep", seconds=30, steps=300)
    with _running(host, part_id(job_id, 0)):
        host.drain()
    part = _row(host.db, part_id(job_id, 0))
    assert (part.state, part.attempt) == (JobState.QUEUED, 0)
    assert record(host.db, job_id).seen_state is JobState.RUNNING


@pytest.mark.stack
def test_parts_of_one_input_fetch_it_once_for_each_worker(
    host: Host, other: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = accepted(host.db, params={"mode": "echo", "text": "small"})
    execute(host, source.id)
    [artifact] = _found(host, source.id).artifacts
    host.blobs.put_bytes(artifact.key, b"x" * (3 << 20), "text/plain")
    fetched: list[str] = []
    get_file = Blobs.get_file

    def noting(self: Blobs, key: str, path: Path, **options: Any) -> None:
        fetched.append(key)
        get_file(self, key, path, **options)

    monkeypatch.setattr(Blobs, "get_file", noting)
    params = {"mode": "echo", "text": "w", "parts": 4}
    job = accepted(host.db, params=params, inputs={"file": f"{source.id}/echo.txt"})
    _work(host, other)
    row = record(host.db, job.id)
    assert row.state == JobState.SUCCEEDED and row.result is not None
    assert len(row.result["text"]) > 4 * (3 << 20)
    assert fetched.count(artifact.key) == 2


@pytest.mark.stack
def test_a_worker_that_was_killed_has_its_job_taken_over_at_once(host: Host, worker_settings: WorkerSettings) -> None:
    job = accepted(host.db, params={"mode": "echo"})
    code = (
        "import os, pathlib, sys; from saccade_worker.scratch import Scratch\n"
        "run = Scratch(pathlib.Path(sys.argv[1])).for_job(sys.argv[2], 1); run.__enter__(); os._exit(9)"
    )
    assert leases.claim(host.db, job.id, "dead") is not None
    subprocess.run([sys.executable, "-c", code, str(worker_settings.scratch_dir), job.id], check=False)
    assert repair.take_back_expired(host.db) == []
    successor = Host(worker_settings, pool="cpu", queues="cpu", worker_id="successor")
    successor.start()
    successor.close()
    assert [row.id for row in repair.take_back_expired(host.db)] == [job.id]
