"""Receiving one file by multipart/form-data, straight into the object store with bounded memory.

Starlette's own ``request.form()`` writes the whole upload to a temporary file first.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from saccade_core.blobs import Blobs
from saccade_core.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from saccade_core.media_types import HEAD_BYTES, media_type_of

_FIELD = "file"
#: What the rest of the form (boundaries, headers, other small fields) may weigh.
_FORM_BYTES = 1 << 20
_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Received:
    """A file that is in the object store now."""

    name: str
    media_type: str
    bytes: int
    sha256: str


async def receive_file(request: Request, blobs: Blobs, key: str, limit: int) -> Received:
    """Stream the form's field ``file`` to ``key``; nothing is left there unless it came whole.

    Raises UnsupportedMediaType (no multipart form), InvalidRequest (no such field, a broken form), TooLarge, and
    starlette's ClientDisconnect.
    """
    async with aclosing(_parts(request, limit)) as parts:
        name = await _name_of_file(parts)
        first, head = await _first_bytes(parts)
        media_type = media_type_of(head, name)
        async with blobs.writer(key, media_type) as writer:
            for chunk in first:
                await writer.write(chunk)
            async for part in parts:
                if isinstance(part, bytes):
                    await writer.write(part)
                elif isinstance(part, _Begin):
                    raise InvalidRequest(f"The form has the field '{_FIELD}' twice.", field=_FIELD)
    stored = writer.stored()
    return Received(name, media_type, stored.bytes, stored.sha256)


def safe_name(name: str) -> str:
    """A file name for display: its last part, without control and direction characters, of bounded length."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    shown = shown.strip(" .")
    if len(shown) > _NAME_CHARACTERS:
        stem, dot, suffix = shown.rpartition(".")
        keep = dot + suffix if dot and len(suffix) <= 16 else ""
        shown = (stem if keep else shown)[: _NAME_CHARACTERS - len(keep)] + keep
    return shown or "file"


@dataclass(frozen=True, slots=True)
class _Begin:
    filename: str


_Part = _Begin | bytes | Literal["end"]


async def _name_of_file(parts: AsyncIterator[_Part]) -> str:
    async for part in parts:
        if isinstance(part, _Begin):
            return safe_name(part.filename)
    raise InvalidRequest(f"The form has no field '{_FIELD}'.", field=_FIELD)


async def _first_bytes(parts: AsyncIterator[_Part]) -> tuple[list[bytes], bytes]:
    """Chunks of the file up to at least HEAD_BYTES, or all of a smaller one; and these bytes in one piece."""
    chunks: list[bytes] = []
    async for part in parts:
        if not isinstance(part, bytes):
            break
        chunks.append(part)
        if sum(map(len, chunks)) >= HEAD_BYTES:
            break
    return chunks, b"".join(chunks)


@dataclass(slots=True)
class _Form:
    """Turns the parser's callbacks into a row of what happened in the field ``file``: begin, bytes, end."""

    happened: deque[_Part] = field(default_factory=deque)
    complete: bool = False
    other_bytes: int = 0
    _name: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _inside: bool = False

    def on_part_begin(self) -> None:
        self._name = self._value = self._disposition = b""
        self._inside = False

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") == _FIELD.encode():
            self._inside = True
            self.happened.append(_Begin(options.get(b"filename", b"").decode("utf-8", "replace")))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self.happened.append(data[start:end])
        else:
            self.other_bytes += end - start

    def on_part_end(self) -> None:
        if self._inside:
            self.happened.append("end")

    def on_end(self) -> None:
        self.complete = True


async def _parts(request: Request, limit: int) -> AsyncGenerator[_Part]:
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    if media_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise UnsupportedMediaType(
            "Send the file as the field 'file' of a multipart/form-data body.",
            field="Content-Type",
            received=request.headers.get("content-type"),
        )
    too_large = TooLarge(f"A file may have {limit} bytes here.", field=_FIELD)
    if int(request.headers.get("content-length", "0")) > limit + _FORM_BYTES:
        raise too_large
    form, file_bytes = _Form(), 0
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": form.on_part_begin,
                "on_part_data": form.on_part_data,
                "on_part_end": form.on_part_end,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_end": form.on_end,
            },
        )
        async for chunk in request.stream():
            parser.write(chunk)
            while form.happened:
                part = form.happened.popleft()
                file_bytes += len(part) if isinstance(part, bytes) else 0
                if file_bytes > limit or form.other_bytes > _FORM_BYTES:
                    raise too_large
                yield part
        parser.finalize()
    except FormParserError as error:
        raise InvalidRequest(f"The multipart form is broken: {error}", field=_FIELD) from error
    if not form.complete:
        raise InvalidRequest("The multipart form ends before its last boundary.", field=_FIELD)
