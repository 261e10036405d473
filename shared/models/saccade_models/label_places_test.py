from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from saccade_models.label_places import LabelPlaces

WIDTH, HEIGHT, LABEL = 200, 100, 10


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((50, 40, 120, 80), (50, 30)),  # above
        ((50, 5, 120, 60), (50, 60)),  # below, at the upper edge
        ((50, 5, 120, 98), (50, 5)),  # inside, where there is no room above or below
        ((190, 40, 199, 80), (170, 30)),  # moved into the picture
        ((-80, -80, -10, -10), (0, 0)),
        ((50, 400, 120, 480), (50, 90)),
    ],
)
def test_a_lone_label_has_its_usual_place(box: tuple[int, ...], place: tuple[int, int]) -> None:
    assert LabelPlaces(WIDTH, HEIGHT, LABEL).take(box, 30) == place


def test_further_labels_of_one_box_go_around_and_into_it_until_there_is_no_place() -> None:
    places = LabelPlaces(WIDTH, HEIGHT, LABEL)
    found = [places.take((50, 40, 120, 80), 30) for _ in range(9)]
    assert found == [(50, 30), (90, 30), (50, 80), (90, 80), (50, 40), (90, 40), (50, 70), (90, 70), None]


def test_labels_that_touch_do_not_overlap() -> None:
    places = LabelPlaces(WIDTH, HEIGHT, LABEL)
    assert [places.take((x, 40, x + 30, 80), 30) for x in (0, 30, 60)] == [(0, 30), (30, 30), (60, 30)]
    assert places.take((89, 40, 200, 80), 30) == (170, 30)


def test_small_boxes_stay_in_sight_and_large_ones_need_not() -> None:
    small, large = (55, 28, 65, 42), (50, 10, 120, 40)
    assert LabelPlaces(WIDTH, HEIGHT, LABEL, [small]).take((50, 40, 120, 80), 30) == (90, 30)
    assert LabelPlaces(WIDTH, HEIGHT, LABEL, [large]).take((50, 40, 120, 80), 30) == (50, 30)


@pytest.mark.parametrize(("label_height", "label_width"), [(10, 201), (101, 30)])
def test_what_is_larger_than_the_picture_has_no_place(label_height: int, label_width: int) -> None:
    assert LabelPlaces(WIDTH, HEIGHT, label_height).take((50, 40, 120, 80), label_width) is None


def test_among_many_boxes_no_two_overlap_and_all_are_in_the_picture() -> None:
    random = np.random.default_rng(5)
    corners = random.uniform(-20, [WIDTH, HEIGHT], (300, 2))
    boxes = np.hstack([corners, corners + random.uniform(1, 90, (300, 2))]).tolist()
    places = LabelPlaces(WIDTH, HEIGHT, LABEL, boxes)
    widths = random.integers(5, 40, 300).tolist()
    found = [(places.take(box, width), width) for box, width in zip(boxes, widths, strict=True)]
    taken = [(place, width) for place, width in found if place is not None]
    assert len(taken) > 20
    assert all(0 <= x <= WIDTH - w and 0 <= y <= HEIGHT - LABEL for (x, y), w in taken)
    for ((x, y), w), ((x2, y2), w2) in combinations(taken, 2):
        assert x + w <= x2 or x2 + w2 <= x or abs(y - y2) >= LABEL
