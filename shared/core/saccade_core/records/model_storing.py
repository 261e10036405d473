"""Which attempt of a job stores the files of the version that the job registers: one number is stored by one attempt.

A worker that was stopped while it stored may go on after another has the job; whatever it writes then is under a
number that nobody registers any more.
"""

from __future__ import annotations

from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import Session

from saccade_core.errors import LeaseLost, RemovedMeanwhile
from saccade_core.jobs import JobState
from saccade_core.records import models
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.records.removals import must_go
from saccade_core.records.tables import JobRow


def number_for(db: Database, job: JobRow, name: str) -> int:
    """The number of the version that this attempt at the job is to register: the job's, but a new one where an earlier
    attempt has begun to store files under that. A part's is that of its job. Raises LeaseLost."""
    if job.parent_id is None:
        _give_up(db, job)
    return models.reserve(db, job.project, name, job.parent_id or job.id)


def begin(db: Database, job: JobRow, name: str, version: int) -> None:
    """Note that this attempt stores files under the number from now on: no later one will.

    Raises LeaseLost, and RemovedMeanwhile where the number is not the job's any more.
    """
    mine = and_(
        models.is_model(ModelVersionRow, job.project, name),
        ModelVersionRow.version == version,
        ModelVersionRow.job_id == job.id,
        ModelVersionRow.state == models.STORING,
    )
    with db.write() as session:
        _hold(session, job)
        marked = update(ModelVersionRow).where(mine).values(stored_by=job.token).returning(ModelVersionRow.version)
        if session.execute(marked).scalar_one_or_none() is None:
            raise RemovedMeanwhile("The version that the job had reserved was removed meanwhile.", field="params.name")


def _give_up(db: Database, job: JobRow) -> None:
    """Remove the job's version where another attempt has begun to store it. What that writes once its bytes are
    removed here belongs to no version, and is the sweep's."""
    of = (ModelVersionRow.project, ModelVersionRow.name, ModelVersionRow.version)
    begun = and_(
        ModelVersionRow.job_id == job.id,
        ModelVersionRow.state == models.STORING,
        ModelVersionRow.stored_by != job.token,
    )
    if not db.has(select(ModelVersionRow.job_id).where(begun)):
        return
    with db.write() as session:
        _hold(session, job)
        gone = session.execute(delete(ModelVersionRow).where(begun).returning(*of))
        must_go(db, session, [models.prefix_of(*row) for row in gone])


def _hold(session: Session, job: JobRow) -> None:
    """Lock the job's row. Raises LeaseLost where the attempt is over."""
    held = and_(JobRow.id == job.id, JobRow.token == job.token, JobRow.state == JobState.RUNNING)
    if session.execute(select(JobRow.id).where(held).with_for_update()).scalar_one_or_none() is None:
        raise LeaseLost(f"Another worker holds job {job.id} now.")
