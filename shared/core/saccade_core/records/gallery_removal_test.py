"""Removals: what goes, what stays and why, and that the bytes go also when the process dies in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import NotFound, StorageFailed
from saccade_core.records import galleries, gallery_removal, removals
from saccade_core.records.database import Database
from saccade_core.records.files import find_files
from saccade_core.records.galleries import NewFace, picture_prefix
from saccade_core.records.galleries_test import enrol, enrolled, face
from saccade_core.records.gallery_removal import Kept, Receipt
from saccade_core.records.requests import delete_job
from saccade_core.records.tables import GalleryRow
from saccade_core.settings import BlobSettings
from servers.records import PROJECT, accepted, claimed, filed, succeed


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}/blobs"))


@pytest.fixture
def gallery(db: Database) -> GalleryRow:
    return galleries.create_gallery(db, PROJECT, "staff")


def _remove(db: Database, blobs: Blobs, person: str) -> Receipt:
    return gallery_removal.remove_person(db, blobs, PROJECT, "staff", person)


def _with_pictures(blobs: Blobs, gallery: GalleryRow, *faces: NewFace) -> None:
    for each in faces:
        for name in ("crop", "photo"):
            blobs.put_bytes(f"{picture_prefix(gallery.id, each.id)}{name}.jpg", b"a", "image/jpeg")


def _from_files(db: Database, blobs: Blobs, gallery: GalleryRow, person: str, *files: str) -> str:
    """A job that read these files and found the person in the first; its id."""
    for file in files:
        blobs.put_bytes(f"files/{file}", b"a", "image/png")
    job = claimed(db, accepted(db, file_ids=files).id)
    found = face(person, file_id=files[0], source=f"inputs.images[0]={files[0]}")
    _with_pictures(blobs, gallery, found)
    enrol(db, job, gallery, found)
    return job.id


def _keys(blobs: Blobs) -> list[str]:
    return sorted(stat.key for stat in blobs.list())


def test_a_person_goes_with_pictures_embeddings_and_uploads(db: Database, blobs: Blobs, gallery: GalleryRow) -> None:
    [other] = enrolled(db, gallery, "Ben")
    _with_pictures(blobs, gallery, other)
    good, bad = filed(db), filed(db)
    job = _from_files(db, blobs, gallery, "Ann", good, bad)
    receipt = _remove(db, blobs, "Ann")
    assert (receipt.gallery, receipt.person, receipt.revision) == ("staff", "Ann", 3)
    assert (receipt.faces, receipt.crops, receipt.photos) == (1, 1, 1)
    assert receipt.files == sorted([good, bad])  # also the photo in which no face was found
    [kept] = receipt.kept
    assert kept.what == job
    for told in ("name", "enrolled.jpg", "data: URI", "delete the job", "DELETE /v1/jobs/{id}"):
        assert told in kept.why
    assert find_files(db, PROJECT, [good, bad]) == {}
    prefix = picture_prefix(gallery.id, other.id)
    assert _keys(blobs) == [f"{prefix}crop.jpg", f"{prefix}photo.jpg"]
    assert removals.due(db, 10) == []
    row = galleries.get_gallery(db, PROJECT, "staff").row
    assert (row.revision, row.removed_revision) == (3, 3)
    with pytest.raises(NotFound):
        _remove(db, blobs, "Ann")
    assert galleries.get_gallery(db, PROJECT, "staff").row.revision == 3
    delete_job(db, PROJECT, job)


def test_what_others_need_stays(db: Database, blobs: Blobs, gallery: GalleryRow) -> None:
    shared, read, used, own = (filed(db) for _ in range(4))
    for file in (shared, read, used, own):
        _from_files(db, blobs, gallery, "Ann", file)
    _from_files(db, blobs, gallery, "Ben", shared)
    reading = accepted(db, file_ids=[read])
    using = claimed(db, accepted(db, file_ids=[used]).id)
    succeed(db, using)
    receipt = _remove(db, blobs, "Ann")
    assert receipt.files == [own]
    kept = {each.what: each.why for each in receipt.kept if each.what.startswith("file_")}
    assert kept == {
        shared: "another enrolled face was found in it",
        read: f"{reading.id} has not ended and reads it",
        used: f"{using.id} has used it too; delete the file by itself",
    }
    assert set(find_files(db, PROJECT, [shared, read, used, own])) == {shared, read, used}
    assert f"files/{own}" not in _keys(blobs)
    assert f"files/{shared}" in _keys(blobs)


def test_a_face_goes_and_with_the_last_one_its_person(db: Database, blobs: Blobs, gallery: GalleryRow) -> None:
    first, second = enrolled(db, gallery, "Ann", "Ann")
    receipt = gallery_removal.remove_face(db, blobs, PROJECT, "staff", first.id)
    assert (receipt.person, receipt.faces) == ("Ann", 1)
    assert [p.faces for p in galleries.list_people(db, PROJECT, "staff")] == [1]
    gallery_removal.remove_face(db, blobs, PROJECT, "staff", second.id)
    found = galleries.get_gallery(db, PROJECT, "staff")
    assert (found.people, found.faces, found.row.model, found.row.dimensions) == (0, 0, None, None)
    enrol(db, claimed(db, accepted(db).id), gallery, face("Ann", model="network@2"))  # it is free again
    with pytest.raises(NotFound):
        gallery_removal.remove_face(db, blobs, PROJECT, "staff", first.id)


def test_a_face_of_a_job_leaves_the_other_faces_files(db: Database, blobs: Blobs, gallery: GalleryRow) -> None:
    files = [filed(db), filed(db)]
    job = claimed(db, accepted(db, file_ids=files).id)
    faces = [face("Ann", file_id=file) for file in files]
    enrol(db, job, gallery, *faces)
    assert gallery_removal.remove_face(db, blobs, PROJECT, "staff", faces[0].id).files == [files[0]]
    assert gallery_removal.remove_face(db, blobs, PROJECT, "staff", faces[1].id).files == [files[1]]


def test_a_gallery_goes_with_everybody(db: Database, blobs: Blobs, gallery: GalleryRow) -> None:
    file = filed(db)
    _from_files(db, blobs, gallery, "Ann", file)
    _with_pictures(blobs, gallery, *enrolled(db, gallery, "Ben", "Cleo"))
    receipt = gallery_removal.remove_gallery(db, blobs, PROJECT, "staff")
    assert (receipt.person, receipt.faces, receipt.crops, receipt.files) == (None, 3, 3, [file])
    assert _keys(blobs) == []
    assert galleries.find_gallery(db, PROJECT, "staff") is None
    assert galleries.known_faces(db, [each.id for each in [face("Ann")]]) == set()
    assert removals.due(db, 10) == []


def test_a_large_gallery_goes_in_portions(
    db: Database, blobs: Blobs, gallery: GalleryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_removal, "_AT_ONCE_FACES", 2)
    shared, own = filed(db), filed(db)
    for person in ("Ann", "Ben", "Cleo"):
        _from_files(db, blobs, gallery, person, shared)
    _from_files(db, blobs, gallery, "Dora", own)
    receipt = gallery_removal.remove_gallery(db, blobs, PROJECT, "staff")
    assert (receipt.faces, receipt.crops, receipt.files) == (4, 0, [])
    pictures, *files = [kept.what for kept in receipt.kept if not kept.what.startswith("job_")]
    assert (pictures, files) == ("crops and photos of 4 faces", sorted([shared, own]))
    assert find_files(db, PROJECT, [shared, own]) == {}  # though the portion before needed one of them
    removals.carry_out(db, blobs, removals.due(db, 10))
    assert _keys(blobs) == []


@pytest.mark.parametrize("what", ["person", "gallery", "face"])
def test_only_the_projects_own_is_removed(db: Database, blobs: Blobs, gallery: GalleryRow, what: str) -> None:
    [ann] = enrolled(db, gallery, "Ann")
    galleries.create_gallery(db, "other", "visitors")
    calls = {
        "person": lambda: gallery_removal.remove_person(db, blobs, "other", "staff", "Ann"),
        "gallery": lambda: gallery_removal.remove_gallery(db, blobs, "other", "staff"),
        "face": lambda: gallery_removal.remove_face(db, blobs, "other", "visitors", ann.id),
    }
    with pytest.raises(NotFound):
        calls[what]()
    assert galleries.get_gallery(db, PROJECT, "staff").faces == 1


def test_bytes_that_could_not_be_removed_are_told_and_removed_later(
    db: Database, blobs: Blobs, gallery: GalleryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filed(db)
    _from_files(db, blobs, gallery, "Ann", file)

    def away(*_: object) -> int:
        raise StorageFailed("away")

    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "delete_prefix", away)
        receipt = _remove(db, blobs, "Ann")
    assert (receipt.faces, receipt.crops, receipt.photos, receipt.files) == (1, 0, 0, [])
    why = "the object store did not answer; they are removed as soon as it does"
    assert receipt.kept[:2] == [Kept("crops and photos of 1 faces", why), Kept(file, why)]
    assert len(_keys(blobs)) == 3
    removals.carry_out(db, blobs, removals.due(db, 10))
    assert _keys(blobs) == []
    assert removals.due(db, 10) == []


def test_very_many_pictures_are_left_to_the_keeper(
    db: Database, blobs: Blobs, gallery: GalleryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_removal, "_AT_ONCE_FACES", 2)
    _with_pictures(blobs, gallery, *enrolled(db, gallery, *["Ann"] * 3))
    receipt = _remove(db, blobs, "Ann")
    assert (receipt.faces, receipt.crops) == (3, 0)
    assert len(removals.due(db, 10)) == 3
    removals.carry_out(db, blobs, removals.due(db, 10))
    assert _keys(blobs) == []
