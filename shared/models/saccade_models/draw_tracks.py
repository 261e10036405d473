"""Drawing of objects that are followed and counted: boxes with ids, ways, zones and lines.

All draw in place on contiguous (H, W, 3) uint8 BGR, in sizes that follow from the picture's (``draw``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from saccade_models.counting import Line, Zone, middle
from saccade_models.draw import Bgr, Label, LabelColors, bgr, draw_box, draw_labels, draw_polygon, line_width, text_size
from saccade_models.images import Pixels
from saccade_models.media.look import Item

ZONE_COLOR, LINE_COLOR = bgr("#ffd700"), bgr("#00a5c8")


def draw_objects(pixels: Pixels, items: Sequence[Item], colors: LabelColors, captions: Iterable[Label] = ()) -> None:
    """Boxes, and above them all ``captions`` first, then the objects' labels as far as they have room.

    A label is ``person #3 0.87``, without the score on a small box, or the shorter ``person #3`` or ``#3``; it gives
    the box's colour. Followed objects come in the order of their ids, so that labels stay from frame to frame.
    """
    for item in items:
        draw_box(pixels, item["box"], colors[item["label"]])
    labels = [Label(item["box"], _texts(pixels, item), colors[item["label"]]) for item in sorted(items, key=_rank)]
    draw_labels(pixels, [*captions, *labels], keep_clear=[item["box"] for item in items])


def _texts(pixels: Pixels, item: Item) -> list[str]:
    number = f"#{item['track_id']}" if item.get("track_id") is not None else ""
    name = f"{item['label']} {number}".rstrip()
    roomy = item["box"][2] - item["box"][0] >= 3 * text_size(pixels)
    return [f"{name} {item['score']:.2f}" if roomy else name, name, number]


def _rank(item: Item) -> tuple[float, float]:
    """What is followed first, in a fixed order, then by score."""
    track_id = item.get("track_id")
    return (np.inf if track_id is None else track_id, -item["score"])


def draw_zone(pixels: Pixels, zone: Zone) -> None:
    """The zone's outline, and a light tint inside."""
    corners = np.rint(np.asarray(zone.polygon, dtype=np.float64)).astype(np.int32)
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), (corners.max(axis=0) + 1).tolist()
    inside = pixels[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
    if inside.size:
        tinted = inside.copy()
        cv2.fillPoly(tinted, [corners - (max(0, x1), max(0, y1))], ZONE_COLOR)
        inside[:] = cv2.addWeighted(tinted, 0.1, inside, 0.9, 0)
    draw_polygon(pixels, zone.polygon, ZONE_COLOR)


def zone_caption(zone: Zone, caption: str) -> Label:
    """Words above the zone."""
    corners = np.asarray(zone.polygon, dtype=np.float64)
    return Label((*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()), (caption,), ZONE_COLOR)


def draw_line(pixels: Pixels, line: Line) -> None:
    """The line, and an arrow from its middle to where ``in`` leads."""
    width = 2 * line_width(pixels)
    start, end = np.asarray(line.start, dtype=np.float64), np.asarray(line.end, dtype=np.float64)
    centre = (start + end) / 2
    to_the_right = np.array([-(end - start)[1], (end - start)[0]]) / line.length
    tip = centre + to_the_right * 10 * width
    cv2.line(pixels, _point(start), _point(end), LINE_COLOR, width, cv2.LINE_AA)
    cv2.arrowedLine(pixels, _point(centre), _point(tip), LINE_COLOR, width, cv2.LINE_AA, tipLength=0.4)


def line_caption(pixels: Pixels, line: Line, caption: str) -> Label:
    """Words above the line, near its start."""
    width = line_width(pixels)
    x, y = (at + 0.1 * (to - at) for at, to in zip(line.start, line.end, strict=True))
    return Label((x, y - width, x, y + width), (caption,), LINE_COLOR)


class Ways:
    """The last ``length`` places of each object's middle, drawn as a line that follows it."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._places: dict[int, tuple[Bgr, deque[tuple[int, int]]]] = {}

    def see(self, items: Sequence[Item], colors: LabelColors) -> None:
        """The next frame's items; what was not seen for a while loses its way."""
        for item in items:
            if "track_id" in item:
                _, places = self._places.get(item["track_id"], (None, deque[tuple[int, int]]()))
                places.append(_point(middle(item["box"])))
                self._places[item["track_id"]] = (colors[item["label"]], places)
        seen = {item.get("track_id") for item in items}
        for track_id, (_, places) in list(self._places.items()):
            if track_id not in seen or len(places) > self._length:
                places.popleft()
            if not places:
                del self._places[track_id]

    def draw(self, pixels: Pixels) -> None:
        """All of them."""
        for color, places in self._places.values():
            points = [np.array(places, dtype=np.int32)]
            cv2.polylines(
                pixels, points, isClosed=False, color=color, thickness=line_width(pixels), lineType=cv2.LINE_AA
            )


def _point(place: Iterable[float]) -> tuple[int, int]:
    x, y = place
    return round(x), round(y)
