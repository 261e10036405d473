from __future__ import annotations

import numpy as np
import pytest

from saccade_models.counting import Line, Zone
from saccade_models.draw import LabelColors
from saccade_models.following import Following
from saccade_models.images import Pixels
from saccade_models.media import FrameItems, Item
from saccade_models.video_types import VideoFacts

FACTS = VideoFacts(width=640, height=360, fps=10, frames=30, duration_s=3, codec="h264")
ZONE = Zone("yard", [(0, 200), (640, 200), (640, 360), (0, 360)])
LINE = Line("gate", (20, 180), (620, 180))


def falling(index: int) -> list[Item]:
    top = 10.0 + 10 * index
    return [{"label": "person", "score": 0.9, "box": [300, top, 350, top + 60]}]


def followed(frames: int = 20) -> tuple[Following, list[FrameItems]]:
    following = Following(min_score=0.25, zones=[ZONE], lines=[LINE])
    return following, list(following.relate((FrameItems(i, i / 10, falling(i)) for i in range(frames)), FACTS))


def drawn(following: Following, items: list[Item], width: int = 640, height: int = 360) -> Pixels:
    pixels: Pixels = np.full((height, width, 3), 90, dtype=np.uint8)
    following.draw(pixels, items, LabelColors())
    return pixels


def test_objects_get_ids_and_leave_their_way_behind() -> None:
    following, frames = followed()
    assert [item.get("track_id") for frame in frames for item in frame.items] == [None, *[1] * 19]
    pixels = [drawn(following, frame.items) for frame in frames][-1]
    color = LabelColors()["person"]
    way = pixels[80:180, 325]  # above the box of the last frame, below the place of the first
    assert (way == color).all(axis=1).mean() > 0.9


def test_counts_grow_while_it_draws() -> None:
    following, frames = followed()
    captions = [drawn(following, frame.items)[150:176, 60:200].tobytes() for frame in frames]
    assert captions[-1] != captions[0]  # "0 in" became "1 in"
    assert len(set(captions)) == 2


def test_without_tracks_there_are_zones_only() -> None:
    plain = Following(min_score=0.25, zones=[ZONE], lines=[LINE])
    pixels = drawn(plain, falling(14))
    assert (pixels[180, 100] == 90).all()  # no line
    assert not (pixels[300, 100] == 90).all()  # the zone's tint
    assert not (pixels[170:210, 300:350] == 90).all()


@pytest.mark.parametrize(("width", "height"), [(32, 24), (320, 180), (3840, 2160)])
def test_zones_and_lines_may_reach_out_of_the_picture(width: int, height: int) -> None:
    far = [(-500.0, -500.0), (width + 900.0, -50.0), (width / 2, height + 700.0)]
    lines = [Line("across", (-100, -100), (width + 100, height + 100)), Line("away", (9000, 9000), (9100, 9100))]
    zones = [Zone("wide", far), Zone("away", [(9000, 9000), (9100, 9000), (9050, 9100)])]
    following = Following(min_score=0.25, zones=zones, lines=lines)
    item: Item = {"label": "car", "score": 0.5, "box": [-20.0, -20.0, width + 20.0, height + 20.0]}
    frames = list(following.relate([FrameItems(i, i / 10, [item]) for i in range(3)], FACTS))
    assert all(drawn(following, frame.items, width, height).max() > 90 for frame in frames)
