"""Documents as pages: PDF files, multi-page TIFFs and pictures of any kind."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

import PIL.Image

from saccade_core.errors import InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.images import READABLE, Pixels, page_count, read_image
from saccade_models.page_text import Word
from saccade_models.pdf import PdfFile

MAX_PAGES = 2000
#: A PDF's header may be preceded by other bytes (ISO 32000-1, annex H, note 13).
_HEADER_WITHIN = 1024
#: Resolutions outside are placeholders that programs write (1 dpi, 72,000 dpi).
_PLAUSIBLE_DPI = range(70, 2401)


class Page(Protocol):
    """One page; ``dpi`` is None where the file does not say how large its pixels are."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def dpi(self) -> int | None: ...

    def image(self) -> Pixels:
        """The page as uint8, height x width x 3, BGR; raises UnreadableInput."""
        ...

    def text_layer(self) -> list[Word]:
        """The words that the file itself has for the page; mostly none."""
        ...

    def close(self) -> None:
        """Free the page."""
        ...


class Document(Protocol):
    """Pages by number, from 1. Not to be used by several threads at once."""

    def __len__(self) -> int: ...

    def page(self, number: int) -> Page:
        """Open page ``number``; raises UnreadableInput and InputTooLarge for this page alone."""
        ...


@contextmanager
def open_document(file: InputFile, *, dpi: int, max_pages: int = MAX_PAGES) -> Generator[Document]:
    """Open a PDF (its pages are measured in pixels at ``dpi``) or a picture (its own pixels, upright by EXIF).

    Raises EncryptedInput, UnreadableInput and InputTooLarge (over ``max_pages``), naming ``file.field``.
    """
    if _is_pdf(file):
        with PdfFile(file.path, max_pages=max_pages, field=file.field) as pdf:
            yield PdfDocument(pdf, dpi)
        return
    pages = page_count(file)
    if pages > max_pages:
        raise InputTooLarge(
            f"The document has {pages} pages; at most {max_pages} are read.", field=file.field, received=pages
        )
    yield PictureDocument(file, pages)


class PdfDocument:
    """A PDF's pages at one resolution."""

    def __init__(self, pdf: PdfFile, dpi: int) -> None:
        self.pdf = pdf
        self._dpi = dpi

    def __len__(self) -> int:
        return len(self.pdf)

    def page(self, number: int) -> Page:
        return self.pdf.page(number, self._dpi)


class PictureDocument:
    """A picture, or a TIFF's pictures."""

    def __init__(self, file: InputFile, pages: int) -> None:
        self._file = file
        self._pages = pages

    def __len__(self) -> int:
        return self._pages

    def page(self, number: int) -> Page:
        return PicturePage(self._file, number)


class PicturePage:
    """One picture, decoded when it is first needed."""

    def __init__(self, file: InputFile, number: int) -> None:
        self._file = file
        self._number = number

    @property
    def width(self) -> int:
        return self._pixels.shape[1]

    @property
    def height(self) -> int:
        return self._pixels.shape[0]

    @property
    def dpi(self) -> int | None:
        with PIL.Image.open(self._file.path, formats=READABLE) as opened:
            opened.seek(self._number - 1)
            resolution = opened.info.get("dpi", (0, 0))
        value = round(float(resolution[0])) if resolution[0] == resolution[0] else 0  # not a number where 0/0 is stored
        return value if value in _PLAUSIBLE_DPI else None

    def image(self) -> Pixels:
        return self._pixels

    def text_layer(self) -> list[Word]:
        return []

    def close(self) -> None:
        self.__dict__.pop("_pixels", None)

    @cached_property
    def _pixels(self) -> Pixels:
        return read_image(self._file, page=self._number - 1).pixels


def _is_pdf(file: InputFile) -> bool:
    try:
        with file.path.open("rb") as stream:
            return b"%PDF-" in stream.read(_HEADER_WITHIN)
    except OSError as error:
        raise UnreadableInput("The file could not be opened.", field=file.field) from error
