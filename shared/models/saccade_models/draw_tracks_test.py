from __future__ import annotations

import numpy as np

from saccade_models.draw import Label, LabelColors, bgr, draw_labels
from saccade_models.draw_tracks import draw_objects
from saccade_models.images import Pixels
from saccade_models.media import Item

BOX = [100.0, 80.0, 220.0, 160.0]


def drawn(items: list[Item], captions: list[Label] | None = None) -> Pixels:
    pixels: Pixels = np.full((200, 320, 3), 90, dtype=np.uint8)
    draw_objects(pixels, items, LabelColors(by_label_only=True), captions or [])
    return pixels


def item(track_id: int | None, score: float, box: list[float] = BOX) -> Item:
    number = {} if track_id is None else {"track_id": track_id}
    return {"label": "person", "score": score, "box": box, **number}


def test_labels_of_followed_objects_keep_their_places_when_scores_and_order_change() -> None:
    near = [130.0, 80.0, 250.0, 160.0]
    first = drawn([item(1, 0.5), item(2, 0.5, near)])
    assert (drawn([item(2, 0.5, near), item(1, 0.5)]) == first).all()
    other = drawn([item(2, 0.9, near), item(1, 0.5)])
    assert (other[:80] == first[:80]).all()  # the label of 1, above its box, is the same
    assert not (other == first).all()


def test_what_is_not_followed_comes_after_by_its_score() -> None:
    alone = drawn([item(7, 0.3)])
    both = drawn([item(None, 0.99), item(None, 0.2), item(7, 0.3)])
    assert (both[:80, :150] == alone[:80, :150]).all()


def test_an_object_finds_a_place_beside_a_caption() -> None:
    caption = Label(BOX, ("yard: 3",), bgr("#ffd700"))
    alone: Pixels = np.full((200, 320, 3), 90, dtype=np.uint8)
    draw_labels(alone, [caption])
    plate = (alone != 90).any(axis=2)
    both = drawn([item(1, 0.5)], [caption])
    assert plate.any()
    assert (both[plate] == alone[plate]).all()
    assert (both[160:] != 90).any()  # the object's label went below


def test_a_small_box_has_no_score() -> None:
    small = [100.0, 80.0, 120.0, 160.0]
    assert (drawn([item(1, 0.5, small)]) == drawn([item(1, 0.9, small)])).all()
    assert not (drawn([item(1, 0.5)]) == drawn([item(1, 0.9)])).all()
