from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade_models.counting import Line, LineCounter, Visit, VisitCounter, Zone, ZoneCounter, count
from saccade_models.media import FrameItems, Item


def thing(x: float, y: float, track_id: int | None = None, *, label: str = "car", score: float = 0.8) -> Item:
    """An object 20 wide and 10 high with its middle at x, y."""
    item: Item = {"label": label, "score": score, "box": [x - 10, y - 5, x + 10, y + 5]}
    return item if track_id is None else {**item, "track_id": track_id}


def frames(*items: list[Item], step_s: float = 0.1) -> list[FrameItems]:
    return [FrameItems(i, i * step_s, list(found)) for i, found in enumerate(items)]


# Lines ---------------------------------------------------------------------------------------------------

LINE = Line("gate", (0, 100), (200, 100))


def over(line: Line, *ways: list[tuple[float, float]]) -> tuple[int, int]:
    """(in, out) of objects that go these ways at the same time."""
    counter = LineCounter(line)
    for places in zip(*ways, strict=True):
        counter.see([thing(x, y, number) for number, (x, y) in enumerate(places)])
    return counter.count.inward, counter.count.outward


def test_in_is_from_left_to_right_of_who_walks_from_start_to_end() -> None:
    down, up = [(50.0, 80.0), (50.0, 120.0)], [(150.0, 120.0), (150.0, 80.0)]
    assert over(LINE, down) == (1, 0)
    assert over(LINE, up) == (0, 1)
    assert over(LINE, down, up) == (1, 1)
    assert over(Line("gate", LINE.end, LINE.start), down) == (0, 1)
    upwards = Line("wall", (100, 200), (100, 0))  # its right is the picture's right
    assert over(upwards, [(80.0, 50.0), (120.0, 50.0)]) == (1, 0)


def test_past_its_ends_is_not_over_it() -> None:
    assert over(LINE, [(230.0, 50.0), (230.0, 150.0)]) == (0, 0)
    assert over(LINE, [(150.0, 50.0), (240.0, 150.0)]) == (1, 0)  # through at x = 195
    assert over(LINE, [(160.0, 50.0), (250.0, 150.0)]) == (0, 0)  # through at x = 205


def test_wavering_on_the_line_counts_once() -> None:
    wavers = [(50.0, 90.0), *[(50.0, 100 + d) for d in (-0.9, 0.9) * 20], (50.0, 110.0)]
    assert over(LINE, wavers) == (1, 0)
    assert over(LINE, wavers[:-1]) == (0, 0)
    assert over(LINE, [(50.0, 100.0 + (-1) ** i * 20) for i in range(9)]) == (1, 1)


def test_a_jump_over_it_counts_and_what_is_not_followed_does_not() -> None:
    assert over(LINE, [(50.0, 0.0), (60.0, 400.0)]) == (1, 0)
    counter = LineCounter(LINE)
    counter.see([thing(50, 80)])
    counter.see([thing(50, 120)])
    assert (counter.count.inward, counter.count.outward) == (0, 0)


coordinate = st.integers(-300, 300)


@given(
    st.tuples(coordinate, coordinate), st.tuples(coordinate, coordinate), st.lists(st.tuples(coordinate, coordinate))
)
def test_turning_a_line_swaps_in_and_out(
    start: tuple[int, int], end: tuple[int, int], way: list[tuple[int, int]]
) -> None:
    if start == end:
        return
    forth, back = over(Line("l", start, end), list(way)), over(Line("l", end, start), list(way))
    assert forth == back[::-1]
    assert max(forth) <= 1


@given(st.lists(st.tuples(coordinate, coordinate), min_size=1), st.floats(0, 2 * math.pi))
def test_a_way_that_returns_to_its_side_crosses_as_often_in_as_out(way: list[tuple[int, int]], turn: float) -> None:
    far = (1000 * math.cos(turn), 1000 * math.sin(turn))
    line = Line("l", (far[0], far[1]), (-far[0], -far[1]))
    home = (-2000 * math.sin(turn), 2000 * math.cos(turn))
    inward, outward = over(line, [home, *way, home])
    assert inward == outward


# Zones ---------------------------------------------------------------------------------------------------

ZONE = Zone("yard", [(0, 0), (100, 0), (100, 100), (0, 100)])


def test_a_zone_holds_what_stands_in_it() -> None:
    assert ZONE.holds(thing(50, 50))
    assert ZONE.holds(thing(50, 95))  # its feet on the border
    assert not ZONE.holds(thing(50, 96))
    assert ZONE.holds(thing(50, -4))
    bay = Zone("bay", [(0, 0), (100, 0), (100, 100), (50, 20), (0, 100)])
    assert not bay.holds(thing(50, 60))
    assert bay.holds(thing(4, 60))


def test_zones_count_each_object_once() -> None:
    counter = ZoneCounter(ZONE)
    steps = [
        [thing(50, 50, 1), thing(150, 50, 2), thing(150, 50, 3)],
        [thing(50, 50, 1), thing(90, 50, 2), thing(150, 50, 3), thing(20, 20)],
        [thing(50, 50, 1), thing(150, 50, 2), thing(150, 50, 3)],
        [thing(50, 50, 1), thing(90, 50, 2), thing(150, 50, 3)],
        [thing(150, 50, 1), thing(150, 50, 2), thing(150, 50, 3)],
    ]
    now: list[int] = []
    for items in steps:
        counter.see(items)
        now.append(counter.count.now)
    assert now == [1, 3, 1, 2, 0]
    found = counter.count
    assert (found.most_at_once, found.objects, found.entered, found.left) == (3, 2, 1, 2)


# Visits --------------------------------------------------------------------------------------------------


def visits(seen_s: list[tuple[float, int]], interval_s: float = 0.1) -> list[Visit]:
    counter = VisitCounter(interval_s)
    for time_s, number in seen_s:
        counter.see(time_s, [thing(0, 0)] * number)
    return counter.visits()


def at(start: float, stop: float, number: int = 1, step: float = 0.1) -> list[tuple[float, int]]:
    return [(start + i * step, number) for i in range(round((stop - start) / step) + 1)]


def test_short_absences_do_not_end_a_visit() -> None:
    found = visits([*at(1, 3), *at(4.9, 6, 2), *at(8.1, 9)])
    assert [(v.label, round(v.start_s, 6), round(v.end_s, 6), v.most_at_once) for v in found] == [
        ("car", 1, 6, 2),
        ("car", 8.1, 9, 1),
    ]


def test_what_is_seen_only_shortly_is_no_visit() -> None:
    assert visits([(1.0, 1), (1.1, 1)]) == []
    assert visits([(1.0, 1), (2.5, 1)]) == []
    assert len(visits(at(1, 1.4))) == 1
    assert visits(at(1, 1.3)) == []


def test_few_frames_a_second_are_enough() -> None:
    assert len(visits([(2.0, 1)], interval_s=1.0)) == 1
    assert len(visits([(0.0, 1), (2.0, 1), (4.0, 1), (20.0, 1)], interval_s=2.0)) == 2


@given(st.lists(st.integers(0, 2), max_size=200))
def test_visits_are_apart_and_hold_all_that_was_seen_for_long(numbers: list[int]) -> None:
    found = visits([(i / 10, n) for i, n in enumerate(numbers)])
    assert all(b.start_s - a.end_s >= 2 - 1e-9 for a, b in pairwise(found))
    for visit in found:
        first, last = round(visit.start_s * 10), round(visit.end_s * 10)
        assert numbers[first] and numbers[last]
        assert visit.most_at_once == max(numbers[first : last + 1])
    covered = {i for v in found for i in range(round(v.start_s * 10), round(v.end_s * 10) + 1)}
    for i in range(len(numbers) - 4):
        if all(numbers[i : i + 5]):
            assert i in covered


# All together --------------------------------------------------------------------------------------------


def test_a_track_is_what_it_mostly_was() -> None:
    seen = frames(
        [thing(50, 80, 1, label="truck", score=0.4), thing(0, 0, 2, label="bus")],
        [thing(50, 90, 1, label="truck", score=0.4)],
        [thing(50, 110, 1, label="car", score=0.9), thing(0, 0, label="car")],
    )
    found = count(seen, interval_s=0.1, zones=[ZONE], lines=[LINE], tracked=True)
    assert found.tracks == {"bus": 1, "car": 1}
    assert (found.lines[0].inward, found.lines[0].outward) == (1, 0)
    assert (found.zones[0].objects, found.zones[0].left) == (2, 1)


def test_of_a_picture_zones_count_what_is_inside() -> None:
    found = count([FrameItems(0, 0, [thing(50, 50), thing(60, 50), thing(500, 50)])], interval_s=1, zones=[ZONE])
    assert found.tracks is None
    assert found.zones[0].most_at_once == 2


def test_nothing_gives_nothing() -> None:
    found = count([], interval_s=0.1, zones=[ZONE], lines=[LINE], tracked=True)
    assert (found.tracks, list(found.visits), found.zones[0].most_at_once, found.lines[0].inward) == ({}, [], 0, 0)


def test_a_line_needs_two_points() -> None:
    with pytest.raises(ValueError, match="from one point to another"):
        Line("dot", (3, 3), (3, 3))
