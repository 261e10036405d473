from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from saccade_core.records.database import Database
from saccade_core.records.files import get_file, remove_file
from saccade_core.records.leases import StoredArtifact
from saccade_core.records.requests import delete_job
from saccade_worker.host import Host
from saccade_worker.input_cache import LEAST_BYTES, InputCache
from servers.records import PROJECT, accepted, claimed, filed, succeed


class _Source:
    """Gives files of ``size`` bytes, and notes how often."""

    def __init__(self, size: int = LEAST_BYTES) -> None:
        self.size = size
        self.given = 0
        self.asked = 0

    def __call__(self, path: Path) -> None:
        self.given += 1
        path.write_bytes(b"x" * self.size)


def _bring(cache: InputCache, source: _Source, folder: Path, key: str, sha256: str = "a") -> Path:
    source.asked += 1
    path = folder / f"{key}-{source.asked}"
    cache.bring(key, sha256, path, source)
    assert path.stat().st_size == source.size
    return path


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    cache, source = InputCache(tmp_path / "kept", 10 * LEAST_BYTES), _Source()
    paths = [_bring(cache, source, tmp_path, "key") for _ in range(3)]
    assert source.given == 1
    paths[0].unlink()  # the end of the first run
    _bring(cache, source, tmp_path, "key")
    assert source.given == 1


def test_another_content_is_another_file(tmp_path: Path) -> None:
    cache, source = InputCache(tmp_path / "kept", 10 * LEAST_BYTES), _Source()
    _bring(cache, source, tmp_path, "key", "a")
    _bring(cache, source, tmp_path, "key", "b")
    _bring(cache, source, tmp_path, "other", "b")
    assert source.given == 3


def test_small_files_and_those_over_the_limit_are_not_kept(tmp_path: Path) -> None:
    for size in (LEAST_BYTES - 1, 3 * LEAST_BYTES):
        cache, source = InputCache(tmp_path / "kept", 2 * LEAST_BYTES), _Source(size)
        for _ in range(2):
            _bring(cache, source, tmp_path, f"key{size}")
        assert source.given == 2
    assert not (tmp_path / "kept").exists()


def test_the_least_lately_used_goes_first(tmp_path: Path) -> None:
    cache, source = InputCache(tmp_path / "kept", 2 * LEAST_BYTES), _Source()
    for key in ("a", "b", "a", "c"):
        _bring(cache, source, tmp_path, key)
    assert source.given == 3
    assert len(list((tmp_path / "kept").iterdir())) == 2
    _bring(cache, source, tmp_path, "a")
    assert source.given == 3
    _bring(cache, source, tmp_path, "b")
    assert source.given == 4


def test_a_file_that_a_run_changed_is_not_given_again(tmp_path: Path) -> None:
    cache, source = InputCache(tmp_path / "kept", 10 * LEAST_BYTES), _Source()
    path = _bring(cache, source, tmp_path, "key")
    assert path.stat().st_mode & 0o222 == 0
    path.chmod(0o644)
    path.write_bytes(b"y" * source.size)
    again = _bring(cache, source, tmp_path, "key")
    assert source.given == 2
    assert again.read_bytes()[:1] == b"x"


def test_what_was_deleted_is_not_kept(tmp_path: Path, sqlite_db: Database) -> None:
    cache, source = InputCache(tmp_path / "kept", 10 * LEAST_BYTES), _Source()
    file = filed(sqlite_db)
    job = claimed(sqlite_db, accepted(sqlite_db).id)
    made = StoredArtifact("a.bin", "text/plain", source.size, "a", f"jobs/{job.id}/1/a.bin")
    succeed(sqlite_db, job, made)
    keys = [get_file(sqlite_db, PROJECT, file).key, made.key]

    def bring() -> list[Path]:
        folder = tmp_path / f"run{source.given}"
        paths = [folder / key for key in keys]
        for key, path in zip(keys, paths, strict=True):
            path.parent.mkdir(parents=True)
            cache.bring(key, "a", path, source)
        return paths

    def kept() -> int:
        return len(list((tmp_path / "kept").iterdir()))

    bring()
    cache.tidy(sqlite_db)
    assert kept() == 2
    remove_file(sqlite_db, PROJECT, file)
    cache.tidy(sqlite_db)
    assert kept() == 1
    delete_job(sqlite_db, PROJECT, job.id)
    cache.tidy(sqlite_db)
    assert kept() == 0
    assert source.given == 2
    bring()
    assert source.given == 4  # nothing is given from memory of what was


@pytest.mark.stack
def test_a_worker_looks_by_itself(host: Host) -> None:
    source = _Source()
    _bring(host.inputs, source, host.scratch.path, "files-of-no-record")
    kept = host.scratch.path / "inputs"
    assert len(list(kept.iterdir())) == 1
    host.drain()  # it reports, and looks, at once
    limit = time.monotonic() + 30
    while list(kept.iterdir()):
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_half_of_the_free_room_is_left_to_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    def usage(_: Path) -> Usage:
        return Usage(LEAST_BYTES)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    cache, source = InputCache(tmp_path / "kept", 10 * LEAST_BYTES), _Source()
    for _ in range(2):
        _bring(cache, source, tmp_path, "key")
    assert source.given == 2
