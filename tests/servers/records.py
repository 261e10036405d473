"""Fixtures of the records, and short ways to make and take jobs."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from saccade_core.ids import new_id
from saccade_core.records import leases
from saccade_core.records.database import Database, now
from saccade_core.records.files import add_file
from saccade_core.records.lookups import get_job
from saccade_core.records.requests import NewJob, accept
from saccade_core.records.tables import FileRow, JobRow

PROJECT = "tests"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Database]:
    """Empty records at the newest schema: over SQLite, and over PostgreSQL in the stack's tests."""
    postgres = request.param == "postgresql"
    url = str(request.getfixturevalue("postgres_url")) if postgres else f"sqlite:///{tmp_path}/records.db"
    yield from _opened(url)


@pytest.fixture
def sqlite_db(tmp_path: Path) -> Generator[Database]:
    """Empty records over SQLite."""
    yield from _opened(f"sqlite:///{tmp_path}/records.db")


def _opened(url: str) -> Generator[Database]:
    database = Database(url)
    try:
        database.migrate()
        yield database
    finally:
        database.close()


def new_job(**changes: Any) -> NewJob:
    """A request for an echo of the kind ``probe``."""
    values: dict[str, Any] = {
        "project": PROJECT,
        "kind": "probe",
        "pool": "cpu",
        "queue": "cpu",
        "priority": "interactive",
        "inputs": {},
        "params": {},
        "labels": {},
        "max_attempts": 3,
        "request_digest": "digest",
    }
    return NewJob(**{**values, **changes})


def accepted(db: Database, **changes: Any) -> JobRow:
    """The record of a new job."""
    return accept(db, new_job(**changes))[0]


def claimed(db: Database, job_id: str, worker: str = "worker") -> JobRow:
    """The job, claimed; it has to be claimable."""
    row = leases.claim(db, job_id, worker)
    assert row is not None
    return row


def record(db: Database, job_id: str) -> JobRow:
    """The job's record as it is now."""
    return get_job(db, PROJECT, job_id).row


def alter(db: Database, job_id: str, **values: Any) -> None:
    """Write into the job's record what only time, or another machine, could."""
    with db.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**values))


def expire_lease(db: Database, job_id: str) -> None:
    """Let the lease of a running job be over, as if its worker had been silent for long."""
    alter(db, job_id, lease_until=now() - 1.0)


def filed(db: Database, project: str = PROJECT) -> str:
    """The id of a new file on record, of more bytes than 32 bits count; there are none in the object store."""
    file_id = new_id("file")
    return add_file(
        db,
        file_id=file_id,
        project=project,
        name="a.png",
        media_type="image/png",
        size=5_000_000_000,
        sha256="0" * 64,
        key=f"files/{file_id}",
        ttl_s=None,
    ).id


def expire_file(db: Database, file_id: str) -> None:
    """Let the file's time be over."""
    with db.write() as session:
        session.execute(update(FileRow).where(FileRow.id == file_id).values(expires_at=now() - 1.0))


def succeed(db: Database, job: JobRow, *artifacts: leases.StoredArtifact) -> None:
    """Finish a claimed job with a result that names the token it was made under."""
    leases.succeed(
        db,
        job.id,
        job.token,
        result={"token": job.token},
        artifacts=artifacts,
        provenance={"device": "cpu"},
        progress={"fraction": 1.0},
    )
