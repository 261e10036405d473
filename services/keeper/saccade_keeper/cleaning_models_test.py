"""What the keeper removes of trained models: versions that never came, and bytes that no version names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.jobs import JobState
from saccade_core.live import Live
from saccade_core.records import models
from saccade_core.records.database import Database
from saccade_core.settings import BlobSettings
from saccade_keeper.cleaning import Cleaner
from saccade_keeper.sweep import remove_forgotten
from servers.records import PROJECT, accepted, alter, claimed


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """An empty object store."""
    return open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}/blobs"))


def _stored(db: Database, blobs: Blobs, state: JobState) -> str:
    """A version that its job has stored, and not registered; the key of its file."""
    job = claimed(db, accepted(db).id)
    key = f"{models.prefix_of(PROJECT, 'churn', models.reserve(db, PROJECT, 'churn', job.id))}model.h5"
    blobs.put_bytes(key, b"weights", "application/octet-stream")
    alter(db, job.id, state=state)
    return key


def _keys(blobs: Blobs) -> list[str]:
    return sorted(stat.key for stat in blobs.list("models/"))


def test_versions_that_never_came_lose_their_bytes(sqlite_db: Database, blobs: Blobs) -> None:
    kept = _stored(sqlite_db, blobs, JobState.RUNNING)
    for state in (JobState.FAILED, JobState.CANCELLED, JobState.SUCCEEDED):
        _stored(sqlite_db, blobs, state)
    cleaner = Cleaner(
        sqlite_db, blobs, Live("redis://127.0.0.1:1/0"), leads=lambda: True, sweep_s=3600.0, orphan_age_s=3600.0
    )
    cleaner.tidy(lambda: True)
    assert _keys(blobs) == [kept]


def test_bytes_of_no_version_are_swept_and_weights_stay(sqlite_db: Database, blobs: Blobs, tmp_path: Path) -> None:
    kept = [_stored(sqlite_db, blobs, JobState.RUNNING), f"models/weights/{'a' * 64}/net.pt"]
    late = ["models/tests.churn/9/model.h5", "models/churn/1/saved_model/variables/a", "models/other.churn/1/model.h5"]
    for key in [*kept[1:], *late]:
        blobs.put_bytes(key, b"weights", "application/octet-stream")
    assert remove_forgotten(sqlite_db, blobs, age_s=3600.0) == 0
    for path in (tmp_path / "blobs").rglob("*"):
        os.utime(path, (0, 0))
    assert remove_forgotten(sqlite_db, blobs, age_s=3600.0) == 3
    assert _keys(blobs) == sorted(kept)
