"""Small jobs that ended well, recorded together: one transaction costs a worker hardly more than one job's did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from saccade_core.jobs import JobState
from saccade_core.records.database import Database, now
from saccade_core.records.leases import StoredArtifact
from saccade_core.records.parts import ended
from saccade_core.records.tables import ArtifactRow, AttemptRow, JobRow
from saccade_core.storable import storable


@dataclass(frozen=True, slots=True)
class Success:
    """What ``succeed`` records of one job, which is neither a part nor a join."""

    job_id: str
    token: int
    result: dict[str, Any]
    artifacts: Sequence[StoredArtifact]
    provenance: dict[str, Any]
    progress: dict[str, Any]


def succeed_all(db: Database, done: Sequence[Success]) -> set[str]:
    """``succeed`` for several jobs in one transaction; the ids of those whose token was still the job's."""
    tokens = {success.job_id: success.token for success in done}
    locked = (
        select(JobRow.id, JobRow.token)
        .where(JobRow.id.in_(tokens), JobRow.state == JobState.RUNNING)
        .order_by(JobRow.id)
        .with_for_update()
    )
    with db.write() as session:
        held = {row.id for row in session.execute(locked) if row.token == tokens[row.id]}
        ours = [success for success in done if success.job_id in held]
        if ours:
            _write_successes(session.connection(), ours)
    return held


def _write_successes(connection: Connection, done: Sequence[Success]) -> None:
    """The rows of jobs that the transaction has locked; Core's many-row statements, each prepared once."""
    jobs, attempts = cast("Table", JobRow.__table__), cast("Table", AttemptRow.__table__)
    made = ("result", "provenance", "progress")
    connection.execute(
        update(jobs)
        .where(jobs.c.id == bindparam("of"))
        .values(state=JobState.SUCCEEDED, error=None, **ended(), **{name: bindparam(f"new_{name}") for name in made}),
        [{"of": s.job_id, **{f"new_{name}": storable(getattr(s, name)) for name in made}} for s in done],
    )
    connection.execute(
        update(attempts)
        .where(attempts.c.job_id == bindparam("of"), attempts.c.outcome.is_(None))
        .values(outcome=JobState.SUCCEEDED, finished_at=now()),
        [{"of": success.job_id} for success in done],
    )
    artifacts = [{"job_id": success.job_id, **asdict(a)} for success in done for a in success.artifacts]
    if artifacts:
        connection.execute(insert(cast("Table", ArtifactRow.__table__)), artifacts)
