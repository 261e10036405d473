"""A split job whose child and whose whole worker are killed goes on from its finished parts, with the same result."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from chaos.mischief import runners_of
from saccade_core.jobs import Job, JobState
from saccade_core.records.database import Database
from saccade_core.records.tables import JobRow
from servers.probe import python_path
from servers.stack import Stack, eventually

pytestmark = pytest.mark.stack

_PARTS = 6


@pytest.fixture(scope="module")
def running() -> Generator[Stack]:
    """A stack of its own, that may be harmed."""
    stack = Stack(env={"PYTHONPATH": python_path()})
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def _params(effects: Path, seconds: float) -> dict[str, Any]:
    return {"mode": "sleep", "parts": _PARTS, "text": "x", "seconds": seconds, "steps": 50, "effects": str(effects)}


def _running_parts(stack: Stack, job_id: str) -> dict[str, int]:
    """The workers' process ids by the part that they run, by the records: workers report themselves seldom."""
    query = select(JobRow.id, JobRow.worker).where(JobRow.parent_id == job_id, JobRow.state == JobState.RUNNING)
    db = Database(f"sqlite:///{stack.data_dir}/saccade.db")
    with db.read() as session:
        found = {part: int(str(worker).rpartition(":")[2]) for part, worker in session.execute(query)}
    db.close()
    return found


def _kill_some(stack: Stack, job_id: str, what: str) -> None:
    """Kill the worker, or its child, that runs one of the job's parts."""
    eventually(lambda: bool(_running_parts(stack, job_id)), what="a running part")
    worker = next(iter(_running_parts(stack, job_id).values()))
    for pid in runners_of(worker) if what == "child" else [worker]:
        psutil.Process(pid).kill()


def _comparable(job: Job) -> dict[str, Any]:
    made = [(a.name, a.sha256) for a in job.artifacts]
    return {"result": job.result, "artifacts": made, "models": job.provenance and job.provenance.models}


def test_a_killed_split_job_goes_on_and_gives_the_same(running: Stack, tmp_path: Path) -> None:
    client = running.client
    calm = client.wait(client.submit("probe", {}, _params(tmp_path / "calm", 0.1)).id, timeout_s=120)
    effects = tmp_path / "effects"
    job = client.submit("probe", {}, _params(effects, 3.0))
    eventually(lambda: len(client.job(job.id).artifacts) >= 1, what="the first finished part")
    _kill_some(running, job.id, "child")
    eventually(lambda: len(client.job(job.id).artifacts) >= 3, within_s=120, what="half of the parts")
    seen = client.job(job.id)
    assert (seen.state, seen.attempts) == (JobState.RUNNING, 1)
    assert 0.2 < seen.progress.fraction < 0.9 and seen.progress.stage.endswith(f"of {_PARTS}")
    name = seen.artifacts[0].name
    assert name.startswith("parts/000") and name.endswith("/part.txt")
    text = client.download(job.id, name, tmp_path / "part.txt").read_text()
    assert text == f"x {int(name[8:10])}"
    _kill_some(running, job.id, "worker")
    done = client.wait(job.id, timeout_s=120)
    assert done.state is JobState.SUCCEEDED, done.error
    assert done.attempts == 1
    assert _comparable(done) == _comparable(calm)
    ran = [line.split()[0] for line in Path(f"{effects}.parts").read_text().splitlines()]
    assert sorted(set(ran)) == [str(index) for index in range(_PARTS)]
    assert len(ran) <= _PARTS + 2  # what was done before a kill is not done again
    assert len(effects.read_text().splitlines()) == 2  # the plan, the join
    assert [j.id for j in client.jobs(limit=10)] == [job.id, calm.id]


def test_a_cancel_stops_all_parts_within_two_seconds(running: Stack, tmp_path: Path) -> None:
    client = running.client
    job = client.submit("probe", {}, _params(tmp_path / "effects", 40.0))
    eventually(lambda: len(_running_parts(running, job.id)) == 2, what="parts on both workers")
    assert client.cancel(job.id).state is JobState.CANCELLED
    after = client.submit("probe", {}, {"mode": "echo", "text": "free"})
    assert client.wait(after.id, timeout_s=10).state is JobState.SUCCEEDED
    client.delete(job.id)
    eventually(lambda: not list(running.data_dir.glob(f"blobs/jobs/{job.id}/**/*.txt")), what="the bytes' removal")
