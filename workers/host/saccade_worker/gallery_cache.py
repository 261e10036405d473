"""Galleries as files on this machine: what a search reads, in a folder for each gallery and revision.

The folder is shared by the worker processes that have the same scratch folder. A snapshot appears whole (written
under another name, then renamed), and a run gets hard links to its files: so an old one may be removed while runs
still read it. The records say before each run which revision is the right one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import struct
import time
from array import array
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from saccade_core.errors import UnknownGallery
from saccade_core.records import galleries
from saccade_core.records.database import Database
from saccade_core.records.tables import GalleryRow

log = logging.getLogger(__name__)

Check = Callable[[], None]
_FILES = {"embeddings": "embeddings.f32", "owners": "owners.u32", "faces": "faces.txt", "people": "people.json"}
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A gallery's files in a run's own folder."""

    gallery: GalleryRow
    folder: Path

    def message(self) -> dict[str, Any]:
        """What the child process is told; gallery_messages.read_gallery reads it."""
        row = self.gallery
        facts = {"id": row.id, "name": row.name, "revision": row.revision}
        facts |= {"model": row.model or "", "dimensions": row.dimensions or 0}
        return facts | {name: str(self.folder / file) for name, file in _FILES.items()}


class GalleryCache:
    """Snapshots below ``root``, which exists from the first one on."""

    def __init__(self, root: Path, db: Database) -> None:
        self._root = root.absolute()
        self.db = db
        self._held: TextIO | None = None

    def snapshot(self, gallery: GalleryRow, into: Path, check: Check) -> Snapshot:
        """Files of the gallery as it is now in the new folder ``into``, at ``gallery``'s revision or a later one.

        ``check`` is called while it waits or works and ends it by raising. Raises UnknownGallery and OSError.
        """
        self._hold()
        with self._locked(gallery.id, check):
            while True:
                folder = self._root / gallery.id / str(gallery.revision)
                if not folder.is_dir():
                    self._build(gallery, folder, check)
                newest = galleries.galleries_by_id(self.db, [gallery.id]).get(gallery.id)
                if newest is None:
                    raise UnknownGallery(f"Gallery {gallery.name!r} was deleted while the job began.")
                if newest.removed_revision <= gallery.revision:
                    break
                gallery = newest  # somebody was removed while it was built
            into.mkdir(parents=True)
            for file in _FILES.values():
                (into / file).hardlink_to(folder / file)
            self._keep_only(folder)
        return Snapshot(gallery, into)

    def tidy(self) -> None:
        """Remove snapshots that hold faces which were removed since, without waiting for the next use."""
        if self._held is None:
            return
        found = [path for path in self._root.iterdir() if path.is_dir()]
        rows = galleries.galleries_by_id(self.db, [path.name for path in found]) if found else {}
        for path in found:
            row = rows.get(path.name)
            stale = [p for p in path.iterdir() if row is None or _revision(p) < row.removed_revision]
            if stale:
                with suppress(BlockingIOError), self._lock(path.name, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    for each in stale:
                        shutil.rmtree(each, ignore_errors=True)
                    if row is None:
                        shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Let the next worker remove the folder, where no other holds it."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _hold(self) -> None:
        """Hold the folder's lock, shared: scratch.py removes a folder whose lock nobody holds."""
        while self._held is None:
            self._root.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # it was removed a moment ago
                lock = (self._root / "lock").open("a")
                fcntl.flock(lock, fcntl.LOCK_SH)
                if os.path.samestat(os.fstat(lock.fileno()), (self._root / "lock").stat()):
                    self._held = lock

    @contextmanager
    def _locked(self, gallery_id: str, check: Check) -> Generator[None]:
        while True:
            check()
            try:
                with self._lock(gallery_id, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    yield
                    return
            except BlockingIOError:
                time.sleep(_LOOK_EVERY_S)

    @contextmanager
    def _lock(self, gallery_id: str, how: int) -> Generator[None]:
        with (self._root / f"{gallery_id}.lock").open("a") as lock:
            fcntl.flock(lock, how)
            yield

    def _build(self, gallery: GalleryRow, folder: Path, check: Check) -> None:
        making = folder.with_name(f"making-{gallery.revision}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        began = time.monotonic()
        base = _newest(folder.parent, gallery)
        if base is not None:
            for file in _FILES.values():
                check()
                shutil.copyfile(base / file, making / file)
        count = _write(self.db, gallery, making, -1 if base is None else _revision(base), check)
        for file in _FILES.values():
            (making / file).chmod(0o444)
        making.rename(folder)
        took = time.monotonic() - began
        log.info("gallery %s revision %d: %d faces in %.1f s", gallery.id, gallery.revision, count, took)

    @staticmethod
    def _keep_only(folder: Path) -> None:
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)


def _newest(folder: Path, gallery: GalleryRow) -> Path | None:
    """The newest snapshot to which faces were only added since."""
    good = [p for p in folder.iterdir() if gallery.removed_revision <= _revision(p) < gallery.revision]
    return max(good, key=_revision, default=None)


def _revision(folder: Path) -> int:
    """The revision of a snapshot; -1 of one that is being made."""
    return int(folder.name) if folder.name.isdigit() else -1


def _write(db: Database, gallery: GalleryRow, folder: Path, after: int, check: Check) -> int:
    """Append the faces that came after revision ``after``; how many."""
    people_file = folder / _FILES["people"]
    names: list[str] = json.loads(people_file.read_bytes()) if people_file.exists() else []
    numbers = {name: number for number, name in enumerate(names)}
    count = 0
    with (
        (folder / _FILES["embeddings"]).open("ab") as embeddings,
        (folder / _FILES["owners"]).open("ab") as owners,
        (folder / _FILES["faces"]).open("a", encoding="ascii") as faces,
    ):
        for block in galleries.faces_between(db, gallery.id, after, gallery.revision):
            check()
            owned = array("I", (numbers.setdefault(face.person, len(numbers)) for face in block))
            embeddings.writelines(face.embedding for face in block)
            owners.write(struct.pack(f"<{len(owned)}I", *owned))
            faces.writelines(f"{face.id}\n" for face in block)
            count += len(block)
    people_file.write_text(json.dumps(list(numbers), ensure_ascii=False), encoding="utf-8")
    return count
