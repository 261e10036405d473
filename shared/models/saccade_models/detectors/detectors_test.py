"""Real models on real photos: what they find, and that ours and ultralytics' own ways agree."""

from __future__ import annotations

import importlib.util
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from saccade_core.assets import asset
from saccade_core.errors import InvalidParams
from saccade_core.kind import ModelFiles
from saccade_models.boxes import iou_matrix
from saccade_models.detectors import Detections, Detector, Thresholds, classes_of, labels_of, load
from saccade_models.detectors.yolo import MAX_DETECTIONS, Fitted, fit, read_output
from saccade_models.detectors.yolo_torch import YoloTorch
from saccade_models.images import Pixels
from saccade_models.weights import local_model
from servers.detecting import bring, bus

PHOTOS = [
    "objects/000000038829.jpg",
    "objects/000000052891.jpg",
    "objects/000000098261.jpg",
    "objects/000000215245.jpg",
    "objects/000000373353.jpg",
    "people/COCO_val2014_000000000474.jpg",
    "people/COCO_val2014_000000000564.jpg",
]


@pytest.fixture(scope="module", autouse=True)
def pulled() -> None:
    """The models that these tests load."""
    bring("yolo11n", "yolov8n", "ssd_mobilenet")


def picture(path: Path) -> Pixels:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return np.asarray(pixels, dtype=np.uint8)


def photo(name: str) -> Pixels:
    return picture(asset(f"images/{name}"))


@cache
def yolo_torch() -> YoloTorch:
    return YoloTorch(local_model("yolo11n"), "cpu")


@cache
def ultralytics_own() -> Any:
    from ultralytics import YOLO  # pyright: ignore[reportPrivateImportUsage] - it lists no exports

    return YOLO(str(local_model("yolo11n").path), task="detect", verbose=False)


def counts(detector: Detector, pixels: Pixels, **thresholds: Any) -> Counter[str]:
    found = detector.detect([pixels], Thresholds(**thresholds))[0]
    return Counter(detector.labels[int(i)] for i in found.class_ids)


def test_yolo_finds_four_persons_and_a_bus() -> None:
    photographed = picture(bus())
    assert counts(load(local_model("yolo11n"), "cpu"), photographed) == {"person": 4, "bus": 1}
    assert counts(yolo_torch(), photographed) == {"person": 4, "bus": 1}
    assert counts(load(local_model("yolov8n"), "cpu"), photographed, min_score=0.35) == {"person": 3, "bus": 1}


def test_ssd_finds_what_it_is_known_to_find() -> None:
    ssd = load(local_model("ssd_mobilenet"), "cpu")
    assert counts(ssd, photo("objects/000000475732.jpg"), min_score=0.5) == {"cat": 1}
    assert counts(ssd, photo("objects/000000052891.jpg"), min_score=0.5) == {"frisbee": 1, "dog": 1}
    assert counts(ssd, picture(bus()), min_score=0.5) == {"person": 3, "truck": 1}
    assert classes_of(ssd.labels)[0] == "person"
    assert "???" not in classes_of(ssd.labels).values()


@pytest.mark.parametrize("name", ["bus", *PHOTOS])
def test_both_engines_agree_with_ultralytics_own_prediction(name: str) -> None:
    pixels = picture(bus()) if name == "bus" else photo(name)
    theirs = ultralytics_own().predict(pixels, conf=0.25, iou=0.45, verbose=False)[0].boxes
    sure = theirs.conf.numpy() > 0.3
    expected, classes = theirs.xyxy.numpy()[sure], theirs.cls.numpy().astype(int)[sure]
    assert len(expected)
    for detector in (load(local_model("yolo11n"), "cpu"), yolo_torch()):
        found = detector.detect([pixels], Thresholds(0.25, 0.45))[0]
        overlap = iou_matrix(expected, found.boxes) * (classes[:, None] == found.class_ids[None])
        best = overlap.argmax(axis=1)
        assert overlap.max(axis=1).min() > 0.95
        assert np.abs(found.boxes[best] - expected).max() < 2
        assert len(set(best.tolist())) == len(expected)


def test_pictures_of_several_sizes_at_once_give_what_each_gives_alone() -> None:
    pictures = [photo(name) for name in PHOTOS[:4]]
    for detector in (load(local_model("yolo11n"), "cpu"), yolo_torch(), load(local_model("ssd_mobilenet"), "cpu")):
        together = detector.detect(pictures, Thresholds())
        for pixels, found in zip(pictures, together, strict=True):
            alone = detector.detect([pixels], Thresholds())[0]
            np.testing.assert_allclose(found.boxes, alone.boxes, atol=0.5)
            np.testing.assert_array_equal(found.class_ids, alone.class_ids)
            check(found, pixels)


@pytest.mark.parametrize("name", ["yolo11n", "ssd_mobilenet"])
def test_only_the_classes_asked_for(name: str) -> None:
    detector, pixels = load(local_model(name), "cpu"), photo("objects/000000052891.jpg")
    dog = frozenset({detector.labels.index("dog")})
    assert counts(detector, pixels, min_score=0.5, class_ids=dog) == {"dog": 1}
    assert counts(detector, pixels, class_ids=frozenset()) == {}


@pytest.mark.parametrize("name", ["yolo11n", "ssd_mobilenet"])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 2), (33, 640)])
def test_an_empty_picture_of_any_size_gives_no_objects(name: str, size: tuple[int, int]) -> None:
    empty = np.full((*size, 3), 114, dtype=np.uint8)
    [found] = load(local_model(name), "cpu").detect([empty], Thresholds(min_score=0.5))
    check(found, empty)
    assert found.boxes.shape == (0, 4)


def test_the_lowest_thresholds_give_no_more_than_the_most() -> None:
    pixels = photo("objects/000000373353.jpg")
    for detector in (load(local_model("yolo11n"), "cpu"), yolo_torch()):
        [found] = detector.detect([pixels], Thresholds(min_score=0, iou=1))
        check(found, pixels)
        assert len(found.scores) == MAX_DETECTIONS


def check(found: Detections, pixels: Pixels) -> None:
    """What the class Detections promises."""
    height, width = pixels.shape[:2]
    assert (found.boxes.dtype, found.scores.dtype, found.class_ids.dtype) == (np.float32, np.float32, np.int64)
    assert (found.boxes >= 0).all() and (found.boxes <= [width, height, width, height]).all()
    assert (found.boxes[:, :2] <= found.boxes[:, 2:]).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (np.diff(found.scores) <= 0).all()


def test_a_detector_is_loaded_once_and_the_first_goes_when_there_are_many() -> None:
    model = local_model("ssd_mobilenet")
    first = load(model, "cpu")
    assert load(model, "cpu") is first
    for number in range(4):
        load(ModelFiles("ssd", str(number), model.sha256, model.files, model.facts), "cpu")
    assert load(model, "cpu") is not first


def test_where_openvino_is_not_installed_torch_runs_a_yolo(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without_openvino(name: str) -> Any:
        return None if name == "openvino" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_openvino)
    model = local_model("yolo11n")
    other = ModelFiles("other", model.version, model.sha256, model.files, model.facts)
    assert isinstance(load(other, "cpu"), YoloTorch)


def test_what_is_no_detector_is_refused() -> None:
    with pytest.raises(InvalidParams, match="'yunet' finds no objects"):
        load(local_model("yunet"), "cpu")


def test_labels_are_known_without_loading() -> None:
    assert labels_of(local_model("yolo11n"))[:3] == ("person", "bicycle", "car")
    assert labels_of(local_model("ssd_mobilenet"))[:3] == ("person", "bicycle", "car")


sides = st.integers(1, 900)


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.sampled_from([320, 640]))
def test_pictures_are_fitted_as_ultralytics_does(width: int, height: int, side: int) -> None:
    from ultralytics.data.augment import LetterBox

    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    fitted = fit(pixels, side)
    np.testing.assert_array_equal(fitted.pixels, LetterBox((side, side), auto=True, stride=32)(image=pixels))
    corners = np.array([[*fitted.shift, *(np.array(fitted.shift) + np.array([width, height]) * fitted.scale)]])
    np.testing.assert_allclose(fitted.to_source(corners), [[0, 0, width, height]], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9), st.floats(0.1, 0.9), st.booleans())
def test_outputs_are_read_as_ultralytics_does(seed: int, min_score: float, iou: float, filtered: bool) -> None:
    from ultralytics.utils.nms import non_max_suppression

    rng = np.random.default_rng(seed)
    output = np.vstack([rng.uniform(100, 300, (2, 400)), rng.uniform(10, 200, (2, 400)), rng.random((6, 400)) ** 4])
    output = output.astype(np.float32)
    classes = [1, 3] if filtered else None
    plain = Fitted(np.zeros((640, 640, 3), np.uint8), (1.0, 1.0), (0, 0), (640, 640))
    chosen = None if classes is None else frozenset(classes)
    ours = read_output(output, plain, Thresholds(min_score, iou, chosen))
    theirs: NDArray[np.float32] = non_max_suppression(
        torch.from_numpy(output[None]), min_score, iou, classes=classes, max_time_img=60
    )[0].numpy()  # pyright: ignore[reportAttributeAccessIssue] - a list of tensors
    np.testing.assert_allclose(ours.scores, theirs[:, 4])
    np.testing.assert_array_equal(ours.class_ids, theirs[:, 5])
    # ultralytics moves classes apart by thousands of pixels, in float32: a hundredth of a pixel is lost.
    np.testing.assert_allclose(ours.boxes, theirs[:, :4].clip(0, 640), atol=0.01)
