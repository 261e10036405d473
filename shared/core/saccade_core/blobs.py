"""The object store: inputs, artefacts and models as bytes under keys, in a local folder or over an S3 API.

A key names an object that is whole or not there at all: what is being written is seen only when it is complete.
Every failure of the store is errors.StorageFailed, an object that is not there errors.NotFound.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from saccade_core.blob_check import check_contract
from saccade_core.blob_sinks import FileSink, HashingSink, S3Sink, Sink, Stored, remove_file, remove_stale_parts
from saccade_core.errors import InvalidRequest, NotFound, StorageFailed
from saccade_core.s3 import bucket_and_prefix, presigned_get, s3_store
from saccade_core.settings import BlobSettings

if TYPE_CHECKING:
    from obstore import GetOptions

__all__ = ["BlobWriter", "Blobs", "Stat", "Stored", "check_key", "open_blobs"]

log = logging.getLogger(__name__)

_PART = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,200}"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")
_KEY_LENGTH = 900  # S3 takes 1,024 bytes; the rest is for the bucket's prefix
_CHUNK = 1 << 20

T = TypeVar("T")
Check = Callable[[], None]
"""Called between chunks of a long transfer; raises to end it."""
_PAGE = 1000  # what one S3 DeleteObjects takes, and ListObjectsV2 gives


@dataclass(frozen=True, slots=True)
class Stat:
    """One object in the store."""

    key: str
    bytes: int
    modified: datetime


def open_blobs(settings: BlobSettings) -> Blobs:
    """The store that ``settings.blobs_url`` names; nothing is asked of it yet (``check`` does that).

    Raises errors.InvalidRequest for a URL that is neither ``file:path`` nor ``s3://bucket[/prefix]``.
    """
    url = settings.blobs_url
    if url.startswith("file:") and (path := url.removeprefix("file:").removeprefix("//")):
        root = Path(path).expanduser().absolute()
        (root / "objects").mkdir(parents=True, exist_ok=True)
        return Blobs(settings, LocalStore(root / "objects"), lambda key, _: FileSink(root, key), root)
    if url.startswith("s3://") and url.removeprefix("s3://").strip("/"):
        s3 = s3_store(settings)
        return Blobs(settings, s3, lambda key, media_type: S3Sink(s3, key, media_type), None)
    raise InvalidRequest(
        "SACCADE_BLOBS_URL must be 'file:path' or 's3://bucket[/prefix]'.", field="blobs_url", received=url
    )


def _checked(chunks: Iterator[T], check: Check | None) -> Iterator[T]:
    for chunk in chunks:
        if check is not None:
            check()
        yield chunk


def check_key(key: str) -> str:
    """``key`` itself; errors.InvalidRequest unless it is relative and of plain names (letters, digits, ``._-``)."""
    if len(key) > _KEY_LENGTH or not _KEY.fullmatch(key):
        raise InvalidRequest(
            "A key is made of names of letters, digits, '.', '_' and '-', joined by '/', none of them '.' or '..'.",
            field="key",
            received=key[:100],
        )
    return key


class Blobs:
    """One object store. Methods may be called from any thread; ``prefix`` always means whole path parts."""

    def __init__(
        self,
        settings: BlobSettings,
        store: LocalStore | S3Store,
        sink: Callable[[str, str], Sink],  # of a key and a media type
        root: Path | None,
    ) -> None:
        self.settings = settings
        self._store = store
        self._sink = sink
        self._root = root  # of a local store, else None

    # Writing ------------------------------------------------------------------------------------------

    def put_file(self, key: str, path: Path, media_type: str, *, check: Check | None = None) -> Stored:
        """Store a file (streamed; in parts when it is large) and return what was read of it.

        ``check`` is called between chunks and ends the work by raising; nothing is left then. ``media_type`` is kept
        by an S3 store; a local folder has no place for it. OSError: ``path`` is unreadable.
        """
        with path.open("rb") as file:
            return self._put(key, _checked(iter(lambda: file.read(_CHUNK), b""), check), media_type)

    def put_bytes(self, key: str, data: bytes, media_type: str) -> Stored:
        """Store a few bytes."""
        return self._put(key, iter([data]), media_type)

    @asynccontextmanager
    async def writer(self, key: str, media_type: str) -> AsyncGenerator[BlobWriter]:
        """Stream an object in with bounded memory; it exists once the block has ended without an exception.

        On an exception or a cancellation nothing is left under the key (what was there before stays).
        """
        writer = BlobWriter(self._open_sink(key, media_type), key)
        try:
            yield writer
            await writer.commit()
        except BaseException:
            # Shielded: a cancelled request must not leave an open multipart upload or a part file behind.
            await asyncio.shield(asyncio.ensure_future(writer.abort()))
            raise

    def _put(self, key: str, chunks: Iterator[bytes], media_type: str) -> Stored:
        sink = self._open_sink(key, media_type)
        try:
            for chunk in chunks:
                with failing("take", key):
                    sink.write(chunk)
            with failing("take", key):
                sink.commit()
        except BaseException:
            sink.abort()
            raise
        return sink.stored()

    def _open_sink(self, key: str, media_type: str) -> HashingSink:
        check_key(key)
        with failing("take", key):
            return HashingSink(self._sink(key, media_type))

    # Reading ------------------------------------------------------------------------------------------

    def get_file(self, key: str, path: Path, *, check: Check | None = None) -> None:
        """Copy an object to a new local file, streamed; ``check`` is called between chunks and ends it by raising.

        A local store copies too: a hard link would let a runner write into the stored object.
        """
        check_key(key)
        with failing("give", key), path.open("wb") as file:
            for chunk in _checked(iter(obstore.get(self._store, key).stream(min_chunk_size=_CHUNK)), check):
                file.write(chunk)

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to ``end`` (exclusive), in memory."""
        check_key(key)
        with failing("give", key):
            return bytes(obstore.get_range(self._store, key, start=start, end=end))

    async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The object's bytes from ``start`` up to ``end`` (exclusive; None: all) in chunks of about 1 MiB.

        Nothing is asked of the store before the first chunk is: its errors come there.
        """
        check_key(key)
        if end is not None and end <= start:
            return
        with failing("give", key):
            result = await obstore.get_async(self._store, key, options=_range(start, end))
            async for chunk in result.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)

    def head(self, key: str) -> Stat | None:
        """Size and time of an object, or None where there is none."""
        check_key(key)
        try:
            with failing("find", key):
                meta = obstore.head(self._store, key)
        except NotFound:
            return None
        return Stat(key, meta["size"], meta["last_modified"])

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Every object under ``prefix`` (``jobs/a`` has ``jobs/a/x`` and not ``jobs/ab``), in no promised order."""
        if prefix:
            check_key(prefix.rstrip("/"))
        with failing("list", prefix):
            for page in obstore.list(self._store, prefix or None, chunk_size=_PAGE):
                for meta in page:
                    yield Stat(meta["path"], meta["size"], meta["last_modified"])

    def presign_get(self, key: str, expires_s: int, filename: str, media_type: str) -> str | None:
        """URL from which a client gets the object without us, or None where clients do not reach the store."""
        endpoint = self.settings.s3_public_endpoint
        return self.presign_at(endpoint, key, expires_s, filename, media_type) if endpoint else None

    def presign_at(self, endpoint: str, key: str, expires_s: int, filename: str, media_type: str) -> str | None:
        """As ``presign_get``, for a client that reaches the server at ``endpoint``."""
        check_key(key)
        settings = self.settings
        if self._root is not None or not settings.s3_access_key_id or not settings.s3_secret_access_key:
            return None
        bucket, prefix = bucket_and_prefix(settings)
        return presigned_get(
            endpoint=endpoint,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=settings.s3_secret_access_key.get_secret_value(),
            bucket=bucket,
            key=f"{prefix}/{key}" if prefix else key,
            expires_s=expires_s,
            filename=filename,
            media_type=media_type,
        )

    # Removing -----------------------------------------------------------------------------------------

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error."""
        found = [check_key(key) for key in keys]
        for first in range(0, len(found), _PAGE):
            self._delete_some(found[first : first + _PAGE])

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object under ``prefix``, which may not be empty; returns how many there were."""
        check_key(prefix.rstrip("/"))
        found = [stat.key for stat in self.list(prefix)]
        self.delete(found)
        return len(found)

    def _delete_some(self, keys: list[str]) -> None:
        with failing("delete", keys[0]):
            if self._root is None:
                obstore.delete(self._store, keys)
                return
            for key in keys:
                remove_file(self._root, key)

    def remove_stale_parts(self, older_than_s: float) -> int:
        """Remove what killed processes left half written in a local store; how many files."""
        with failing("delete", "tmp"):
            return remove_stale_parts(self._root, older_than_s) if self._root is not None else 0

    def check(self) -> None:
        """Contract check at a process's start; errors.Unavailable or errors.StorageFailed says what failed."""
        check_contract(self)


class BlobWriter:
    """The caller's side of ``Blobs.writer``: small writes are gathered, hashing and writing run in a thread."""

    def __init__(self, hashing: HashingSink, key: str) -> None:
        self._hashing = hashing
        self._key = key
        self._waiting = bytearray()
        self._lock = threading.Lock()  # the thread of a cancelled write may still be busy when abort comes

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return self._hashing.bytes + len(self._waiting)

    async def write(self, data: bytes) -> None:
        """Add bytes; waits while the store is slower than the caller."""
        self._waiting += data
        if len(self._waiting) >= _CHUNK:
            await self._flush()

    def stored(self) -> Stored:
        """Size and digest, once the block of ``Blobs.writer`` has ended."""
        return self._hashing.stored()

    async def commit(self) -> None:
        await self._flush()
        await asyncio.to_thread(self._locked, self._hashing.commit)

    async def abort(self) -> None:
        await asyncio.to_thread(self._locked, self._hashing.abort)

    async def _flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        await asyncio.to_thread(self._locked, lambda: self._hashing.write(data))

    def _locked(self, call: Callable[[], None]) -> None:
        with self._lock, failing("take", self._key):
            call()


def _range(start: int, end: int | None) -> GetOptions | None:
    if end is not None:
        return {"range": (start, end)}
    return {"range": {"offset": start}} if start else None


@contextmanager
def failing(verb: str, key: str) -> Generator[None]:
    """Turn the store's exceptions into ours; the library's own text (addresses, paths) goes to the log only."""
    try:
        yield
    except FileNotFoundError as error:
        if verb == "take":  # a folder of a local store vanished
            raise _storage_failed(verb, key, error) from error
        raise NotFound(f"The object store has no '{key}'.", received=key) from error
    except (BaseError, OSError, ValueError) as error:
        raise _storage_failed(verb, key, error) from error


def _storage_failed(verb: str, key: str, error: Exception) -> StorageFailed:
    log.warning("object store: cannot %s %s: %s", verb, key, error)
    return StorageFailed(f"The object store did not {verb} '{key}'.", received=key)
