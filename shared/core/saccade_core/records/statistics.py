"""Figures over all jobs on record, for monitoring."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select

from saccade_core.jobs import JobState
from saccade_core.records.database import Database, now
from saccade_core.records.parts import is_no_part
from saccade_core.records.tables import JobRow

#: How far back ``finished_jobs`` looks: it is asked every few seconds, and the records hold months.
RECENT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Finished:
    """Jobs of one kind and end that ran, and how long they waited and ran together (their last attempts)."""

    kind: str
    state: str
    count: int
    queue_s: float
    run_s: float


def job_counts(db: Database) -> list[tuple[str, str, int]]:
    """How many jobs of each kind are in each state: (kind, state, count); parts of jobs are none."""
    every = select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state)
    parts = select(JobRow.kind, JobRow.state).where(JobRow.parent_id > "")  # SQLite asks no index for IS NOT NULL
    with db.read() as session:
        counts = Counter({(kind, state): count for kind, state, count in session.execute(every)})
        # Taken off afterwards: the index that serves the first count does not say which rows are parts.
        counts.subtract((kind, state) for kind, state in session.execute(parts))
    return [(kind, state, count) for (kind, state), count in sorted(counts.items()) if count > 0]


def finished_jobs(db: Database) -> list[Finished]:
    """Waiting and running times of the succeeded and failed jobs that ran and ended in the last RECENT_S, by kind."""
    with db.read() as session:
        rows = session.execute(
            select(
                JobRow.kind,
                JobRow.state,
                func.count(),
                func.coalesce(func.sum(JobRow.started_at - JobRow.queued_at), 0.0),
                func.coalesce(func.sum(JobRow.finished_at - JobRow.started_at), 0.0),
            )
            .where(
                JobRow.finished_at > now() - RECENT_S,
                JobRow.state.in_([JobState.SUCCEEDED, JobState.FAILED]),
                JobRow.started_at.is_not(None),
                is_no_part(),
            )
            .group_by(JobRow.kind, JobRow.state)
            .order_by(JobRow.kind, JobRow.state)
        )
        return [Finished(*row) for row in rows]
