"""What users do to jobs: accept, cancel, retry, delete. Every call is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from saccade_core.errors import Conflict, IdempotencyConflict, UnknownReference
from saccade_core.ids import new_id
from saccade_core.jobs import FINAL_STATES, JobState
from saccade_core.records.database import Database, now
from saccade_core.records.lookups import find_job
from saccade_core.records.parts import (
    FIRST_PUBLISH_S,
    end_split,
    ended,
    queue_again,
    queued_now,
    remove_parts,
)
from saccade_core.records.tables import FileRow, JobReadRow, JobRow


@dataclass(frozen=True, slots=True)
class NewJob:
    """A checked request, ready to be recorded."""

    project: str
    kind: str
    pool: str
    queue: str
    priority: str
    inputs: dict[str, Any]
    params: dict[str, Any]
    labels: dict[str, str]
    max_attempts: int
    request_digest: str
    file_ids: Sequence[str] = ()
    job_ids: Sequence[str] = ()  # whose artefacts are read
    idempotency_key: str | None = None
    run_at: float | None = None
    deadline_s: float | None = None
    ttl_s: float | None = None


def accept(db: Database, new: NewJob, also: Callable[[Session, JobRow], None] | None = None) -> tuple[JobRow, bool]:
    """Record a job; the second value is False where its idempotency key had recorded it before.

    ``also`` records in the same transaction what else belongs to a new job; where it raises, nothing is recorded.
    Raises IdempotencyConflict where the key came with another request, UnknownReference where a file, or a job
    whose artefact is to be read, is gone.
    """
    statement = db.insert(JobRow).values(**_values_of(new))
    if new.idempotency_key is not None:
        statement = statement.on_conflict_do_nothing(index_elements=["project", "idempotency_key"])
    with db.write() as session:
        while (row := session.execute(statement.returning(JobRow)).scalar_one_or_none()) is None:
            found = _earlier(session, new.project, new.idempotency_key or "", new.request_digest)
            if found is not None:
                return found, False  # else it was deleted a moment ago: the key is free again
        _hold(session, row, FileRow, "file", new.file_ids)
        _hold(session, row, JobRow, "job", new.job_ids)
        if also is not None:
            also(session, row)
        return row, True


def earlier(db: Database, project: str, idempotency_key: str, digest: str) -> JobRow | None:
    """The job that this key recorded before; IdempotencyConflict where it was from another request."""
    with db.read() as session:
        return _earlier(session, project, idempotency_key, digest)


def cancel_job(db: Database, project: str, job_id: str) -> JobRow:
    """End a job that no worker holds, with its parts; ask its worker to stop one that runs; leave an ended one."""
    with db.write() as session:
        row = find_job(
            session, project, job_id, lock=True
        )  # no change between running and queued escapes the statements
        mine = JobRow.id == job_id
        if row.parts_left:
            end_split(session, job_id, JobState.CANCELLED, None)
        session.execute(
            update(JobRow)
            .where(mine, JobRow.state.in_([JobState.WAITING, JobState.QUEUED]))
            .values(state=JobState.CANCELLED, cancel_requested=True, **ended())
        )
        session.execute(update(JobRow).where(mine, JobRow.state == JobState.RUNNING).values(cancel_requested=True))
        return find_job(session, project, job_id)


def retry_job(db: Database, project: str, job_id: str) -> JobRow:
    """Queue a failed or cancelled job again with as many attempts as it had at first; Conflict otherwise.

    Of a job that was split, the parts that are done are kept.
    """
    with db.write() as session:
        row = find_job(session, project, job_id, lock=True)
        if row.state not in (JobState.FAILED, JobState.CANCELLED):
            raise Conflict(
                f"Only a failed or cancelled job can be retried; {job_id} is {row.state}.", received=row.state
            )
        cleared = ("error", "progress", "started_at", "finished_at", "run_at", "deadline_at", "expires_at")
        again = {**queued_now(), **dict.fromkeys(cleared), "cancel_requested": False, "attempt": 0}
        if row.parts_total is not None:
            again |= queue_again(session, job_id)
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**again))
        return find_job(session, project, job_id)


def delete_job(db: Database, project: str, job_id: str) -> None:
    """Remove an ended job's record; its bytes are the caller's to remove.

    Raises Conflict while it is not ended, or while an unfinished job reads its artefacts.
    """
    with db.write() as session:
        state = find_job(session, project, job_id, lock=True).seen_state
        if not state.final:
            raise Conflict(f"Job {job_id} is {state}; cancel it first.", received=state)
        reader = session.scalars(readers(job_id).limit(1)).first()
        if reader is not None:
            raise Conflict(f"Job {reader} still needs an artefact of {job_id}.", field="id", received=job_id)
        session.execute(delete(JobRow).where(JobRow.id == job_id))
        remove_parts(session, [job_id])


def _values_of(new: NewJob) -> dict[str, Any]:
    due = new.run_at is None
    return {
        "id": new_id("job"),
        "project": new.project,
        "kind": new.kind,
        "pool": new.pool,
        "queue": new.queue,
        "state": JobState.QUEUED if due else JobState.WAITING,
        "priority": new.priority,
        "labels": new.labels,
        "inputs": new.inputs,
        "params": new.params,
        "attempt": 0,
        "token": 0,
        "publishes": 0,
        "cancel_requested": False,
        "max_attempts": new.max_attempts,
        "created_at": now(),
        "run_at": new.run_at,
        "queued_at": now() if due else None,
        "publish_at": now() + FIRST_PUBLISH_S if due else None,
        "deadline_at": None if new.deadline_s is None else now() + new.deadline_s,
        "ttl_s": new.ttl_s,
        "idempotency_key": new.idempotency_key,
        "request_digest": new.request_digest,
    }


def _earlier(session: Session, project: str, idempotency_key: str, digest: str) -> JobRow | None:
    row = session.execute(
        select(JobRow).where(JobRow.project == project, JobRow.idempotency_key == idempotency_key)
    ).scalar_one_or_none()
    if row is not None and row.request_digest != digest:
        raise IdempotencyConflict(
            f"This Idempotency-Key made {row.id} from another request; use a new key for a new request.",
            field="Idempotency-Key",
            received=idempotency_key,
        )
    return row


def _hold(
    session: Session, reader: JobRow, table: type[FileRow | JobRow], what: Literal["file", "job"], ids: Sequence[str]
) -> None:
    # The row locks keep a removal that runs at the same time from passing between the check and the insert;
    # taken in the order of the ids, so that two requests for the same files do not wait for each other.
    wanted = sorted(set(ids))
    for first in range(0, len(wanted), 500):
        some = wanted[first : first + 500]
        query = select(table.id).where(table.id.in_(some), table.project == reader.project)
        found = set(session.scalars(query.order_by(table.id).with_for_update(read=True)))
        for held in some:
            if held not in found:
                raise UnknownReference(f"There is no {what} {held}.", field="inputs", received=held)
        session.execute(insert(JobReadRow), [{"job_id": reader.id, "read_id": held} for held in some])


def readers(held: str | InstrumentedAttribute[str]) -> Select[str]:
    """Ids of the unfinished jobs that read the file, or an artefact of the job, of id ``held``."""
    reader = aliased(JobRow)  # the statement around it may be about jobs too
    return (
        select(reader.id)
        .join(JobReadRow, reader.id == JobReadRow.job_id)
        .where(JobReadRow.read_id == held, reader.state.not_in(FINAL_STATES))
    )
