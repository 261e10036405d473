from __future__ import annotations

import numpy as np
import pytest

from saccade_models.media import FrameItems, Item
from saccade_models.tracking import track

FPS = 25.0


def box(x: float, y: float, *, label: str = "car", score: float = 0.8, size: float = 40) -> Item:
    return {"label": label, "class_id": 2, "score": score, "box": [x, y, x + size, y + size]}


def clip(*frames: list[Item], fps: float = FPS, times: list[float] | None = None) -> list[FrameItems]:
    return [FrameItems(i, times[i] if times else i / fps, list(items)) for i, items in enumerate(frames)]


def followed(frames: list[FrameItems], *, fps: float = FPS, min_score: float = 0.25) -> list[list[int | None]]:
    """The ids in each frame."""
    found = list(track(frames, fps=fps, min_score=min_score))
    assert [(f.index, f.time_s, len(f.items)) for f in found] == [(f.index, f.time_s, len(f.items)) for f in frames]
    for before, after in zip(frames, found, strict=True):
        assert [{k: v for k, v in item.items() if k != "track_id"} for item in after.items] == before.items
    return [[item.get("track_id") for item in frame.items] for frame in found]


def test_two_objects_keep_their_ids_through_each_other() -> None:
    frames = clip(*[[box(10 + 8 * i, 100), box(330 - 8 * i, 112)] for i in range(40)])
    ids = followed(frames)
    assert ids[0] == [None, None]  # an object is one when it is seen again
    assert ids[1:] == [[1, 2]] * 39


def test_ids_count_up_in_order_of_appearance() -> None:
    frames = clip(*[[box(400, 200)] * (i > 9) + [box(10 + i, 10)] + [box(200, 300)] * (i > 19) for i in range(30)])
    ids = followed(frames)
    assert ids[9] == [1]
    assert ids[15] == [2, 1]
    assert ids[29] == [2, 1, 3]


def test_a_short_absence_keeps_the_id_and_a_long_one_does_not() -> None:
    def absent(frames: int) -> list[list[int | None]]:
        return followed(clip(*[[box(100 + i, 100)] * (not 10 <= i < 10 + frames) for i in range(60)]))

    assert absent(20)[-1] == [1]
    assert absent(30)[-1] == [2]


@pytest.mark.parametrize("fps", [1.0, 5.0])
def test_patience_reaches_over_some_frames_where_few_are_looked_at(fps: float) -> None:
    frames = clip(*[[box(100 + i, 100)] * (i not in {4, 5}) for i in range(12)], fps=fps)
    assert followed(frames, fps=fps)[-1] == [1]


def test_time_counts_where_the_rate_varies() -> None:
    times = [i / FPS for i in range(10)] + [5 + i / FPS for i in range(10)]
    ids = followed(clip(*[[box(100, 100)]] * 20, times=times))
    assert ids[9] == [1]
    assert ids[-1] == [2]


def test_one_object_whose_label_wavers_is_one() -> None:
    frames = clip(*[[box(100 + 2 * i, 100, label="car" if i % 3 else "truck")] for i in range(30)])
    assert followed(frames)[1:] == [[1]] * 29


def test_one_object_seen_as_two_things_is_one() -> None:
    frames = clip(*[[box(100, 100, score=0.5), box(101, 100, label="truck", score=0.7)] for _ in range(10)])
    assert followed(frames)[1:] == [[None, 1]] * 9


def test_weak_ones_carry_a_track_on_but_begin_none() -> None:
    strong_then_weak = clip(*[[box(100, 100, score=0.9 if i < 5 else 0.27)] for i in range(20)])
    assert followed(strong_then_weak)[-1] == [1]
    weak = clip(*[[box(100, 100, score=0.27)] for _ in range(20)])
    assert followed(weak)[-1] == [None]
    assert followed(weak, min_score=0.1)[-1] == [1]


def test_the_same_frames_give_the_same_ids() -> None:
    random = np.random.default_rng(5)
    frames = clip(
        *[
            [box(600 * x, 400 * y, score=0.25 + 0.7 * s) for x, y, s in random.random((n, 3)).tolist()]
            for n in random.integers(0, 12, 100)
        ]
    )
    assert followed(frames) == followed(frames)


def test_empty_frames() -> None:
    assert followed(clip(*[[]] * 5)) == [[]] * 5
    assert followed([]) == []
    assert followed(clip(*[[box(100, 100)] * (i % 40 < 3) for i in range(80)]))[42] == [2]
