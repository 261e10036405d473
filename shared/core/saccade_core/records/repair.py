"""What the keeper does to jobs: publish what is due, take back what was lost, end and remove what is over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from saccade_core.errors import DeadlineExceeded, WorkerLost
from saccade_core.jobs import FINAL_STATES, JobState
from saccade_core.records.database import Database, now
from saccade_core.records.leases import close_attempts, problem_of
from saccade_core.records.parts import (
    end_split,
    ended,
    in_parts,
    is_no_part,
    lock_job,
    part_ended,
    queued_now,
    remove_parts,
    unlocked,
)
from saccade_core.records.requests import readers
from saccade_core.records.tables import FileRow, JobRow, LockRow, PoolRow


def take_lock(db: Database, name: str, holder: str, seconds: float) -> bool:
    """Take or keep the lock ``name`` until ``seconds`` from now; False while another holds it.

    Kept as it is while more than half of that time is left, so that asking often costs no write.
    """
    with db.read() as session:
        kept = session.execute(
            select(LockRow.holder, LockRow.until - now()).where(LockRow.name == name, LockRow.until > now())
        ).one_or_none()
    if kept is not None and (kept[0] != holder or kept[1] > seconds / 2):
        return bool(kept[0] == holder)
    with db.write() as session:
        session.execute(db.insert(LockRow).values(name=name, holder="", until=0.0).on_conflict_do_nothing())
        held = session.execute(
            update(LockRow)
            .where(LockRow.name == name, or_(LockRow.holder == holder, LockRow.until < now()))
            .values(holder=holder, until=now() + seconds)
            .returning(LockRow.name)
        ).scalar_one_or_none()
        return held is not None


def release_lock(db: Database, name: str, holder: str) -> None:
    """Let another take the lock at once, where ``holder`` has it."""
    with db.write() as session:
        session.execute(delete(LockRow).where(LockRow.name == name, LockRow.holder == holder))


_UNFINISHED = (JobState.WAITING, JobState.QUEUED, JobState.RUNNING)

# Each search is a read first, and a write only where it finds something: SQLite has one writer at a time.


def wake_due(db: Database) -> int:
    """Queue the waiting jobs whose time has come; how many."""
    due = and_(JobRow.state == JobState.WAITING, JobRow.run_at <= now())
    if not db.has(select(JobRow.id).where(due)):
        return 0
    with db.write() as session:
        return len(
            session.execute(
                update(JobRow).where(due, unlocked(due)).values(**queued_now(0.0)).returning(JobRow.id)
            ).all()
        )


def queued_by_queue(db: Database) -> dict[str, int]:
    """How many jobs are due and unclaimed in each queue whose pool is not paused."""
    with db.read() as session:
        paused = select(PoolRow.pool).where(PoolRow.paused)
        rows = session.execute(
            select(JobRow.queue, func.count())
            .where(JobRow.state == JobState.QUEUED, JobRow.pool.not_in(paused))
            .group_by(JobRow.queue)
        )
        return {queue: int(count) for queue, count in rows}


def publishable(db: Database, queue: str, limit: int) -> Sequence[str]:
    """Ids of queued jobs that nobody has claimed since they were last published, those due longest first."""
    with db.read() as session:
        return session.scalars(
            select(JobRow.id)
            .where(JobRow.state == JobState.QUEUED, JobRow.queue == queue, JobRow.publish_at <= now())
            .order_by(JobRow.publish_at, JobRow.id)
            .limit(limit)
        ).all()


def mark_published(db: Database, job_ids: Sequence[str]) -> None:
    """Look again at these jobs after 5 s, doubling up to 5 min, should they still be unclaimed."""
    pause = func.least if not db.is_sqlite else func.min
    published = and_(JobRow.id.in_(job_ids), JobRow.state == JobState.QUEUED)
    with db.write() as session:
        session.execute(
            update(JobRow)
            .where(published, unlocked(published))
            .values(
                publishes=JobRow.publishes + 1,
                publish_at=now() + pause(300.0, 5.0 * (1 + JobRow.publishes) * (1 + JobRow.publishes)),
            )
        )


def publish_all_again(db: Database) -> None:
    """Redis was emptied: every queued job is due for publishing now."""
    with db.write() as session:
        again = update(JobRow).where(JobRow.state == JobState.QUEUED, unlocked(JobRow.state == JobState.QUEUED))
        session.execute(again.values(publish_at=now(), publishes=0))


def take_back_expired(db: Database) -> list[JobRow]:
    """Jobs and parts whose worker stopped reporting: queued again, or ended where cancelled or out of attempts.

    A part that failed has ended its job too.
    """
    expired = and_(JobRow.state == JobState.RUNNING, JobRow.lease_until < now())
    with db.read() as session:
        parents = session.scalars(select(JobRow.parent_id).where(expired).distinct()).all()
    taken: list[JobRow] = []
    for parent in parents:  # one after the other: of each, the row of the job is locked before those of its parts
        of_parent = JobRow.parent_id.is_(None) if parent is None else JobRow.parent_id == parent
        with db.write() as session:
            lock_job(session, parent)
            query = select(JobRow).where(expired, of_parent).order_by(JobRow.id).limit(500)
            for row in session.scalars(query.with_for_update(skip_locked=True)).all():
                taken.append(row)
                if _take_back(session, row).final and parent is not None:
                    break  # its siblings have ended with it
    return taken


def _take_back(session: Session, row: JobRow) -> JobState:
    close_attempts(session, row.id, "lost")
    if not row.cancel_requested and row.attempt < row.max_attempts:
        error, again = row.error, queued_now(0.0)
    elif row.cancel_requested:
        error, again = None, {"state": JobState.CANCELLED, **ended()}
    else:
        lost = f"The worker that ran it stopped reporting, and no attempt is left ({row.attempt} were made)."
        error, again = problem_of(WorkerLost(lost)), {"state": JobState.FAILED, **ended()}
    session.expunge(row)  # from here on it is what the caller reads
    row.state, row.token = again["state"], row.token + 1
    session.execute(
        update(JobRow)
        .where(JobRow.id == row.id)
        .values(**{"token": row.token, "lease_until": None, "error": error, **again})
    )
    if row.is_final:
        part_ended(session, row.id, JobState(row.state), error)
    return JobState(row.state)


def end_overdue(db: Database) -> Sequence[str]:
    """Fail the jobs that no worker holds when their deadline passes; a worker ends those that it holds."""
    unstarted = JobRow.state.in_([JobState.WAITING, JobState.QUEUED])
    unheld = and_(JobRow.state.in_(_UNFINISHED), or_(unstarted, in_parts()), is_no_part())
    overdue = and_(unheld, JobRow.deadline_at < now())
    if not db.has(select(JobRow.id).where(overdue)):
        return []
    waited = problem_of(DeadlineExceeded("The job's deadline passed before a worker was free for it."))
    ran = problem_of(DeadlineExceeded("The job did not end within its deadline."))
    with db.write() as session:
        rows = session.scalars(select(JobRow).where(overdue).order_by(JobRow.id).with_for_update()).all()
        for row in rows:
            error = waited if row.parts_total is None else ran
            if row.parts_left:
                end_split(session, row.id, JobState.FAILED, error)
            else:
                failed = update(JobRow).where(JobRow.id == row.id)
                session.execute(failed.values(state=JobState.FAILED, error=error, **ended()))
        return [row.id for row in rows]


def remove_expired_jobs(db: Database, limit: int = 200) -> Sequence[str]:
    """Remove the records of ended jobs whose ``ttl_s`` is over and whose artefacts no unfinished job reads.

    Returns their ids; their bytes are the caller's to remove.
    """
    over = and_(JobRow.state.in_(FINAL_STATES), JobRow.expires_at < now())
    return _remove(db, JobRow, over, JobRow.id, limit)


def remove_expired_files(db: Database, limit: int = 200) -> Sequence[str]:
    """Remove the records of expired files that no unfinished job reads; returns their keys."""
    return _remove(db, FileRow, FileRow.expires_at < now(), FileRow.key, limit)


def _remove(
    db: Database,
    table: type[FileRow | JobRow],
    over: ColumnElement[bool],
    returned: InstrumentedAttribute[str],
    limit: int,
) -> Sequence[str]:
    needed = readers(table.id).exists()
    found = select(table.id).where(over, ~needed)
    if not db.has(found):
        return []
    with db.write() as session:
        locked = session.scalars(found.limit(limit).with_for_update(skip_locked=True, of=table)).all()
        # Asked again now that the rows are locked: a job may have been accepted since the first look began.
        removed = session.scalars(delete(table).where(table.id.in_(locked), ~needed).returning(returned)).all()
        if table is JobRow:
            remove_parts(session, removed)
        return removed


@dataclass(frozen=True, slots=True)
class KnownJob:
    """What decides whether an object of a job is still somebody's."""

    token: int
    final: bool


def jobs_of_prefixes(db: Database, job_ids: Collection[str]) -> dict[str, KnownJob]:
    """Those of these jobs that still exist."""
    with db.read() as session:
        rows = session.execute(select(JobRow.id, JobRow.token, JobRow.state).where(JobRow.id.in_(job_ids)))
        return {job_id: KnownJob(token, JobState(state).final) for job_id, token, state in rows}


def unknown_file_keys(db: Database, keys: Sequence[str]) -> list[str]:
    """Those of the keys that no file's record names."""
    with db.read() as session:
        known = set(session.scalars(select(FileRow.key).where(FileRow.key.in_(keys))))
    return [key for key in keys if key not in known]
