"""One pass over a segment of a video: frames decoded once, seen in batches, written down and drawn as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

import numpy as np

from saccade_core.errors import UnreadableInput
from saccade_models.images import Pixels
from saccade_models.media.look import FrameItems, Look, Work, frame_line
from saccade_models.media.paint import OVERLAY, Painter
from saccade_models.media.segments import Segment
from saccade_models.media.tally import DAMAGED, Tally, gaps, runs
from saccade_models.video import Frame, VideoReader

FRAMES = "frames.jsonl"
#: Frames wait until a batch is full; so many pixels of them at most.
_MOST_PIXELS_WAITING = 64_000_000


def scan(work: Work, reader: VideoReader, segment: Segment, folder: Path) -> Tally:
    """See the segment's frames; writes frames.jsonl and, where segments are drawn, overlay.mp4 into ``folder``."""
    look, every_n = work.look, work.params.every_n
    looked_at = segment.looked_at(every_n)
    wanted = range(segment.start, segment.stop) if work.draws_segments else looked_at
    missing = set(wanted)
    with ExitStack() as stack:
        lines = stack.enter_context((folder / FRAMES).open("w", encoding="utf-8", newline="\n"))
        painter = Painter(folder / OVERLAY, reader, look, every_n, segment.start) if work.draws_segments else None
        if painter is not None:
            stack.enter_context(painter)
        batches = _Batches(look, every_n, lines, painter)
        for frame in _frames(reader, wanted, segment):
            missing.discard(frame.index)
            if batches.take(frame):
                work.context.progress(frame.index + 1 - segment.start, segment.stop - segment.start, "looking")
        batches.flush()
    tally = batches.tally
    tally.lost = len(missing.intersection(looked_at))
    tally.add_gaps(gaps(reader.timeline, runs(sorted(missing), wanted.step), DAMAGED), wanted.step)
    return tally


def _frames(reader: VideoReader, wanted: range, segment: Segment) -> Iterator[Frame]:
    """The frames that can be decoded: in a segment of a damaged video perhaps none.

    Those since the key frame before the segment are decoded as if they were wanted too: a decoder that left some of
    them out would conceal damage in another way than one that comes along from the video's start.
    """
    lead = wanted.start - segment.key()
    with suppress(UnreadableInput):
        for frame in reader.frames(range(wanted.start - lead // wanted.step * wanted.step, wanted.stop, wanted.step)):
            if frame.index >= wanted.start:
                yield frame


class _Batches:
    """Takes frames in order; those to be looked at, and what follows them, wait for a batch."""

    def __init__(self, look: Look, every_n: int, lines: TextIO, painter: Painter | None) -> None:
        self.tally = Tally()
        self._look, self._every_n, self._lines, self._painter = look, every_n, lines, painter
        self._waiting: list[tuple[Frame, Pixels | None]] = []
        self._pictures: list[Pixels] = []
        self._pixels = 0

    def take(self, frame: Frame) -> bool:
        """The next frame; tells whether it, and all before it, are done."""
        pixels = None
        if frame.index % self._every_n == 0:
            pixels = np.ascontiguousarray(frame.bgr())
            self._pictures.append(pixels)
        self._waiting.append((frame, pixels))
        self._pixels += frame.size[0] * frame.size[1]
        if len(self._pictures) in {0, self._look.batch} or self._pixels >= _MOST_PIXELS_WAITING:
            self.flush()
            return True
        return False

    def flush(self) -> None:
        """See, write down and draw what waits."""
        seen = iter(self._look.see(self._pictures) if self._pictures else [])
        for frame, pixels in self._waiting:
            if pixels is not None:
                self._note(FrameItems(frame.index, round(frame.time_s, 6), next(seen)))
            if self._painter is not None:
                self._painter.paint(frame, pixels)
        self._waiting, self._pictures, self._pixels = [], [], 0

    def _note(self, frame: FrameItems) -> None:
        for counted in self.tally.counted([frame]):
            self._lines.write(frame_line(counted, self._look.items))
        if self._painter is not None:
            self._painter.show(frame)
