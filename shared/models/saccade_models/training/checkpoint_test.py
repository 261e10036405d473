"""Checkpoints on disk: what goes in comes out, and damage is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from saccade_models.training import checkpoint
from saccade_models.training.checkpoint import Checkpoint, Standing
from saccade_models.training.params import EpochRow


def _some() -> Checkpoint:
    standing = Standing(
        fingerprint="f", threads=2, history=[EpochRow(epoch=1, loss=0.1 + 0.2, learning_rate=1e-3, seconds=1)]
    )
    network = [np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32), np.array([7, 9], np.uint32)]
    return Checkpoint(standing, network, [np.array(5, np.int64), np.zeros(3, np.float32)], network[:1])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, some = tmp_path / checkpoint.NAME, _some()
    checkpoint.write(path, some)
    found = checkpoint.read(path)
    assert found is not None and found.standing == some.standing
    for part in ("network", "optimizer", "best"):
        read, written = getattr(found, part), getattr(some, part)
        assert [(a.dtype, a.tobytes()) for a in read] == [(a.dtype, a.tobytes()) for a in written]
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.NAME]


def test_more_than_ten_arrays_keep_their_order(tmp_path: Path) -> None:
    many = [np.array([n], np.float32) for n in range(120)]
    checkpoint.write(tmp_path / checkpoint.NAME, Checkpoint(_some().standing, many, [], []))
    found = checkpoint.read(tmp_path / checkpoint.NAME)
    assert found is not None and [int(a[0]) for a in found.network] == list(range(120))


def test_none_is_there_or_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.NAME
    assert checkpoint.read(path) is None
    checkpoint.write(path, _some())
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[:-30],
        whole[: len(whole) // 2],
        whole.replace(b"fingerprint", b"fingerqrint"),
        b"PK" * 50,
    ):
        path.write_bytes(damaged)
        assert checkpoint.read(path) is None


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.NAME
    np.savez(path, standing=np.array([{"a": 1}], dtype=object))
    assert checkpoint.read(path) is None
