"""A search whose trial and whose whole worker are killed goes on from its finished trials, and finds the same."""

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
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.records.tables import JobRow
from servers.probe import python_path
from servers.stack import Stack, eventually

pytestmark = pytest.mark.stack

_TRIALS = 6


@pytest.fixture(scope="module")
def running() -> Generator[Stack]:
    """A stack of its own, that may be harmed, with one worker that trains."""
    stack = Stack(workers="cpu=1,keras=1", env={"PYTHONPATH": python_path()})
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def _search(stack: Stack, name: str, effects: Path, seconds: float) -> str:
    table = stack.client.upload(_text(effects)).id
    params: dict[str, Any] = {
        "training": "learner",
        "name": name,
        "fixed": {"target": "kind", "seconds": seconds, "effects": str(effects)},
        "space": {
            "learning_rate": {"low": 1e-4, "high": 1, "log": True},
            "batch_size": {"choices": [16, 32, 64, 666]},  # 666 kills the process, however often it is tried
        },
        "trials": _TRIALS,
        "parallel": 2,
    }
    return stack.client.submit("search_hyperparameters", {"table": table}, params, max_attempts=2).id


def _text(effects: Path) -> Path:
    path = effects.with_suffix(".csv")
    path.write_text("a,b\n1,2\n")
    return path


def _worker_of_a_trial(stack: Stack, job_id: str) -> int | None:
    """The process id of the worker that runs a trial now."""
    query = select(JobRow.worker).where(JobRow.parent_id == job_id, JobRow.state == JobState.RUNNING)
    db = Database(f"sqlite:///{stack.data_dir}/saccade.db")
    with db.read() as session:
        worker = session.scalars(query).first()
    db.close()
    return int(str(worker).rpartition(":")[2]) if worker else None


def _versions(stack: Stack, name: str) -> list[tuple[int, str, str]]:
    db = Database(f"sqlite:///{stack.data_dir}/saccade.db")
    with db.read() as session:
        rows = session.scalars(select(ModelVersionRow).where(ModelVersionRow.name == name)).all()
    db.close()
    return [(row.version, row.state, row.job_id) for row in rows]


def _kill(stack: Stack, job_id: str, what: str) -> None:
    eventually(lambda: _worker_of_a_trial(stack, job_id) is not None, what="a running trial", within_s=60)
    worker = _worker_of_a_trial(stack, job_id)
    assert worker is not None
    for pid in runners_of(worker) if what == "child" else [worker]:
        psutil.Process(pid).kill()


def _comparable(job: Job) -> Any:
    assert job.result is not None
    return [(trial["params"], trial["value"], trial["round"]) for trial in job.result["trials"]]


def test_a_killed_search_finds_the_same(running: Stack, tmp_path: Path) -> None:
    client = running.client
    calm = client.wait(_search(running, "calm", tmp_path / "calm", 0.0), timeout_s=200)
    assert calm.state is JobState.SUCCEEDED and calm.result is not None, calm.error
    job_id = _search(running, "harmed", tmp_path / "effects", 2.0)
    _kill(running, job_id, "child")
    eventually(
        lambda: client.job(job_id).progress.stage == f"part 4 of {_TRIALS}", within_s=120, what="half of the trials"
    )
    seen = client.job(job_id)
    assert (seen.state, seen.attempts) == (JobState.RUNNING, 1)
    assert {a.name for a in seen.artifacts} >= {f"parts/000{n}/history.csv" for n in range(2)}
    assert _versions(running, "harmed") == [(1, "storing", job_id)]
    _kill(running, job_id, "worker")
    done = client.wait(job_id, timeout_s=200)
    assert done.state is JobState.SUCCEEDED and done.result is not None, done.error
    assert done.attempts == 1
    assert _comparable(done) == _comparable(calm)
    assert done.result["best"]["value"] == calm.result["best"]["value"]
    assert _versions(running, "harmed") == [(1, "ready", job_id)]
    names = {artifact.name for artifact in done.artifacts}
    assert {"trials.csv", "search.png", "model.h5", "model-card.md"} <= names
    assert not any(name.startswith("parts/") for name in names)
