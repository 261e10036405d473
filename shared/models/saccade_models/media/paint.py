"""overlay.mp4: what was seen, drawn on a video's frames."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from saccade_models.draw import LabelColors
from saccade_models.images import Pixels
from saccade_models.media.look import FrameItems, Look
from saccade_models.video import Frame, VideoReader
from saccade_models.video_write import VideoWriter

OVERLAY = "overlay.mp4"


class Painter:
    """Draws on frames and writes them, with times counted from frame ``start``; a context manager.

    Frames between those looked at show the items of the one before, and colours depend on the labels alone: a
    segment comes out the same whatever was before it.
    """

    def __init__(self, path: Path, reader: VideoReader, look: Look, every_n: int, start: int = 0) -> None:
        facts = reader.facts
        self._writer = VideoWriter(
            path,
            width=facts.width,
            height=facts.height,
            fps=facts.fps or 25,
            start_s=reader.timeline.time_s(start),
            fast=True,
        )
        self._look, self._every_n = look, every_n
        self._colors = LabelColors(by_label_only=True)
        self._last: FrameItems | None = None

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.__exit__(kind, error, at)

    def show(self, frame: FrameItems) -> None:
        """From this frame on its items are drawn."""
        self._last = frame

    def paint(self, frame: Frame, pixels: Pixels | None = None) -> None:
        """Draw and write the frame; its ``pixels``, where they are at hand, are drawn on."""
        pixels = np.ascontiguousarray(frame.bgr()) if pixels is None else pixels
        looked_at = frame.index - frame.index % self._every_n
        last = self._last
        items = last.items if last is not None and last.index == looked_at else []
        self._look.draw_all(pixels, looked_at, items, self._colors)
        self._writer.write(pixels, frame.time_s)
