"""What a worker's copy of a million faces costs: to make, to look at when nothing changed, to bring up to date.

Run it alone: ``.venv/bin/python -m benchmarks.gallery_copies [FACES]``. The faces are random vectors in SQLite, as
enrolments would have left them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from sqlalchemy import insert

from saccade_core.ids import new_id
from saccade_core.records.database import Database
from saccade_core.records.galleries import ensure_gallery, galleries_by_id
from saccade_core.records.tables import FaceRow, GalleryRow, PersonRow
from saccade_worker.gallery_cache import GalleryCache

_BLOCK = 5000


def fill_gallery(
    db: Database, name: str, *, faces: int, people: int, dimensions: int = 128, project: str = "default", seed: int = 0
) -> GalleryRow:
    """Add ``faces`` random faces of ``people`` people, in blocks of one revision each; the gallery after it."""
    rng = np.random.default_rng(seed)
    gallery = ensure_gallery(db, project, name)
    first_block = gallery.revision
    person_ids = [f"person_{seed}_{number:07d}" for number in range(people)]
    with db.write() as session:
        session.execute(
            insert(PersonRow),
            [
                {"id": person_id, "gallery_id": gallery.id, "name": person_id, "created_at": 0.0}
                for person_id in person_ids
            ],
        )
    texts = {"source": "inputs.images[0]=file_1", "source_sha256": "0" * 64, "job_id": "job_1", "created_at": 0.0}
    for block, first in enumerate(range(0, faces, _BLOCK), first_block):
        count = min(_BLOCK, faces - first)
        vectors = rng.standard_normal((count, dimensions), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        owners = rng.integers(0, people, count)
        rows = [
            {
                "id": new_id("face"),
                "gallery_id": gallery.id,
                "person_id": person_ids[owner],
                "embedding": vector.tobytes(),
                "quality": {"sharpness": 100.0},
                "crop_key": f"galleries/{gallery.id}/{first}/crop.jpg",
                "photo_key": f"galleries/{gallery.id}/{first}/photo.jpg",
                "revision": block + 1,
                **texts,
            }
            for owner, vector in zip(owners, vectors, strict=True)
        ]
        with db.write() as session:
            session.execute(insert(FaceRow), rows)
            found = session.get(GalleryRow, gallery.id)
            assert found is not None
            found.revision, found.model, found.dimensions = block + 1, "random@1", dimensions
            gallery = found
    return gallery


def main() -> None:
    """Print one line for each figure."""
    faces = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = Database(f"sqlite:///{folder}/records.db")
        db.migrate()
        cache = GalleryCache(folder / "copies", db)
        gallery = fill_gallery(db, "large", faces=faces, people=max(1, faces // 10))

        def copy(into: str) -> Callable[[], object]:
            newest = galleries_by_id(db, [gallery.id])[gallery.id]
            return lambda: cache.snapshot(newest, folder / into, lambda: None)

        _timed(f"copy of {faces:,} faces", copy("first"))
        _timed("look at an unchanged one", copy("again"))
        fill_gallery(db, "large", faces=1, people=1, seed=1)
        _timed("copy with one face more", copy("more"))
        cache.close()
        db.close()


def _timed(what: str, call: Callable[[], object]) -> None:
    process = psutil.Process()
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what}: {wall:.3f} s, {cpu:.3f} s of a core, {process.memory_info().rss / 2**20:.0f} MiB after it")


if __name__ == "__main__":
    main()
