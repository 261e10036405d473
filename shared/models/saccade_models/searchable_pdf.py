"""Searchable PDFs: the page as it was, and over it its words in a font that draws nothing.

A page of a PDF is copied, not drawn again, so it keeps its sharpness and its size; a picture becomes a page.
The technique (a font without outlines, every code mapped to its one glyph, the Unicode kept in a ToUnicode
map) is that of Tesseract's PDF renderer.
"""

from __future__ import annotations

import base64
import ctypes
import io
import zlib
from functools import cache
from pathlib import Path
from typing import Any, Self

import cv2
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from saccade_core.errors import EngineFailed
from saccade_models.images import Pixels, encode_image, to_gray
from saccade_models.page_text import Box, PageText, Rotation
from saccade_models.pdf import POINTS_PER_INCH, PdfFile

_JPEG_QUALITY = 85
#: A TrueType font of 640 bytes, made with fontTools: one glyph of 500/1000 em, a line that encloses nothing.
#: (Without any extent its words would be left out by readers that drop text objects of no width.)
_FONT = (
    "eNqFUr1KA0EYnL3LnRpERQK2h1jEKiiSSpCUaRRiYyGaTTyTg7sk5I/YSAoLSx9BsLDxMSx9AiGiIMRaTts4u3cJUVC/5dudmf35"
    "ZpeFAJBEHyacvf3MZm4ldwCINNViOZANzKNFfkW+VfHPTq1B9on8gTxVdeVJ5nD9gviOma1SsAbik/iVuVYN2j0REkFcsrP9elmy"
    "luL3igey10CCDWKW3KnJwL25vs2RP5OfN+qtNn0xjKKah/LKlI/W8Hhx+wOm+aZmh+n3o+lRhFo3YSAK7olWxm5CfdJ0CK0YbNGM"
    "gZ9hipCvYCm3/8a303cY2r3z63pn7GxSW906xV7oMaH3qpdS3BmNon70MlUpOa6rb0+0IeJ3sLEbrxOYm7gzMEMWYVvrrJZQyjKW"
    "YmxgAasxtpWer3W9llfy3YJb6fiyiTxq6MLjH/FQgg8XBWYFHWKJZnyTP+ILLMlMjA=="
)
_GLYPH_WIDTH = 0.5  # of the font's size
#: UTF-16 code units are their own Unicode, and all of them are drawn as glyph 1.
_TO_UNICODE = b"""/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
1 beginbfrange
<0000> <FFFF> <0000>
endbfrange
endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""
_CID_TO_GLYPH = b"\x00\x01" * 0x10000


class SearchablePdf:
    """A PDF in the making; a context manager. One thread only (pdfium)."""

    def __init__(self) -> None:
        self._document = pdfium.PdfDocument.new()
        self._font = _load_font(self._document)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pdfium_c.FPDFFont_Close(self._font)
        self._document.close()

    def add_pdf_page(self, source: PdfFile, number: int, text: PageText | None) -> None:
        """Copy page ``number`` (from 1) of ``source``; ``text`` is laid over it, unless it is the page's own."""
        try:
            self._document.import_pages(source.document, [number - 1])
            if text and text.source == "ocr":
                self._write(self._document[len(self._document) - 1], text)
        except pdfium.PdfiumError as error:
            raise EngineFailed(f"Page {number} could not be copied to the searchable PDF.") from error

    def add_image_page(self, image: Pixels, dpi: int, text: PageText) -> None:
        """A page that shows ``image`` (uint8, BGR) at ``dpi``, with ``text`` over it. Two-tone images stay exact."""
        height, width = image.shape[:2]
        size = (width * POINTS_PER_INCH / dpi, height * POINTS_PER_INCH / dpi)
        page = self._document.new_page(*size)
        shown = pdfium.PdfImage.new(self._document)
        gray = to_gray(image)
        if _is_two_tone(gray):
            bitmap = pdfium.PdfBitmap.new_native(width, height, pdfium_c.FPDFBitmap_Gray)
            bitmap.to_numpy()[:] = gray
            shown.set_bitmap(bitmap)
        else:
            shown.load_jpeg(io.BytesIO(encode_image(image, "jpeg", _JPEG_QUALITY)), inline=True)
        shown.set_matrix(pdfium.PdfMatrix().scale(*size))
        page.insert_obj(shown)
        self._write(page, text)

    def save(self, path: Path) -> None:
        """Write the document."""
        self._document.save(path)

    def _write(self, page: pdfium.PdfPage, text: PageText) -> None:
        rotation = text.rotation()
        for word in text.words:
            matrix = _matrix(page, text, word.box, rotation, len(_codes(word.text)))
            if matrix is not None:
                self._write_word(page, word.text, matrix)
        page.gen_content()
        page.set_rotation((page.get_rotation() - rotation) % 360)  # so that it is read upright
        page.close()

    def _write_word(self, page: pdfium.PdfPage, word: str, matrix: pdfium_c.FS_MATRIX) -> None:
        codes = [*_codes(word), ord(" ")]  # the space keeps words apart in programs that do not look at positions
        shown = pdfium_c.FPDFPageObj_CreateTextObj(self._document, self._font, 1.0)
        pdfium_c.FPDFText_SetCharcodes(shown, (ctypes.c_uint32 * len(codes))(*codes), len(codes))
        pdfium_c.FPDFTextObj_SetTextRenderMode(shown, pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE)
        pdfium_c.FPDFPageObj_SetMatrix(shown, matrix)
        pdfium_c.FPDFPage_InsertObject(page, shown)


def _matrix(page: pdfium.PdfPage, text: PageText, box: Box, rotation: Rotation, units: int) -> Any:
    """Places a word of ``units`` glyphs over ``box``, which may lie on a rotated page; None for an empty box."""
    x1, y1, x2, y2 = box
    # The word's start, its end, and the point above its start, as one reads it.
    start, end, above = {
        0: ((x1, y2), (x2, y2), (x1, y1)),
        90: ((x1, y1), (x1, y2), (x2, y1)),
        180: ((x2, y1), (x1, y1), (x2, y2)),
        270: ((x2, y2), (x2, y1), (x1, y2)),
    }[rotation]
    (ox, oy), (ex, ey), (ax, ay) = (_to_page(page, text, *point) for point in (start, end, above))
    if x1 >= x2 or y1 >= y2 or not units:
        return None
    length = units * _GLYPH_WIDTH
    return pdfium_c.FS_MATRIX((ex - ox) / length, (ey - oy) / length, ax - ox, ay - oy, ox, oy)


def _to_page(page: pdfium.PdfPage, text: PageText, x: int, y: int) -> tuple[float, float]:
    px, py = ctypes.c_double(), ctypes.c_double()
    size = (text.width, text.height)
    pdfium_c.FPDF_DeviceToPage(page, 0, 0, *size, 0, x, y, ctypes.byref(px), ctypes.byref(py))
    return px.value, py.value


def _codes(word: str) -> list[int]:
    """UTF-16 code units."""
    data = word.encode("utf-16-be", "replace")
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


def _is_two_tone(gray: Pixels) -> bool:
    return cv2.countNonZero(cv2.inRange(gray, 1, 254)) == 0  # pyright: ignore[reportCallIssue, reportArgumentType] - OpenCV takes numbers for one channel


@cache
def _font_file() -> bytes:
    return zlib.decompress(base64.b64decode(_FONT))


def _load_font(document: pdfium.PdfDocument) -> Any:
    data = _font_file()
    font = pdfium_c.FPDFText_LoadCidType2Font(
        document, _bytes(data), len(data), _TO_UNICODE, _bytes(_CID_TO_GLYPH), len(_CID_TO_GLYPH)
    )
    if not font:
        raise EngineFailed("pdfium did not take the font of the text layer.")
    return font


def _bytes(data: bytes) -> Any:
    return (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
