"""Media types of the real test files, and of bytes that lie."""

from __future__ import annotations

import io
import zipfile

import pytest

from saccade_core.assets import asset
from saccade_core.media_types import HEAD_BYTES, UNKNOWN, XLSX, media_type_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("images/ops/shapes.png", "image/png"),
        ("images/ops/road.jpg", "image/jpeg"),
        ("documents/ocr/phototest.tif", "image/tiff"),
        ("videos/short_hamilton_clip.mp4", "video/mp4"),
        ("documents/ocr/phototest.gold.txt", "text/plain"),
    ],
)
def test_real_files(path: str, expected: str) -> None:
    with asset(path).open("rb") as file:
        assert media_type_of(file.read(HEAD_BYTES), path) == expected


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (b"GIF89a\x01\x00", "a.png", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a", "image/webp"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "a.mp4", "video/x-msvideo"),
        (b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "a", "image/bmp"),
        (b"BM is how this text begins, and it is no picture.", "a.bmp", "text/plain"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "a.jpg", "image/heic"),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00", "a", "image/avif"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00", "a", "video/quicktime"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "a", "video/mp4"),
        (b"\x1aE\xdf\xa3\x01\x00B\x82\x84webm", "a", "video/webm"),
        (b"\x1aE\xdf\xa3\x01\x00B\x82\x88matroska", "a", "video/x-matroska"),
        (b"P6\n# made by hand\n2 2\n255\n\x00\x01", "a.ppm", "image/x-portable-anymap"),
        (b"P3 per unit", "a.txt", "text/plain"),
        (b"\x1f\x8b\x08\x00", "a.txt", "application/gzip"),
        (b"PAR1\x15\x04", "a", "application/vnd.apache.parquet"),
        (b"<html><script>alert(1)</script>", "a.png", "text/plain"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "text/plain"),
        ("größe,höhe\n1,2\n".encode(), "a.CSV", "text/csv"),
        ("größe\n".encode("latin-1"), "a.txt", "text/plain"),
        ("größe\n".encode("utf-16"), "a.txt", "text/plain"),
        (b'{"a": 1}', "a.json", "application/json"),
        (b"junk\n%PDF-1.4", "a", "application/pdf"),
        (b"MZ\x90\x00\x03\x00", "a.png", UNKNOWN),
        (b"", "a.png", UNKNOWN),
    ],
)
def test_the_bytes_decide(head: bytes, name: str, expected: str) -> None:
    assert media_type_of(head, name) == expected


def test_spreadsheets_are_told_from_other_archives() -> None:
    def archive(*names: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as zipped:
            for name in names:
                zipped.writestr(name, "x")
        return buffer.getvalue()

    assert media_type_of(archive("[Content_Types].xml", "xl/workbook.xml"), "a") == XLSX
    assert media_type_of(archive("cats/1.jpg"), "a.xlsx") == "application/zip"
