"""Records as users see them."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from saccade_core.jobs import (
    ArtifactView,
    Job,
    JobLinks,
    JobProblem,
    JobState,
    Progress,
    Provenance,
    Time,
    utc,
)
from saccade_core.records.lookups import JobWithArtifacts
from saccade_core.records.tables import ArtifactRow, FileRow, JobRow

#: Longer ``data:`` inputs are shown by their beginning: a list of 1,000 jobs must not weigh a gigabyte.
_DATA_SHOWN = 64


class File(BaseModel):
    """An uploaded file."""

    id: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    created_at: Time
    expires_at: Time | None


class JobPage(BaseModel):
    """Jobs, newest first; ``next_cursor`` is null on the last page."""

    items: list[Job]
    next_cursor: str | None


def file_view(row: FileRow) -> File:
    """A file's record."""
    return File.model_construct(
        id=row.id,
        name=row.name,
        media_type=row.media_type,
        bytes=row.bytes,
        sha256=row.sha256,
        created_at=utc(row.created_at),
        expires_at=utc(row.expires_at),
    )


def job_view(found: JobWithArtifacts) -> Job:
    """A job's record and artefacts."""
    row = found.row
    here = f"/v1/jobs/{row.id}"
    return Job.model_construct(
        id=row.id,
        kind=row.kind,
        pool=row.pool,
        state=row.seen_state,
        priority=row.priority,
        labels=row.labels,
        progress=_progress(found),
        inputs={name: _input(value) for name, value in row.inputs.items()},
        params=row.params,
        result=row.result,
        error=JobProblem.model_validate(row.error) if row.error else None,
        artifacts=[artifact_view(artifact) for artifact in found.artifacts],
        attempts=row.attempt,
        max_attempts=row.max_attempts,
        created_at=utc(row.created_at),
        started_at=utc(row.started_at),
        finished_at=utc(row.finished_at),
        run_at=utc(row.run_at),
        expires_at=utc(row.expires_at),
        queue_s=_seconds(row.queued_at, row.started_at),
        run_s=_seconds(row.started_at, _end_of_run(row)),
        provenance=Provenance.model_validate(row.provenance) if row.provenance else None,
        links=JobLinks.model_construct(
            self=here, events=f"{here}/events", artifacts=f"{here}/artifacts", cancel=f"{here}/cancel"
        ),
    )


def artifact_view(row: ArtifactRow) -> ArtifactView:
    """An artefact's record."""
    return ArtifactView.model_construct(
        name=row.name,
        media_type=row.media_type,
        bytes=row.bytes,
        sha256=row.sha256,
        url=f"/v1/jobs/{row.job_id}/artifacts/{quote(row.name)}",
    )


def _progress(found: JobWithArtifacts) -> Progress:
    row, known = found.row, found.parts_progress or found.row.progress
    if known:
        return Progress.model_validate(known)
    return Progress(fraction=1.0 if row.state == JobState.SUCCEEDED else 0.0)


def _end_of_run(row: JobRow) -> float | None:
    return time.time() if row.seen_state == JobState.RUNNING else row.finished_at


def _seconds(start: float | None, end: float | None) -> float | None:
    """Rounded to 0.1 ms; never negative, also where this machine's clock is behind the database's."""
    return None if start is None or end is None else round(max(0.0, end - start), 4)


def _input(value: Any) -> Any:
    if isinstance(value, list):
        return [_input(item) for item in value]
    if isinstance(value, str) and value.startswith("data:") and len(value) > _DATA_SHOWN:
        return f"{value[:_DATA_SHOWN]}…"
    return value
