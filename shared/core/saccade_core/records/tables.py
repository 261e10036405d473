"""The tables. Times are seconds since the epoch (UTC) as double precision, by the clock of the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, MetaData, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from saccade_core.jobs import JobState

_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """Root of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this class attribute
        str: String(255),
        float: Float(53),
        int: Integer,
        bool: Boolean,
        dict[str, Any]: _JSON,
        dict[str, str]: _JSON,
    }


#: Times by which the keeper and the metrics look for jobs, each in some states.
_LOOKED_FOR = ("lease_until", "run_at", "deadline_at", "expires_at", "finished_at")


def _of_state_and(time: str) -> Index:
    """An index of the rows whose ``time`` is set: the others cost nothing to write."""
    is_set = text(f"{time} IS NOT NULL")
    return Index(None, "state", time, sqlite_where=is_set, postgresql_where=is_set)


class JobRow(Base):
    """The truth about a job. ``token`` rises with every claim: only its holder may finish the job."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    kind: Mapped[str]
    pool: Mapped[str]
    queue: Mapped[str]
    state: Mapped[str]
    priority: Mapped[str]
    labels: Mapped[dict[str, str]]
    inputs: Mapped[dict[str, Any]]
    params: Mapped[dict[str, Any]]
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    provenance: Mapped[dict[str, Any] | None]
    batch_id: Mapped[str | None]
    pipeline_id: Mapped[str | None]

    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    token: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[float | None]
    worker: Mapped[str | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)

    created_at: Mapped[float]
    run_at: Mapped[float | None]
    queued_at: Mapped[float | None]
    publish_at: Mapped[float | None]
    publishes: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float | None]
    ttl_s: Mapped[float | None]
    expires_at: Mapped[float | None]

    idempotency_key: Mapped[str | None]
    request_digest: Mapped[str]

    # A long job split over workers: ``parent_id`` and ``part`` of a piece, ``parts_*`` of the job it belongs to.
    # No foreign key: SQLite could add one only by copying the table.
    parent_id: Mapped[str | None]
    part: Mapped[int | None]
    part_spec: Mapped[dict[str, Any] | None]
    part_weight: Mapped[float | None]
    part_may_fail: Mapped[bool | None]
    parts_total: Mapped[int | None]
    parts_left: Mapped[int | None]

    __table_args__ = (
        Index(None, "project", "idempotency_key", unique=True),
        Index(None, "project", "id"),
        Index(None, "kind", "state"),
        Index(None, "state", "queue", "publish_at"),
        *(_of_state_and(time) for time in _LOOKED_FOR),
        Index(None, "batch_id"),
        Index(None, "pipeline_id"),
        Index(None, "parent_id", "part", unique=True),
    )

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return JobState(self.state).final

    @property
    def seen_state(self) -> JobState:
        """The state that users see: a job that was split runs until its parts are joined."""
        state = JobState(self.state)
        return JobState.RUNNING if self.parts_total is not None and not state.final else state


class JobReadRow(Base):
    """Which uploaded files, and which jobs' artefacts, a job reads: none is removed before the job has ended."""

    __tablename__ = "job_reads"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    read_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class AttemptRow(Base):
    """One run of a job; ``outcome`` is null while it runs."""

    __tablename__ = "attempts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    token: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    worker: Mapped[str]
    started_at: Mapped[float]
    finished_at: Mapped[float | None]
    outcome: Mapped[str | None]
    error: Mapped[dict[str, Any] | None]


class ArtifactRow(Base):
    """A file that a job's winning attempt made; ``key`` is its place in the object store."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    key: Mapped[str] = mapped_column(Text)


class FileRow(Base):
    """A file that a user gave; ``key`` is its place in the object store."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float]
    expires_at: Mapped[float | None] = mapped_column(index=True)


class KeyRow(Base):
    """An API key; only the SHA-256 of the secret is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    project: Mapped[str]
    role: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]


class WorkerRow(Base):
    """A worker process as it last reported itself."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str]
    queues: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    state: Mapped[str]
    job_id: Mapped[str | None]
    started_at: Mapped[float]
    seen_at: Mapped[float]


class PoolRow(Base):
    """A pool's switches; a paused pool accepts jobs and starts none."""

    __tablename__ = "pools"

    pool: Mapped[str] = mapped_column(primary_key=True)
    paused: Mapped[bool] = mapped_column(default=False)


class LockRow(Base):
    """A named lock with an end, for what only one process may do at a time."""

    __tablename__ = "locks"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[float]


class GalleryRow(Base):
    """A face gallery. ``revision`` rises with every change, so that what was derived from it is known to be old;
    what is older than ``removed_revision`` holds faces that were removed since. ``model`` is the embedding network
    that all its faces were measured with (null while there are none)."""

    __tablename__ = "galleries"

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    model: Mapped[str | None]
    dimensions: Mapped[int | None]
    revision: Mapped[int] = mapped_column(default=0)
    removed_revision: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]

    __table_args__ = (Index(None, "project", "name", unique=True),)


class PersonRow(Base):
    """One person of a gallery."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(primary_key=True)
    gallery_id: Mapped[str] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    name: Mapped[str]
    created_at: Mapped[float]

    __table_args__ = (Index(None, "gallery_id", "name", unique=True),)


class FaceRow(Base):
    """One enrolled face: its embedding (float32, little endian, unit length) and where its pictures are.

    ``revision`` is the gallery's that it came with; ``source`` says which input it was found in, ``file_id`` which
    uploaded file that was, if it was one.
    """

    __tablename__ = "faces"

    id: Mapped[str] = mapped_column(primary_key=True)
    gallery_id: Mapped[str] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    embedding: Mapped[bytes]
    quality: Mapped[dict[str, Any]]
    crop_key: Mapped[str] = mapped_column(Text)
    photo_key: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    source_sha256: Mapped[str]
    file_id: Mapped[str | None] = mapped_column(index=True)
    job_id: Mapped[str] = mapped_column(index=True)
    revision: Mapped[int]
    created_at: Mapped[float]

    __table_args__ = (Index(None, "gallery_id", "revision", "id"),)


class RemovalRow(Base):
    """Bytes that must go: a key, or a prefix that ends with ``/``. Written in the transaction that removes the
    record, and forgotten once the bytes are gone."""

    __tablename__ = "removals"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    since: Mapped[float]


class ForgottenRow(Base):
    """Somebody, or a whole gallery, was removed: ``sha256`` is of the names. Jobs that were accepted until then enrol
    them no more."""

    __tablename__ = "forgotten"

    project: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    removed_at: Mapped[float]
