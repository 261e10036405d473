"""What workers do to jobs: claim, keep, finish, give back. The fencing ``token`` decides who may.

A worker that lost its lease (it hung, its network broke) finds no row with its token any more, and throws its
work away: so a job may be run twice, and takes effect once (docs/decisions/0003-records-are-the-truth.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from saccade_core.errors import LeaseLost, SaccadeError, StorageFailed, Unavailable, WorkerLost
from saccade_core.ids import folder_of, parent_of
from saccade_core.jobs import JobState
from saccade_core.parts import Part
from saccade_core.records.database import Database, now
from saccade_core.records.parts import (
    FOLDER,
    add_parts,
    begins_join,
    ended,
    lock_parent,
    part_ended,
    queued_now,
    remove_parts,
    unlocked,
    with_request,
)
from saccade_core.records.removals import must_go
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
    whose pool is paused. The join of a split job is still the attempt that split it.
    """
    expired = and_(JobRow.state == JobState.RUNNING, JobRow.lease_until < now())
    may = or_(JobRow.state == JobState.QUEUED, expired)
    left = or_(JobRow.attempt < JobRow.max_attempts, begins_join())
    with db.write() as session:
        rows = _take(session, and_(JobRow.id == job_id, may, JobRow.cancel_requested.is_(False), left), worker)
        return with_request(session, rows[0]) if rows else None


def claim_more(db: Database, job_ids: Sequence[str], like: JobRow, worker: str) -> list[JobRow]:
    """Take those of the jobs that wait for their first attempt and are of the kind, pool and queue of ``like``, in
    the order of ``job_ids``. A part, a join and what has failed before is none of them: such a job is claimed alone.
    """
    fits = and_(
        JobRow.id.in_(job_ids),
        JobRow.state == JobState.QUEUED,
        JobRow.token == 0,
        JobRow.cancel_requested.is_(False),
        JobRow.parent_id.is_(None),
        *(column == getattr(like, column.key) for column in (JobRow.kind, JobRow.pool, JobRow.queue)),
    )
    with db.write() as session:
        rows = _take(session, unlocked(fits), worker)
    return sorted(rows, key=lambda row: job_ids.index(row.id))


def _take(session: Session, fits: ColumnElement[bool], worker: str) -> list[JobRow]:
    """Claim the rows that fit, unless their pool is paused."""
    paused = select(PoolRow.pool).where(PoolRow.pool == JobRow.pool, PoolRow.paused).exists()
    joins = JobRow.parts_left == 0
    taken = (
        update(JobRow)
        .where(fits, ~paused)
        .values(
            state=JobState.RUNNING,
            attempt=JobRow.attempt + case((begins_join(), 0), else_=1),
            token=JobRow.token + 1,
            lease_until=now() + LEASE_S,
            worker=worker,
            started_at=case((joins, func.coalesce(JobRow.started_at, now())), else_=now()),
            progress=case((joins, JobRow.progress), else_=null()),
            publish_at=None,
        )
        .returning(JobRow)
    )
    rows = list(session.scalars(taken))
    for row in rows:
        if row.token > 1:
            close_attempts(session, row.id, "lost")
    started = [
        {"job_id": r.id, "token": r.token, "attempt": r.attempt, "worker": worker, "started_at": claimed_at(r)}
        for r in rows
    ]
    if started:
        session.execute(insert(AttemptRow), started)
    return rows


def claimed_at(row: JobRow) -> float:
    """When the job was claimed, by the database's clock, from its record as ``claim`` gave it."""
    return (row.lease_until or 0.0) - LEASE_S


def abandon(db: Database, job_id: str, token: int) -> bool:
    """End a lease whose holder is known to be dead, so that the keeper takes the job back now; whether it ran."""
    with db.write() as session:
        found = session.execute(
            update(JobRow).where(_held(job_id, token)).values(lease_until=now() - 1.0).returning(JobRow.id)
        )
        return found.scalar_one_or_none() is not None


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
    also: Callable[[Session], None] | None = None,
) -> JobState:
    """Make the result and the artefacts the job's, at once. Raises LeaseLost: then the work is thrown away.

    ``also`` records in the same transaction what else the job has done; where it raises, nothing is recorded.
    A part's artefacts become its job's, below ``parts/``; a join's take the place of those.
    """
    parent = parent_of(job_id)
    folder = f"{FOLDER}{job_id.rpartition('.p')[2]}/" if parent else ""
    with db.write() as session:
        joined = _end(
            session,
            job_id,
            token,
            JobState.SUCCEEDED,
            error=None,
            result=storable(result),
            provenance=storable(provenance),
            progress=storable(progress),
        )
        if joined:
            remove_parts(session, [job_id])
            must_go(db, session, [f"{folder_of(job_id)}{FOLDER}"])
        session.add_all(
            ArtifactRow(
                job_id=parent or job_id,
                name=folder + a.name,
                media_type=a.media_type,
                bytes=a.bytes,
                sha256=a.sha256,
                key=a.key,
            )
            for a in artifacts
        )
        if also is not None:
            also(session)
        return JobState.SUCCEEDED


def split(db: Database, job: JobRow, planned: Sequence[Part], queue: str, expected: int = 0) -> JobState:
    """Let the job wait for these parts of it, which are due in ``queue``; RUNNING, or CANCELLED where that was asked.

    A job that had parts already gets these besides; in all it is ``expected`` to have so many. Raises LeaseLost.
    """
    with db.write() as session:
        if _cancel_asked(session, job.id, job.token):
            _end(session, job.id, job.token, JobState.CANCELLED)
            return JobState.CANCELLED
        add_parts(session, job, queue, planned, expected)
        close_attempts(session, job.id, "split")
        return JobState.RUNNING


def fail(db: Database, job: JobRow, error: SaccadeError) -> JobState:
    """Record a failed run: the job tries again where an attempt is left and can help, else it has failed.

    An outage of the database or the object store is not the job's fault and costs it no attempt, up to OUTAGE_TRIES.
    Returns the job's new state. Raises LeaseLost.
    """
    problem = problem_of(error)
    with db.write() as session:
        if _cancel_asked(session, job.id, job.token):
            _end(session, job.id, job.token, JobState.CANCELLED)
            return JobState.CANCELLED
        tries = (job.token + 1) // 2 - _splits(session, job)  # each claim, requeueing and split raises the token
        outage = isinstance(error, Unavailable | StorageFailed) and tries < OUTAGE_TRIES
        if not outage and (not error.retryable or job.attempt >= job.max_attempts):
            _end(session, job.id, job.token, JobState.FAILED, error=problem)
            return JobState.FAILED
        if isinstance(error, WorkerLost):  # the job is seldom at fault: no pause
            _requeue(session, job.id, outcome="lost", problem=problem, **queued_now())
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
        _requeue(session, job.id, outcome="released", attempt=JobRow.attempt - 1, **queued_now())
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


def _end(session: Session, job_id: str, token: int, state: JobState, **values: Any) -> bool:
    """End a job, and with a part that fails the job that it is of; whether the job had parts."""
    lock_parent(session, job_id)
    found = session.execute(
        update(JobRow)
        .where(_held(job_id, token))
        .values(state=state, **values, **ended())
        .returning(JobRow.id, JobRow.parts_total)
    ).one_or_none()
    if found is None:
        raise LeaseLost(f"Another worker holds job {job_id} now.")
    close_attempts(session, job_id, state.value, values.get("error"))
    part_ended(session, job_id, state, values.get("error"))
    return found.parts_total is not None


def _requeue(
    session: Session, job_id: str, *, outcome: str, problem: dict[str, Any] | None = None, **values: Any
) -> None:
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(**{"token": JobRow.token + 1, "lease_until": None, "publishes": 0, "error": problem, **values})
    )
    close_attempts(session, job_id, outcome, problem)


def _splits(session: Session, job: JobRow) -> int:
    """How often the job was split: runs that did what they should."""
    of_job = (AttemptRow.job_id == job.id, AttemptRow.outcome == "split")
    return 0 if job.parts_total is None else session.scalar(select(func.count()).where(*of_job)) or 0


def _cancel_asked(session: Session, job_id: str, token: int) -> bool:
    """Lock the job's row; whether its cancellation is asked for. Raises LeaseLost where the token is old."""
    lock_parent(session, job_id)
    query = select(JobRow.cancel_requested).where(_held(job_id, token)).with_for_update()
    asked = session.execute(query).scalar_one_or_none()
    if asked is None:
        raise LeaseLost(f"Another worker holds job {job_id} now.")
    return asked
