"""The contract that an object store must keep, tried out at a process's start.

One S3 server corrupted multipart objects without an error, others lack ranges: better known before the first job.
"""

from __future__ import annotations

import secrets
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from saccade_core.blob_sinks import PART_BYTES
from saccade_core.errors import StorageFailed, Unavailable

if TYPE_CHECKING:
    from saccade_core.blobs import Blobs


def check_contract(blobs: Blobs) -> None:
    """Write an object in parts, read it back whole, as a range and by a presigned URL, list it, delete it.

    Raises errors.Unavailable where the store does not answer, errors.StorageFailed with the step that failed.
    """
    key = f"contract-check/{secrets.token_hex(8)}"
    data = secrets.token_bytes(PART_BYTES + 12345)
    try:
        blobs.head(key)
    except StorageFailed as error:
        raise Unavailable("The object store does not answer, or refuses our key.") from error
    try:
        _write_and_read(blobs, key, data)
        _presign(blobs, key, data)
    finally:
        blobs.delete([key])
    _expect(blobs.head(key) is None, "a deleted object is gone")


def _write_and_read(blobs: Blobs, key: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="saccade-check-") as folder:
        path = Path(folder, "data")
        path.write_bytes(data)
        blobs.put_file(key, path, "application/x-saccade-check")
        path.unlink()
        blobs.get_file(key, path)
        _expect(path.read_bytes() == data, "an object written in parts reads back the same")
    stat = blobs.head(key)
    _expect(stat is not None and stat.bytes == len(data), "an object has its size")
    start = PART_BYTES - 500
    _expect(blobs.get_range(key, start, start + 1000) == data[start : start + 1000], "a range reads back the same")
    _expect(key in {found.key for found in blobs.list("contract-check")}, "a new object is listed")


def _presign(blobs: Blobs, key: str, data: bytes) -> None:
    """Only where presigning is configured; asked at our own endpoint, as the public one may be out of our reach."""
    settings = blobs.settings
    if not settings.s3_public_endpoint or not settings.s3_endpoint:
        return
    url = blobs.presign_at(settings.s3_endpoint, key, 60, "check.bin", "application/octet-stream")
    _expect(url is not None, "presigned URLs need SACCADE_S3_ACCESS_KEY_ID and SACCADE_S3_SECRET_ACCESS_KEY")
    request = urllib.request.Request(str(url), headers={"Range": "bytes=10-19"})  # noqa: S310 - our own endpoint
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own endpoint
            _expect(answer.read(100) == data[10:20], "a presigned URL gives the object's bytes")
    except urllib.error.URLError as error:
        raise StorageFailed("The object store failed its contract check: a presigned URL works.") from error


def _expect(kept: bool, rule: str) -> None:
    if not kept:
        raise StorageFailed(f"The object store failed its contract check: {rule}.")
