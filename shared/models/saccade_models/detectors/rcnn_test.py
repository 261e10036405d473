"""The registered R-CNN, and its training on drawn cells."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from saccade_core.assets import asset
from saccade_core.kind import ModelFiles
from saccade_models.boxes import Floats, iou_matrix, xyxy_to_yolo, yolo_to_xyxy
from saccade_models.detectors import Thresholds, load
from saccade_models.detectors.rcnn import CONTEXT, OUTSIDE, crops
from saccade_models.detectors.rcnn_training import SIDE, Network, examples, export, train
from saccade_models.images import Pixels
from saccade_models.weights import local_model

TEST = "datasets/bccd_yolo/test"


def blood(name: str) -> tuple[Pixels, Floats]:
    """A test picture of BCCD (BGR) and its rows: class, x1, y1, x2, y2."""
    picture = cv2.imread(str(asset(f"{TEST}/images/{name}.jpg")))
    assert picture is not None
    rows = np.loadtxt(asset(f"{TEST}/labels/{name}.txt"), ndmin=2)
    boxes = yolo_to_xyxy(rows[:, 1:], picture.shape[1], picture.shape[0])
    return picture.astype(np.uint8), np.hstack([rows[:, :1], boxes])


def test_blood_cells_that_it_has_not_seen_are_found() -> None:
    detector = load(local_model("rcnn"), "cpu")
    assert list(detector.labels) == ["RBC", "WBC", "Platelets"]
    found = {0: 0, 1: 0, 2: 0}
    wanted = {0: 0, 1: 0, 2: 0}
    for name in ("BloodImage_00005", "BloodImage_00009"):
        picture, truth = blood(name)
        seen = detector.detect([picture], Thresholds(min_score=0.5))[0]
        assert (np.diff(seen.scores) <= 0).all() and len(seen.boxes) < 60
        assert (seen.boxes >= 0).all() and (seen.boxes <= [640, 480, 640, 480]).all()
        overlaps = iou_matrix(truth[:, 1:], seen.boxes)
        same = np.equal.outer(truth[:, 0].astype(int), seen.class_ids)
        hits = np.any((overlaps > 0.5) & same, axis=1)
        for kind in found:
            wanted[kind] += int((truth[:, 0] == kind).sum())
            found[kind] += int(hits[truth[:, 0] == kind].sum())
    assert found[1] == wanted[1] > 0
    assert found[0] >= 0.75 * wanted[0]


def test_thresholds_classes_and_sizes_are_kept() -> None:
    detector = load(local_model("rcnn"), "cpu")
    picture, _ = blood("BloodImage_00005")
    small = cv2.resize(picture, (160, 120), interpolation=cv2.INTER_AREA).astype(np.uint8)
    all_, none = detector.detect([small, np.full((40, 60, 3), 200, np.uint8)], Thresholds(min_score=0.3))
    assert len(all_.boxes) and len(none.boxes) == 0
    assert (all_.scores >= 0.3).all()
    white = detector.detect([small], Thresholds(min_score=0.3, class_ids=frozenset({1})))[0]
    assert white.class_ids.tolist() == [1] * int((all_.class_ids == 1).sum())
    loose = detector.detect([small], Thresholds(min_score=0.3, iou=1.0))[0]
    assert len(loose.boxes) > len(all_.boxes)


def test_crops_show_the_box_and_some_of_what_is_around() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[20:60, 40:120] = (10, 20, 250)
    crop, corner = crops(picture, [[40, 20, 120, 60], [0, 0, 20, 20]], 32)
    margin = round(32 * CONTEXT)
    assert (crop[margin + 1 : -margin - 1, margin + 1 : -margin - 1] == (10, 20, 250)).all()
    assert not crop[: margin - 1].any() and not crop[:, -margin + 1 :].any()
    assert (corner[: margin - 1] == OUTSIDE).all() and not corner[margin + 1 :, margin + 1 :].any()
    assert crops(picture, np.zeros((0, 4)), 32).shape == (0, 32, 32, 3)
    assert crops(picture, [[199.6, 99.6, 199.7, 99.7]], 32).shape == (1, 32, 32, 3)


def drawn(folder: Path, count: int) -> Path:
    """A data set of red discs (0) and blue ones (1) in YOLO layout."""
    generator = np.random.default_rng(11)
    for part in ("images", "labels"):
        (folder / "train" / part).mkdir(parents=True)
    for number in range(count):
        picture = generator.integers(190, 220, (120, 160, 3), dtype=np.uint8)
        lines: list[str] = []
        for place, kind in enumerate(generator.integers(0, 2, 2).tolist()):
            size = int(generator.integers(30, 60))
            x, y = int(10 + place * 80 + generator.integers(0, 70 - size)), int(generator.integers(5, 110 - size))
            color = [(40, 40, 200), (200, 60, 40)][kind]
            cv2.circle(picture, (x + size // 2, y + size // 2), size // 2, color, -1)
            shares = xyxy_to_yolo([[x, y, x + size, y + size]], 160, 120)[0]
            lines.append(f"{kind} " + " ".join(f"{s:.6f}" for s in shares))
        cv2.imwrite(str(folder / "train" / "images" / f"{number}.png"), picture)
        (folder / "train" / "labels" / f"{number}.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.stack
def test_training_twice_gives_the_same_and_it_detects(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = drawn(tmp_path, 8)
    found = examples(folder / "train", 2, np.random.default_rng(1))
    states: list[dict[str, torch.Tensor]] = []
    for _ in range(2):
        network = train(found, 2, epochs=6, seed=5)
        states.append(network.state_dict())
        export(network, tmp_path / "network.onnx")
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    files = ModelFiles(
        "discs", "1", "1" * 64, {"weights": tmp_path / "network.onnx"}, {"family": "rcnn", "labels": ["red", "blue"]}
    )
    picture = cv2.imread(str(folder / "train" / "images" / "3.png"))
    assert picture is not None
    truth = np.loadtxt(folder / "train" / "labels" / "3.txt", ndmin=2)
    seen = load(files, "cpu").detect([picture.astype(np.uint8)], Thresholds(min_score=0.5))[0]
    overlaps = iou_matrix(yolo_to_xyxy(truth[:, 1:], 160, 120), seen.boxes)
    hits = (overlaps > 0.7) & np.equal.outer(truth[:, 0].astype(int), seen.class_ids)
    assert hits.any(axis=1).all()


def test_what_is_exported_computes_the_same(tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = Network(3).eval()
    export(network, tmp_path / "network.onnx")
    pixels = np.random.default_rng(2).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    scores, targets = (np.asarray(each) for each in session.run(None, {"crops": pixels}))
    with torch.no_grad():
        wanted = network(torch.from_numpy(pixels))
    assert np.allclose(scores, wanted[0].numpy(), atol=1e-5) and np.allclose(targets, wanted[1].numpy(), atol=1e-5)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5) and targets.shape == (5, 3, 4)
