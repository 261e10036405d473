from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select

from saccade_core.errors import Conflict, GalleryModelMismatch, InvalidRequest, LeaseLost, NotFound, UnknownGallery
from saccade_core.ids import new_id
from saccade_core.kind import PersonName, person_name
from saccade_core.records import galleries, leases
from saccade_core.records.database import Database
from saccade_core.records.galleries import FaceVector, NewFace
from saccade_core.records.tables import FaceRow, GalleryRow, JobRow, PersonRow
from servers.records import PROJECT, accepted, claimed, expire_lease


def face(person: str, *, model: str = "network@1", numbers: tuple[float, ...] = (0.6, 0.8), **more: Any) -> NewFace:
    face_id = new_id("face")
    made = NewFace(
        id=face_id,
        person=person,
        model=model,
        embedding=struct.pack(f"<{len(numbers)}f", *numbers),
        quality={"sharpness": 2.5},
        crop_key=f"galleries/g/{face_id}/crop.jpg",
        photo_key=f"galleries/g/{face_id}/photo.jpg",
        source="inputs.images[0]=file_1",
        source_sha256="0" * 64,
        file_id=None,
    )
    return replace(made, **more)


def enrol(db: Database, job: JobRow, gallery: GalleryRow, *faces: NewFace) -> None:
    """Let a claimed job succeed, and enrol."""
    leases.succeed(
        db,
        job.id,
        job.token,
        result={},
        artifacts=[],
        provenance={},
        progress={},
        also=lambda session: galleries.add_faces(session, gallery.id, job.id, faces),
    )


def enrolled(db: Database, gallery: GalleryRow, *people: str) -> list[NewFace]:
    faces = [face(person) for person in people]
    enrol(db, claimed(db, accepted(db).id), gallery, *faces)
    return faces


def _all(db: Database, gallery: GalleryRow, after: int = -1, up_to: int = 1000) -> list[FaceVector]:
    return [each for block in galleries.faces_between(db, gallery.id, after, up_to) for each in block]


def test_galleries_are_of_a_project_and_unique_in_it(db: Database) -> None:
    row = galleries.create_gallery(db, PROJECT, "staff")
    assert (row.name, row.revision, row.model, row.dimensions) == ("staff", 0, None, None)
    with pytest.raises(Conflict):
        galleries.create_gallery(db, PROJECT, "staff")
    other = galleries.create_gallery(db, "other", "staff")
    assert galleries.ensure_gallery(db, PROJECT, "staff").id == row.id
    assert galleries.get_gallery(db, "other", "staff").row.id == other.id
    with pytest.raises(NotFound):
        galleries.get_gallery(db, PROJECT, "visitors")
    assert galleries.find_gallery(db, "third", "staff") is None
    for name in ("c", "a", "b"):
        galleries.create_gallery(db, "third", name)
    assert [g.row.name for g in galleries.list_galleries(db, "third", limit=2)] == ["a", "b"]
    assert [g.row.name for g in galleries.list_galleries(db, "third", after="b")] == ["c"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "-a", "a b", "ä", "a" * 64, "a\n", "a\0"])
def test_names_of_galleries_that_are_refused(sqlite_db: Database, name: str) -> None:
    with pytest.raises(InvalidRequest):
        galleries.create_gallery(sqlite_db, PROJECT, name)


@pytest.mark.parametrize("name", ["", " a", "a\n", "a/b", "a\\b", "a\0", "a\u202eb", "\ud800", ".", "..", "a" * 101])
def test_names_of_people_that_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="person's name"):
        person_name(name)
    with pytest.raises(ValidationError):
        TypeAdapter(PersonName).validate_python(name)


def test_names_of_people_are_composed() -> None:
    assert person_name("Zoe\u0308 O'Neil-Smith 3rd") == "Zoë O'Neil-Smith 3rd"
    assert person_name("李小龙") == "李小龙"


def test_faces_are_counted_and_told(db: Database) -> None:
    gallery = galleries.create_gallery(db, PROJECT, "staff")
    enrolled(db, gallery, "Ben", "Ann", "Ben")
    [newest] = enrolled(db, gallery, "Ben")
    [found] = galleries.list_galleries(db, PROJECT)
    assert (found.people, found.faces) == (2, 4)
    assert (found.row.model, found.row.dimensions, found.row.revision) == ("network@1", 2, 2)
    assert [(p.name, p.faces) for p in galleries.list_people(db, PROJECT, "staff")] == [("Ann", 1), ("Ben", 3)]
    assert [p.name for p in galleries.list_people(db, PROJECT, "staff", after="Ann", limit=1)] == ["Ben"]
    faces = galleries.faces_of_person(db, PROJECT, "staff", "Ben")
    assert (len(faces), faces[0].id, faces[0].quality) == (3, newest.id, {"sharpness": 2.5})
    assert galleries.get_face(db, PROJECT, "staff", newest.id).crop_key == newest.crop_key
    assert galleries.known_faces(db, [newest.id, "face_none"]) == {newest.id}
    for call in (
        lambda: galleries.list_people(db, "other", "staff"),
        lambda: galleries.faces_of_person(db, PROJECT, "staff", "Cleo"),
        lambda: galleries.get_face(db, PROJECT, "staff", "face_none"),
        lambda: galleries.get_face(db, "other", "staff", newest.id),
    ):
        with pytest.raises(NotFound):
            call()


def test_faces_are_read_in_blocks_and_from_a_revision_on(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "_BLOCK", 3)
    gallery = galleries.create_gallery(db, PROJECT, "staff")
    first = enrolled(db, gallery, *(f"Person {n}" for n in range(6)))
    second = enrolled(db, gallery, "Ann", "Person 3")
    assert [len(block) for block in galleries.faces_between(db, gallery.id, -1, 2)] == [3, 3, 2]
    assert {f.id for f in _all(db, gallery)} == {f.id for f in first + second}
    assert [f.id for f in _all(db, gallery, up_to=1)] == [f.id for f in _all(db, gallery)][:6]
    assert {(f.id, f.person, f.revision) for f in _all(db, gallery, after=1)} == {(f.id, f.person, 2) for f in second}
    assert _all(db, gallery)[0].embedding == struct.pack("<2f", 0.6, 0.8)
    assert _all(db, gallery, after=2) == []


def test_a_gallery_holds_faces_of_one_network(db: Database) -> None:
    gallery = galleries.create_gallery(db, PROJECT, "staff")
    mixed = [face("Ann"), face("Ann", model="network@2")]
    with pytest.raises(GalleryModelMismatch):
        enrol(db, claimed(db, accepted(db).id), gallery, *mixed)
    assert galleries.get_gallery(db, PROJECT, "staff").row.model is None
    enrolled(db, gallery, "Ann")
    for wrong in (face("Ben", model="network@2"), face("Ben", numbers=(0.0, 0.6, 0.8))):
        job = claimed(db, accepted(db).id)
        with pytest.raises(GalleryModelMismatch, match="holds faces of network@1 with 2 numbers"):
            enrol(db, job, gallery, wrong)
        leases.heartbeat(db, job.id, job.token, None)  # it has not succeeded
    found = galleries.get_gallery(db, PROJECT, "staff")
    assert (found.people, found.faces, found.row.revision) == (1, 1, 1)


def test_a_lost_lease_enrols_nobody(db: Database) -> None:
    gallery = galleries.create_gallery(db, PROJECT, "staff")
    old = claimed(db, accepted(db).id)
    expire_lease(db, old.id)
    new = claimed(db, old.id)
    with pytest.raises(LeaseLost):
        enrol(db, old, gallery, face("Ann"))
    enrol(db, new, gallery, face("Ann"))
    with pytest.raises(LeaseLost):
        enrol(db, new, gallery, face("Ann"))
    assert len(_all(db, gallery)) == 1


def test_a_deleted_gallery_enrols_nobody(db: Database) -> None:
    gallery = galleries.create_gallery(db, PROJECT, "staff")
    with db.write() as session:
        session.delete(session.get(GalleryRow, gallery.id))
    with pytest.raises(UnknownGallery):
        enrol(db, claimed(db, accepted(db).id), gallery, face("Ann"))


def test_many_enrol_the_same_new_person_at_once(db: Database) -> None:
    gallery = galleries.create_gallery(db, PROJECT, "staff")
    jobs = [claimed(db, accepted(db).id) for _ in range(8)]
    start = Barrier(8)

    def one(job: JobRow) -> None:
        start.wait()
        enrol(db, job, gallery, face("Ann"), face(f"Of {job.id}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, jobs))
    assert (galleries.get_gallery(db, PROJECT, "staff").people, len(_all(db, gallery))) == (9, 16)
    with db.read() as session:
        assert sorted(set(session.scalars(select(FaceRow.revision)))) == list(range(1, 9))
        assert len(session.scalars(select(PersonRow).where(PersonRow.name == "Ann")).all()) == 1


def test_many_make_the_same_gallery_at_once(db: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(galleries.ensure_gallery, [db] * 8, [PROJECT] * 8, ["staff"] * 8))
    assert len({row.id for row in rows}) == 1
