"""Objects of a video followed and drawn, with zones and lines: what ``media.Look`` asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from saccade_models.counting import Line, LineCounter, Zone, ZoneCounter
from saccade_models.draw import Label, LabelColors
from saccade_models.draw_tracks import Ways, draw_line, draw_objects, draw_zone, line_caption, zone_caption
from saccade_models.images import Pixels
from saccade_models.media.look import FrameItems, Item
from saccade_models.tracking import track
from saccade_models.video_types import VideoFacts

#: How long an object's way is shown.
WAY_S = 2.0


class Following:
    """What is to be followed and counted in one job, and the drawing of it::

        following = Following(min_score=..., every_n=params.every_n, zones=[...], lines=[...])
        Look("objects", see, following.draw, relate=following.relate if params.track else None)

    Items are the dicts that ``counting`` describes. Lines, and how many were in a zone in all, are shown of objects
    that were followed: ``draw`` is then given the frames in order, and its counts grow.
    """

    def __init__(
        self, *, min_score: float, every_n: int = 1, zones: Sequence[Zone] = (), lines: Sequence[Line] = ()
    ) -> None:
        self._min_score, self._every_n = min_score, every_n
        self._zones, self._lines = [ZoneCounter(zone) for zone in zones], [LineCounter(line) for line in lines]
        self._ways: Ways | None = None
        self._last: Sequence[Item] | None = None

    def relate(self, frames: Iterable[FrameItems], facts: VideoFacts) -> Iterator[FrameItems]:
        """The frames, with ``track_id`` on what could be followed."""
        fps = max(facts.fps, 0.001) / self._every_n
        self._ways = Ways(max(2, round(WAY_S * fps)))
        return track(frames, fps=fps, min_score=self._min_score)

    def draw(self, pixels: Pixels, items: Sequence[Item], colors: LabelColors) -> None:
        """Zones, lines, ways and objects, and above them what was counted up to this frame."""
        self._see(items, colors)
        for zone in self._zones:
            draw_zone(pixels, zone.zone)
        for line in self._lines if self._ways else ():
            draw_line(pixels, line.line)
        if self._ways:
            self._ways.draw(pixels)
        draw_objects(pixels, items, colors, self._captions(pixels))

    def _captions(self, pixels: Pixels) -> Iterator[Label]:
        """What zones and lines have counted so far."""
        for zone in self._zones:
            total = f", {zone.count.objects} in all" if self._ways else ""
            yield zone_caption(zone.zone, f"{zone.count.name}: {zone.count.now}{total}")
        for line in self._lines if self._ways else ():
            words = f"{line.count.name}: {line.count.inward} in, {line.count.outward} out"
            yield line_caption(pixels, line.line, words)

    def _see(self, items: Sequence[Item], colors: LabelColors) -> None:
        if items is self._last:
            return  # a frame between those looked at: it shows the items of the one before
        self._last = items
        for counter in (*self._zones, *self._lines):
            counter.see(items)
        if self._ways:
            self._ways.see(items, colors)
