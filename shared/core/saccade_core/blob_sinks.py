"""Where a new object's bytes go: unseen until ``commit``, gone after ``abort``."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

log = logging.getLogger(__name__)

PART_BYTES = 8 << 20
#: Parts in flight of one upload, so the memory of one writer is about (this + 1) * PART_BYTES.
PARTS_AT_ONCE = 2


class Sink(Protocol):
    """One object being written; used by one thread at a time."""

    def write(self, data: bytes) -> None:
        """Add bytes."""
        ...

    def commit(self) -> None:
        """Make the object visible under its key, whole and on disk."""
        ...

    def abort(self) -> None:
        """Drop everything written; the key keeps what it had."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written: its size and the hexadecimal sha256 of its bytes."""

    bytes: int
    sha256: str


class HashingSink:
    """A sink that counts and hashes what goes through it; ending it twice does nothing."""

    def __init__(self, sink: Sink) -> None:
        self.bytes = 0
        self._sink = sink
        self._sha256 = hashlib.sha256()
        self._state: Literal["open", "committed", "aborted"] = "open"

    def write(self, data: bytes) -> None:
        if self._state != "open":
            raise ValueError("the writer has ended")
        self._sink.write(data)
        self._sha256.update(data)
        self.bytes += len(data)

    def commit(self) -> None:
        if self._state != "open":
            raise ValueError("the writer has ended")
        self._sink.commit()
        self._state = "committed"

    def abort(self) -> None:
        """Never raises: it runs while another exception is on its way, which says more."""
        if self._state != "open":
            return
        self._state = "aborted"
        try:
            self._sink.abort()
        except (BaseError, OSError) as error:
            log.warning("object store: cannot abort an upload: %s", error)

    def stored(self) -> Stored:
        """Size and digest of a committed object."""
        if self._state != "committed":
            raise ValueError("the object is not written")
        return Stored(self.bytes, self._sha256.hexdigest())


class S3Sink:
    """A multipart upload, or one PUT below the size of a part.

    Parts of an upload whose process is killed stay on the server: give the bucket a life-cycle rule
    (AbortIncompleteMultipartUpload).
    """

    def __init__(self, store: S3Store, key: str, media_type: str) -> None:
        self._ended = False
        self._writer = obstore.open_writer(
            store,
            key,
            attributes={"Content-Type": media_type},
            buffer_size=PART_BYTES,
            max_concurrency=PARTS_AT_ONCE,
        )

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def commit(self) -> None:
        self._ended = True  # obstore's writer ends with the attempt, whatever comes of it
        self._writer.close()

    def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        error = ConnectionAbortedError("the writer gave up")
        self._writer.__exit__(type(error), error, None)


_TRIES = 50


class FileSink:
    """A file in the store's ``tmp`` folder, moved under its key at the end; file and folder entries are fsynced.

    obstore's own local store does not fsync, and a job's record must never outlive its bytes in a power cut.
    """

    def __init__(self, root: Path, key: str) -> None:
        self._root = root
        self._target = root / "objects" / key
        (root / "tmp").mkdir(parents=True, exist_ok=True)
        self._part = root / "tmp" / uuid.uuid4().hex
        self._file = self._part.open("xb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        for attempt in range(_TRIES):
            try:
                changed = self._make_folders()
                self._part.replace(self._target)
            except (FileNotFoundError, FileExistsError):
                # A delete removes empty folders meanwhile; mkdir finds one that is gone when it looks what it is.
                if attempt == _TRIES - 1:
                    raise
            else:
                for folder in changed:
                    _fsync_folder(folder)
                return

    def abort(self) -> None:
        try:
            self._file.close()  # writes what is in its buffer: a full disk fails here too
        finally:
            self._part.unlink(missing_ok=True)

    def _make_folders(self) -> list[Path]:
        """Make the target's folders; returns those whose entries change, deepest first."""
        changed = [self._target.parent]
        while not changed[-1].exists() and changed[-1] != self._root:
            changed.append(changed[-1].parent)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        return changed


def remove_file(root: Path, key: str) -> None:
    """Remove one object of a local store and the folders that this leaves empty; nothing there is fine."""
    path = root / "objects" / key
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == root / "objects":
            return
        try:
            folder.rmdir()
        except OSError:  # not empty, or gone already
            return


def remove_stale_parts(root: Path, older_than_s: float) -> int:
    """Remove what killed processes were writing ``older_than_s`` ago and before; how many files."""
    removed = 0
    for part in (root / "tmp").glob("*"):
        try:
            if time.time() - part.stat().st_mtime > older_than_s:
                part.unlink()
                removed += 1
        except FileNotFoundError:  # its writer has just ended
            continue
    return removed


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
