"""Who was removed from which gallery, and when: no enrolment that was accepted before brings anybody back.

Notes hold the SHA-256 of names in place of the names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from saccade_core.errors import RemovedMeanwhile
from saccade_core.jobs import FINAL_STATES, JobState
from saccade_core.records.database import Database, now
from saccade_core.records.tables import ForgottenRow, JobRow

#: Notes stay so long at least: a job that had failed before may be retried until then without bringing anybody back.
KEPT_S = 30 * 86400.0
_AT_ONCE = 500
_UNFINISHED = [state for state in JobState if state not in FINAL_STATES]


def note_removed(db: Database, session: Session, project: str, gallery: str, person: str = "") -> None:
    """Note, in the transaction that removes them, that a person of a gallery went; without one, all of the gallery."""
    removed_at = session.execute(select(now())).scalar_one()
    note = db.insert(ForgottenRow).values(project=project, sha256=_digest(gallery, person), removed_at=removed_at)
    again = note.on_conflict_do_update(index_elements=["project", "sha256"], set_={"removed_at": removed_at})
    session.execute(again)


def refuse_removed(session: Session, project: str, gallery: str, people: Sequence[str], job_id: str) -> None:
    """Raise RemovedMeanwhile where the gallery, or one of the people, was removed after the job was accepted."""
    names = {_digest(gallery, person): person for person in ["", *people]}
    digests = list(names)
    accepted_at = select(JobRow.created_at).where(JobRow.id == job_id).scalar_subquery()
    removed = select(ForgottenRow.sha256).where(ForgottenRow.project == project, ForgottenRow.removed_at >= accepted_at)
    for first in range(0, len(digests), _AT_ONCE):
        some = removed.where(ForgottenRow.sha256.in_(digests[first : first + _AT_ONCE]))
        found = sorted(names[digest] for digest in session.scalars(some))
        if found:
            who = (
                f"{found[0]!r} was removed from gallery {gallery!r}" if found[0] else f"Gallery {gallery!r} was removed"
            )
            raise RemovedMeanwhile(
                f"{who} after this job was accepted; only a new job can enrol into it again.",
                field="params.gallery",
                received=gallery,
            )


def drop_old_notes(db: Database) -> None:
    """Forget notes that no job can need any more: old ones, when all jobs accepted before them have ended."""
    needed = select(JobRow.id).where(JobRow.state.in_(_UNFINISHED), JobRow.created_at <= ForgottenRow.removed_at)
    old = (ForgottenRow.removed_at < now() - KEPT_S, ~needed.exists())
    if db.has(select(ForgottenRow.sha256).where(*old)):
        with db.write() as session:
            session.execute(delete(ForgottenRow).where(*old))


def _digest(gallery: str, person: str) -> str:
    """Neither name has a ``/`` in it."""
    return hashlib.sha256(f"{gallery}/{person}".encode()).hexdigest()
