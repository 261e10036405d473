"""Zones and lines of a request, and the drawing of what was found."""

from __future__ import annotations

from saccade_kinds.detect_objects.contract import DetectObjectsParams
from saccade_models.counting import Line, Zone
from saccade_models.following import Following


def zones_of(params: DetectObjectsParams) -> list[Zone]:
    """The zones to count in."""
    return [Zone(zone.name, zone.polygon) for zone in params.zones]


def lines_of(params: DetectObjectsParams) -> list[Line]:
    """The lines to count over."""
    return [Line(line.name, line.start, line.end) for line in params.lines]


def following(params: DetectObjectsParams) -> Following:
    """Follows objects, and draws them with the zones and lines."""
    return Following(min_score=params.min_score, every_n=params.every_n, zones=zones_of(params), lines=lines_of(params))
