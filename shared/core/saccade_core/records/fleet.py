"""Records of worker processes and the switches of their pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, func, or_, select, update

from saccade_core.jobs import JobState
from saccade_core.records.database import Database, now
from saccade_core.records.parts import unlocked
from saccade_core.records.tables import JobRow, PoolRow, WorkerRow

#: A worker that has not reported for this long is not counted any more.
GONE_S = 90.0


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue: due jobs that wait in it, jobs that run from it, and the age of the oldest waiting one."""

    queue: str
    queued: int
    running: int
    oldest_s: float


def report_worker(db: Database, worker: WorkerRow) -> None:
    """Insert or refresh a worker's record; its ``seen_at`` becomes now."""
    values = {column.key: getattr(worker, column.key) for column in WorkerRow.__table__.columns} | {"seen_at": now()}
    statement = db.insert(WorkerRow).values(**values)
    with db.write() as session:
        session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def remove_worker(db: Database, worker_id: str) -> None:
    """Forget a worker that stops."""
    with db.write() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))


def forget_gone_workers(db: Database) -> None:
    """Forget workers that have not reported for GONE_S."""
    gone = WorkerRow.seen_at < now() - GONE_S
    if db.has(select(WorkerRow.id).where(gone)):
        with db.write() as session:
            session.execute(delete(WorkerRow).where(gone))


def list_workers(db: Database) -> Sequence[WorkerRow]:
    """The workers that report, by pool and age."""
    with db.read() as session:
        alive = WorkerRow.seen_at >= now() - GONE_S
        return session.scalars(select(WorkerRow).where(alive).order_by(WorkerRow.pool, WorkerRow.started_at)).all()


def queue_states(db: Database) -> list[QueueState]:
    """Every queue that has waiting or running jobs; parts of jobs count, and jobs that wait for their parts do not."""
    with db.read() as session:
        queued = JobRow.state == JobState.QUEUED
        held = and_(JobRow.state == JobState.RUNNING, JobRow.lease_until.is_not(None))
        starts = and_(queued, JobRow.parts_left.is_(None))  # a job that joins its parts began to wait long ago
        rows = session.execute(
            select(
                JobRow.queue,
                func.count().filter(queued),
                func.count().filter(held),
                func.coalesce(func.max(now() - JobRow.queued_at).filter(starts), 0.0),
            )
            .where(JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]), or_(queued, held))
            .group_by(JobRow.queue)
            .order_by(JobRow.queue)
        )
        return [QueueState(*row) for row in rows]


def set_paused(db: Database, pool: str, *, paused: bool) -> None:
    """Pause or resume a pool; on resuming, its queued jobs are published again at once."""
    with db.write() as session:
        switch = db.insert(PoolRow).values(pool=pool, paused=paused)
        session.execute(switch.on_conflict_do_update(index_elements=["pool"], set_={"paused": paused}))
        if not paused:
            waiting = and_(JobRow.pool == pool, JobRow.state == JobState.QUEUED)
            session.execute(update(JobRow).where(waiting, unlocked(waiting)).values(publish_at=now(), publishes=0))


def paused_pools(db: Database) -> set[str]:
    """The pools that start no job now."""
    with db.read() as session:
        return set(session.scalars(select(PoolRow.pool).where(PoolRow.paused)))
