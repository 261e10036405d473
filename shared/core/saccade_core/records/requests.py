"""What users do to jobs: accept, look up, list, cancel, retry, delete. Every call is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, case, delete, insert, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from saccade_core.errors import Conflict, IdempotencyConflict, NotFound, UnknownReference
from saccade_core.ids import new_id
from saccade_core.jobs import FINAL_STATES, JobState
from saccade_core.records.database import Database, now
from saccade_core.records.parts import (
    FIRST_PUBLISH_S,
    FOLDER,
    end_split,
    ended,
    is_no_part,
    progress_of,
    queue_again,
    queued_now,
    remove_parts,
)
from saccade_core.records.tables import ArtifactRow, AttemptRow, FileRow, JobReadRow, JobRow

#: A job has up to thousands of artefacts of its parts; so many come with its record, the list has all.
PARTS_SHOWN = 100


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


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a project to list; ``before_id`` is the last id of the page before."""

    kind: str | None = None
    states: Sequence[str] = ()
    labels: dict[str, str | None] = field(default_factory=dict[str, str | None])
    created_after: float | None = None
    created_before: float | None = None
    batch: str | None = None
    pipeline: str | None = None
    before_id: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class JobWithArtifacts:
    """A job's record, artefacts that belong to it and, where it was split, how far its parts are together.

    Of its parts' artefacts, the first ``PARTS_SHOWN`` by name; none in a list of jobs.
    """

    row: JobRow
    artifacts: Sequence[ArtifactRow]
    parts_progress: dict[str, Any] | None = None


def accept(db: Database, new: NewJob) -> tuple[JobRow, bool]:
    """Record a job; the second value is False where its idempotency key had recorded it before.

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
        return row, True


def earlier(db: Database, project: str, idempotency_key: str, digest: str) -> JobRow | None:
    """The job that this key recorded before; IdempotencyConflict where it was from another request."""
    with db.read() as session:
        return _earlier(session, project, idempotency_key, digest)


def get_job(db: Database, project: str, job_id: str) -> JobWithArtifacts:
    """One job of the project, or NotFound."""
    with db.read() as session:
        row = _find(session, project, job_id)
        of_job = select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.name)
        artifacts = list(session.scalars(of_job.where(~_of_parts([row]))))
        if row.parts_total is not None:
            artifacts += session.scalars(of_job.where(_of_parts([row])).limit(PARTS_SHOWN))
        return JobWithArtifacts(row, artifacts, progress_of(session, _in_parts([row])).get(job_id))


def list_artifacts(db: Database, project: str, job_id: str) -> Sequence[ArtifactRow]:
    """All artefacts of one job of the project, by name; raises NotFound."""
    with db.read() as session:
        _find(session, project, job_id)
        query = select(ArtifactRow).where(ArtifactRow.job_id == job_id)
        return session.scalars(query.order_by(ArtifactRow.name)).all()


def get_artifact(db: Database, project: str, job_id: str, name: str) -> ArtifactRow:
    """One artefact of a job of the project, or NotFound."""
    with db.read() as session:
        _find(session, project, job_id)
        row = session.get(ArtifactRow, (job_id, name))
        if row is None:
            raise NotFound(f"Job {job_id} has no artefact {name!r}.", field="name", received=name)
        return row


def find_artifacts(db: Database, project: str, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ArtifactRow]:
    """Those of the artefacts, each named by its job's id and its own name, that the project has."""
    found: dict[tuple[str, str], ArtifactRow] = {}
    query = select(ArtifactRow).join(JobRow, JobRow.id == ArtifactRow.job_id).where(JobRow.project == project)
    with db.read() as session:
        for first in range(0, len(wanted), 250):
            some = tuple_(ArtifactRow.job_id, ArtifactRow.name).in_(wanted[first : first + 250])
            found.update({(row.job_id, row.name): row for row in session.scalars(query.where(some))})
    return found


def list_jobs(db: Database, project: str, wanted: JobFilter) -> list[JobWithArtifacts]:
    """Jobs of the project, newest first."""
    query = select(JobRow).where(JobRow.project == project, is_no_part(), *_conditions(wanted))
    with db.read() as session:
        rows = session.scalars(query.order_by(JobRow.id.desc()).limit(wanted.limit)).all()
        found: dict[str, list[ArtifactRow]] = {row.id: [] for row in rows}
        artifacts = (
            select(ArtifactRow).where(ArtifactRow.job_id.in_(list(found)), ~_of_parts(rows)).order_by(ArtifactRow.name)
        )
        for artifact in session.scalars(artifacts) if found else ():
            found[artifact.job_id].append(artifact)
        together = progress_of(session, _in_parts(rows))
        return [JobWithArtifacts(row, found[row.id], together.get(row.id)) for row in rows]


def list_attempts(db: Database, job_id: str) -> Sequence[AttemptRow]:
    """Every run of a job, in order."""
    with db.read() as session:
        return session.scalars(select(AttemptRow).where(AttemptRow.job_id == job_id).order_by(AttemptRow.token)).all()


def cancel_job(db: Database, project: str, job_id: str) -> JobRow:
    """End a job that no worker holds, with its parts; ask its worker to stop one that runs; leave an ended one."""
    with db.write() as session:
        row = _find(session, project, job_id, lock=True)  # no change between running and queued escapes the statements
        mine = JobRow.id == job_id
        if row.parts_left:
            end_split(session, job_id, JobState.CANCELLED, None)
        session.execute(
            update(JobRow)
            .where(mine, JobRow.state.in_([JobState.WAITING, JobState.QUEUED]))
            .values(state=JobState.CANCELLED, cancel_requested=True, **ended())
        )
        session.execute(update(JobRow).where(mine, JobRow.state == JobState.RUNNING).values(cancel_requested=True))
        return _find(session, project, job_id)


def retry_job(db: Database, project: str, job_id: str) -> JobRow:
    """Queue a failed or cancelled job again with as many attempts as it had at first; Conflict otherwise.

    Of a job that was split, the parts that are done are kept.
    """
    with db.write() as session:
        row = _find(session, project, job_id, lock=True)
        if row.state not in (JobState.FAILED, JobState.CANCELLED):
            raise Conflict(
                f"Only a failed or cancelled job can be retried; {job_id} is {row.state}.", received=row.state
            )
        cleared = ("error", "progress", "started_at", "finished_at", "run_at", "deadline_at", "expires_at")
        again = {**queued_now(), **dict.fromkeys(cleared), "cancel_requested": False, "attempt": 0}
        if row.parts_total is not None:
            again |= queue_again(session, job_id)
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**again))
        return _find(session, project, job_id)


def delete_job(db: Database, project: str, job_id: str) -> None:
    """Remove an ended job's record; its bytes are the caller's to remove.

    Raises Conflict while it is not ended, or while an unfinished job reads its artefacts.
    """
    with db.write() as session:
        state = _find(session, project, job_id, lock=True).seen_state
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


def _of_parts(rows: Sequence[JobRow]) -> ColumnElement[bool]:
    """Whether an artefact of these jobs is one of a part."""
    split = [row.id for row in rows if row.parts_total is not None]
    return and_(ArtifactRow.job_id.in_(split), ArtifactRow.name.startswith(FOLDER))


def _in_parts(rows: Sequence[JobRow]) -> list[str]:
    return [row.id for row in rows if row.parts_left]


def _find(session: Session, project: str, job_id: str, *, lock: bool = False) -> JobRow:
    query = select(JobRow).where(JobRow.id == job_id, JobRow.project == project, is_no_part())
    query = query.with_for_update() if lock else query
    row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.", field="id", received=job_id)
    return row


#: As JobRow.seen_state.
_SEEN_STATE = case(
    (and_(JobRow.parts_total.is_not(None), JobRow.state.not_in(FINAL_STATES)), JobState.RUNNING), else_=JobRow.state
)


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    checks: list[tuple[Any, ColumnElement[bool]]] = [
        (wanted.kind, JobRow.kind == wanted.kind),
        (wanted.states, _SEEN_STATE.in_(list(wanted.states))),
        (wanted.created_after, JobRow.created_at > (wanted.created_after or 0.0)),
        (wanted.created_before, JobRow.created_at < (wanted.created_before or 0.0)),
        (wanted.batch, JobRow.batch_id == wanted.batch),
        (wanted.pipeline, JobRow.pipeline_id == wanted.pipeline),
        (wanted.before_id, JobRow.id < (wanted.before_id or "")),
    ]
    found = [condition for value, condition in checks if value not in (None, ())]
    for name, value in wanted.labels.items():
        label = JobRow.labels[name].as_string()
        found.append(label == value if value is not None else label.is_not(None))
    return found
