"""Which jobs use which trained models: what an unfinished job needs is not deleted, and a job goes on with the version
that it began with, in all its parts and attempts. Both are among what a job reads (``job_reads``)."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelRow, ModelVersionRow
from saccade_core.records.models import READY, find, find_in, is_model
from saccade_core.records.tables import JobReadRow
from saccade_core.trained import Wanted, served_name


def hold(db: Database, session: Session, project: str, job_id: str, wanted: Wanted) -> None:
    """Note, in the transaction that records a job, a model that it names: while the job has not ended, a version that
    it names by number, and the whole of a model that it names by an alias or alone, are not deleted.

    Raises UnknownModel where it was deleted meanwhile.
    """
    _keep(session, project, wanted.name)
    find_in(session, project, wanted)
    note = db.insert(JobReadRow).values(job_id=job_id, read_id=read_id(project, wanted.name, wanted.version))
    session.execute(note.on_conflict_do_nothing())


def use(db: Database, project: str, job_id: str, wanted: Wanted) -> ModelVersionRow:
    """As ``find``, for a job that runs: the version is not deleted while the job has not ended, and the job goes on
    with the one that it found first, also where the alias stands for another by now, as long as that is there."""
    if wanted.version is not None:
        return find(db, project, wanted)
    as_named = f"{read_id(project, wanted.name)}@{wanted.alias or ''}="
    pins = select(JobReadRow.read_id).where(JobReadRow.job_id == job_id).order_by(JobReadRow.read_id)
    with db.read() as session:
        kept = [int(pin.removeprefix(as_named)) for pin in session.scalars(pins) if pin.startswith(as_named)]
        rows = [session.get(ModelVersionRow, (project, wanted.name, version)) for version in kept]
    there = [row for row in rows if row is not None and row.state == READY]
    if there:
        return there[0]
    with db.write() as session:
        _keep(session, project, wanted.name)
        found = find_in(session, project, wanted)
        for read in (f"{as_named}{found.version}", read_id(project, wanted.name, found.version)):
            note = db.insert(JobReadRow).values(job_id=job_id, read_id=read)
            session.execute(note.on_conflict_do_nothing())
        return found


def _keep(session: Session, project: str, name: str) -> None:
    """See to it that nothing of the model is deleted until the transaction ends."""
    locked = select(ModelRow.name).where(is_model(ModelRow, project, name)).with_for_update(read=True)
    session.execute(locked).scalar_one_or_none()


def read_id(project: str, name: str, version: int | None = None) -> str:
    """What a job that uses the version, or whichever version the model has, has among what it reads."""
    of = f"models/{served_name(project, name)}"
    return of if version is None else f"{of}/{version}"
