"""Text, hOCR and rotation of a page's words."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from saccade_models.page_text import PageText, Rotation, Word, hocr


def words(*rows: tuple[str, int]) -> list[Word]:
    """Rows of text with their paragraphs, 10 px a letter, 20 px a row."""
    return [
        Word(text, 0.9, (100 * n, 20 * line, 100 * n + 10 * len(text), 20 * line + 15), line, paragraph)
        for line, (row, paragraph) in enumerate(rows)
        for n, text in enumerate(row.split())
    ]


def test_text_has_lines_and_paragraphs() -> None:
    page = PageText(1, 500, 500, "ocr", words(("one two", 0), ("three", 0), ("four", 1)))
    assert page.text() == "one two\nthree\n\nfour\n"


def test_hocr_is_well_formed_whatever_the_words_are() -> None:
    page = PageText(2, 500, 400, "ocr", [Word('<a href="x">&\x07', 0.876, (1, 2, 3, 4), 0, 0)])
    root = ET.fromstring(hocr(page, "an & engine"))  # noqa: S314 - our own text
    word = root.find(".//*[@class='ocrx_word']")
    assert word is not None
    assert word.text == '<a href="x">&'
    assert word.attrib["title"] == "bbox 1 2 3 4; x_wconf 88"
    outer = root.find(".//*[@class='ocr_page']")
    assert outer is not None
    assert outer.attrib["title"] == "bbox 0 0 500 400; ppageno 1"


@pytest.mark.parametrize(("rotation", "step"), [(0, (1, 0)), (90, (0, 1)), (180, (-1, 0)), (270, (0, -1))])
def test_rotation_follows_the_words(rotation: Rotation, step: tuple[int, int]) -> None:
    boxes = [(200 + 50 * n * step[0], 200 + 50 * n * step[1]) for n in range(4)]
    page = PageText(1, 500, 500, "ocr", [Word("w", 1, (x, y, x + 20, y + 20), 0, 0) for x, y in boxes])
    assert page.rotation() == rotation
