"""How much work waits and runs for each pool of workers, in expected seconds of one worker's time."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, case, func, select

from saccade_core.jobs import JobState
from saccade_core.records.database import Database, now
from saccade_core.records.tables import JobRow, PoolRow

#: A kind that has never run is taken to need this long; one that has, what its last runs took, on average.
UNKNOWN_RUN_S = 5.0
_LAST_RUNS = 50


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be done by the workers of one queue: ``cpu`` (its bulk queue included), ``keras.train``."""

    queue: str
    waiting: int
    busy: int
    waiting_s: float
    running_s: float


def workloads(db: Database) -> dict[str, Workload]:
    """By the queue that workers look at, those that have waiting or running jobs; paused pools only what runs."""
    with db.read() as session:
        paused = select(PoolRow.pool).where(PoolRow.paused)
        waits = and_(JobRow.state == JobState.QUEUED, JobRow.pool.not_in(paused))
        runs = and_(JobRow.state == JobState.RUNNING, JobRow.lease_until.is_not(None))
        ran_s = func.sum(case((runs, now() - func.coalesce(JobRow.started_at, now())), else_=0.0))
        rows = session.execute(
            select(JobRow.queue, JobRow.kind, func.count().filter(waits), func.count().filter(runs), ran_s)
            .where(JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]))
            .group_by(JobRow.queue, JobRow.kind)
        ).all()
    run_s = {kind: expected_run_s(db, kind) for kind in {row.kind for row in rows}}
    found: dict[str, Workload] = {}
    for queue, kind, waiting, busy, spent in rows:
        base = queue.removesuffix(".bulk")
        before = found.get(base, Workload(base, 0, 0, 0.0, 0.0))
        left = max(0.0, busy * run_s[kind] - (spent or 0.0))
        found[base] = Workload(
            base,
            before.waiting + waiting,
            before.busy + busy,
            before.waiting_s + waiting * run_s[kind],
            before.running_s + left,
        )
    return found


def expected_run_s(db: Database, kind: str) -> float:
    """What one run of the kind takes on average, by its last successes."""
    last = (
        select((JobRow.finished_at - JobRow.started_at).label("run_s"))
        .where(JobRow.kind == kind, JobRow.state == JobState.SUCCEEDED, JobRow.started_at.is_not(None))
        .order_by(JobRow.finished_at.desc())
        .limit(_LAST_RUNS)
        .subquery()
    )
    with db.read() as session:
        average = session.execute(select(func.avg(last.c.run_s))).scalar_one()
    return UNKNOWN_RUN_S if average is None else max(0.01, float(average))
