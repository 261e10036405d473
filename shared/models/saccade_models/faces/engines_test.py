from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from saccade_core.assets import asset
from saccade_core.errors import ModelMissing
from saccade_core.testing import LocalContext
from saccade_models.boxes import iou_matrix
from saccade_models.faces import MAX_FOUND, Engine, Face, Settings, detector, found
from saccade_models.images import Pixels
from saccade_models.weights import local_model

GROUPS = ("2007_007763", "2008_001322", "2008_002506", "2009_004587")
PORTRAITS = ("alex_lacamoire_1.png", "biden_1.jpg", "biden_2.jpg", "lin_manuel_miranda.png", "obama_1.jpg",
             "obama_2.jpg", "obama_3.jpg", "obama_partial.jpg")  # fmt: skip
ENGINES: tuple[Engine, ...] = ("yunet", "ssd", "mediapipe", "haar")


def read(path: str) -> Pixels:
    pixels = cv2.imread(str(asset(f"images/{path}")))
    assert pixels is not None
    return np.asarray(pixels, dtype=np.uint8)


def look(engine: Engine, picture: Pixels, folder: Path, settings: Settings | None = None) -> list[Face]:
    return detector(engine, LocalContext(folder, weights=local_model)).detect(picture, settings or Settings())


def marked(group: str) -> list[list[int]]:
    """The faces that were marked by hand."""
    boxes = json.loads(asset("images/groups/face_boxes.json").read_text("utf-8"))[f"{group}.jpg"]
    return [[b["left"], b["top"], b["left"] + b["width"], b["top"] + b["height"]] for b in boxes]


@pytest.mark.parametrize("engine", ["yunet", "ssd"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_marked_face_is_found_and_no_other(engine: Engine, group: str, tmp_path: Path) -> None:
    truth, faces = marked(group), look(engine, read(f"groups/{group}.jpg"), tmp_path)
    assert len(faces) == len(truth)
    overlaps = iou_matrix(truth, [face.box for face in faces])
    assert len(set(overlaps.argmax(axis=1).tolist())) == len(truth)
    assert overlaps.max(axis=1).min() >= 0.5


@pytest.mark.parametrize(("neighbors", "right", "wrong"), [(5, 11, 0), (3, 12, 1)])
def test_haar_is_what_it_is(neighbors: int, right: int, wrong: int, tmp_path: Path) -> None:
    """Of 15 marked faces; 3 is OpenCV's own default for the neighbours."""
    hits = total = 0
    for group in GROUPS:
        faces = look("haar", read(f"groups/{group}.jpg"), tmp_path, Settings(min_neighbors=neighbors))
        overlaps = iou_matrix([f.box for f in faces], marked(group))
        hits, total = hits + int((overlaps.max(axis=1) >= 0.5).sum()), total + len(faces)
    assert (hits, total - hits) == (right, wrong)


@pytest.mark.parametrize("portrait", PORTRAITS)
def test_yunet_finds_one_face_on_each_portrait_with_its_points_in_place(portrait: str, tmp_path: Path) -> None:
    (face,) = look("yunet", read(f"faces/{portrait}"), tmp_path)
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    x1, y1, x2, y2 = face.box
    assert all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in face.landmarks)
    assert right_eye[0] < left_eye[0] and right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


@pytest.mark.parametrize("portrait", PORTRAITS[:5])
def test_mediapipe_finds_the_same_face(portrait: str, tmp_path: Path) -> None:
    picture = read(f"faces/{portrait}")
    (face,), (ours,) = look("mediapipe", picture, tmp_path), look("yunet", picture, tmp_path)
    assert iou_matrix([face.box], [ours.box])[0, 0] > 0.4
    assert len(face.landmarks) == 6
    eyes = np.linalg.norm(np.array(face.landmarks[:3]) - np.array(ours.landmarks[:3]), axis=1)
    assert eyes.max() < 0.2 * ours.width


@pytest.mark.parametrize("picture", ["template_matching/game.jpg", "template_matching/coin.jpg", "ops/shapes.png"])
def test_yunet_invents_no_face(picture: str, tmp_path: Path) -> None:
    assert look("yunet", read(picture), tmp_path) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_pictures_of_any_size_and_shape(engine: Engine, tmp_path: Path) -> None:
    for width, height in ((1, 1), (7, 5), (3000, 3), (2, 900)):
        assert look(engine, np.full((height, width, 3), 90, np.uint8), tmp_path) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_boxes_stay_in_the_picture_and_best_is_first(engine: Engine, tmp_path: Path) -> None:
    portrait = read("faces/obama_1.jpg")
    cut = np.ascontiguousarray(portrait[:430, 300:560])  # the face reaches over the edges
    for picture in (cut, read("groups/2007_007763.jpg")):
        faces = look(engine, picture, tmp_path, Settings(min_score=0.05, min_neighbors=1))
        height, width = picture.shape[:2]
        assert faces or (engine == "haar" and picture is cut)
        assert all(0 <= f.box[0] < f.box[2] <= width and 0 <= f.box[1] < f.box[3] <= height for f in faces)
        scores = [f.score for f in faces]
        assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_face_of_a_large_picture_lies_where_it_is_in_the_small_one(engine: Engine, tmp_path: Path) -> None:
    small = read("faces/lin_manuel_miranda.png")
    large = np.asarray(cv2.resize(small, None, fx=3, fy=3, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    (here,), (there,) = look(engine, small, tmp_path), look(engine, large, tmp_path)
    assert iou_matrix([[v * 3 for v in here.box]], [there.box])[0, 0] > 0.75


def test_min_score_counts(tmp_path: Path) -> None:
    picture = read("groups/2008_002506.jpg")
    for engine in ENGINES:
        faces = look(engine, picture, tmp_path)
        assert [f.score for f in look(engine, picture, tmp_path, Settings(min_score=0.92))] == pytest.approx(
            [f.score for f in faces if f.score >= 0.92]
        )


def test_only_the_best_of_very_many_are_faces() -> None:
    picture = np.zeros((50, 100, 3), np.uint8)
    scores = np.random.default_rng(5).random(2000)
    outside = [[200, 0, 210, 9]] * 10
    faces = found([*outside, *[[0, 0, 9, 9]] * 2000], [*[1.0] * 10, *scores], picture)
    assert [f.score for f in faces] == sorted(scores.tolist(), reverse=True)[:MAX_FOUND]


def test_what_lies_outside_is_dropped() -> None:
    picture = np.zeros((50, 100, 3), np.uint8)
    faces = found([[-5, -5, 10, 10], [100, 0, 130, 40], [20, 20, 30, 70]], [0.5, 0.9, 1.2], picture)
    assert [(f.box, f.score) for f in faces] == [((20, 20, 30, 50), 1.0), ((0, 0, 10, 10), 0.5)]


def test_what_was_used_is_noted_and_missing_weights_are_an_error(tmp_path: Path) -> None:
    context = LocalContext(tmp_path, weights=local_model)
    for engine in ENGINES:
        detector(engine, context)
    assert [name for name, _, _ in context.models] == [
        "yunet", "face_ssd", "blaze_face", "haarcascade_frontalface_default"
    ]  # fmt: skip
    with pytest.raises(ModelMissing):
        detector("yunet", LocalContext(tmp_path))
