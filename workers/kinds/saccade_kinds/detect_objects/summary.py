"""The result, from what was seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from saccade_core.kind import Context
from saccade_kinds.detect_objects.contract import (
    DetectObjectsLineCounts,
    DetectObjectsObject,
    DetectObjectsParams,
    DetectObjectsResult,
    DetectObjectsVisit,
    DetectObjectsZoneCounts,
)
from saccade_kinds.detect_objects.overlay import lines_of, zones_of
from saccade_models.counting import LineCount, LineCounter, TrackCounter, Visit, ZoneCount, ZoneCounter, count
from saccade_models.media import FrameItems, Item, Seen


class _Counters:
    """Zones and lines, counting what they are shown."""

    def __init__(self, params: DetectObjectsParams) -> None:
        self.zones = [ZoneCounter(zone) for zone in zones_of(params)]
        self.lines = [LineCounter(line) for line in lines_of(params)]

    def see(self, items: list[Item]) -> None:
        for counter in (*self.zones, *self.lines):
            counter.see(items)


def summary(seen: Seen, params: DetectObjectsParams, context: Context) -> DetectObjectsResult:
    """Objects or their counts over all frames, visits, zones and lines."""
    facts = seen.video.facts if seen.video else None
    tracked = params.track and facts is not None
    most, tracks = Counter[str](), TrackCounter()
    interval_s = params.every_n / facts.fps if facts and facts.fps else 1.0
    visits = count(_watched(seen, most, tracks, context), interval_s=interval_s).visits
    zones, lines = _places(seen, params, tracks.labels(), tracked, context)
    return DetectObjectsResult(
        media=seen.media,
        width=seen.width,
        height=seen.height,
        video=seen.video,
        objects=None if seen.video else [DetectObjectsObject.model_validate(item) for item in seen.items],
        counts=tracks.by_label() if tracked else dict(most.most_common()),
        visits=[_visit(visit) for visit in visits] if seen.video else None,
        zones=zones,
        lines=lines,
    )


def _watched(seen: Seen, most: Counter[str], tracks: TrackCounter, context: Context) -> Iterator[FrameItems]:
    """The frames; ``most`` becomes the most of each label in one of them, and ``tracks`` sees their objects."""
    for frame in _frames(seen, context):
        most |= Counter(item["label"] for item in frame.items)
        tracks.see(frame.items)
        yield frame


def _places(
    seen: Seen, params: DetectObjectsParams, labels: Mapping[int, str], tracked: bool, context: Context
) -> tuple[list[DetectObjectsZoneCounts], list[DetectObjectsLineCounts]]:
    """Counts in zones and over lines; an object has its track's label (``labels``), one without track its own."""
    everything = _Counters(params)
    by_label: defaultdict[str, _Counters] = defaultdict(lambda: _Counters(params))
    for frame in _frames(seen, context) if params.zones or params.lines else ():
        everything.see(frame.items)
        groups: defaultdict[str, list[Item]] = defaultdict(list)
        for item in frame.items:
            groups[labels.get(item.get("track_id", 0), item["label"])].append(item)
        for label, items in groups.items():
            by_label[label].see(items)
    ordered = sorted(by_label.items())
    zones = [
        _zone(zone.count, {label: own.zones[at].count for label, own in ordered}, tracked)
        for at, zone in enumerate(everything.zones)
    ]
    lines = [
        _line(line.count, {label: own.lines[at].count for label, own in ordered})
        for at, line in enumerate(everything.lines)
    ]
    return zones, lines


def _frames(seen: Seen, context: Context) -> Iterator[FrameItems]:
    for number, frame in enumerate(seen.frames()):
        if number % 256 == 0:
            context.check_cancelled()
        yield frame


def _visit(visit: Visit) -> DetectObjectsVisit:
    return DetectObjectsVisit(
        label=visit.label,
        start_s=round(visit.start_s, 3),
        end_s=round(visit.end_s, 3),
        most_at_once=visit.most_at_once,
    )


def _zone(zone: ZoneCount, by_label: Mapping[str, ZoneCount], tracked: bool) -> DetectObjectsZoneCounts:
    """The counts; labels that were never inside are left out."""

    def inside(own: ZoneCount) -> dict[str, Any]:
        moved = {"objects": own.objects, "entered": own.entered, "left": own.left}
        return {"most_at_once": own.most_at_once, **(moved if tracked else dict.fromkeys(moved))}

    labels = {label: inside(own) for label, own in by_label.items() if own.most_at_once}
    return DetectObjectsZoneCounts.model_validate({"name": zone.name, **inside(zone), "by_label": labels})


def _line(line: LineCount, by_label: Mapping[str, LineCount]) -> DetectObjectsLineCounts:
    """The counts; labels that never crossed are left out."""

    def crossings(own: LineCount) -> dict[str, Any]:
        return {"in": own.inward, "out": own.outward}

    labels = {label: crossings(own) for label, own in by_label.items() if own.inward or own.outward}
    return DetectObjectsLineCounts.model_validate({"name": line.name, **crossings(line), "by_label": labels})
