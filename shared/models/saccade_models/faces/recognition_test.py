from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from saccade_core.assets import asset
from saccade_core.testing import LocalContext
from saccade_models.faces import Face
from saccade_models.faces.align import SIDE, TEMPLATE, aligned, similarity
from saccade_models.faces.embed import THRESHOLD, embedder
from saccade_models.faces.quality import GOOD, Quality, faults, measure, subject, yaw
from saccade_models.faces.recognition import MeasuredFace, Recognition
from saccade_models.images import Pixels
from saccade_models.weights import local_model

GOOD_FIGURES = Quality(size=200, sharpness=400, brightness=120, yaw=0, score=0.9)


def recognition(folder: Path) -> Recognition:
    return Recognition.load(LocalContext(folder, weights=local_model))


def picture(name: str) -> Pixels:
    return np.asarray(cv2.imread(str(asset(f"images/faces/{name}"))), dtype=np.uint8)


def faces(name: str, folder: Path) -> list[MeasuredFace]:
    return recognition(folder).faces(picture(name))


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0, math.pi])
def test_the_similarity_transform_is_found_exactly(angle: float) -> None:
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    source = (TEMPLATE - 7) @ rotation.T * 3 + [40, -5]
    matrix = similarity(source, TEMPLATE)
    assert source @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(TEMPLATE, abs=1e-6)


def test_no_mirror_image_and_the_least_squares() -> None:
    mirrored = TEMPLATE * [-1, 1]
    matrix = similarity(mirrored, TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0
    noisy = TEMPLATE + np.random.default_rng(1).normal(0, 3, TEMPLATE.shape)
    best = similarity(noisy, TEMPLATE)

    def error(m: np.ndarray) -> float:
        return float(np.square(noisy @ m[:, :2].T + m[:, 2] - TEMPLATE).sum())

    for change in ([[0, 0, 0.2], [0, 0, 0]], [[0.01, 0, 0], [0, 0.01, 0]], [[0, -0.01, 0], [0.01, 0, 0]]):
        assert error(best) < min(error(best + np.array(change)), error(best - np.array(change)))


def test_points_that_coincide_break_nothing(tmp_path: Path) -> None:
    crop = aligned(picture("obama_2.jpg"), [(5.0, 5.0)] * 5)
    assert crop.shape == (SIDE, SIDE, 3)
    rows = embedder(LocalContext(tmp_path, weights=local_model)).embed([crop])
    assert np.isfinite(rows).all()


def test_one_person_is_alike_and_two_are_not(tmp_path: Path) -> None:
    names = ["obama_1.jpg", "obama_2.jpg", "obama_3.jpg", "biden_1.jpg", "biden_2.jpg", "lin_manuel_miranda.png",
             "alex_lacamoire_1.png"]  # fmt: skip
    rows = np.stack([faces(name, tmp_path)[0].embedding for name in names])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    person = np.array([name.split("_")[0] for name in names])
    alike, table = person[:, None] == person[None], rows @ rows.T
    off = ~np.eye(len(names), dtype=bool)
    assert table[alike & off].min() >= 0.59  # measured: 0.60
    assert table[~alike].max() <= 0.15
    assert table[~alike].max() < THRESHOLD < table[alike].min()


def test_a_turned_photo_gives_the_same_face(tmp_path: Path) -> None:
    upright = picture("obama_1.jpg")
    height, width = upright.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 3), 20, 1)
    turned = np.asarray(cv2.warpAffine(upright, turn, (width, height)), dtype=np.uint8)
    (first,), (second,) = recognition(tmp_path).faces(upright), recognition(tmp_path).faces(turned)
    assert float(first.embedding @ second.embedding) > 0.9


def test_embeddings_do_not_depend_on_what_is_beside_them(tmp_path: Path) -> None:
    network = embedder(LocalContext(tmp_path, weights=local_model))
    crops = [found.crop for name in ("obama_1.jpg", "biden_1.jpg") for found in faces(name, tmp_path)]
    both = network.embed(crops)
    assert both.shape == (2, 128)
    assert both[1] == pytest.approx(network.embed(crops[1:])[0], abs=1e-6)
    assert network.embed([crop[:, ::-1] for crop in crops]) == pytest.approx(both, abs=1e-5)
    assert network.embed([]).shape == (0, 128)


def test_quality_of_real_photos(tmp_path: Path) -> None:
    sharp = picture("biden_1.jpg")
    (found,) = recognition(tmp_path).faces(sharp)
    quality = measure(found.face, found.crop)
    assert faults(quality) == [] and quality.size == pytest.approx(272, abs=5) and abs(quality.yaw) < 20
    (blurred,) = recognition(tmp_path).faces(np.asarray(cv2.GaussianBlur(sharp, (0, 0), 12), dtype=np.uint8))
    assert any("blurred" in words for words in faults(measure(blurred.face, blurred.crop)))
    (small,) = recognition(tmp_path).faces(np.asarray(cv2.resize(sharp, None, fx=0.09, fy=0.09), dtype=np.uint8))
    assert any("too small" in words for words in faults(measure(small.face, small.crop)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 31}, "too small"),
        ({"sharpness": 19}, "too blurred"),
        ({"yaw": -41}, "turned away"),
        ({"brightness": 10}, "too dark"),
        ({"brightness": 250}, "too bright"),
    ],
)
def test_each_fault_is_told_alone(change: dict[str, float], words: str) -> None:
    assert faults(GOOD_FIGURES) == []
    (told,) = faults(Quality(**{**GOOD_FIGURES.figures, **change}))
    assert words in told
    assert faults(Quality(**{**GOOD_FIGURES.figures, "size": 45})) == []
    assert len(faults(Quality(**{**GOOD_FIGURES.figures, "size": 45}), GOOD)) == 1


@pytest.mark.parametrize(("shift", "degrees"), [(0, 0), (0.5, 45), (-0.5, -45), (0.25, 26.57)])
def test_yaw_from_the_nose(shift: float, degrees: float) -> None:
    eyes = [(100.0, 50.0), (160.0, 50.0)]
    assert yaw([*eyes, (130 + 60 * shift, 90), (0, 0), (0, 0)]) == pytest.approx(degrees, abs=0.01)
    assert yaw([(1, 1), (1, 1), (1, 1)]) == 90


def test_who_a_photo_is_of() -> None:
    def face(width: float) -> Face:
        return Face((0, 0, width, width), 0.9)

    assert subject([]) == (None, "no face was found")
    assert subject([face(90)]) == (face(90), "")
    nobody, words = subject([face(60), face(90), face(10)])
    assert nobody is None and words.startswith("2 faces were found")
    chosen, words = subject([face(20), face(90)])
    assert chosen == face(90) and "background" in words
