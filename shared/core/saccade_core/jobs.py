"""A job as users see it, and its states."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PlainSerializer

from saccade_core.kind import Kind, Pool


class JobState(StrEnum):
    """Where a job is in its life; the last three are final."""

    WAITING = "waiting"
    """Accepted, and not due yet: its time, another step or the pause before a retry has not come."""
    QUEUED = "queued"
    """Due; the first free worker of its pool claims it."""
    RUNNING = "running"
    """A worker holds its lease."""
    SUCCEEDED = "succeeded"
    """Its result and artefacts are stored."""
    FAILED = "failed"
    """It ended with an error, and no attempt is left or none would help."""
    CANCELLED = "cancelled"
    """Somebody called it off."""

    @property
    def final(self) -> bool:
        """Whether the job can never change state by itself again."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

Priority = Literal["interactive", "bulk"]


def queue_name(kind: Kind, pool: Pool, priority: Priority = "interactive") -> str:
    """The Celery queue of a job: ``cpu``, ``cpu.bulk``, or ``keras.train`` for training."""
    if kind.train:
        return f"{pool}.train"
    return f"{pool}.bulk" if priority == "bulk" else pool


def utc(seconds: float | None) -> datetime | None:
    """Seconds since the epoch, as records hold them, as the time that users see."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, PlainSerializer(_iso, return_type=str, when_used="json")]


class Progress(BaseModel):
    """How far a running job is: ``done`` of ``total`` units of ``stage``; ``fraction`` is 0..1."""

    fraction: float = Field(default=0.0, ge=0, le=1)
    stage: str = ""
    done: float = 0
    total: float = 0
    eta_s: float | None = None


def no_worker_stage(queue: str) -> str:
    """The stage of a queued job that nobody can start: no living worker looks at its queue."""
    pool, _, train = queue.partition(".")
    return f"waiting: no {'training ' if train else ''}worker of pool {pool} runs"


class JobProblem(BaseModel):
    """Why a job failed: a stable code, a sentence, and whether another try can help."""

    code: str
    message: str
    retryable: bool
    field: str | None = None


class ArtifactView(BaseModel):
    """A file that the job made; ``url`` is relative to the API's address."""

    name: str
    media_type: str
    bytes: int
    sha256: str
    url: str


class ModelUsed(BaseModel):
    """A model or engine that took part."""

    name: str
    version: str
    sha256: str = ""


class Provenance(BaseModel):
    """What a result came from: enough to make it again."""

    models: list[ModelUsed] = []
    code_version: str = ""
    input_sha256: dict[str, str] = {}
    params_digest: str = ""
    device: str = ""


class JobLinks(BaseModel):
    """Where the rest of the job is, relative to the API's address."""

    self: str
    events: str
    artifacts: str
    cancel: str


class Job(BaseModel):
    """One job: what was asked, where it is, what came of it."""

    id: str
    kind: str
    pool: str
    state: JobState
    priority: str
    labels: dict[str, str]
    progress: Progress
    inputs: dict[str, Any]
    params: dict[str, Any]
    result: dict[str, Any] | None
    error: JobProblem | None
    artifacts: list[ArtifactView]
    attempts: int
    max_attempts: int
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    run_at: Time | None
    expires_at: Time | None
    queue_s: float | None
    run_s: float | None
    provenance: Provenance | None
    links: JobLinks
