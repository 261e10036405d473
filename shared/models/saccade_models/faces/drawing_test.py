from __future__ import annotations

import numpy as np
import pytest

from saccade_models.draw import bgr
from saccade_models.faces.drawing import FaceMark, draw_faces, has_room
from saccade_models.images import Pixels


def blank(width: int, height: int) -> Pixels:
    return np.full((height, width, 3), 90, dtype=np.uint8)


@pytest.mark.parametrize(("picture", "face"), [(320, 24), (640, 50), (640, 300), (3840, 50), (3840, 100), (3840, 1500)])
def test_dots_are_as_large_as_their_face_allows(picture: int, face: int) -> None:
    pixels, middle = blank(picture, picture), 10 + face / 2
    draw_faces(pixels, [FaceMark((10, 10, 10 + face, 10 + face), landmarks=[(middle, middle)])])
    quarter = face // 4
    inside = (pixels[10 + quarter : 10 + 3 * quarter, 10 + quarter : 10 + 3 * quarter] != 90).any(axis=2)
    rows, columns = np.nonzero(inside)
    around = 4 if face > 50 else 0  # a dark edge, and smoothing
    for extent in (np.ptp(rows) + 1, np.ptp(columns) + 1):
        assert max(1, int(0.03 * face)) <= extent <= max(1, 0.03 * face + around)
    assert len(rows) >= 0.3 * (0.03 * face) ** 2


@pytest.mark.parametrize("face", [20.0, 100.0, 600.0])
def test_dots_may_lie_outside_the_picture(face: float) -> None:
    pixels = blank(60, 40)
    far = [(-5.0, -5.0), (-0.5, 20.0), (60.0, 40.0), (59.9, 39.9), (1e6, 1e6)]
    draw_faces(pixels, [FaceMark((5, 5, 5 + face, 5 + face), landmarks=far)])
    assert (pixels[39, 59] != 90).any()
    assert (pixels[0, 0] == 90).all() or face > 100


def test_captions_of_neighbours_do_not_cover_each_other() -> None:
    left, right = bgr("#3cb44b"), bgr("#000075")
    pixels = blank(320, 200)
    box = [100.0, 80.0, 130.0, 110.0]
    marks = [
        FaceMark(box, "somebody else 0.81", color=left, short="somebody else"),
        FaceMark([v + 10 for v in box], "obama 0.77", color=right, short="obama"),
    ]
    draw_faces(pixels, marks)
    plates = [(pixels == color).all(axis=2) for color in (left, right)]
    assert plates[0][:79].sum() > 500  # above
    assert plates[1][121:].sum() > 300  # below


def test_small_faces_have_captions_and_tiny_ones_none() -> None:
    pixels = blank(500, 375)
    assert has_room(pixels, (10, 10, 35, 40))
    assert not has_room(pixels, (10, 10, 20, 22))
