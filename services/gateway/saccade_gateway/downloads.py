"""Sending stored bytes: whole, one range of them, not at all where the client has them, or by a presigned URL."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from saccade_core.errors import RangeNotSatisfiable, StorageFailed
from saccade_gateway.problems import of_error
from saccade_gateway.state import Gateway

#: What a browser may show in place; the rest is saved. Scripts run in neither (Content-Security-Policy).
_SHOWN = re.compile(r"(image|video|audio)/[\w.+-]+|application/(pdf|json)|text/(plain|csv)")
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?charset=[\w-]+)?")


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes in the object store, and how they are called."""

    key: str
    name: str
    media_type: str
    bytes: int
    sha256: str


async def send(request: Request, here: Gateway, content: Content) -> Response:
    """The response to a GET or HEAD of ``content``; Range, If-Range and If-None-Match as in RFC 9110."""
    headers = _headers(content)
    if _client_has(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers={k: headers[k] for k in ("ETag", "Cache-Control")})
    if request.method == "GET" and (url := _presigned(here, content)) is not None:
        return RedirectResponse(url, status_code=307, headers={"Cache-Control": "no-store"})
    try:
        part = _asked_part(request, headers["ETag"], content.bytes)
    except RangeNotSatisfiable as error:
        refused = of_error(error)
        refused.headers["Content-Range"] = f"bytes */{content.bytes}"
        return refused
    start, end = part or (0, content.bytes)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.bytes}"
    status = 206 if part else 200
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=headers)
    chunks = here.blobs.stream(content.key, start, end)
    first = await anext(chunks, None)  # so that a failing store is answered with 503, not with a cut body
    if first is None:
        raise StorageFailed("The object store gave no bytes.")
    return StreamingResponse(_chain(first, chunks), status, headers)


def _headers(content: Content) -> dict[str, str]:
    media_type = content.media_type if _MEDIA_TYPE.fullmatch(content.media_type) else "application/octet-stream"
    how = "inline" if _SHOWN.fullmatch(media_type.partition(";")[0]) else "attachment"
    ascii_name = re.sub(r"[^A-Za-z0-9._ -]", "_", content.name)
    return {
        "Content-Type": media_type,
        "Content-Disposition": f"{how}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(content.name, safe='')}",
        "ETag": f'"{content.sha256}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }


def _presigned(here: Gateway, content: Content) -> str | None:
    settings = here.settings
    if not settings.presign:
        return None
    return here.blobs.presign_get(content.key, settings.presign_s, content.name, content.media_type)


def _client_has(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    given = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in given or etag in given


def _asked_part(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of the one range that is asked for; None: everything."""
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or found.groups() == ("", "") or request.headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None  # not a range at all
    if start >= end:
        raise RangeNotSatisfiable(f"The file has {size} bytes.", field="Range", received=request.headers.get("range"))
    return start, end


async def _chain(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        await rest.aclose()
