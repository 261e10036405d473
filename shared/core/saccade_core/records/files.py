"""Records of uploaded files."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, union_all

from saccade_core.errors import Conflict, NotFound
from saccade_core.ids import owner_of
from saccade_core.records.database import Database, now
from saccade_core.records.requests import readers
from saccade_core.records.tables import ArtifactRow, FileRow

_AT_ONCE = 500


def add_file(
    db: Database,
    *,
    file_id: str,
    project: str,
    name: str,
    media_type: str,
    size: int,
    sha256: str,
    key: str,
    ttl_s: float | None,
) -> FileRow:
    """Record a file whose ``size`` bytes are in the object store under ``key``."""
    with db.write() as session:
        return session.execute(
            insert(FileRow)
            .values(
                id=file_id,
                project=project,
                name=name,
                media_type=media_type,
                bytes=size,
                sha256=sha256,
                key=key,
                created_at=now(),
                expires_at=None if ttl_s is None else now() + ttl_s,
            )
            .returning(FileRow)
        ).scalar_one()


def get_file(db: Database, project: str, file_id: str) -> FileRow:
    """One file of the project, or NotFound."""
    with db.read() as session:
        row = session.execute(
            select(FileRow).where(FileRow.id == file_id, FileRow.project == project)
        ).scalar_one_or_none()
        if row is None:
            raise NotFound(f"There is no file {file_id}.", field="id", received=file_id)
        return row


def known_keys(db: Database, keys: Sequence[str]) -> set[str]:
    """Those keys in the object store that an uploaded file, or a job's artefact, on record has."""
    found: set[str] = set()
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        # By the ids within the keys: the keys themselves have no index.
        files = FileRow.id.in_({key.rpartition("/")[2] for key in some})
        jobs = ArtifactRow.job_id.in_({owner_of(key)[0] for key in some})
        query = union_all(
            select(FileRow.key).where(files, FileRow.key.in_(some)),
            select(ArtifactRow.key).where(jobs, ArtifactRow.key.in_(some)),
        )
        with db.read() as session:
            found.update(session.scalars(query))
    return found


def find_files(db: Database, project: str, file_ids: Sequence[str]) -> dict[str, FileRow]:
    """Those of the files that the project has, by id."""
    with db.read() as session:
        found: dict[str, FileRow] = {}
        for first in range(0, len(file_ids), 500):
            some = FileRow.id.in_(file_ids[first : first + 500])
            found.update(
                {row.id: row for row in session.scalars(select(FileRow).where(some, FileRow.project == project))}
            )
        return found


def remove_file(db: Database, project: str, file_id: str) -> FileRow:
    """Remove the record; Conflict while an unfinished job reads the file. The bytes are the caller's to remove."""
    with db.write() as session:
        row = session.execute(
            select(FileRow).where(FileRow.id == file_id, FileRow.project == project).with_for_update()
        ).scalar_one_or_none()
        if row is None:
            raise NotFound(f"There is no file {file_id}.", field="id", received=file_id)
        reader = session.scalars(readers(file_id).limit(1)).first()
        if reader is not None:
            raise Conflict(f"Job {reader} still needs file {file_id}.", field="id", received=file_id)
        session.execute(delete(FileRow).where(FileRow.id == file_id))
        return row
