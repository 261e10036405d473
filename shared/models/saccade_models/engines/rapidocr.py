"""RapidOCR (PP-OCR models on ONNX Runtime), with the models that its wheel carries: nothing is downloaded.

They read Latin script and Chinese, lines of any position, upside-down ones too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata
from typing import Any, TypeAlias

from saccade_models.images import Pixels
from saccade_models.page_text import Box, Word

#: Text, score, four corners.
_Piece: TypeAlias = tuple[str, float, list[list[float]]]

_reading = threading.Lock()  # the one loaded engine keeps state while it reads


def version() -> str:
    """The installed version."""
    return metadata.version("rapidocr")


def read(image: Pixels) -> list[Word]:
    """The words on ``image`` (uint8, height x width x 3, BGR) from top to bottom, boxes in its pixels.

    All are one paragraph: the engine tells lines, not paragraphs.
    """
    with _reading:
        found = _engine()(image, return_word_box=True)
    texts: list[str] = list(found.txts or ())
    pieces: list[Sequence[_Piece]] = list(found.word_results or ())
    return [
        Word(text=word, score=min(float(p[1]) for p in parts), box=_box(parts, image.shape), line=line, paragraph=0)
        for line, (text, group) in enumerate(zip(texts, pieces, strict=False))
        for word, parts in _by_word(text, group)
    ]


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    one_thread = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}
    return RapidOCR(params={**one_thread, "Global.log_level": "error"})


def _by_word(text: str, group: Sequence[_Piece]) -> Iterator[tuple[str, list[_Piece]]]:
    """The words of a line with the engine's pieces, which are words or, around CJK letters, single letters."""
    pieces = [piece for piece in group if piece[0].strip()]
    words = text.split()
    if sum(map(len, words)) != sum(len(piece[0]) for piece in pieces):
        words = [piece[0] for piece in pieces]
    left = iter(pieces)
    for word in words:
        parts: list[_Piece] = []
        while sum(len(part[0]) for part in parts) < len(word) and (piece := next(left, None)):
            parts.append(piece)
        if parts:
            yield word, parts


def _box(parts: Sequence[_Piece], shape: tuple[int, ...]) -> Box:
    """The upright rectangle around the corners of all pieces, clipped to the image."""
    xs = [min(max(round(x), 0), shape[1]) for part in parts for x, _ in part[2]]
    ys = [min(max(round(y), 0), shape[0]) for part in parts for _, y in part[2]]
    return min(xs), min(ys), max(xs), max(ys)
