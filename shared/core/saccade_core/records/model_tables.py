"""The tables of trained models and of scaling; saccade_core.records.tables tells what they have in common."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from saccade_core.records.tables import Base


class ModelRow(Base):
    """A trained model's name in a project; version numbers are given once, and never again."""

    __tablename__ = "models"

    project: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    next_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[float]


class ModelVersionRow(Base):
    """One version of a trained model. From its job's claim to that job's success it is ``storing``, then ``ready``.

    ``files``: by path in the version's folder ``{key, bytes, sha256}``; ``roles``, ``metrics``, ``facts`` and
    ``checks`` are saccade_core.trained.TrainedModel's. ``wanted_at``: when somebody last wanted it to be served;
    ``serving`` is what the keeper last saw of it at the model server (null, loading, available, failed);
    ``stored_by`` is the token of the one attempt at the job that has stored files under the number, null before that.
    """

    __tablename__ = "model_versions"

    project: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    stored_by: Mapped[int | None]
    family: Mapped[str | None]
    sha256: Mapped[str | None]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    files: Mapped[dict[str, Any] | None]
    roles: Mapped[dict[str, str] | None]
    metrics: Mapped[dict[str, Any] | None]
    facts: Mapped[dict[str, Any] | None]
    checks: Mapped[dict[str, Any] | None]
    lineage: Mapped[dict[str, Any] | None]
    created_at: Mapped[float]
    wanted_at: Mapped[float | None]
    serving: Mapped[str | None]
    serving_error: Mapped[str | None] = mapped_column(Text)


class ModelAliasRow(Base):
    """What an alias stands for now."""

    __tablename__ = "model_aliases"

    project: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    changed_at: Mapped[float]


class ModelAliasChangeRow(Base):
    """What an alias has stood for, for rollbacks; ``id`` sorts by time."""

    __tablename__ = "model_alias_changes"

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    alias: Mapped[str]
    version: Mapped[int]
    changed_at: Mapped[float]

    __table_args__ = (Index(None, "project", "name", "alias", "id"),)


class ScalingRow(Base):
    """What the autoscaler last saw of a queue's workers and made of it."""

    __tablename__ = "scaling"

    queue: Mapped[str] = mapped_column(primary_key=True)
    seen: Mapped[dict[str, Any]]
    at: Mapped[float]


class ScalingChangeRow(Base):
    """A change of a queue's workers; ``id`` sorts by time."""

    __tablename__ = "scaling_changes"

    id: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(index=True)
    before: Mapped[int]
    after: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[float]
