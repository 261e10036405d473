"""What users see of jobs: one job, lists of them, their artefacts and attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, case, select, tuple_
from sqlalchemy.orm import Session

from saccade_core.errors import NotFound
from saccade_core.jobs import FINAL_STATES, JobState
from saccade_core.records.database import Database
from saccade_core.records.parts import FOLDER, is_no_part, progress_of
from saccade_core.records.tables import ArtifactRow, AttemptRow, JobRow

#: A job has up to thousands of artefacts of its parts; so many come with its record, the list has all.
PARTS_SHOWN = 100


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


def get_job(db: Database, project: str, job_id: str) -> JobWithArtifacts:
    """One job of the project, or NotFound."""
    with db.read() as session:
        row = find_job(session, project, job_id)
        of_job = select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.name)
        artifacts = list(session.scalars(of_job.where(~_of_parts([row]))))
        if row.parts_total is not None:
            artifacts += session.scalars(of_job.where(_of_parts([row])).limit(PARTS_SHOWN))
        return JobWithArtifacts(row, artifacts, progress_of(session, _in_parts([row])).get(job_id))


def list_artifacts(db: Database, project: str, job_id: str) -> Sequence[ArtifactRow]:
    """All artefacts of one job of the project, by name; raises NotFound."""
    with db.read() as session:
        find_job(session, project, job_id)
        query = select(ArtifactRow).where(ArtifactRow.job_id == job_id)
        return session.scalars(query.order_by(ArtifactRow.name)).all()


def get_artifact(db: Database, project: str, job_id: str, name: str) -> ArtifactRow:
    """One artefact of a job of the project, or NotFound."""
    with db.read() as session:
        find_job(session, project, job_id)
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


def find_job(session: Session, project: str, job_id: str, *, lock: bool = False) -> JobRow:
    """One job of the project inside a transaction, its row locked on demand; raises NotFound."""
    query = select(JobRow).where(JobRow.id == job_id, JobRow.project == project, is_no_part())
    query = query.with_for_update() if lock else query
    row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.", field="id", received=job_id)
    return row


def _of_parts(rows: Sequence[JobRow]) -> ColumnElement[bool]:
    """Whether an artefact of these jobs is one of a part."""
    split = [row.id for row in rows if row.parts_total is not None]
    return and_(ArtifactRow.job_id.in_(split), ArtifactRow.name.startswith(FOLDER))


def _in_parts(rows: Sequence[JobRow]) -> list[str]:
    return [row.id for row in rows if row.parts_left]


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
