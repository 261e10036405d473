"""What the autoscaler sees and does"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    jsonb = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.create_table(
        "scaling",
        sa.Column("queue", sa.String(length=255), nullable=False),
        sa.Column("seen", sa.JSON(none_as_null=True).with_variant(jsonb, "postgresql"), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_scaling")),
    )
    op.create_table(
        "scaling_changes",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("queue", sa.String(length=255), nullable=False),
        sa.Column("before", sa.Integer(), nullable=False),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scaling_changes")),
    )
    with op.batch_alter_table("scaling_changes") as batch_op:
        batch_op.create_index(batch_op.f("ix_scaling_changes_queue"), ["queue"], unique=False)


def downgrade() -> None:
    for table in ("scaling_changes", "scaling"):
        op.drop_table(table)
