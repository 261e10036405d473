"""Removing galleries, people and faces, with what was made of them, and a receipt of what went.

The records go in a transaction that also notes the bytes that must go (saccade_core.records.removals).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from saccade_core.blobs import Blobs
from saccade_core.errors import StorageFailed
from saccade_core.jobs import JobState
from saccade_core.records import removals
from saccade_core.records.database import Database, now
from saccade_core.records.forgotten import note_removed
from saccade_core.records.galleries import no_face, no_gallery, no_person, picture_prefix
from saccade_core.records.tables import FaceRow, FileRow, GalleryRow, JobReadRow, JobRow, PersonRow

T = TypeVar("T")
Ids = Collection[str]

_AT_ONCE = 500
#: Faces of a gallery that go in one transaction. Pictures of more are left to the keeper: an answer must not take long.
_AT_ONCE_FACES = 2000
_KEPT_JOBS = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """What a removal left: the id or name of a thing, and the reason."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a removal removed. ``crops``, ``photos`` and ``files`` are those whose bytes are gone at ``at``;
    ``revision`` is the gallery's after it."""

    gallery: str
    person: str | None
    at: float
    revision: int
    faces: int
    crops: int
    photos: int
    files: list[str]
    kept: list[Kept] = field(default_factory=list[Kept])


@dataclass(slots=True)
class _Gone:
    """What has gone so far: faces, of which jobs, with which uploads; and uploads that stay, with the reason."""

    faces: int = 0
    jobs: set[str] = field(default_factory=set[str])
    files: set[str] = field(default_factory=set[str])
    kept: dict[str, str] = field(default_factory=dict[str, str])


def remove_person(db: Database, blobs: Blobs, project: str, gallery: str, person: str) -> Receipt:
    """Remove a person with all faces. Raises NotFound."""
    with db.write() as session:
        row = _locked(db, session, project, gallery)
        mine = select(PersonRow.id).where(PersonRow.gallery_id == row.id, PersonRow.name == person).scalar_subquery()
        faces = session.scalars(select(FaceRow.id).where(FaceRow.person_id == mine)).all()
        if not faces:
            raise no_person(gallery, person)
        receipt, keys = _remove_of_person(db, session, row, person, faces)
    return _without_bytes(db, blobs, receipt, keys)


def remove_face(db: Database, blobs: Blobs, project: str, gallery: str, face_id: str) -> Receipt:
    """Remove one face, and its person where it was the last of that person. Raises NotFound."""
    with db.write() as session:
        row = _locked(db, session, project, gallery)
        query = select(PersonRow.name).join(FaceRow, FaceRow.person_id == PersonRow.id)
        mine = query.where(FaceRow.id == face_id, FaceRow.gallery_id == row.id)
        person = session.execute(mine).scalar_one_or_none()
        if person is None:
            raise no_face(gallery, face_id)
        receipt, keys = _remove_of_person(db, session, row, person, [face_id])
    return _without_bytes(db, blobs, receipt, keys)


def remove_gallery(db: Database, blobs: Blobs, project: str, gallery: str) -> Receipt:
    """Remove a gallery with everybody in it. Raises NotFound.

    A large one goes in several transactions, so that no other writer waits for long; one that was interrupted is
    smaller, and can be removed again.
    """
    gone, receipt, keys = _Gone(), None, list[str]()
    while receipt is None:
        with db.write() as session:
            row = _locked(db, session, project, gallery)
            query = select(FaceRow.id).where(FaceRow.gallery_id == row.id).limit(_AT_ONCE_FACES)
            faces = session.scalars(query).all()
            keys += _remove(db, session, row, faces, [picture_prefix(row.id)], gone=gone)
            if len(faces) < _AT_ONCE_FACES:
                receipt = _receipt(session, row, None, gone)
                session.execute(delete(GalleryRow).where(GalleryRow.id == row.id))
                note_removed(db, session, project, row.name)
    return _without_bytes(db, blobs, receipt, sorted(set(keys)))


def _locked(db: Database, session: Session, project: str, gallery: str) -> GalleryRow:
    """The gallery at its new revision; what is older is out of date. Raises NotFound."""
    if db.is_sqlite:
        session.execute(text("PRAGMA secure_delete=ON"))  # what is deleted is overwritten, not only forgotten
    row = session.execute(
        update(GalleryRow)
        .where(GalleryRow.project == project, GalleryRow.name == gallery)
        .values(revision=GalleryRow.revision + 1, removed_revision=GalleryRow.revision + 1)
        .returning(GalleryRow)
    ).scalar_one_or_none()
    if row is None:
        raise no_gallery(gallery)
    return row


def _remove_of_person(
    db: Database, session: Session, gallery: GalleryRow, person: str, faces: Sequence[str]
) -> tuple[Receipt, list[str]]:
    """Remove faces of one person, and the person with the last of them; the receipt, and the bytes that must go."""
    gone = _Gone()
    keys = _remove(db, session, gallery, faces, [picture_prefix(gallery.id, face) for face in faces], gone=gone)
    left = select(FaceRow.id).where(FaceRow.person_id == PersonRow.id).exists()
    mine = (PersonRow.gallery_id == gallery.id, PersonRow.name == person)
    if session.scalars(delete(PersonRow).where(*mine, ~left).returning(PersonRow.id)).all():
        note_removed(db, session, gallery.project, gallery.name, person)
    if session.execute(select(FaceRow.id).where(FaceRow.gallery_id == gallery.id).limit(1)).first() is None:
        session.execute(update(GalleryRow).where(GalleryRow.id == gallery.id).values(model=None, dimensions=None))
    return _receipt(session, gallery, person, gone), keys


def _remove(
    db: Database, session: Session, gallery: GalleryRow, faces: Sequence[str], pictures: list[str], *, gone: _Gone
) -> list[str]:
    """Remove the records of these faces and of uploads that only they needed; the bytes that must go."""
    jobs = set(_in(session, FaceRow.job_id, FaceRow.id, faces))
    files = {file for file in _in(session, FaceRow.file_id, FaceRow.id, faces) if file}
    for some in _some(faces):
        session.execute(delete(FaceRow).where(FaceRow.id.in_(some)))
    gone.faces += len(faces)
    gone.jobs |= jobs
    # Also what the same jobs read and found no good face in, once none of their faces is left.
    over = jobs - set(_in(session, FaceRow.job_id, FaceRow.job_id, jobs))
    read = {read for read in _in(session, JobReadRow.read_id, JobReadRow.job_id, over) if read.startswith("file_")}
    keys = [*pictures, *_remove_files(session, gallery.project, files | read | set(gone.kept), gone)]
    removals.must_go(db, session, keys)
    return keys


def _receipt(session: Session, gallery: GalleryRow, person: str | None, gone: _Gone) -> Receipt:
    return Receipt(
        gallery=gallery.name,
        person=person,
        at=session.execute(select(now())).scalar_one(),
        revision=gallery.revision,
        faces=gone.faces,
        crops=gone.faces,
        photos=gone.faces,
        files=sorted(gone.files),
        kept=[Kept(file, why) for file, why in gone.kept.items()] + _kept_jobs(session, gone.jobs),
    )


def _without_bytes(db: Database, blobs: Blobs, receipt: Receipt, keys: list[str]) -> Receipt:
    """Remove the bytes now where that can be done, and tell where not."""
    if receipt.faces > _AT_ONCE_FACES:
        why = "they are many, and are being removed one after the other"
    else:
        try:
            removals.carry_out(db, blobs, keys)
        except StorageFailed:
            why = "the object store did not answer; they are removed as soon as it does"
        else:
            return receipt
    left = [Kept(file, why) for file in receipt.files]
    kept = [Kept(f"crops and photos of {receipt.faces} faces", why), *left, *receipt.kept]
    return replace(receipt, crops=0, photos=0, files=[], kept=kept)


def _remove_files(session: Session, project: str, wanted: set[str], gone: _Gone) -> list[str]:
    """Remove the records of those uploads that nobody else needs; their keys."""
    removed: dict[str, str] = {}
    for some in _some(wanted):
        files = select(FileRow).where(FileRow.id.in_(some), FileRow.project == project)
        keys = {row.id: row.key for row in session.scalars(files.order_by(FileRow.id).with_for_update())}
        reasons = _needed(session, list(keys), gone.jobs)
        gone.kept.update(reasons)
        removed.update({file: key for file, key in keys.items() if file not in reasons})
        session.execute(delete(FileRow).where(FileRow.id.in_([file for file in keys if file not in reasons])))
    for file in removed:
        gone.kept.pop(file, None)
    gone.files.update(removed)
    return list(removed.values())


def _needed(session: Session, files: list[str], jobs: set[str]) -> dict[str, str]:
    """Why a file must stay: another face came from it, or a job other than ``jobs`` reads or has read it."""
    query = select(JobReadRow.read_id, JobRow.id, JobRow.state).join(JobRow, JobRow.id == JobReadRow.job_id)
    reasons: dict[str, str] = {}
    for file, job, state in session.execute(query.where(JobReadRow.read_id.in_(files))):
        if not JobState(state).final:
            reasons[file] = f"{job} has not ended and reads it"
        elif job not in jobs:
            reasons.setdefault(file, f"{job} has used it too; delete the file by itself")
    for file in session.scalars(select(FaceRow.file_id).where(FaceRow.file_id.in_(files)).distinct()):
        reasons[str(file)] = "another enrolled face was found in it"
    return reasons


def _kept_jobs(session: Session, jobs: Collection[str]) -> list[Kept]:
    there = sorted(_in(session, JobRow.id, JobRow.id, jobs))
    why = (
        "it holds the person's name, the overview picture enrolled.jpg with the faces, and the photos themselves where "
        "they were given as data: URI; delete the job to remove them (DELETE /v1/jobs/{id})"
    )
    kept = [Kept(job, why) for job in there[:_KEPT_JOBS]]
    more = len(there) - len(kept)
    return [*kept, Kept(f"{more} more enrolment jobs", why)] if more else kept


def _in(session: Session, what: InstrumentedAttribute[T], column: InstrumentedAttribute[str], ids: Ids) -> list[T]:
    """Different values of ``what`` in the rows where ``column`` is one of ``ids``."""
    return [value for some in _some(ids) for value in session.scalars(select(what).where(column.in_(some)).distinct())]


def _some(ids: Collection[str]) -> list[Sequence[str]]:
    wanted = sorted(ids)
    return [wanted[first : first + _AT_ONCE] for first in range(0, len(wanted), _AT_ONCE)]
