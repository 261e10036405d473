from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from saccade_core.assets import asset
from saccade_core.errors import EngineFailed
from saccade_models.faces import yunet
from saccade_models.images import Pixels
from saccade_models.landmarks import Settings, Subject, What, load
from saccade_models.landmarks.draw import COLORS, draw_subject
from saccade_models.landmarks.skeletons import FACE_MESH, HAND, LEFT_EYE, POSE, RIGHT_EYE
from saccade_models.weights import local_model

MODELS: dict[What, str] = {
    "face_mesh": "face_landmarker",
    "hands": "hand_landmarker",
    "pose": "pose_landmarker",
    "holistic": "holistic_landmarker",
}
PORTRAITS = (
    "alex_lacamoire_1.png",
    "biden_1.jpg",
    "biden_2.jpg",
    "lin_manuel_miranda.png",
    "obama_1.jpg",
    "obama_2.jpg",
    "obama_3.jpg",
    "obama_partial.jpg",
)
#: The raised hand, as seen by looking at the photos; in the first, of a mirrored shop sign, it is the mirrored one.
HANDS = {
    "call_044768ad.jpg": "left",
    "call_17b3aa02.jpg": "left",
    "four_06aa70cc.jpg": "left",
    "four_105f8f8e.jpg": "right",
    "four_15a73593.jpg": "left",
    "none_0a71a6e8.jpg": "left",
    "rock_026fd791.jpg": "right",
    "rock_0cc7ad09.jpg": "right",
}
NOBODY = ("images/faces/obama_2.jpg", "images/people/COCO_val2014_000000000192.jpg")


def picture(name: str) -> Pixels:
    pixels = cv2.imread(str(asset(name)))
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def find(what: What, pixels: Pixels, settings: Settings | None = None) -> list[Subject]:
    return load(what, local_model(MODELS[what]).path, settings or Settings()).find(pixels)


def one(what: What, pixels: Pixels) -> Subject:
    (subject,) = find(what, pixels)
    return subject


def center(points: NDArray[np.float64], lines: NDArray[np.intp]) -> NDArray[np.float64]:
    return points[np.unique(lines), :2].mean(axis=0)


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_has_one_mesh_whose_eyes_are_where_another_detector_sees_them(name: str) -> None:
    pixels = picture(f"images/faces/{name}")
    mesh = one("face_mesh", pixels)
    assert mesh.what == "face_mesh"
    assert mesh.points.shape == (478, 3)
    assert len(mesh.blendshapes) == 52
    assert all(0 <= value <= 1 for value in mesh.blendshapes.values())
    face = yunet.load(local_model("yunet").path).detect(pixels)[0]
    for eye, lines in ((face.landmarks[0], RIGHT_EYE), (face.landmarks[1], LEFT_EYE)):
        distance = float(np.linalg.norm(center(mesh.points, lines) - eye))
        assert distance < 0.1 * face.width, "left and right are the person's own"
    x1, y1, x2, y2 = face.box
    inside = (mesh.points[:, :2] > (x1 - 0.2 * face.width, y1 - 0.2 * face.height)).all(axis=1)
    inside &= (mesh.points[:, :2] < (x2 + 0.2 * face.width, y2 + 0.2 * face.height)).all(axis=1)
    assert inside.mean() > 0.9  # of a face at the picture's edge YuNet's box is cut off


def test_faces_too_small_are_not_invented() -> None:
    assert find("face_mesh", picture("images/faces/obama_and_biden.jpg")) == []


@pytest.mark.parametrize(("name", "side"), HANDS.items())
def test_a_raised_hand_and_its_body(name: str, side: str) -> None:
    pixels = picture(f"images/hands/{name}")
    hand, pose = one("hands", pixels), one("pose", pixels)
    assert (hand.points.shape, hand.handedness) == ((21, 3), side)
    assert pose.points.shape == (33, 3)
    assert pose.visibility is not None and pose.visibility.shape == (33,)
    assert 0.5 < (pose.score or 0) <= 1
    height, width = pixels.shape[:2]
    assert ((hand.points[:, :2] > 0) & (hand.points[:, :2] < (width, height))).all()
    # The wrist of that side of the body is where the hand's wrist is, not the other's.
    here, there = (15, 16) if side == "left" else (16, 15)
    distances = [float(np.linalg.norm(pose.points[i, :2] - hand.points[0, :2])) for i in (here, there)]
    assert distances[0] < 0.1 * height < distances[1]


def test_a_mirrored_hand_is_the_other_one() -> None:
    pixels = picture("images/hands/four_105f8f8e.jpg")
    straight, mirrored = one("hands", pixels), one("hands", np.ascontiguousarray(pixels[:, ::-1]))
    assert (straight.handedness, mirrored.handedness) == ("right", "left")


@pytest.mark.parametrize("what", ["hands", "pose", "holistic"])
@pytest.mark.parametrize("name", NOBODY)
def test_nobody_is_invented(what: What, name: str) -> None:
    assert find(what, picture(name)) == []


def counts(subjects: list[Subject]) -> Counter[str]:
    assert {"face_mesh": 478, "pose": 33, "hand": 21}.items() >= {s.what: len(s.points) for s in subjects}.items()
    return Counter(s.handedness or s.what for s in subjects)


def test_holistic_remembers_neither_people_nor_sizes() -> None:
    caller, four = picture("images/hands/call_044768ad.jpg"), picture("images/hands/four_105f8f8e.jpg")
    first = find("holistic", caller)
    assert counts(first) == {"face_mesh": 1, "pose": 1, "left": 1}
    assert counts(find("holistic", four)) == {"face_mesh": 1, "pose": 1, "right": 1}
    # Without forgetting, it sees the caller in the next picture of the size.
    nobody = cv2.resize(picture(NOBODY[0]), (caller.shape[1], caller.shape[0]))
    find("holistic", caller)
    assert find("holistic", np.asarray(nobody, np.uint8)) == []
    for size in ((300, 200), (200, 300)):  # more sizes than are kept
        find("holistic", np.zeros((*size, 3), np.uint8))
    for before, after in zip(first, find("holistic", caller), strict=True):
        np.testing.assert_array_equal(before.points, after.points)


def test_settings() -> None:
    pixels = picture("images/faces/obama_1.jpg")
    (mesh,) = find("face_mesh", pixels, Settings(blendshapes=False))
    assert not mesh.blendshapes
    both = np.hstack([pixels, pixels])
    assert len(find("face_mesh", both)) == 2
    assert len(find("face_mesh", both, Settings(max_subjects=1))) == 1
    assert find("face_mesh", pixels, Settings(min_score=1)) == []


@pytest.mark.parametrize("what", MODELS)
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 2)])
def test_odd_sizes_hold_nobody(what: What, size: tuple[int, int]) -> None:
    assert find(what, np.full((*size, 3), 128, np.uint8)) == []


def test_a_task_that_failed_works_again_and_standard_error_stays_clean(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "weights.task"
    landmarker = load("hands", model, Settings())
    pixels = picture("images/hands/four_06aa70cc.jpg")
    with pytest.raises(EngineFailed, match="384x512") as caught:
        landmarker.find(pixels)
    assert str(tmp_path) not in caught.value.message
    model.symlink_to(local_model("hand_landmarker").path)
    assert len(landmarker.find(pixels)) == 1
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_drawing_stays_near_the_points_and_inside_the_picture() -> None:
    pixels = np.full((200, 300, 3), 90, np.uint8)
    hand = np.array([(20 + 4 * i, 30 + 5 * (i % 7)) for i in range(21)], float)
    drawn = pixels.copy()
    draw_subject(drawn, "hand", hand)
    ys, xs = np.nonzero((drawn != pixels).any(axis=2))
    assert 10 < xs.min() < 25 and 95 < xs.max() < 110 and 20 < ys.min() < 32 and 58 < ys.max() < 70
    outside = pixels.copy()
    draw_subject(outside, "hand", np.add(hand, (1000, 0)), handedness="left")
    draw_subject(outside, "face_mesh", np.random.default_rng(0).uniform(-90, -10, (478, 3)))
    draw_subject(outside, "pose", np.full((33, 3), 50.0), visibility=[0.4] * 33)
    assert (outside == pixels).all(), "outside, or not visible"


def test_left_and_right_have_colours_of_their_own() -> None:
    points = np.zeros((33, 3))
    points[[11, 13], :2] = (50, 20), (50, 180)  # the left upper arm
    points[[12, 14], :2] = (250, 20), (250, 180)
    visible = [1.0 if i in {11, 12, 13, 14} else 0.0 for i in range(33)]
    drawn = np.full((200, 300, 3), 90, np.uint8)
    draw_subject(drawn, "pose", points, visibility=visible)
    for x, side in ((50, "left"), (250, "right")):
        arm = drawn[100, x - 3 : x + 3].astype(int)
        distance = {name: np.abs(arm - color).sum(axis=1).min() for name, color in COLORS.items()}
        assert min(distance, key=lambda name: distance[name]) == side


def test_lines_join_points_that_there_are() -> None:
    assert FACE_MESH.shape == (2556, 2) and FACE_MESH.max() == 467
    assert HAND.shape == (21, 2) and set(HAND.ravel()) == set(range(21))
    assert sum(len(lines) for lines in POSE.values()) == 35
    assert {tuple(line) for line in POSE["middle"]} >= {(11, 12), (23, 24)}
