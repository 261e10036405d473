"""Trained models"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=255), nullable=nullable, **more)


def _time(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float(precision=53), nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    jsonb = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    return sa.Column(name, sa.JSON(none_as_null=True).with_variant(jsonb, "postgresql"), nullable=True)


def upgrade() -> None:
    op.create_table(
        "models",
        _text("project"),
        _text("name"),
        sa.Column("next_version", sa.Integer(), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_models")),
    )
    op.create_table(
        "model_versions",
        _text("project"),
        _text("name"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("job_id"),
        _text("state"),
        _text("family", nullable=True),
        _text("sha256", nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        *(_json(name) for name in ("files", "roles", "metrics", "facts", "checks", "lineage")),
        _time("created_at"),
        _time("wanted_at", nullable=True),
        _text("serving", nullable=True),
        sa.Column("serving_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project", "name", "version", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("job_id", name=op.f("uq_model_versions_job_id")),
    )
    op.create_table(
        "model_aliases",
        _text("project"),
        _text("name"),
        _text("alias"),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("changed_at"),
        sa.PrimaryKeyConstraint("project", "name", "alias", name=op.f("pk_model_aliases")),
    )
    op.create_table(
        "model_alias_changes",
        _text("id"),
        _text("project"),
        _text("name"),
        _text("alias"),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("changed_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_alias_changes")),
    )
    with op.batch_alter_table("model_alias_changes") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_model_alias_changes_project_name_alias_id"), ["project", "name", "alias", "id"], unique=False
        )
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.add_column(sa.Column("part_may_fail", sa.Boolean(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.drop_column("part_may_fail")
    for table in ("model_alias_changes", "model_aliases", "model_versions", "models"):
        op.drop_table(table)
