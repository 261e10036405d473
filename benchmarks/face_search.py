"""A face looked for among a million: FaceIndex on one core, beside the same product without picking the best.

Run it alone: ``PYTHONPATH=tests .venv/bin/python -m benchmarks --only face_search``. The faces are
random vectors; how long an exact search takes does not depend on whose they are.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import table
from saccade_core.kind import GalleryFiles, ModelFiles
from saccade_models.faces.search import FaceIndex
from servers.stack import Stack

FACES, DIMENSIONS, PHOTOS = 1_000_000, 128, 4
_BLOCK = 50_000
_ROUNDS = 15

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds for each of the faces looked for at once: median and worst of the rounds."""

    name: str
    median_ms: float
    worst_ms: float


def measure() -> list[Row]:
    """On one core, in a file mapped into memory; the first search, which reads it from disk, is not counted."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _measured(_gallery(Path(folder)))
    finally:
        os.sched_setaffinity(0, cores)


def _measured(files: GalleryFiles) -> list[Row]:
    index = FaceIndex(files, ModelFiles("mobilefacenet", "1", "", {}))
    queries = _unit(np.random.default_rng(2), 16)
    return [
        _timed("product alone, 1 face", 1, lambda: index.embeddings @ queries[0]),
        _timed("FaceIndex.search, 1 face, 3 people", 1, lambda: index.search(queries[:1], 3)),
        _timed("FaceIndex.search, 16 faces at once, each", 16, lambda: index.search(queries, 3)),
    ]


def _timed(name: str, faces: int, search: Callable[[], object]) -> Row:
    search()
    spent: list[float] = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        search()
        spent.append(1000 * (time.perf_counter() - started) / faces)
    return Row(name, statistics.median(spent), max(spent))


def _gallery(folder: Path) -> GalleryFiles:
    random = np.random.default_rng(1)
    embeddings, owners, faces = folder / "embeddings", folder / "owners", folder / "faces"
    with embeddings.open("wb") as stream:
        for _ in range(FACES // _BLOCK):
            stream.write(_unit(random, _BLOCK).tobytes())
    owners.write_bytes((np.arange(FACES, dtype=np.uint32) // PHOTOS).tobytes())
    faces.touch()
    people = [f"person {number}" for number in range(FACES // PHOTOS)]
    return GalleryFiles("gallery_1", "bench", 1, "mobilefacenet@1", DIMENSIONS, embeddings, owners, people, faces)


def _unit(random: np.random.Generator, count: int) -> Vectors:
    rows = random.standard_normal((count, DIMENSIONS), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def section(_: Stack) -> str:
    """One core, in this process."""
    rows = [[r.name, f"{r.median_ms:.1f}", f"{r.worst_ms:.1f}"] for r in measure()]
    return table("A face among 1,000,000 of 128 numbers, one core", ["what", "ms, median", "ms, worst"], rows)
