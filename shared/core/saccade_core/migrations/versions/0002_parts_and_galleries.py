"""Parts of long jobs; face galleries"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "galleries",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=True),
        sa.Column("dimensions", sa.Integer(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("removed_revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_galleries")),
    )
    with op.batch_alter_table("galleries") as batch_op:
        batch_op.create_index(batch_op.f("ix_galleries_project_name"), ["project", "name"], unique=True)

    op.create_table(
        "people",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("gallery_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_people_gallery_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
    )
    with op.batch_alter_table("people") as batch_op:
        batch_op.create_index(batch_op.f("ix_people_gallery_id_name"), ["gallery_id", "name"], unique=True)

    op.create_table(
        "faces",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("gallery_id", sa.String(length=255), nullable=False),
        sa.Column("person_id", sa.String(length=255), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column(
            "quality",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("crop_key", sa.Text(), nullable=False),
        sa.Column("photo_key", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.String(length=255), nullable=False),
        sa.Column("file_id", sa.String(length=255), nullable=True),
        sa.Column("job_id", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["gallery_id"], ["galleries.id"], name=op.f("fk_faces_gallery_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_faces_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faces")),
    )
    with op.batch_alter_table("faces") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_faces_gallery_id_revision_id"), ["gallery_id", "revision", "id"], unique=False
        )
        for column in ("person_id", "file_id", "job_id"):
            batch_op.create_index(batch_op.f(f"ix_faces_{column}"), [column], unique=False)

    op.create_table(
        "removals",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_removals")),
    )

    op.create_table(
        "forgotten",
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=255), nullable=False),
        sa.Column("removed_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("project", "sha256", name=op.f("pk_forgotten")),
    )

    with op.batch_alter_table("jobs") as batch_op:
        batch_op.add_column(sa.Column("parent_id", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("part", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column(
                "part_spec",
                sa.JSON(none_as_null=True).with_variant(
                    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
                ),
                nullable=True,
            )
        )
        batch_op.add_column(sa.Column("part_weight", sa.Float(precision=53), nullable=True))
        batch_op.add_column(sa.Column("parts_total", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("parts_left", sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f("ix_jobs_parent_id_part"), ["parent_id", "part"], unique=True)


def downgrade() -> None:
    for table in ("forgotten", "removals", "faces", "people", "galleries"):
        op.drop_table(table)
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_parent_id_part"))
        for column in ("parent_id", "part", "part_spec", "part_weight", "parts_total", "parts_left"):
            batch_op.drop_column(column)
