"""Face galleries: their people and faces, and what workers read of them.

Every change of a gallery begins with an UPDATE of its row, which raises its revision: so changes of one gallery
happen one after the other, and whoever sees revision N sees all that came with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, func, insert, select, tuple_, update
from sqlalchemy.orm import Session, defer

from saccade_core.errors import Conflict, GalleryModelMismatch, InvalidRequest, NotFound, UnknownGallery
from saccade_core.ids import new_id
from saccade_core.kind import GalleryName
from saccade_core.records.database import Database, now
from saccade_core.records.forgotten import refuse_removed
from saccade_core.records.tables import FaceRow, GalleryRow, PersonRow

_BLOCK = 4096
_AT_ONCE = 500
_NAME: TypeAdapter[str] = TypeAdapter(GalleryName)


@dataclass(frozen=True, slots=True)
class GalleryCounts:
    """A gallery and how much is in it."""

    row: GalleryRow
    people: int
    faces: int


@dataclass(frozen=True, slots=True)
class PersonCounts:
    """A person of a gallery and how many faces are known."""

    name: str
    faces: int
    created_at: float


@dataclass(frozen=True, slots=True)
class NewFace:
    """A face to be recorded; its pictures are in the object store already.

    ``embedding``: float32, little endian, unit length. ``model``: name and version of the network that made it.
    """

    id: str
    person: str
    model: str
    embedding: bytes
    quality: dict[str, float]
    crop_key: str
    photo_key: str
    source: str
    source_sha256: str
    file_id: str | None


@dataclass(frozen=True, slots=True)
class FaceVector:
    """What a search needs of a face."""

    id: str
    person: str
    embedding: bytes
    revision: int


def picture_prefix(gallery_id: str, face_id: str = "") -> str:
    """Where in the object store the pictures of a gallery, or of one face of it, are."""
    return f"galleries/{gallery_id}/{face_id}/" if face_id else f"galleries/{gallery_id}/"


def create_gallery(db: Database, project: str, name: str) -> GalleryRow:
    """A new, empty gallery. Raises Conflict where there is one of that name, InvalidRequest for the name."""
    row = _create(db, project, name)
    if row is None:
        raise Conflict(f"There is a gallery {name!r} already.", field="name", received=name)
    return row


def ensure_gallery(db: Database, project: str, name: str) -> GalleryRow:
    """The gallery of that name, made where there is none."""
    while True:
        found = find_gallery(db, project, name) or _create(db, project, name)
        if found is not None:
            return found


def find_gallery(db: Database, project: str, name: str) -> GalleryRow | None:
    """The gallery of that name, or None."""
    query = select(GalleryRow).where(GalleryRow.project == project, GalleryRow.name == name)
    with db.read() as session:
        return session.execute(query).scalar_one_or_none()


def get_gallery(db: Database, project: str, name: str) -> GalleryCounts:
    """One gallery of the project, or NotFound."""
    found = list_galleries(db, project, name=name)
    if not found:
        raise no_gallery(name)
    return found[0]


def list_galleries(
    db: Database, project: str, *, name: str | None = None, after: str = "", limit: int = 100
) -> list[GalleryCounts]:
    """Galleries of the project by name, those after the name ``after``, or only the one called ``name``."""
    wanted = GalleryRow.name > after if name is None else GalleryRow.name == name
    people = select(func.count()).where(PersonRow.gallery_id == GalleryRow.id).scalar_subquery()
    faces = select(func.count()).where(FaceRow.gallery_id == GalleryRow.id).scalar_subquery()
    query = select(GalleryRow, people, faces).where(GalleryRow.project == project, wanted)
    with db.read() as session:
        rows = session.execute(query.order_by(GalleryRow.name).limit(limit)).all()
        return [GalleryCounts(row, int(people), int(faces)) for row, people, faces in rows]


def list_people(db: Database, project: str, name: str, *, after: str = "", limit: int = 100) -> list[PersonCounts]:
    """People of a gallery by name, those after the name ``after``. Raises NotFound for the gallery."""
    faces = select(func.count()).where(FaceRow.person_id == PersonRow.id).scalar_subquery()
    with db.read() as session:
        gallery = _gallery(session, project, name)
        mine = [PersonRow.gallery_id == gallery.id, PersonRow.name > after]
        query = select(PersonRow.name, faces, PersonRow.created_at).where(*mine)
        rows = session.execute(query.order_by(PersonRow.name).limit(limit)).all()
        return [PersonCounts(person, int(count), created_at) for person, count, created_at in rows]


def faces_of_person(db: Database, project: str, name: str, person: str, limit: int = 1000) -> Sequence[FaceRow]:
    """A person's faces without their embeddings, newest first. Raises NotFound for gallery and person."""
    with db.read() as session:
        gallery = _gallery(session, project, name)
        mine = (PersonRow.gallery_id == gallery.id, PersonRow.name == person)
        query = select(FaceRow).join(PersonRow, PersonRow.id == FaceRow.person_id).where(*mine)
        newest = query.options(defer(FaceRow.embedding)).order_by(FaceRow.revision.desc(), FaceRow.id.desc())
        rows = session.scalars(newest.limit(limit)).all()
        if not rows:
            raise no_person(name, person)
        return rows


def get_face(db: Database, project: str, name: str, face_id: str) -> FaceRow:
    """One face without its embedding. Raises NotFound for gallery and face."""
    with db.read() as session:
        gallery = _gallery(session, project, name)
        query = select(FaceRow).options(defer(FaceRow.embedding))
        row = session.execute(query.where(FaceRow.id == face_id, FaceRow.gallery_id == gallery.id)).scalar_one_or_none()
        if row is None:
            raise no_face(name, face_id)
        return row


def add_faces(session: Session, gallery_id: str, job_id: str, faces: Sequence[NewFace]) -> None:
    """Record faces of one network within the caller's transaction, which must end with an error of this function.

    Raises UnknownGallery where the gallery was deleted meanwhile, RemovedMeanwhile where it or one of these people was
    since the job was accepted, GalleryModelMismatch where its faces, or these among themselves, are of another network
    or another number of dimensions.
    """
    if not faces:
        return
    model, size = faces[0].model, len(faces[0].embedding) // 4
    gallery = session.execute(
        update(GalleryRow)
        .where(GalleryRow.id == gallery_id)
        .values(
            revision=GalleryRow.revision + 1,
            model=func.coalesce(GalleryRow.model, model),
            dimensions=func.coalesce(GalleryRow.dimensions, size),
        )
        .returning(GalleryRow)
    ).scalar_one_or_none()
    if gallery is None:
        raise UnknownGallery("The gallery was deleted while the job ran; only a new job can make it again.")
    names = sorted({face.person for face in faces})
    refuse_removed(session, gallery.project, gallery.name, names, job_id)
    for face in faces:
        if (face.model, len(face.embedding)) != (gallery.model, 4 * (gallery.dimensions or 0)):
            raise GalleryModelMismatch(
                f"Gallery {gallery.name!r} holds faces of {gallery.model} with {gallery.dimensions} numbers each; "
                f"these are of {face.model} with {len(face.embedding) // 4}.",
                field="params.gallery",
                received=gallery.name,
            )
    created_at = session.execute(select(now())).scalar_one()
    people = _people(session, gallery_id, names, created_at)
    shared = {"gallery_id": gallery_id, "job_id": job_id, "revision": gallery.revision, "created_at": created_at}
    session.execute(insert(FaceRow), [_values(face) | shared | {"person_id": people[face.person]} for face in faces])


def faces_between(db: Database, gallery_id: str, after: int, up_to: int) -> Iterator[list[FaceVector]]:
    """Faces that came with the revisions from ``after`` (exclusive) to ``up_to``, in a fixed order, in blocks.

    Each block is read by a transaction of its own: faces that are removed meanwhile may be among them or not.
    """
    query = (
        select(FaceRow.id, PersonRow.name, FaceRow.embedding, FaceRow.revision)
        .join(PersonRow, PersonRow.id == FaceRow.person_id)
        .where(FaceRow.gallery_id == gallery_id, FaceRow.revision <= up_to)
        .order_by(FaceRow.revision, FaceRow.id)
        .limit(_BLOCK)
    )
    rest = FaceRow.revision > after
    while True:
        with db.read() as session:
            rows = session.execute(query.where(rest)).all()
        if rows:
            yield [FaceVector(*row) for row in rows]
        if len(rows) < _BLOCK:
            return
        rest = tuple_(FaceRow.revision, FaceRow.id) > tuple_(rows[-1].revision, rows[-1].id)


def galleries_by_id(db: Database, gallery_ids: Sequence[str]) -> dict[str, GalleryRow]:
    """Those of these galleries that still exist."""
    return {row.id: row for row in _by_id(db, GalleryRow, GalleryRow.id, gallery_ids)}


def known_faces(db: Database, face_ids: Sequence[str]) -> set[str]:
    """Those of these faces that still exist."""
    return set(_by_id(db, FaceRow.id, FaceRow.id, face_ids))


def no_gallery(name: str) -> NotFound:
    """What is answered where a gallery is not there."""
    return NotFound(f"There is no gallery {name[:100]!r}.", field="gallery", received=name[:100])


def no_person(gallery: str, person: str) -> NotFound:
    """What is answered where a person is not there."""
    message = f"Gallery {gallery!r} has no person {person[:100]!r}."
    return NotFound(message, field="person", received=person[:100])


def no_face(gallery: str, face_id: str) -> NotFound:
    """What is answered where a face is not there."""
    return NotFound(f"Gallery {gallery!r} has no face {face_id[:100]!r}.", field="face_id", received=face_id[:100])


def _gallery(session: Session, project: str, name: str) -> GalleryRow:
    query = select(GalleryRow).where(GalleryRow.project == project, GalleryRow.name == name)
    row = session.execute(query).scalar_one_or_none()
    if row is None:
        raise no_gallery(name)
    return row


def _create(db: Database, project: str, name: str) -> GalleryRow | None:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        raise InvalidRequest(
            "A gallery's name is 1 to 63 letters, digits, '.', '_' and '-', and begins with a letter or digit.",
            field="name",
            received=name[:100],
        ) from None
    values = {"id": new_id("gallery"), "project": project, "name": name, "revision": 0, "removed_revision": 0}
    statement = db.insert(GalleryRow).values(**values, created_at=now()).on_conflict_do_nothing()
    with db.write() as session:
        return session.execute(statement.returning(GalleryRow)).scalar_one_or_none()


def _people(session: Session, gallery_id: str, names: Sequence[str], created_at: float) -> dict[str, str]:
    """Ids of people by name, made where they are new; the gallery's row is locked, so nobody else makes them."""
    query = select(PersonRow.name, PersonRow.id).where(PersonRow.gallery_id == gallery_id)
    found: dict[str, str] = {}
    for first in range(0, len(names), _AT_ONCE):
        rows = session.execute(query.where(PersonRow.name.in_(names[first : first + _AT_ONCE])))
        found.update((row.name, row.id) for row in rows)
    new = {name: new_id("person") for name in names if name not in found}
    if new:
        shared = {"gallery_id": gallery_id, "created_at": created_at}
        session.execute(insert(PersonRow), [{"id": new[name], "name": name} | shared for name in new])
    return found | new


def _values(face: NewFace) -> dict[str, Any]:
    kept = ("id", "embedding", "quality", "crop_key", "photo_key", "source", "source_sha256", "file_id")
    return {name: getattr(face, name) for name in kept}


def _by_id(db: Database, what: Any, column: Any, ids: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    with db.read() as session:
        for first in range(0, len(ids), _AT_ONCE):
            some: ColumnElement[bool] = column.in_(ids[first : first + _AT_ONCE])
            found += session.scalars(select(what).where(some)).all()
    return found
