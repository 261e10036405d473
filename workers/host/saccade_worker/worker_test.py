"""A real worker process: ``python -m saccade_worker``, over real Redis and SQLite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from saccade_core.jobs import JobState
from saccade_core.queue import Queue
from saccade_core.records.database import Database
from saccade_core.records.fleet import list_workers
from saccade_core.records.lookups import list_attempts
from saccade_core.records.tables import JobRow
from saccade_worker.settings import WorkerSettings
from servers.probe import python_path
from servers.records import accepted, record
from servers.stack import eventually

pytestmark = pytest.mark.stack


class Running:
    """A worker process and the queue that it consumes."""

    def __init__(self, settings: WorkerSettings, db: Database, folder: Path, name: str = "real") -> None:
        env = {
            **os.environ,
            "PYTHONPATH": python_path(),
            "SACCADE_DATABASE_URL": settings.database_url,
            "SACCADE_REDIS_URL": settings.redis_url,
            "SACCADE_BLOBS_URL": settings.blobs_url,
            "SACCADE_SCRATCH_DIR": str(settings.scratch_dir),
            "SACCADE_DRAIN_S": "2",
        }
        self.db = db
        self.queue = Queue(settings.redis_url)
        self.log = folder / "worker.log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "saccade_worker", "--name", name]
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)

    def submit(self, **params: object) -> JobRow:
        """A queued and published job of the kind ``probe``."""
        job = accepted(self.db, params=params)
        self.queue.publish(job.id, "cpu")
        return job

    def wait_for(self, job: JobRow, state: JobState) -> None:
        """Until the job is in ``state``; its worker's log is in the error."""
        try:
            eventually(lambda: record(self.db, job.id).state == state, what=f"{state}")
        except AssertionError:
            raise AssertionError(f"{record(self.db, job.id).state}\n{self.log.read_text()[-3000:]}") from None

    def family(self) -> list[psutil.Process]:
        """All processes below the worker."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def close(self) -> None:
        """Kill what is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.queue.close()


@pytest.fixture
def worker(worker_settings: WorkerSettings, sqlite_db: Database, tmp_path: Path) -> Generator[Running]:
    running = Running(worker_settings, sqlite_db, tmp_path)
    try:
        yield running
    finally:
        running.close()


def _outcomes(db: Database, job: JobRow) -> list[str | None]:
    return [attempt.outcome for attempt in list_attempts(db, job.id)]


def test_it_runs_what_is_published(worker: Running) -> None:
    jobs = [worker.submit(text=str(number)) for number in range(5)]
    for job in jobs:
        worker.wait_for(job, JobState.SUCCEEDED)
    assert [w.id.partition("@")[0] for w in list_workers(worker.db)] == ["real"]


def test_messages_that_come_twice_are_harmless(worker: Running, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    job = worker.submit(text="once", effects=str(effects))
    for _ in range(5):
        worker.queue.publish(job.id, "cpu")
    after = worker.submit(text="after")
    worker.wait_for(after, JobState.SUCCEEDED)
    assert len(effects.read_text().splitlines()) == 1
    assert _outcomes(worker.db, job) == ["succeeded"]


def test_sigterm_lets_a_short_job_end(worker: Running) -> None:
    job = worker.submit(mode="sleep", seconds=1, steps=1)
    worker.wait_for(job, JobState.RUNNING)
    worker.process.terminate()
    assert worker.process.wait(30) == 0, worker.log.read_text()
    assert record(worker.db, job.id).state == JobState.SUCCEEDED
    assert list_workers(worker.db) == []


def test_sigterm_hands_a_long_job_back(worker: Running) -> None:
    job = worker.submit(mode="sleep", seconds=50, steps=500)
    worker.wait_for(job, JobState.RUNNING)
    family = worker.family()
    worker.process.terminate()
    assert worker.process.wait(30) == 0, worker.log.read_text()
    row = record(worker.db, job.id)
    assert (row.state, row.attempt) == (JobState.QUEUED, 0)
    assert _outcomes(worker.db, job) == ["released"]
    assert worker.queue.depth("cpu") >= 1
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_sigterm_stops_an_idle_worker(worker: Running) -> None:
    worker.wait_for(worker.submit(), JobState.SUCCEEDED)
    worker.process.terminate()
    assert worker.process.wait(30) == 0


@pytest.mark.parametrize("mode", ["sleep", "hang"])
def test_kill_leaves_no_child(worker: Running, mode: str) -> None:
    job = worker.submit(mode=mode, seconds=50, steps=500)
    worker.wait_for(job, JobState.RUNNING)
    eventually(lambda: record(worker.db, job.id).progress is not None)
    family = worker.family()
    assert family
    worker.process.kill()
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert record(worker.db, job.id).state == JobState.RUNNING  # until the lease ends
