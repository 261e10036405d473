"""A long job that is split over workers: its parts are jobs of their own, which users do not see.

A split job is ``running`` under the lease of the worker that plans it; ``running`` without a lease while
``parts_left`` is above 0; ``queued`` and ``running`` under a lease once more for the join, which may plan more parts:
then it is in the second of these again. While a part has not ended, its job is there too: a part that fails or is
cancelled ends its job and its siblings with it, but for one that fails and may.

Rows are locked in one order everywhere, a job before its parts, so that no two transactions wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from saccade_core.errors import LeaseLost
from saccade_core.ids import parent_of, part_id
from saccade_core.jobs import FINAL_STATES, JobState, Progress
from saccade_core.parts import Part
from saccade_core.records.database import Database, now
from saccade_core.records.tables import ArtifactRow, AttemptRow, JobRow
from saccade_core.storable import storable

#: A job that was recorded is published by who recorded it; the keeper looks again after this many seconds.
FIRST_PUBLISH_S = 3.0
#: How much of a split job's work its parts are; the rest is the join.
PARTS_SHARE = 0.9
#: Where a part's artefacts are among those of its job, until the join: ``parts/0003/frames.jsonl``.
FOLDER = "parts/"


@dataclass(frozen=True, slots=True)
class FinishedPart:
    """A part that is done: its plan, what it gave, what that came from, and its artefacts; or why it failed."""

    part: Part
    result: dict[str, Any]
    provenance: dict[str, Any]
    artifacts: Sequence[ArtifactRow]  # by the names that they have in the job: ``parts/0003/frames.jsonl``
    error: dict[str, Any] | None = None


def is_no_part() -> ColumnElement[bool]:
    """Whether the row is a job of its own; written so that no database takes the index of the parts for it."""
    return func.coalesce(JobRow.part, -1) < 0


def in_parts() -> ColumnElement[bool]:
    """Whether the job waits for its parts."""
    return and_(JobRow.state == JobState.RUNNING, JobRow.parts_left > 0)


def begins_join() -> ColumnElement[bool]:
    """Whether the job's join has not been tried yet: it belongs to the attempt that split the job."""
    return and_(JobRow.parts_left == 0, JobRow.worker.is_(None))


def queued_now(publish_in_s: float = FIRST_PUBLISH_S) -> dict[str, Any]:
    """Columns of a job that is due; one that joins its parts has waited already."""
    waits_since = case((JobRow.parts_left == 0, JobRow.queued_at), else_=now())
    return {
        "state": JobState.QUEUED,
        "queued_at": waits_since,
        "publish_at": now() + publish_in_s,
        "publishes": 0,
        "lease_until": None,
    }


def ended() -> dict[str, Any]:
    """Columns that every ending sets."""
    return {"finished_at": now(), "expires_at": now() + JobRow.ttl_s, "lease_until": None, "publish_at": None}


def lock_parent(session: Session, job_id: str) -> None:
    """Lock the row of the job that ``job_id`` is a part of, before the part's own."""
    lock_job(session, parent_of(job_id))


def lock_job(session: Session, job_id: str | None) -> None:
    """Lock the job's row, where there is one."""
    if job_id is not None:
        session.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())


def unlocked(rows: ColumnElement[bool]) -> ColumnElement[bool]:
    """Only those of ``rows`` that no other transaction holds now, for updates of many that can be made again later:
    one that waits for a part's row may never hold another's (``end_split`` takes them in an order of its own)."""
    return JobRow.id.in_(select(JobRow.id).where(rows).with_for_update(skip_locked=True).correlate(None))


def add_parts(session: Session, job: JobRow, queue: str, planned: Sequence[Part], expected: int) -> None:
    """Turn a job that its worker holds into one that waits for these parts, which are due in ``queue``; it is
    ``expected`` to have so many in the end."""
    total = max(planned[-1].index + 1, expected)
    waits = {"lease_until": None, "token": job.token + 1, "parts_total": total, "parts_left": len(planned)}
    session.execute(update(JobRow).where(JobRow.id == job.id).values(progress=None, **waits))
    same = {
        name: getattr(job, name) for name in ("project", "kind", "pool", "priority", "request_digest", "deadline_at")
    }
    # The job's own may have grown for its join.
    earlier = session.scalar(select(func.min(JobRow.max_attempts)).where(JobRow.parent_id == job.id))
    same["max_attempts"] = earlier or job.max_attempts
    due = {"state": JobState.QUEUED, "publishes": 0, "attempt": 0, "token": 0, "cancel_requested": False}
    rows = [
        {
            "id": part_id(job.id, part.index),
            "parent_id": job.id,
            "part": part.index,
            "part_spec": storable(dict(part.spec)),
            "part_weight": part.weight,
            "part_may_fail": part.may_fail,
        }
        for part in planned
    ]
    times = {"created_at": now(), "queued_at": now(), "publish_at": now() + FIRST_PUBLISH_S}
    # Inputs and params may be a megabyte: they are the job's alone (``with_request``).
    statement = insert(JobRow).values(queue=queue, inputs={}, params={}, labels={}, **same, **due, **times)
    session.execute(statement, rows)


def with_request(session: Session, row: JobRow) -> JobRow:
    """The record with the inputs and params that it is to be run with, which a part has from its job."""
    if row.parent_id is not None:
        session.flush()
        session.expunge(row)
        asked = select(JobRow.inputs, JobRow.params).where(JobRow.id == row.parent_id)
        found = session.execute(asked).one()
        row.inputs, row.params = found.inputs, found.params
    return row


def part_ended(session: Session, job_id: str, state: JobState, error: dict[str, Any] | None) -> None:
    """What the end of a part does to its job; nothing for a job that is no part. Raises LeaseLost."""
    parent = parent_of(job_id)
    if parent is None:
        return
    if state is not JobState.SUCCEEDED and not (state is JobState.FAILED and _may_fail(session, job_id)):
        named = {**error, "message": f"Part {job_id.rpartition('.p')[2]}: {error['message']}"} if error else None
        end_split(session, parent, state, named)
        return
    left = session.execute(
        update(JobRow)
        .where(JobRow.id == parent, in_parts())
        .values(parts_left=JobRow.parts_left - 1)
        .returning(JobRow.parts_left)
    ).scalar_one_or_none()
    if left is None:
        raise LeaseLost(f"Job {parent} does not wait for its parts any more.")
    if left == 0:
        due = {"worker": None, "progress": _joining(session, parent), "max_attempts": _most_attempts(), **queued_now()}
        session.execute(update(JobRow).where(JobRow.id == parent).values(**due))


def _done() -> ColumnElement[bool]:
    """Whether a part needs no further run."""
    failed = and_(JobRow.state == JobState.FAILED, JobRow.part_may_fail.is_(True))
    return or_(JobRow.state == JobState.SUCCEEDED, failed)


def _may_fail(session: Session, part: str) -> bool:
    return bool(session.scalar(select(JobRow.part_may_fail).where(JobRow.id == part)))


def _joining(session: Session, job_id: str) -> dict[str, Any]:
    """The progress of a job whose parts are all done: it stands still where more are expected of the join."""
    many = session.scalar(select(func.count()).where(JobRow.parent_id == job_id)) or 1
    total = session.scalar(select(JobRow.parts_total).where(JobRow.id == job_id)) or many
    return Progress(fraction=round(PARTS_SHARE * min(1.0, many / total), 4), stage="joining").model_dump()


def _most_attempts() -> ColumnElement[int]:
    """One attempt is left for the join at least: hours of work on parts are not lost with one worker."""
    return case((JobRow.max_attempts > JobRow.attempt, JobRow.max_attempts), else_=JobRow.attempt + 1)


def end_split(session: Session, job_id: str, state: JobState, error: dict[str, Any] | None) -> None:
    """End a job that waits for its parts, and them with it: running ones lose their lease."""
    session.execute(update(JobRow).where(JobRow.id == job_id, in_parts()).values(state=state, error=error, **ended()))
    open_parts = and_(JobRow.parent_id == job_id, JobRow.state.not_in(FINAL_STATES))
    session.execute(
        update(JobRow).where(open_parts).values(state=JobState.CANCELLED, token=JobRow.token + 1, **ended())
    )
    # After their parts' rows, as ``leases.claim`` takes them.
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.job_id.in_(select(JobRow.id).where(JobRow.parent_id == job_id)), AttemptRow.outcome.is_(None))
        .values(outcome=JobState.CANCELLED, finished_at=now())
    )


def queue_again(session: Session, job_id: str) -> dict[str, Any]:
    """Queue the parts that are not done; the columns with which their job goes on, to its join where none."""
    kept = ("error", "progress", "worker", "started_at", "finished_at", "run_at", "deadline_at")
    left = len(
        session.execute(
            update(JobRow)
            .where(JobRow.parent_id == job_id, ~_done())
            .values(attempt=0, token=JobRow.token + 1, **dict.fromkeys(kept), **queued_now(0.0))
            .returning(JobRow.id)
        ).all()
    )
    waits: dict[str, Any] = {"state": JobState.RUNNING, "publish_at": None}
    on = waits if left else {"progress": _joining(session, job_id)}
    return {"attempt": 1, "worker": None, "parts_left": left, "started_at": now(), **on}


def remove_parts(session: Session, job_ids: Collection[str]) -> None:
    """Forget the parts of these jobs, and the artefacts that the jobs have of them; their bytes are another's care."""
    session.execute(delete(JobRow).where(JobRow.parent_id.in_(job_ids)))
    session.execute(delete(ArtifactRow).where(ArtifactRow.job_id.in_(job_ids), ArtifactRow.name.startswith(FOLDER)))


def finished_parts(db: Database, job_id: str) -> list[FinishedPart]:
    """The finished parts of a job, in their order."""
    of_job = (JobRow.parent_id == job_id, _done())
    of_parts = (ArtifactRow.job_id == job_id, ArtifactRow.name.startswith(FOLDER))
    with db.read() as session:
        rows = session.scalars(select(JobRow).where(*of_job).order_by(JobRow.part)).all()
        found: dict[str, list[ArtifactRow]] = {}
        for artifact in session.scalars(select(ArtifactRow).where(*of_parts).order_by(ArtifactRow.name)):
            found.setdefault(artifact.name.split("/")[1], []).append(artifact)
    return [
        FinishedPart(part_of(row), row.result or {}, row.provenance or {}, found.get(f"{row.part:04d}", []), row.error)
        for row in rows
    ]


def part_of(row: JobRow) -> Part:
    """The plan of a part, from its record."""
    return Part(row.part or 0, row.part_spec or {}, row.part_weight or 1.0, bool(row.part_may_fail))


def join_due(db: Database, job_id: str) -> JobRow | None:
    """The job that ``job_id`` is a part of, where it waits for a worker to join it now."""
    with db.read() as session:
        return session.scalars(
            select(JobRow).where(JobRow.id == parent_of(job_id), JobRow.state == JobState.QUEUED, begins_join())
        ).one_or_none()


def progress_of(session: Session, job_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """How far those of the jobs are that have parts, by id: each part counts by its weight."""
    job = aliased(JobRow)
    columns = (
        JobRow.parent_id,
        JobRow.state,
        JobRow.part_may_fail,
        JobRow.part_weight,
        JobRow.progress,
        JobRow.finished_at,
    )
    query = select(*columns, job.started_at, job.parts_total, now()).join(job, job.id == JobRow.parent_id)
    found: dict[str, list[_PartSeen]] = {}
    for row in session.execute(query.where(JobRow.parent_id.in_(job_ids))) if job_ids else ():
        parent, *seen = cast("tuple[Any, ...]", row)
        found.setdefault(parent, []).append(_PartSeen(*seen))
    return {parent: _together(seen).model_dump() for parent, seen in found.items()}


@dataclass(frozen=True, slots=True)
class _PartSeen:
    state: str
    may_fail: bool | None
    weight: float
    progress: dict[str, Any] | None
    finished_at: float | None
    job_started_at: float | None
    parts_total: int
    now: float

    @property
    def ended(self) -> bool:
        return self.state == JobState.SUCCEEDED or bool(self.state == JobState.FAILED and self.may_fail)

    @property
    def done(self) -> float:
        if self.ended:
            return self.weight
        return self.weight * float((self.progress or {}).get("fraction", 0.0)) * (self.state == JobState.RUNNING)

    @property
    def done_before(self) -> float:
        """What the job's try before this one, which a user had tried again, had done."""
        return self.done if (self.finished_at or self.now) < (self.job_started_at or 0.0) else 0.0


def _together(parts: Sequence[_PartSeen]) -> Progress:
    many = max(len(parts), parts[0].parts_total)  # those that a join will plan weigh what these do
    total, done = sum(part.weight for part in parts) * many / len(parts), sum(part.done for part in parts)
    finished = sum(part.ended for part in parts)
    lately = done - sum(part.done_before for part in parts)
    spent = parts[0].now - (parts[0].job_started_at or parts[0].now)
    return Progress(
        fraction=round(PARTS_SHARE * done / total, 4),
        stage=f"part {min(finished + 1, many)} of {many}",
        done=round(done, 1),
        total=round(total, 1),
        eta_s=round(spent * (total - done) / lately, 1) if lately > 0.02 * total else None,
    )
