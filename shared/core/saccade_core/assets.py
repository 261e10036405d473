"""Registered files (test photos, documents, videos, models), each checked by its sha256.

``asset("documents/ocr/phototest.tif")`` hands out a local path: the copy in the cache folder, else the file in
the mirror ``SACCADE_ASSETS_MIRROR`` (a folder, used in place, or an http(s) base URL), else the one at its
official address. ``assets.json`` is the registry; a file whose bytes differ from it is never handed out.
``find`` and ``fetch`` do the same for files of other registries (saccade_models.weights).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from urllib.parse import quote, urlsplit

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
    return fetch(entry)


def find(entry: Asset) -> Path | None:
    """The file where it is on this machine, in the cache or a mirror folder, with the right bytes; else None."""
    cached = cached_path(entry)
    if is_right(cached, entry.sha256, entry.bytes):
        return cached
    mirror = _mirror()
    if mirror and not _is_web(mirror):
        place = Path(mirror).expanduser() / entry.path
        return place if is_right(place, entry.sha256, entry.bytes) else None
    return None


def fetch(entry: Asset, say: Callable[[str], None] | None = None) -> Path:
    """The file as ``find`` gives it, else downloaded into the cache; ``say`` hears of a download.

    Raises errors.AssetMissing.
    """
    found = find(entry)
    if found is not None:
        return found
    mirror = _mirror()
    if mirror and not _is_web(mirror):
        there = (Path(mirror).expanduser() / entry.path).is_file()
        reason = (
            "the mirror's file has other bytes than registered (sha256)"
            if there
            else ("the mirror SACCADE_ASSETS_MIRROR does not have it")
        )
        raise _missing(entry, reason)
    url = f"{mirror.rstrip('/')}/{quote(entry.path)}" if mirror else entry.url
    if url is None:
        raise _missing(entry, "it has no address of its own to download it from")
    cached = cached_path(entry)
    with file_lock(cached):
        if not is_right(cached, entry.sha256, entry.bytes):  # another process may have brought it meanwhile
            if say is not None:
                say(f"{entry.path}: {entry.bytes / 1e6:.1f} MB from {urlsplit(url).hostname}")
            _download(url, cached, entry)
    return cached


def cached_path(entry: Asset) -> Path:
    """Where the cache has, or would have, the file."""
    return cache_folder() / "assets" / entry.path


def is_right(file: Path, sha256: str, size: int) -> bool:
    """Whether the file is there and has these bytes."""
    try:
        stat = file.stat()
        return stat.st_size == size and _sha256(file, stat.st_mtime_ns, stat.st_size) == sha256
    except OSError:
        return False


@contextmanager
def file_lock(file: Path) -> Generator[None]:
    """One process makes ``file``, the others wait for it; its folder is made. The lock ends with its process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(file.name + ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mirror() -> str:
    return os.environ.get("SACCADE_ASSETS_MIRROR", "")


def _is_web(place: str) -> bool:
    return place.startswith(("https://", "http://"))


@cache
def _sha256(file: Path, mtime_ns: int, size: int) -> str:
    """Digest of a file, computed once in a process for each version of it (so the last two arguments)."""
    del mtime_ns, size
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
