"""Writes the artefacts of ``read_text``."""

from __future__ import annotations

import csv

import cv2

from saccade_core.kind import Context
from saccade_kinds.read_text.contract import ReadTextParams
from saccade_models.documents import Document, PdfDocument
from saccade_models.draw import Bgr, bgr, draw_box
from saccade_models.images import Pixels
from saccade_models.page_text import CSV_HEADER, PageText, csv_rows, hocr
from saccade_models.searchable_pdf import SearchablePdf

PAGE_BREAK = "\f"
#: Frames of words: surely read, doubtful, mostly wrong.
_SURE, _DOUBTFUL, _WRONG = bgr("#2e8b57"), bgr("#f58231"), bgr("#e6194b")
#: A third of the time of OpenCV's own choice, for a file of the same size.
_FAST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)


class Outputs:
    """All artefacts of one document, as far as ``params.outputs`` asks for them."""

    def __init__(self, document: Document, params: ReadTextParams, context: Context, engine: str) -> None:
        self._document = document
        self._params = params
        self._context = context
        self._engine = engine

    def draw(self, image: Pixels, text: PageText) -> None:
        """Frame the page's words, in place, and keep the picture for ``write``; safe on several threads."""
        width = max(1, round(sum(image.shape[:2]) / 2500))  # thin, and around the word: its letters stay readable
        for word in text.words:
            x1, y1, x2, y2 = word.box
            frame = (max(0, x1 - width), max(0, y1 - width), x2 + width, y2 + width)
            draw_box(image, frame, _color(word.score), thickness=width)
        cv2.imwrite(str(self._context.scratch / _drawn(text.number)), image, _FAST_PNG)

    def write(self, texts: list[PageText], *, everything: bool) -> None:
        """Write what was asked for; with ``everything`` text and words too, because the result is cut."""
        asked = set(self._params.outputs) | ({"text", "words_csv"} if everything else set[str]())
        if "text" in asked:
            self._context.artifact("text.txt").write_text(PAGE_BREAK.join(t.text() for t in texts), "utf-8")
        if "words_csv" in asked:
            with self._context.artifact("words.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(CSV_HEADER)
                for text in texts:
                    writer.writerows(csv_rows(text))
        for text in texts if "hocr" in asked else ():
            self._context.artifact(f"page-{text.number}.hocr").write_text(hocr(text, self._engine), "utf-8")
        for text in texts if "overlay" in asked else ():
            name = "overlay.png" if len(self._document) == 1 else f"overlay-{text.number}.png"
            (self._context.scratch / _drawn(text.number)).replace(self._context.artifact(name))
        if "searchable_pdf" in asked:
            self._write_pdf({text.number: text for text in texts})

    def _write_pdf(self, texts: dict[int, PageText]) -> None:
        with SearchablePdf() as searchable:
            for number in range(1, len(self._document) + 1):
                self._context.progress(number - 1, len(self._document), "searchable PDF")
                text = texts.get(number)
                if isinstance(self._document, PdfDocument):
                    searchable.add_pdf_page(self._document.pdf, number, text)
                elif text:
                    page = self._document.page(number)
                    searchable.add_image_page(page.image(), page.dpi or self._params.dpi, text)
            searchable.save(self._context.artifact("searchable.pdf"))


def _drawn(number: int) -> str:
    return f"drawn-{number}.png"


def _color(score: float) -> Bgr:
    if score >= 0.8:
        return _SURE
    return _DOUBTFUL if score >= 0.5 else _WRONG
