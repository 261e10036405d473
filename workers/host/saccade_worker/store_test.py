from __future__ import annotations

from pathlib import Path

from saccade_core.blobs import open_blobs
from saccade_core.records.tables import JobRow
from saccade_core.settings import BlobSettings
from saccade_worker.store import fetch_checkpoints, store_checkpoint


def _saved(folder: Path, text: str) -> str:
    (folder / "kept").mkdir(parents=True, exist_ok=True)
    (folder / "kept" / "1").write_text(text)
    return "kept/1"


def test_a_checkpoint_that_comes_late_from_a_lost_attempt_takes_the_place_of_none(tmp_path: Path) -> None:
    blobs = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}/blobs"))
    old, new, third = (JobRow(id="job_1", token=token) for token in (9, 11, 13))
    store_checkpoint(blobs, old, tmp_path, "first.bin", _saved(tmp_path, "epoch 1"))
    store_checkpoint(blobs, old, tmp_path, "last.bin", _saved(tmp_path, "epoch 3"))
    store_checkpoint(blobs, new, tmp_path, "last.bin", _saved(tmp_path, "epoch 4"))
    store_checkpoint(blobs, old, tmp_path, "last.bin", _saved(tmp_path, "epoch 3 again"))
    fetch_checkpoints(blobs, third, tmp_path / "third")
    found = {path.name: path.read_text() for path in (tmp_path / "third" / "checkpoints").iterdir()}
    assert found == {"first.bin": "epoch 1", "last.bin": "epoch 4"}
    assert not (tmp_path / "kept" / "1").exists()


def test_what_is_no_file_of_the_run_is_not_kept(tmp_path: Path) -> None:
    blobs = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}/blobs"))
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    for copy in ("../secret", str(tmp_path / "secret"), "link", "none"):
        store_checkpoint(blobs, JobRow(id="job_1", token=1), folder, "last.bin", copy)
    assert list(blobs.list("jobs/")) == []
