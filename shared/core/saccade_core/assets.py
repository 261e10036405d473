"""Registered files (test photos, documents, videos, models) by name, each checked by its sha256.

``asset("documents/ocr/phototest.tif")`` hands out a local path: the copy in the cache folder, else the file in
the mirror ``SACCADE_ASSETS_MIRROR`` (a folder, used in place, or an http(s) base URL), else the one at its
official address. ``assets.json`` is the registry; a file whose bytes differ from it is never handed out.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from saccade_core.errors import AssetMissing

CONNECT_TIMEOUT_S = 20.0
DOWNLOAD_LIMIT_S = 600.0
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Asset:
    """One registered file; ``url`` is None where no official address serves these very bytes."""

    path: str
    sha256: str
    bytes: int
    licence: str
    url: str | None
    source: str


@cache
def registry() -> dict[str, Asset]:
    """Every registered asset by its path."""
    text = (resources.files("saccade_core") / "assets.json").read_text(encoding="utf-8")
    return {path: Asset(path=path, **entry) for path, entry in json.loads(text).items()}


def cache_folder() -> Path:
    """``$SACCADE_CACHE_DIR``, else ``$XDG_CACHE_HOME/saccade``, else ``~/.cache/saccade``."""
    if chosen := os.environ.get("SACCADE_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "saccade"


def asset(path: str) -> Path:
    """The checked local file of a registered asset; read-only by agreement, as it may lie in the mirror.

    Raises errors.AssetMissing: not registered, not to be had, or other bytes than registered.
    """
    entry = registry().get(path)
    if entry is None:
        raise AssetMissing(f"No asset is called {path!r}; see saccade_core/assets.json.", received=path)
    cached = cache_folder() / "assets" / path
    if _is_right(cached, entry):
        return cached
    mirror = os.environ.get("SACCADE_ASSETS_MIRROR", "")
    if mirror and not _is_web(mirror):
        return _in_folder(Path(mirror).expanduser() / path, entry)
    url = f"{mirror.rstrip('/')}/{quote(path)}" if mirror else entry.url
    if url is None:
        raise _missing(entry, "it has no address of its own to download it from")
    with _lock(cached):
        if not _is_right(cached, entry):  # another process may have brought it meanwhile
            _download(url, cached, entry)
    return cached


def _is_web(place: str) -> bool:
    return place.startswith(("https://", "http://"))


def _is_right(file: Path, entry: Asset) -> bool:
    try:
        stat = file.stat()
    except OSError:
        return False
    return stat.st_size == entry.bytes and _sha256(file, stat.st_mtime_ns, stat.st_size) == entry.sha256


@cache
def _sha256(file: Path, mtime_ns: int, size: int) -> str:
    """Digest of a file, computed once in a process for each version of it (so the last two arguments)."""
    del mtime_ns, size
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _in_folder(file: Path, entry: Asset) -> Path:
    if not file.is_file():
        raise _missing(entry, "the mirror SACCADE_ASSETS_MIRROR does not have it")
    if not _is_right(file, entry):
        raise _missing(entry, "the mirror's file has other bytes than registered (sha256)")
    return file


@contextmanager
def _lock(cached: Path) -> Generator[None]:
    """One process downloads a file, the others wait for it; the lock ends with its process."""
    cached.parent.mkdir(parents=True, exist_ok=True)
    with cached.with_name(cached.name + ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(url: str, cached: Path, entry: Asset) -> None:
    part = cached.with_name(cached.name + ".part")
    try:
        digest = _fetch(url, part, entry)
        if digest != entry.sha256:
            raise _missing(entry, "the download has other bytes than registered (sha256)")
        part.replace(cached)
    except (OSError, HTTPException) as error:
        reason = f"HTTP status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise _missing(entry, f"its download failed ({reason})") from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, part: Path, entry: Asset) -> str:
    if not _is_web(url):
        raise _missing(entry, "its address is not http(s)")
    request = urllib.request.Request(url, headers={"User-Agent": "saccade"})  # noqa: S310 - scheme checked above
    limit = time.monotonic() + DOWNLOAD_LIMIT_S
    digest, received = hashlib.sha256(), 0
    with (
        urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S) as answer,  # noqa: S310 - scheme checked above
        part.open("wb") as file,
    ):
        while chunk := answer.read(_CHUNK):
            received += len(chunk)
            if received > entry.bytes:
                raise _missing(entry, "the download is larger than registered")
            if time.monotonic() > limit:
                raise TimeoutError
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _missing(entry: Asset, reason: str) -> AssetMissing:
    return AssetMissing(
        f"Asset '{entry.path}' is not here: {reason}. Set SACCADE_ASSETS_MIRROR to a folder or an http(s) address "
        f"that has it under that path with sha256 {entry.sha256} ({entry.bytes} bytes; origin: {entry.source}).",
        received=entry.path,
    )
