"""A video in pieces that can be seen one by one, by whoever is free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from saccade_models.video_timeline import Timeline

#: Frames looked at in a segment, about: 500,000 frames, the most there can be, make 2,000 segments.
USUAL = 250
#: With ``every_n`` a segment is about this many frames long at most: a worker that dies has little to do again.
MOST_FRAMES = 2500
#: So many times its own frames may be decoded before a segment begins: decoding is cheap beside seeing, and not free.
MOST_LEAD = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames ``start`` to ``stop`` (not part of it); ``timeline`` knows at least those that decoding them takes."""

    start: int
    stop: int
    timeline: Timeline

    def spec(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"start": self.start, "stop": self.stop, "timeline": self.timeline.part(self.start, self.stop).spec()}

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Segment:
        """What ``spec`` gave."""
        return cls(spec["start"], spec["stop"], Timeline.of(spec["timeline"]))

    def looked_at(self, every_n: int) -> range:
        """The frames 0, n, 2n ... of the video that are in this segment."""
        return range(self.start + -self.start % every_n, self.stop, every_n)

    def key(self) -> int:
        """The key frame from which on decoding gives the segment's first frame."""
        return _key(self.timeline, self.start)


def segments(timeline: Timeline, every_n: int) -> list[Segment]:
    """The whole video in segments of about the same length, each starting with a frame that is looked at.

    They start at or just behind key frames where there are some in reach, so that hardly anything is decoded
    twice. None starts further behind its key frame than ``MOST_LEAD`` of its lengths: a long video with few key
    frames would be decoded from its start for each. A video without timestamps cannot be entered anywhere, and one
    that is short need not be: one segment.
    """
    usual = max(every_n, min(USUAL * every_n, MOST_FRAMES))
    number = round(timeline.count / usual) if timeline.timed and timeline.count >= 2 * usual else 1
    length = timeline.count / number
    starts = [_start(timeline, round(length * i), round(length / 5), every_n) for i in range(1, number)]
    starts = [start for start in starts if start - _key(timeline, start) <= MOST_LEAD * length]
    return [Segment(start, stop, timeline) for start, stop in pairwise([0, *starts, timeline.count])]


def _start(timeline: Timeline, target: int, leeway: int, every_n: int) -> int:
    """The frame looked at, within ``leeway`` of ``target``, that is nearest behind a key frame, and then to it."""
    usual = target - target % every_n
    keys = timeline.keys_between(target - leeway, target + leeway)
    near = [start for start in (key + -key % every_n for key in keys) if start <= target + leeway]
    return min([usual, *near], key=lambda start: (start - _key(timeline, start), abs(start - target)))


def _key(timeline: Timeline, index: int) -> int:
    found = timeline.key_before(index)
    return found[0] if found else 0
