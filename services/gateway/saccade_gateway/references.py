"""What an input may name, and how it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from saccade_core.data_uri import decode_data_uri
from saccade_core.errors import InvalidRequest, TooLarge, UnknownReference
from saccade_core.kind import ARTIFACT_NAME
from saccade_core.media_types import HEAD_BYTES, UNKNOWN, media_type_of

DATA_LIMIT_BYTES = 1 << 20
_URL_CHARACTERS = 8192
_ID = r"[0-9a-z]{26}"
_FILE = re.compile(rf"file_{_ID}")
_ARTIFACT = re.compile(rf"(job_{_ID})/(.+)", re.DOTALL)
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\x00-\x1f]{1,1024}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One input as the request names it; ``media_type`` is known at once only where the bytes came along."""

    field: str
    text: str
    form: Literal["file", "artifact", "url", "s3", "data"]
    file_id: str = ""
    job_id: str = ""
    name: str = ""
    media_type: str = UNKNOWN


def parse(field: str, text: str) -> Reference:
    """Read a reference; InvalidRequest, UnknownReference or TooLarge names ``field``. Nothing is looked up."""
    if _FILE.fullmatch(text):
        return Reference(field, text, "file", file_id=text)
    if found := _ARTIFACT.fullmatch(text):
        if not ARTIFACT_NAME.fullmatch(found[2]):
            raise InvalidRequest("This cannot be an artefact's name.", field=field, received=text)
        return Reference(field, text, "artifact", job_id=found[1], name=found[2])
    if text.startswith("data:"):
        return _data(field, text)
    if text.startswith("https://"):
        return _url(field, text)
    if _S3.fullmatch(text):
        return Reference(field, text, "s3")
    if text.startswith(("file_", "job_")):
        raise UnknownReference(f"There is no {text[:100]}.", field=field, received=text)
    raise InvalidRequest(
        "An input is file_..., https://..., s3://bucket/key, job_.../artifact-name, or a data: URI.",
        field=field,
        received=text,
    )


def _url(field: str, text: str) -> Reference:
    try:
        parts = urlsplit(text)
        valid = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        valid = False
    if not valid or len(text) > _URL_CHARACTERS or re.search(r"[\x00-\x20\x7f]", text):
        raise InvalidRequest("This is no usable https address.", field=field, received=text)
    return Reference(field, text, "url")


def _data(field: str, text: str) -> Reference:
    try:
        data = decode_data_uri(text)
    except ValueError as error:
        raise InvalidRequest(str(error), field=field, received=text) from None
    if len(data) > DATA_LIMIT_BYTES:
        raise TooLarge(
            "A data: URI holds up to 1 MB; upload larger files to /v1/files.",
            field=field,
            received=f"{len(data)} bytes",
        )
    return Reference(field, text, "data", media_type=media_type_of(data[:HEAD_BYTES]))
