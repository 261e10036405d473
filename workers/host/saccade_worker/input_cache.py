"""The last inputs that this worker fetched, so that the parts of one video bring it to a worker once."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from saccade_core.records.database import Database
from saccade_core.records.files import known_keys

log = logging.getLogger(__name__)

#: Smaller files are fetched as fast as they are found.
LEAST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Kept:
    key: str
    path: Path
    bytes: int
    changed_ns: int


class InputCache:
    """Files in ``folder``, the least lately used removed first beyond ``limit`` bytes or half of the disk's free room.

    A run gets a hard link, read-only as an input is; a file that a run changed all the same is not given again.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def bring(self, key: str, sha256: str, path: Path, fetch: Callable[[Path], None]) -> None:
        """Make ``path`` the file of this key and checksum: kept from before, or brought by ``fetch(path)`` and kept."""
        name = hashlib.sha256(f"{sha256} {key}".encode()).hexdigest()
        with self._lock:
            if self._link(name, path):
                return
        fetch(path)
        try:
            with self._lock:
                self._keep(name, key, path)
        except OSError as error:
            log.info("an input is not kept: %s", error)

    def tidy(self, db: Database) -> None:
        """Remove files whose record is gone: what was deleted stays nowhere. Raises Unavailable."""
        with self._lock:
            keys = {name: kept.key for name, kept in self._kept.items()}
        known = known_keys(db, list(keys.values()))
        with self._lock:
            for name, key in keys.items():
                if key not in known and name in self._kept:
                    self._drop(name)

    def _link(self, name: str, path: Path) -> bool:
        kept = self._kept.get(name)
        if kept is None:
            return False
        try:
            stat = kept.path.stat()
            if (stat.st_size, stat.st_mtime_ns) == (kept.bytes, kept.changed_ns):
                os.link(kept.path, path)
                self._kept.move_to_end(name)
                return True
        except OSError as error:
            log.info("a kept input cannot be used: %s", error)
        self._drop(name)
        return False

    def _keep(self, name: str, key: str, path: Path) -> None:
        size = path.stat().st_size
        if size < LEAST_BYTES:
            return
        room = min(self._limit, self._bytes() + shutil.disk_usage(path.parent).free // 2)
        if size > room:
            return
        while self._bytes() + size > room:
            self._drop(next(iter(self._kept)))
        self._folder.mkdir(exist_ok=True)
        path.chmod(0o444)
        os.link(path, self._folder / name)
        stat = path.stat()
        self._kept[name] = _Kept(key, self._folder / name, stat.st_size, stat.st_mtime_ns)

    def _bytes(self) -> int:
        return sum(kept.bytes for kept in self._kept.values())

    def _drop(self, name: str) -> None:
        with suppress(OSError):
            self._kept.pop(name).path.unlink(missing_ok=True)
