"""Fetches an ``https://`` input to a local file, from public addresses only."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import httpcore
import httpx

from saccade_core.errors import FetchFailed, FetchRefused, InputError, InputTooLarge, SaccadeError
from saccade_core.media_types import HEAD_BYTES, UNKNOWN, media_type_of
from saccade_worker.public_address import PublicBackend

MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_LATER = {408, 425, 429}  # client errors that another try may not meet
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")  # names (IDNA is done), IPv4 and IPv6 addresses without a zone
_TIMEOUTS = {"connect": 10.0, "read": 30.0, "write": 10.0, "pool": 10.0}
_HEADERS = [(b"User-Agent", b"saccade"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"identity")]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched; ``media_type`` is by the bytes, else what the server said, else by the URL's ending."""

    bytes: int
    sha256: str
    media_type: str


def fetch_url(
    url: str,
    path: Path,
    *,
    max_bytes: int = 2 << 30,
    time_limit_s: float = 900.0,
    field: str | None = None,
    allow_http: bool = False,
    allow_private: bool = False,
    check: Callable[[], None] | None = None,
) -> Fetched:
    """Stream ``url`` to ``path``; ``check`` is called between chunks and may raise.

    ``allow_http`` and ``allow_private`` lift two of the rules, for tests. At most 5 redirects are followed, each
    checked like the first address; proxies of the environment are not used. On an error ``path`` is removed.

    Raises errors.FetchRefused (not https, a private address, a user name in the URL, too many redirects),
    InputTooLarge, InputError (the server says that it will not give it) and FetchFailed (another try may help).
    """
    limit = time.monotonic() + time_limit_s
    backend = PublicBackend(limit, allow_private=allow_private)
    download = _Download(path, max_bytes, allow_http, check or (lambda: None))
    try:
        with httpcore.ConnectionPool(ssl_context=httpx.create_ssl_context(), network_backend=backend) as pool:
            return download.run(pool, _parsed(url))
    except SaccadeError as error:
        path.unlink(missing_ok=True)
        error.field = error.field or field
        raise
    except httpcore.TimeoutException as error:
        path.unlink(missing_ok=True)
        raise FetchFailed("The file's server was too slow.", field=field) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        path.unlink(missing_ok=True)
        raise FetchFailed(f"The file could not be fetched: {error}.", field=field) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise FetchRefused("The URL is not valid.", received=url[:100]) from error


@dataclass(frozen=True, slots=True)
class _Download:
    path: Path
    max_bytes: int
    allow_http: bool
    check: Callable[[], None]

    def run(self, pool: httpcore.ConnectionPool, url: httpx.URL) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            self._allowed(url)
            self.check()
            headers = [*_HEADERS, (b"Host", url.netloc)]
            target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
            with pool.stream("GET", target, headers=headers, extensions={"timeout": _TIMEOUTS}) as answer:
                found = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in answer.headers}
                if answer.status not in _REDIRECTS:
                    return self._store(answer, found, url)
            url = self._next(url, found)
        raise FetchRefused(f"The file's server redirects more than {MAX_REDIRECTS} times.")

    def _allowed(self, url: httpx.URL) -> None:
        if url.scheme != "https" and not (self.allow_http and url.scheme == "http"):
            raise FetchRefused("Files are fetched from https:// addresses only.", received=url.scheme)
        if not _HOST.fullmatch(url.raw_host) or not (url.port is None or 0 < url.port < 65536):
            raise FetchRefused("The URL's host or port is not valid.", received=url.host[:100])
        if url.userinfo:
            raise FetchRefused("A URL with a user name or password is not fetched.", received=url.host)

    def _next(self, url: httpx.URL, headers: dict[str, str]) -> httpx.URL:
        if "location" not in headers:
            raise FetchFailed("The file's server redirects to nowhere.")
        try:
            return url.join(headers["location"])
        except (httpx.InvalidURL, UnicodeError) as error:
            raise FetchRefused("The file's server redirects to an invalid URL.") from error

    def _store(self, answer: httpcore.Response, headers: dict[str, str], url: httpx.URL) -> Fetched:
        _require_ok(answer.status)
        if headers.get("content-encoding", "identity") != "identity":
            raise InputError("The file's server sends it in a Content-Encoding that was not asked for.")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_bytes:
            raise self._too_large(int(length))
        with self.path.open("w+b") as file:
            size, sha256 = self._copy(answer, file)
            file.seek(0)
            return Fetched(size, sha256, _media_type(file.read(HEAD_BYTES), headers, url))

    def _copy(self, answer: httpcore.Response, file: BinaryIO) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        for chunk in answer.iter_stream():
            self.check()
            size += len(chunk)
            if size > self.max_bytes:
                raise self._too_large(None)
            digest.update(chunk)
            file.write(chunk)
        return size, digest.hexdigest()

    def _too_large(self, length: int | None) -> InputTooLarge:
        return InputTooLarge(f"The file at this URL is over {self.max_bytes} bytes.", received=length)


def _require_ok(status: int) -> None:
    if status == 200:
        return
    message = f"The file's server answered with status {status}."
    if status >= 500 or status in _LATER:
        raise FetchFailed(message, received=status)
    raise InputError(message, received=status)


def _media_type(head: bytes, headers: dict[str, str], url: httpx.URL) -> str:
    name = unquote(url.path).rpartition("/")[2]
    by_bytes = media_type_of(head, name)
    if by_bytes != UNKNOWN:
        return by_bytes
    said = headers.get("content-type", "").partition(";")[0].strip().lower()
    return said or mimetypes.guess_type(name)[0] or UNKNOWN
