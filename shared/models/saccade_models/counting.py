"""What happened in a video, from the objects of its frames: visits, zones, lines, and how many of what there were.

Items are dicts with ``label``, ``box`` [x1, y1, x2, y2] in pixels, ``score`` and, where they were followed,
``track_id``. Everything takes the frames one by one, in order, and keeps little.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from saccade_models.media.look import FrameItems, Item

Point = tuple[float, float]

#: A visit is over when nothing was seen for this long.
VISIT_GAP_S = 2.0
#: What was seen more shortly, or in fewer frames, was no visit but a mistake of the detector.
VISIT_LEAST_S, VISIT_LEAST_FRAMES = 0.5, 3


def middle(box: Sequence[float]) -> Point:
    """The middle of a box [x1, y1, x2, y2]."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the picture: ``polygon`` of at least 3 points in pixels. An object is where its feet are: in the
    middle of its box's lower edge."""

    name: str
    polygon: Sequence[Point]

    def holds(self, item: Item) -> bool:
        """Whether the item stands in it; its border belongs to it."""
        x1, _, x2, y2 = item["box"]
        corners = np.asarray(self.polygon, dtype=np.float32)
        return cv2.pointPolygonTest(corners, ((x1 + x2) / 2, y2), measureDist=False) >= 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line from ``start`` to ``end`` in pixels, over which the middles of boxes are counted.

    ``in`` is from its left to its right, as seen by who walks from start to end: over a line drawn from left to
    right, ``in`` is down the picture.
    """

    name: str
    start: Point
    end: Point

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError("a line goes from one point to another")

    @property
    def length(self) -> float:
        """In pixels."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    def distance(self, point: Point) -> float:
        """Pixels from the endless line; positive on its right."""
        (x, y), (x1, y1), (x2, y2) = point, self.start, self.end
        return ((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) / self.length

    def crossed(self, before: Point, after: Point) -> bool:
        """Whether the way between two points on different sides leads through the line, not past its ends."""
        first, second = self.distance(before), self.distance(after)
        share = first / (first - second)
        x, y = (b + (a - b) * share for b, a in zip(before, after, strict=True))
        (x1, y1), (x2, y2) = self.start, self.end
        along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / self.length**2
        return 0 <= along <= 1


@dataclass(slots=True)
class ZoneCount:
    """``now`` and ``most_at_once``: objects inside, in the last frame and at most. Of those followed, each once:
    ``objects`` were inside, ``entered`` came in from outside, ``left`` went out."""

    name: str
    now: int = 0
    most_at_once: int = 0
    objects: int = 0
    entered: int = 0
    left: int = 0


@dataclass(slots=True)
class LineCount:
    """Objects that crossed, each at most once in each direction."""

    name: str
    inward: int = 0
    outward: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """From the first to the last frame in which something of this label was seen, with short gaps;
    ``most_at_once`` in one frame."""

    label: str
    start_s: float
    end_s: float
    most_at_once: int


class ZoneCounter:
    """Counts in a zone; an object that wavers on its border is counted once."""

    def __init__(self, zone: Zone) -> None:
        self.zone, self.count = zone, ZoneCount(zone.name)
        self._outside: set[int] = set()
        self._inside: set[int] = set()
        self._entered: set[int] = set()
        self._left: set[int] = set()

    def see(self, items: Sequence[Item]) -> None:
        """The next frame's items."""
        inside = [self.zone.holds(item) for item in items]
        for item, holds in zip(items, inside, strict=True):
            if item.get("track_id") is not None:
                self._follow(item["track_id"], holds)
        count = self.count
        count.now = sum(inside)
        count.most_at_once = max(count.most_at_once, count.now)
        count.objects, count.entered, count.left = len(self._inside), len(self._entered), len(self._left)

    def _follow(self, track_id: int, holds: bool) -> None:
        if holds:
            self._inside.add(track_id)
            if track_id in self._outside:
                self._entered.add(track_id)
        else:
            self._outside.add(track_id)
            if track_id in self._inside:
                self._left.add(track_id)


class LineCounter:
    """Counts over a line. An object has changed sides once its middle is a twentieth of its own size (its box's
    longer side) beyond the line: one that wavers on it is not counted again and again."""

    def __init__(self, line: Line) -> None:
        self.line, self.count = line, LineCount(line.name)
        self._last: dict[int, Point] = {}
        self._inward: set[int] = set()
        self._outward: set[int] = set()

    def see(self, items: Sequence[Item]) -> None:
        """The next frame's items."""
        for item in items:
            if item.get("track_id") is not None:
                self._follow(item["track_id"], item["box"])
        self.count.inward, self.count.outward = len(self._inward), len(self._outward)

    def _follow(self, track_id: int, box: Sequence[float]) -> None:
        x1, y1, x2, y2 = box
        place = middle(box)
        distance = self.line.distance(place)
        if abs(distance) < max(1.0, 0.05 * max(x2 - x1, y2 - y1)):
            return
        last = self._last.get(track_id)
        self._last[track_id] = place
        if last is None or (self.line.distance(last) > 0) == (distance > 0) or not self.line.crossed(last, place):
            return
        (self._inward if distance > 0 else self._outward).add(track_id)


@dataclass(slots=True)
class _Presence:
    start_s: float
    end_s: float
    frames: int = 0
    most: int = 0


class VisitCounter:
    """Visits by label; ``interval_s`` is the time from one frame looked at to the next."""

    def __init__(self, interval_s: float) -> None:
        self._gap_s = max(VISIT_GAP_S, 2.5 * interval_s)
        self._least_s = VISIT_LEAST_S - interval_s  # the last frame lasts, too
        self._least_frames = max(1, min(VISIT_LEAST_FRAMES, round(VISIT_LEAST_S / interval_s)))
        self._open: dict[str, _Presence] = {}
        self._done: list[Visit] = []

    def see(self, time_s: float, items: Sequence[Item]) -> None:
        """The next frame's items."""
        for label, count in Counter(item["label"] for item in items).items():
            present = self._open.get(label)
            if present is None or time_s - present.end_s >= self._gap_s:
                self._close(label)
                present = self._open[label] = _Presence(time_s, time_s)
            present.end_s = time_s
            present.frames += 1
            present.most = max(present.most, count)

    def visits(self) -> list[Visit]:
        """All visits so far, by their start."""
        for label in list(self._open):
            self._close(label)
        return sorted(self._done, key=lambda visit: (visit.start_s, visit.label))

    def _close(self, label: str) -> None:
        seen = self._open.pop(label, None)
        if seen is None or seen.frames < self._least_frames or seen.end_s - seen.start_s < self._least_s - 1e-6:
            return
        self._done.append(Visit(label, seen.start_s, seen.end_s, seen.most))


class TrackCounter:
    """Different objects by label; a track's label is the one with the largest sum of scores."""

    def __init__(self) -> None:
        self._scores: defaultdict[int, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))

    def see(self, items: Sequence[Item]) -> None:
        """The next frame's items."""
        for item in items:
            if item.get("track_id") is not None:
                self._scores[item["track_id"]][item["label"]] += item["score"]

    def by_label(self) -> dict[str, int]:
        """Tracks by label, the most frequent first."""
        labels = Counter(self.labels().values())
        return dict(sorted(labels.items(), key=lambda entry: (-entry[1], entry[0])))

    def labels(self) -> dict[int, str]:
        """Each track's label."""
        return {track: min(scores, key=lambda label: (-scores[label], label)) for track, scores in self._scores.items()}


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened: ``tracks`` is how many different objects there were by label, None where none were followed."""

    tracks: Mapping[str, int] | None
    visits: Sequence[Visit]
    zones: Sequence[ZoneCount]
    lines: Sequence[LineCount]


def count(
    frames: Iterable[FrameItems],
    *,
    interval_s: float,
    zones: Sequence[Zone] = (),
    lines: Sequence[Line] = (),
    tracked: bool = False,
) -> Counts:
    """One pass over the frames, ``interval_s`` seconds apart; of a picture one frame, with any interval."""
    tracks, visits = TrackCounter(), VisitCounter(interval_s)
    in_zones, over_lines = [ZoneCounter(zone) for zone in zones], [LineCounter(line) for line in lines]
    for frame in frames:
        tracks.see(frame.items)
        visits.see(frame.time_s, frame.items)
        for counter in (*in_zones, *over_lines):
            counter.see(frame.items)
    return Counts(
        tracks.by_label() if tracked else None,
        visits.visits(),
        [counter.count for counter in in_zones],
        [counter.count for counter in over_lines],
    )
