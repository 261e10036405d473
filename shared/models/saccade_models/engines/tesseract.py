"""Tesseract 5 through pytesseract: one process of one thread a page, which reads an uncompressed file.

Side by side processes of one thread read more pages than one process of many threads (its OpenMP threads
mostly wait for each other), and pytesseract's own way in, a PNG of every image, costs time for nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import psutil
import pytesseract
from pytesseract.pytesseract import run_tesseract

from saccade_core.errors import Cancelled, EngineFailed, InvalidParams, UnreadableInput
from saccade_models.images import Pixels, to_gray
from saccade_models.page_text import Box, Word

Layout = Literal[
    "auto", "auto_rotate", "single_column", "vertical_block", "single_block", "single_line", "single_word",
    "sparse", "sparse_rotate", "raw_line",
]  # fmt: skip

#: Tesseract's page segmentation modes (``tesseract --help-psm``).
PAGE_SEGMENTATION_MODES: Mapping[Layout, int] = {
    "auto": 3,
    "auto_rotate": 1,
    "single_column": 4,
    "vertical_block": 5,
    "single_block": 6,
    "single_line": 7,
    "single_word": 8,
    "sparse": 11,
    "sparse_rotate": 12,
    "raw_line": 13,
}
#: Tesseract refuses larger images (its coordinates are 16-bit).
MAX_SIDE_PX = 32_767
#: A page that takes longer is given up; a dense A3 page takes about 15 s.
PAGE_TIMEOUT_S = 180
#: Letters of images narrower than this are usually under the 20 px height that the network was trained on.
_SMALL_WIDTH_PX = 1000
_ENLARGED = 2

os.environ["OMP_THREAD_LIMIT"] = "1"  # inherited by every tesseract process


@cache
def version() -> str:
    """The installed version, ``5.3.0``; raises EngineFailed where the program is missing."""
    try:
        return str(pytesseract.get_tesseract_version())
    except (pytesseract.TesseractNotFoundError, SystemExit) as error:
        raise _not_installed() from error


@cache
def installed_languages() -> tuple[str, ...]:
    """Codes of the languages that can be read, sorted; raises EngineFailed where the program is missing."""
    try:
        return tuple(sorted(set(pytesseract.get_languages()) - {"osd"}))
    except pytesseract.TesseractNotFoundError as error:
        raise _not_installed() from error


def check_languages(languages: Sequence[str]) -> None:
    """Raise InvalidParams, naming the languages there are and the package to install, for one that is missing."""
    for language in languages:
        if language not in installed_languages():
            package = f"tesseract-ocr-{language.lower().replace('_', '-')}"
            raise InvalidParams(
                f"Language {language!r} is not installed on this worker, which has: "
                f"{', '.join(installed_languages())}. The Debian package is {package}.",
                field="params.languages",
                received=language,
            )


class TesseractReader:
    """Reads page images; its temporary files lie in ``folder``. Safe to call from several threads."""

    def __init__(self, folder: Path, languages: Sequence[str], layout: Layout) -> None:
        """Raises InvalidParams for a language that is not installed, EngineFailed without tesseract."""
        version()
        check_languages(languages)
        self._folder = folder
        self._languages = "+".join(languages)
        self._layout: Layout = layout
        self._stopped = False

    def read(self, number: int, image: Pixels, dpi: int | None) -> list[Word]:
        """The words on page ``number`` in reading order, boxes in pixels of ``image``.

        ``image`` is uint8, height x width (gray) or height x width x 3 (BGR); ``dpi`` its resolution, None where
        unknown. Images narrower than 1,000 px are enlarged twice for reading. Raises UnreadableInput when
        tesseract fails on the page or takes longer than 180 s.
        """
        gray = to_gray(image)
        if max(gray.shape) > MAX_SIDE_PX:
            raise UnreadableInput(f"The page is {gray.shape[1]} x {gray.shape[0]} px; tesseract reads {MAX_SIDE_PX}.")
        scale = _ENLARGED if gray.shape[1] < _SMALL_WIDTH_PX and gray.shape[0] * _ENLARGED <= MAX_SIDE_PX else 1
        if scale > 1:
            height, width = gray.shape
            gray = cv2.resize(gray, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_CUBIC)
        base = self._folder / f"page-{number}"
        source, tsv = base.with_suffix(".pgm"), base.with_suffix(".tsv")
        try:
            source.write_bytes(b"P5 %d %d 255\n" % (gray.shape[1], gray.shape[0]) + gray.tobytes())
            self._run(source, base, round(dpi * scale) if dpi else None)
            return _words(tsv.read_text("utf-8"), scale)
        finally:
            source.unlink(missing_ok=True)
            tsv.unlink(missing_ok=True)

    def stop(self) -> None:
        """End the tesseract processes that still read pages for this reader, and start no more."""
        self._stopped = True
        for process in psutil.Process().children(recursive=True):
            try:
                if any(part.startswith(f"{self._folder}/") for part in process.cmdline()):
                    process.kill()
            except psutil.Error:  # it ended by itself meanwhile
                continue

    def _run(self, source: Path, base: Path, dpi: int | None) -> None:
        if self._stopped:
            raise Cancelled("Reading was stopped.")
        options = f"--psm {PAGE_SEGMENTATION_MODES[self._layout]} -c tessedit_create_tsv=1"
        try:
            run_tesseract(
                str(source),
                str(base),
                extension="tsv",
                lang=self._languages,
                config=f"{options} --dpi {dpi}" if dpi else options,
                timeout=PAGE_TIMEOUT_S,
            )
        except pytesseract.TesseractNotFoundError as error:
            raise _not_installed() from error
        except (pytesseract.TesseractError, RuntimeError) as error:
            raise UnreadableInput(f"Tesseract could not read the page: {_reason(error, self._folder)}") from error


def _words(tsv: str, scale: float) -> list[Word]:
    """Words of tesseract's TSV: level, page, block, paragraph, line, word, left, top, width, height, conf, text."""
    words: list[Word] = []
    lines: dict[tuple[str, ...], int] = {}
    paragraphs: dict[tuple[str, ...], int] = {}
    for row in tsv.splitlines()[1:]:
        cells = row.split("\t", 11)
        if len(cells) < 12 or cells[0] != "5" or not cells[11].strip():
            continue
        left, top, width, height = (int(v) for v in cells[6:10])
        low, high = (left / scale, top / scale), ((left + width) / scale, (top + height) / scale)
        box: Box = (math.floor(low[0]), math.floor(low[1]), math.ceil(high[0]), math.ceil(high[1]))
        words.append(
            Word(
                text=cells[11].strip(),
                score=min(1.0, max(0.0, float(cells[10]) / 100)),
                box=box,
                line=lines.setdefault(tuple(cells[2:5]), len(lines)),
                paragraph=paragraphs.setdefault(tuple(cells[2:4]), len(paragraphs)),
            )
        )
    return words


def _reason(error: Exception, folder: Path) -> str:
    lines = str(getattr(error, "message", error)).strip().splitlines() or [type(error).__name__]
    return lines[-1].replace(str(folder), "").strip()[:200]


def _not_installed() -> EngineFailed:
    return EngineFailed("Tesseract is not installed on this worker; the Debian package is tesseract-ocr.")
