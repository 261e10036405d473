"""What was removed stays removed, whatever enrolment was under way."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import RemovedMeanwhile
from saccade_core.jobs import JobState
from saccade_core.records import forgotten, galleries, gallery_removal, leases
from saccade_core.records.database import Database
from saccade_core.records.galleries_test import enrol, enrolled, face
from saccade_core.records.tables import ForgottenRow, GalleryRow, JobRow
from saccade_core.settings import BlobSettings
from servers.records import PROJECT, accepted, alter, claimed, record, succeed


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}/blobs"))


@pytest.fixture
def gallery(db: Database) -> GalleryRow:
    row = galleries.create_gallery(db, PROJECT, "staff")
    enrolled(db, row, "Ann", "Ben")
    return row


def _accepted_later(db: Database) -> JobRow:
    time.sleep(0.005)  # the clock of SQLite counts milliseconds
    return accepted(db)


def _people(db: Database) -> list[str]:
    return [person.name for person in galleries.list_people(db, PROJECT, "staff")]


def _notes(db: Database) -> list[ForgottenRow]:
    with db.read() as session:
        return list(session.scalars(select(ForgottenRow)))


def test_an_enrolment_under_way_does_not_bring_a_removed_person_back(
    db: Database, blobs: Blobs, gallery: GalleryRow
) -> None:
    queued, running, other = accepted(db), claimed(db, accepted(db).id), accepted(db)
    gallery_removal.remove_person(db, blobs, PROJECT, "staff", "Ann")
    for job in (running, claimed(db, queued.id)):
        with pytest.raises(RemovedMeanwhile, match="'Ann' was removed from gallery 'staff' after this job") as caught:
            enrol(db, job, gallery, face("Cleo"), face("Ann"))
        assert not caught.value.retryable
        assert record(db, job.id).state == JobState.RUNNING
        assert leases.fail(db, job, caught.value) == JobState.FAILED
    assert _people(db) == ["Ben"]
    enrol(db, claimed(db, other.id), gallery, face("Ben"))
    later = _accepted_later(db)
    enrol(db, claimed(db, later.id), gallery, face("Ann"))
    assert _people(db) == ["Ann", "Ben"]


def test_a_person_goes_with_the_last_face_only(db: Database, blobs: Blobs, gallery: GalleryRow) -> None:
    [second] = enrolled(db, gallery, "Ann")
    waiting = [accepted(db) for _ in range(2)]
    gallery_removal.remove_face(db, blobs, PROJECT, "staff", second.id)
    enrol(db, claimed(db, waiting[0].id), gallery, face("Ann"))
    for each in galleries.faces_of_person(db, PROJECT, "staff", "Ann"):
        gallery_removal.remove_face(db, blobs, PROJECT, "staff", each.id)
    with pytest.raises(RemovedMeanwhile):
        enrol(db, claimed(db, waiting[1].id), gallery, face("Ann"))


def test_a_gallery_of_the_same_name_takes_nobody_of_before(db: Database, blobs: Blobs, gallery: GalleryRow) -> None:
    before = [accepted(db) for _ in range(2)]
    galleries.create_gallery(db, "other", "staff")
    gallery_removal.remove_gallery(db, blobs, PROJECT, "staff")
    again = galleries.ensure_gallery(db, PROJECT, "staff")
    assert again.id != gallery.id
    with pytest.raises(RemovedMeanwhile, match="Gallery 'staff' was removed after this job"):
        enrol(db, claimed(db, before[0].id), again, face("Ann"))
    with db.read() as session:
        forgotten.refuse_removed(session, "other", "staff", ["Ann"], before[1].id)
        forgotten.refuse_removed(session, PROJECT, "staff", ["Ann"], _accepted_later(db).id)


def test_notes_hold_no_name_and_go_when_no_job_can_need_them(
    db: Database, blobs: Blobs, gallery: GalleryRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = claimed(db, accepted(db).id)
    first = gallery_removal.remove_person(db, blobs, PROJECT, "staff", "Ann")
    enrol(db, claimed(db, _accepted_later(db).id), gallery, face("Ann"))
    gallery_removal.remove_person(db, blobs, PROJECT, "staff", "Ann")
    [note] = _notes(db)
    assert (len(note.sha256), note.removed_at > first.at) == (64, True)  # of the second removal
    forgotten.drop_old_notes(db)
    assert len(_notes(db)) == 1
    monkeypatch.setattr(forgotten, "KEPT_S", -1.0)  # as if it were old
    forgotten.drop_old_notes(db)
    assert len(_notes(db)) == 1  # the job of before has not ended
    succeed(db, job)
    alter(db, accepted(db).id, created_at=note.removed_at + 1.0)
    forgotten.drop_old_notes(db)
    assert _notes(db) == []
