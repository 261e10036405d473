from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from saccade_worker.input_cache import LEAST_BYTES, InputCache


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
