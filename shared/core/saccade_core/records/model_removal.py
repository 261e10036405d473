"""Removing versions and models, and the versions that were reserved and never came.

The records go in a transaction that also notes the bytes that must go (saccade_core.records.removals).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, delete, select
from sqlalchemy.orm import Session

from saccade_core.errors import Conflict
from saccade_core.jobs import FINAL_STATES
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelAliasChangeRow, ModelAliasRow, ModelVersionRow
from saccade_core.records.model_uses import read_id
from saccade_core.records.models import (
    READY,
    STORING,
    find_in,
    lock_model,
    prefix_of,
    ready,
    unknown_model,
)
from saccade_core.records.removals import must_go
from saccade_core.records.requests import readers
from saccade_core.records.tables import JobRow
from saccade_core.trained import Wanted


def delete_version(db: Database, project: str, name: str, version: int) -> list[str]:
    """Remove a version; the prefixes of the bytes that must go, which are on record until they are gone.

    Raises UnknownModel; Conflict while an alias stands for it, while an unfinished job names it or runs with it, and
    where it is the model's last one while an unfinished job names the model.
    """
    with db.write() as session:
        lock_model(session, project, name)
        row = find_in(session, project, Wanted(name, version=version))
        aliased = select(ModelAliasRow.alias).where(
            ModelAliasRow.project == project, ModelAliasRow.name == name, ModelAliasRow.version == version
        )
        alias = session.scalars(aliased.order_by(ModelAliasRow.alias)).first()
        if alias is not None:
            raise Conflict(
                f"Alias {alias!r} stands for {name}@{version}; set it to another version or remove it first.",
                field="version",
                received=version,
            )
        _refuse_used(session, f"{name}@{version}", read_id(project, name, version))
        others = select(ModelVersionRow.version).where(ready(project, name), ModelVersionRow.version != version)
        if session.scalars(others.limit(1)).first() is None:
            _refuse_used(session, name, read_id(project, name))
        keys = [prefix_of(project, name, version)]
        session.delete(row)
        must_go(db, session, keys)
        return keys


def delete_model(db: Database, project: str, name: str) -> list[str]:
    """Remove a model with all versions, aliases and their history; the prefixes of the bytes that must go.

    Its numbers are not given again. Raises UnknownModel; Conflict while an unfinished job names it, runs with a version
    of it, or is about to register one.
    """
    with db.write() as session:
        lock_model(session, project, name)
        mine = (ModelVersionRow.project == project, ModelVersionRow.name == name)
        rows = session.scalars(select(ModelVersionRow).where(*mine).order_by(ModelVersionRow.version)).all()
        versions = [row.version for row in rows if row.state == READY]
        if not versions:
            raise unknown_model(session, project, Wanted(name))
        unfinished = select(JobRow.id).where(JobRow.state.not_in(FINAL_STATES))
        storing = [row.job_id for row in rows if row.state == STORING]
        trains = session.scalars(unfinished.where(JobRow.id.in_(storing))).first()
        if trains is not None:
            raise Conflict(f"Job {trains} trains a version of {name}; cancel it first.", field="name", received=name)
        for used in (read_id(project, name), *(read_id(project, name, version) for version in versions)):
            _refuse_used(session, name, used)
        for table in (ModelAliasRow, ModelAliasChangeRow):
            session.execute(delete(table).where(table.project == project, table.name == name))
        session.execute(delete(ModelVersionRow).where(ready(project, name)))
        keys = [prefix_of(project, name, version) for version in versions]
        must_go(db, session, keys)
        return keys


def _refuse_used(session: Session, what: str, read: str) -> None:
    reader = session.scalars(readers(read).limit(1)).first()
    if reader is not None:
        raise Conflict(f"Job {reader} uses {what} and has not ended.", field="name", received=what)


def remove_abandoned(db: Database, limit: int = 200) -> Sequence[str]:
    """Remove versions whose job has ended without registering them, or is gone; the prefixes of their bytes.

    A job that is tried again later reserves a new number.
    """
    of_job = JobRow.id == ModelVersionRow.job_id
    lives = select(JobRow.id).where(of_job, JobRow.state.not_in(FINAL_STATES)).exists()
    abandoned = and_(ModelVersionRow.state == STORING, ~lives)
    if not db.has(select(ModelVersionRow.job_id).where(abandoned)):
        return []
    with db.write() as session:
        jobs = session.scalars(select(ModelVersionRow.job_id).where(abandoned).limit(limit)).all()
        # No retry can come between: it waits for the job's row, and then finds no version.
        session.execute(select(JobRow.id).where(JobRow.id.in_(jobs)).order_by(JobRow.id).with_for_update())
        gone = delete(ModelVersionRow).where(ModelVersionRow.job_id.in_(jobs), abandoned)
        of = (ModelVersionRow.project, ModelVersionRow.name, ModelVersionRow.version)
        keys = [prefix_of(*row) for row in session.execute(gone.returning(*of))]
        must_go(db, session, keys)
        return keys


def unknown_versions(db: Database, versions: Sequence[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
    """Those of these (project, name, version) that are on record in no state."""
    with db.read() as session:
        return {of for of in versions if session.get(ModelVersionRow, of) is None}
