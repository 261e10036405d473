"""The text of one page: words with their boxes, and the forms it is written out in (plain text, hOCR, CSV)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from statistics import median
from typing import Literal

from saccade_models.formats.cells import cell

Box = tuple[int, int, int, int]
Rotation = Literal[0, 90, 180, 270]
Source = Literal["ocr", "text_layer"]

CSV_HEADER = ("page", "paragraph", "line", "text", "score", "x1", "y1", "x2", "y2")


@dataclass(frozen=True, slots=True)
class Word:
    """One word in reading order. ``box`` is x1, y1, x2, y2 in pixels of the page, ``score`` 0..1.

    ``line`` and ``paragraph`` count from 0 through the whole page; words of one line share its number.
    """

    text: str
    score: float
    box: Box
    line: int
    paragraph: int


@dataclass(frozen=True, slots=True)
class PageText:
    """All words of page ``number`` (from 1), which is ``width`` x ``height`` pixels."""

    number: int
    width: int
    height: int
    source: Source
    words: Sequence[Word]

    def lines(self) -> Iterator[list[Word]]:
        """The words line by line, in reading order."""
        for _, words in groupby(self.words, key=lambda word: (word.paragraph, word.line)):
            yield list(words)

    def text(self) -> str:
        """Lines ended by a newline, paragraphs set apart by an empty line."""
        parts: list[str] = []
        previous: int | None = None
        for line in self.lines():
            if previous is not None and line[0].paragraph != previous:
                parts.append("")
            parts.append(" ".join(word.text for word in line))
            previous = line[0].paragraph
        return "".join(f"{part}\n" for part in parts)

    def rotation(self) -> Rotation:
        """How far the text is turned clockwise on the page, from the way its words follow each other in a line."""
        steps = [
            (_centre(b.box)[0] - _centre(a.box)[0], _centre(b.box)[1] - _centre(a.box)[1])
            for line in self.lines()
            for a, b in pairwise(line)
        ]
        if not steps:
            return 0
        dx, dy = median(x for x, _ in steps), median(y for _, y in steps)
        if abs(dx) >= abs(dy):
            return 0 if dx >= 0 else 180
        return 90 if dy > 0 else 270


def csv_rows(page: PageText) -> Iterator[tuple[int | float | str, ...]]:
    """One row a word, in the order of ``CSV_HEADER``; no word is a formula."""
    for word in page.words:
        yield (page.number, word.paragraph + 1, word.line + 1, cell(word.text), round(word.score, 4), *word.box)


def hocr(page: PageText, system: str) -> str:
    """The page as an hOCR 1.2 document (http://kba.github.io/hocr-spec/1.2/); ``system`` names the engine."""
    body: list[str] = []
    for paragraph, words in groupby(page.words, key=lambda word: word.paragraph):
        group = list(words)
        body.append(f'   <p class="ocr_par" id="par_{paragraph + 1}" title="bbox {_bbox(group)}">')
        for line, members in groupby(group, key=lambda word: word.line):
            row = list(members)
            body.append(f'    <span class="ocr_line" id="line_{line + 1}" title="bbox {_bbox(row)}">')
            body += [
                f'     <span class="ocrx_word" title="bbox {_bbox([word])}; x_wconf {round(word.score * 100)}">'
                f"{escape(_xml_safe(word.text))}</span>"
                for word in row
            ]
            body.append("    </span>")
        body.append("   </p>")
    size = f"bbox 0 0 {page.width} {page.height}; ppageno {page.number - 1}"
    return "\n".join([
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<html xmlns="http://www.w3.org/1999/xhtml">',
        " <head>",
        f"  <title>Page {page.number}</title>",
        f'  <meta name="ocr-system" content="{escape(system)}"/>',
        '  <meta name="ocr-capabilities" content="ocr_page ocr_par ocr_line ocrx_word"/>',
        " </head>",
        " <body>",
        f'  <div class="ocr_page" id="page_{page.number}" title="{size}">',
        *body,
        "  </div>",
        " </body>",
        "</html>",
        "",
    ])  # fmt: skip


def _bbox(words: Sequence[Word]) -> str:
    boxes = [word.box for word in words]
    low = [min(box[i] for box in boxes) for i in (0, 1)]
    high = [max(box[i] for box in boxes) for i in (2, 3)]
    return " ".join(str(v) for v in (*low, *high))


def _xml_safe(text: str) -> str:
    """Text layers may carry control characters, which XML forbids."""
    return "".join(c for c in text if c.isprintable())


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
