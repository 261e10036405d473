"""PDF documents through pdfium: pages as images, their own text layer, and writing a text layer.

pdfium is not safe to call from several threads: keep one document on one thread.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from saccade_core.errors import EncryptedInput, InputTooLarge, UnreadableInput
from saccade_models.images import MAX_PIXELS, Pixels
from saccade_models.page_text import Box, Word

POINTS_PER_INCH = 72
#: A text layer with a larger share of letters that no Unicode is known for is not used.
_MAX_UNKNOWN_SHARE = 0.1
#: Boxes are asked for in this fraction of a pixel, since pdfium answers in whole numbers.
_SUBPIXELS = 8


class PdfFile:
    """An opened PDF; a context manager."""

    def __init__(self, path: Path, *, max_pages: int, field: str) -> None:
        """Raises EncryptedInput (needs a password), UnreadableInput (no PDF, or broken), InputTooLarge (pages)."""
        self._field = field
        try:
            self.document = pdfium.PdfDocument(path)
        except pdfium.PdfiumError as error:
            if getattr(error, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD:
                raise EncryptedInput("The PDF is locked by a password.", field=field) from error
            raise UnreadableInput("The file is not a PDF, or it is broken.", field=field) from error
        pages = len(self.document)
        if not 0 < pages <= max_pages:
            self.document.close()
            if pages:
                raise InputTooLarge(
                    f"The PDF has {pages} pages; at most {max_pages} are read.", field=field, received=pages
                )
            raise UnreadableInput("The PDF has no pages.", field=field)
        self.document.init_forms()  # else what was filled into forms is not drawn

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.document.close()

    def __len__(self) -> int:
        return len(self.document)

    def page(self, number: int, dpi: int) -> PdfPage:
        """Page ``number``, from 1; raises UnreadableInput (broken) and InputTooLarge (its pixels at ``dpi``)."""
        try:
            page = PdfPage(self.document[number - 1], dpi)
        except pdfium.PdfiumError as error:
            raise UnreadableInput(f"Page {number} of the PDF is broken.", field=self._field) from error
        if page.width * page.height > MAX_PIXELS:
            size = f"{page.width}x{page.height}"
            page.close()
            raise InputTooLarge(
                f"Page {number} has {size} pixels at {dpi} dpi; at most {MAX_PIXELS:,} are drawn.",
                field=self._field,
                received=size,
            )
        return page


class PdfPage:
    """One page, measured in pixels at ``dpi``, as a viewer shows it (rotated and cropped)."""

    def __init__(self, page: pdfium.PdfPage, dpi: int) -> None:
        self._page = page
        self._scale = dpi / POINTS_PER_INCH
        self.dpi = dpi
        self.width = max(1, math.ceil(page.get_width() * self._scale))
        self.height = max(1, math.ceil(page.get_height() * self._scale))

    def image(self) -> Pixels:
        """The page drawn on white: uint8, height x width x 3, BGR."""
        try:
            # pypdfium2 takes any number here, and its annotation says int.
            return self._page.render(scale=self._scale).to_numpy()  # pyright: ignore[reportArgumentType] - see above
        except pdfium.PdfiumError as error:
            raise UnreadableInput("The page could not be drawn.") from error

    def text_layer(self) -> list[Word]:
        """The words of the page's own text in its own order; empty where it has none or an undecodable one."""
        try:
            text = self._page.get_textpage()
        except pdfium.PdfiumError as error:
            raise UnreadableInput("The page's text could not be read.") from error
        with_boxes = list(self._characters(text))
        visible = [char for char, _ in with_boxes if not char.isspace()]
        unknown = sum(not char.isprintable() or char == "\ufffd" for char in visible)
        if not visible or unknown > _MAX_UNKNOWN_SHARE * len(visible):
            return []
        return _words(with_boxes)

    def close(self) -> None:
        """Free what pdfium holds of the page."""
        self._page.close()

    def _characters(self, text: pdfium.PdfTextPage) -> Iterator[tuple[str, Box | None]]:
        """Each character with its box; None for those that pdfium adds between words and lines."""
        for index in range(text.count_chars()):
            code = pdfium_c.FPDFText_GetUnicode(text, index)
            if 0xD800 <= code < 0xDC00:  # the first half of a surrogate pair; the second follows as its own index
                low = pdfium_c.FPDFText_GetUnicode(text, index + 1)
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) if 0xDC00 <= low < 0xE000 else 0xFFFD
            elif 0xDC00 <= code < 0xE000:
                continue
            char = "-" if code == 2 else chr(code)  # pdfium's mark for a hyphen at the end of a line
            yield char, None if pdfium_c.FPDFText_IsGenerated(text, index) == 1 else self._box(text, index)

    def _box(self, text: pdfium.PdfTextPage, index: int) -> Box:
        left, bottom, right, top = text.get_charbox(index, loose=True)
        xs, ys = zip(self._to_pixels(left, bottom), self._to_pixels(right, top), strict=True)
        clip_x, clip_y = self.width * _SUBPIXELS, self.height * _SUBPIXELS
        x1, x2 = (min(max(x, 0), clip_x) / _SUBPIXELS for x in (min(xs), max(xs)))
        y1, y2 = (min(max(y, 0), clip_y) / _SUBPIXELS for y in (min(ys), max(ys)))
        return math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)

    def _to_pixels(self, x: float, y: float) -> tuple[int, int]:
        px, py = ctypes.c_int(), ctypes.c_int()
        size = (self.width * _SUBPIXELS, self.height * _SUBPIXELS)
        pdfium_c.FPDF_PageToDevice(self._page, 0, 0, *size, 0, x, y, ctypes.byref(px), ctypes.byref(py))
        return px.value, py.value


def _words(characters: list[tuple[str, Box | None]]) -> list[Word]:
    """Characters joined to words; a line break that follows another one starts a paragraph."""
    words: list[Word] = []
    line = paragraph = 0
    breaks = 0
    text, boxes = "", list[Box]()

    def finish() -> None:
        nonlocal text, boxes
        if text and boxes:
            box = (
                min(b[0] for b in boxes),
                min(b[1] for b in boxes),
                max(b[2] for b in boxes),
                max(b[3] for b in boxes),
            )
            words.append(Word(text, 1.0, box, line, paragraph))
        text, boxes = "", []

    for char, box in characters:
        if not char.isspace():
            text, breaks = text + char, 0
            boxes += [box] if box else []
            continue
        finish()
        if char == "\n":
            line, breaks = line + 1, breaks + 1
            paragraph += breaks == 2
    finish()
    return words
