"""What workers do to jobs: claim, keep, finish, give back. The fencing ``token`` decides who may.

A worker that lost its lease (it hung, its network broke) finds no row with its token any more, and throws its
work away: so a job may be run twice, and takes effect once (docs/decisions/0003-records-are-the-truth.md).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from saccade_core.errors import LeaseLost, SaccadeError, StorageFailed, Unavailable, WorkerLost
from saccade_core.jobs import JobState
from saccade_core.records.database import Database, now
from saccade_core.records.requests import FIRST_PUBLISH_S, ended
from saccade_core.records.tables import ArtifactRow, AttemptRow, JobRow, PoolRow
from saccade_core.storable import storable

#: A lease ends this long after the last heartbeat; SQLite's writers can wait 6 s under load, so not shorter.
LEASE_S = 60.0
HEARTBEAT_S = 10.0
#: Runs that an outage ended; with the pauses between them more than an hour.
OUTAGE_TRIES = 20


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """An artefact whose bytes are in the object store under ``key``."""

    name: str
    media_type: str
    bytes: int
    sha256: str
    key: str


def claim(db: Database, job_id: str, worker: str) -> JobRow | None:
    """Take the job for this worker, or None: another has it, it ended, or it is not due.

    Claimable: queued; or running with an expired lease. Never one that was cancelled, has no attempt left, or
    whose pool is paused.
    """
    paused = select(PoolRow.pool).where(PoolRow.pool == JobRow.pool, PoolRow.paused).exists()
    expired = and_(JobRow.state == JobState.RUNNING, JobRow.lease_until < now())
    with db.write() as session:
        row = session.execute(
            update(JobRow)
            .where(
                JobRow.id == job_id,
                or_(JobRow.state == JobState.QUEUED, expired),
                JobRow.cancel_requested.is_(False),
                JobRow.attempt < JobRow.max_attempts,
                ~paused,
            )
            .values(
                state=JobState.RUNNING,
                attempt=JobRow.attempt + 1,
                token=JobRow.token + 1,
                lease_until=now() + LEASE_S,
                worker=worker,
                started_at=now(),
                progress=None,
                publish_at=None,
            )
            .returning(JobRow)
        ).scalar_one_or_none()
        if row is None:
            return None
        if row.token > 1:
            close_attempts(session, job_id, "lost")
        session.add(
            AttemptRow(job_id=job_id, token=row.token, attempt=row.attempt, worker=worker, started_at=row.started_at)
        )
        return row


def heartbeat(db: Database, job_id: str, token: int, progress: dict[str, Any] | None) -> bool:
    """Extend the lease and record progress; whether the job's cancellation is asked for. Raises LeaseLost."""
    with db.write() as session:
        values: dict[str, Any] = {"lease_until": now() + LEASE_S}
        if progress is not None:
            values["progress"] = storable(progress)
        asked = session.execute(
            update(JobRow).where(_held(job_id, token)).values(**values).returning(JobRow.cancel_requested)
        ).scalar_one_or_none()
    if asked is None:
        raise LeaseLost(f"Another worker holds job {job_id} now.")
    return asked


def succeed(
    db: Database,
    job_id: str,
    token: int,
    *,
    result: dict[str, Any],
    artifacts: Sequence[StoredArtifact],
    provenance: dict[str, Any],
    progress: dict[str, Any],
) -> JobState:
    """Make the result and the artefacts the job's, at once. Raises LeaseLost: then the work is thrown away."""
    with db.write() as session:
        _end(
            session,
            job_id,
            token,
            JobState.SUCCEEDED,
            error=None,
            result=storable(result),
            provenance=storable(provenance),
            progress=storable(progress),
        )
        session.add_all(
            ArtifactRow(job_id=job_id, name=a.name, media_type=a.media_type, bytes=a.bytes, sha256=a.sha256, key=a.key)
            for a in artifacts
        )
        return JobState.SUCCEEDED


def fail(db: Database, job: JobRow, error: SaccadeError) -> JobState:
    """Record a failed run: the job tries again where an attempt is left and can help, else it has failed.

    An outage of the database or the object store is not the job's fault and costs it no attempt, up to OUTAGE_TRIES.
    Returns the job's new state. Raises LeaseLost.
    """
    problem = problem_of(error)
    tries = (job.token + 1) // 2  # each claim and each requeueing raises the token
    outage = isinstance(error, Unavailable | StorageFailed) and tries < OUTAGE_TRIES
    with db.write() as session:
        if _cancel_asked(session, job.id, job.token):
            _end(session, job.id, job.token, JobState.CANCELLED)
            return JobState.CANCELLED
        if not outage and (not error.retryable or job.attempt >= job.max_attempts):
            _end(session, job.id, job.token, JobState.FAILED, error=problem)
            return JobState.FAILED
        if isinstance(error, WorkerLost):  # the job is seldom at fault: no pause
            _requeue(session, job.id, outcome="lost", problem=problem, **_queued_now())
            return JobState.QUEUED
        later: dict[str, Any] = {"state": JobState.WAITING, "run_at": now() + backoff_s(tries), "publish_at": None}
        if outage:
            later["attempt"] = JobRow.attempt - 1
        _requeue(session, job.id, outcome="failed", problem=problem, **later)
        return JobState.WAITING


def release(db: Database, job: JobRow) -> JobState:
    """A draining worker hands the job back unfinished; the attempt does not count.

    Returns the job's new state. Raises LeaseLost.
    """
    with db.write() as session:
        if _cancel_asked(session, job.id, job.token):
            _end(session, job.id, job.token, JobState.CANCELLED)
            return JobState.CANCELLED
        _requeue(session, job.id, outcome="released", attempt=JobRow.attempt - 1, **_queued_now())
        return JobState.QUEUED


def cancelled(db: Database, job_id: str, token: int) -> JobState:
    """Record that the run stopped because the job was cancelled. Raises LeaseLost."""
    with db.write() as session:
        _end(session, job_id, token, JobState.CANCELLED)
        return JobState.CANCELLED


def backoff_s(attempt: int) -> float:
    """Seconds before attempt ``attempt + 1``: doubling from 2 s to 5 min, with jitter so that a herd spreads."""
    return min(300.0, 2.0**attempt) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret


def problem_of(error: SaccadeError) -> dict[str, Any]:
    """An error as the job's record holds it."""
    problem = {"code": error.code, "message": error.message, "retryable": error.retryable, "field": error.field}
    return storable(problem)


def close_attempts(session: Session, job_id: str, outcome: str, error: dict[str, Any] | None = None) -> None:
    """Write the outcome of the job's open attempt."""
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.job_id == job_id, AttemptRow.outcome.is_(None))
        .values(outcome=outcome, error=error, finished_at=now())
    )


def _held(job_id: str, token: int) -> ColumnElement[bool]:
    return and_(JobRow.id == job_id, JobRow.token == token, JobRow.state == JobState.RUNNING)


def _end(session: Session, job_id: str, token: int, state: JobState, **values: Any) -> None:
    found = session.execute(
        update(JobRow).where(_held(job_id, token)).values(state=state, **values, **ended()).returning(JobRow.id)
    ).scalar_one_or_none()
    if found is None:
        raise LeaseLost(f"Another worker holds job {job_id} now.")
    close_attempts(session, job_id, state.value, values.get("error"))


def _requeue(
    session: Session, job_id: str, *, outcome: str, problem: dict[str, Any] | None = None, **values: Any
) -> None:
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(token=JobRow.token + 1, lease_until=None, publishes=0, error=problem, **values)
    )
    close_attempts(session, job_id, outcome, problem)


def _queued_now() -> dict[str, Any]:
    return {"state": JobState.QUEUED, "queued_at": now(), "publish_at": now() + FIRST_PUBLISH_S}


def _cancel_asked(session: Session, job_id: str, token: int) -> bool:
    """Lock the job's row; whether its cancellation is asked for. Raises LeaseLost where the token is old."""
    query = select(JobRow.cancel_requested).where(_held(job_id, token)).with_for_update()
    asked = session.execute(query).scalar_one_or_none()
    if asked is None:
        raise LeaseLost(f"Another worker holds job {job_id} now.")
    return asked
