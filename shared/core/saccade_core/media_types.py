"""What a file is, by its first bytes; its name only tells apart what the bytes leave open."""

from __future__ import annotations

import codecs
import re

#: How many first bytes ``media_type_of`` looks at.
HEAD_BYTES = 8192

UNKNOWN = "application/octet-stream"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: Signatures at the start: each format's own specification, collected at
#: https://en.wikipedia.org/wiki/List_of_file_signatures. Longer ones stand before those that they begin with.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"FLV\x01", "video/x-flv"),
    (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel", "video/x-ms-asf"),
    (b"OggS", "video/ogg"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (b"\x93NUMPY", "application/x-npy"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
)
_RIFF = {b"WEBP": "image/webp", b"AVI ": "video/x-msvideo", b"WAVE": "audio/wav"}
_BMP_HEADER_SIZES = tuple(bytes([size]) for size in (12, 40, 52, 56, 108, 124))
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TEXT_BY_SUFFIX = {"csv": "text/csv", "tsv": "text/tab-separated-values", "json": "application/json"}
_PNM = re.compile(rb"P[1-7]\s(\s*#[^\n]*\n)*\s*(\d+\s+\d+|WIDTH)")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def media_type_of(head: bytes, name: str = "") -> str:
    """Media type of a file that begins with ``head`` (its first HEAD_BYTES) and was called ``name``.

    Text is text/plain, whatever it is called (HTML and SVG too: no browser runs it), unless its name ends in
    ``.csv``, ``.tsv`` or ``.json``. Bytes of no known format are application/octet-stream.
    """
    head = head[:HEAD_BYTES]
    return _by_signature(head) or _by_container(head, name) or _text(head, name) or UNKNOWN


def _by_signature(head: bytes) -> str | None:
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    if b"%PDF-" in head[:1024]:  # readers take up to 1,024 bytes of anything before it (PDF 1.7, appendix H)
        return "application/pdf"
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and head[14:15] in _BMP_HEADER_SIZES:
        return "image/bmp"
    if _PNM.match(head):
        return "image/x-portable-anymap"
    if head.startswith(b"G") and len(head) > 188 and head[188] == 0x47:
        return "video/mp2t"
    return None


def _by_container(head: bytes, name: str) -> str | None:
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _iso_media(head[8:12])
    if head[4:8] in {b"moov", b"mdat", b"wide"}:  # QuickTime from before ftyp
        return "video/quicktime"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        office = b"[Content_Types].xml" in head[:64]
        return XLSX if b"xl/" in head or (office and _suffix(name) == "xlsx") else "application/zip"
    return None


def _iso_media(brand: bytes) -> str:
    if brand in _HEIF_BRANDS:
        return "image/heic"
    if brand in {b"avif", b"avis"}:
        return "image/avif"
    return "video/quicktime" if brand == b"qt  " else "video/mp4"


def _text(head: bytes, name: str) -> str | None:
    if not head or (_CONTROL.search(head) and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))):
        return None
    return _TEXT_BY_SUFFIX.get(_suffix(name), "text/plain")


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()
