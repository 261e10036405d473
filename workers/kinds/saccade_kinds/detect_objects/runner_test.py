from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pydantic import ValidationError

from saccade_core.assets import asset
from saccade_core.errors import Cancelled, InvalidParams, UnreadableInput
from saccade_core.kind import ModelFiles
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.detect_objects.contract import KIND, DetectObjectsParams, DetectObjectsResult
from saccade_kinds.detect_objects.runner import join, plan, run, run_part
from saccade_models.boxes import iou_matrix
from saccade_models.images import Pixels
from saccade_models.video_write import VideoWriter
from saccade_models.weights import local_model
from servers.detecting import bring, bus

SAMPLE = Path(__file__).parent / "sample"
DOG = "images/objects/000000052891.jpg"


@pytest.fixture(scope="module", autouse=True)
def pulled() -> None:
    """The models that these tests load."""
    bring("yolo11n", "yolov8n", "ssd_mobilenet")


def detect(media: Path, folder: Path, **params: Any) -> tuple[DetectObjectsResult, LocalContext]:
    context = LocalContext(folder / "run", weights=local_model)
    return run(inputs_of(media=media), DetectObjectsParams.model_validate(params), context), context


def files_of(context: LocalContext) -> set[str]:
    return {str(f.relative_to(context.artifacts)) for f in context.artifacts.rglob("*") if f.is_file()}


def pixels_of(path: Path) -> Pixels:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return np.asarray(pixels, dtype=np.uint8)


def test_the_sample_has_a_cat(tmp_path: Path) -> None:
    request = json.loads((SAMPLE / "request.json").read_text())
    result, context = detect(SAMPLE / request["inputs"]["media"], tmp_path, **request["params"])
    assert result.counts == {"cat": 1}
    assert (result.media, result.width, result.height) == ("image", 300, 200)
    model = local_model(request["params"]["model"])
    assert context.models[0] == (model.name, model.version, model.sha256)


def test_the_files_say_what_the_result_says(tmp_path: Path) -> None:
    result, context = detect(bus(), tmp_path)
    assert result.objects is not None
    assert result.counts == {"person": 4, "bus": 1} == Counter(o.label for o in result.objects)
    assert files_of(context) == {"overlay.png", "coco.json", "objects.csv", "labels/bus.txt"}

    coco = COCO(str(context.artifacts / "coco.json"))
    assert [i["file_name"] for i in coco.loadImgs(coco.getImgIds())] == ["bus.jpg"]
    annotations: list[Any] = [*coco.loadAnns(coco.getAnnIds())]
    assert [coco.loadCats(a["category_id"])[0]["name"] for a in annotations] == [o.label for o in result.objects]
    for a, found in zip(annotations, result.objects, strict=True):
        x, y, width, height = a["bbox"]
        np.testing.assert_allclose([x, y, x + width, y + height], found.box, atol=0.02)
        assert a["score"] == found.score

    lines = (context.artifacts / "labels/bus.txt").read_text().splitlines()
    for line, found in zip(lines, result.objects, strict=True):
        class_id, *shares, score = line.split()
        cx, cy, w, h = (float(v) * side for v, side in zip(shares, [810, 1080] * 2, strict=True))
        assert (int(class_id), float(score)) == (found.class_id, found.score)
        assert iou_matrix([[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]], [found.box])[0, 0] > 0.99

    with (context.artifacts / "objects.csv").open(newline="") as table:
        assert [row["label"] for row in csv.DictReader(table)] == [o.label for o in result.objects]
    overlay, plain = pixels_of(context.artifacts / "overlay.png"), pixels_of(bus())
    changed = (overlay != plain).any(axis=2)
    x1, y1, x2, y2 = (int(v) for v in result.objects[0].box)
    assert changed[y1 + 5 : y2, x1 : x1 + 2].any() and changed[y1 + 5 : y2 - 5, x2 - 3 : x2].any()
    assert not changed[:100].any()


def test_a_detector_that_a_user_trained_says_its_own_labels(tmp_path: Path) -> None:
    """As a worker brings it: the forms by role, and of facts what its training registered."""
    files = local_model("yolo11n")
    facts = {"family": "yolo", "trained": True, "input_size": 640, "labels": [f"thing {n}" for n in range(80)]}
    own = ModelFiles("things", "3", files.sha256, files.files, facts)
    context = LocalContext(tmp_path, weights=lambda _: own)
    params = DetectObjectsParams(model="things@production", classes=["thing 16"], min_score=0.5)
    result = run(inputs_of(media=asset(DOG)), params, context)
    assert result.counts == {"thing 16": 1}  # COCO's dog
    assert context.models[0] == ("things", "3", files.sha256)


def test_only_the_files_asked_for_are_written(tmp_path: Path) -> None:
    _, context = detect(asset(DOG), tmp_path / "a", overlay=False)
    assert files_of(context) == {"coco.json", "objects.csv", "labels/000000052891.txt"}
    _, context = detect(asset(DOG), tmp_path / "b", formats=["csv"])
    assert files_of(context) == {"overlay.png", "objects.csv"}
    result, context = detect(asset(DOG), tmp_path / "c", overlay=False, formats=[])
    assert files_of(context) == set() and result.objects


@pytest.mark.parametrize("model", ["yolo11n", "yolov8n", "ssd_mobilenet"])
def test_only_the_classes_asked_for(tmp_path: Path, model: str) -> None:
    result, _ = detect(asset(DOG), tmp_path, model=model, classes=["dog", "cat"], min_score=0.5, overlay=False)
    assert result.counts == {"dog": 1}


def test_an_unknown_class_is_refused_and_like_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match=r"no class 'Persn'; did you mean 'person'") as caught:
        detect(asset(DOG), tmp_path, classes=["dog", "Persn"])
    assert (caught.value.field, caught.value.received) == ("params.classes[1]", "Persn")
    with pytest.raises(InvalidParams, match=r"it knows person, bicycle, car"):
        detect(asset(DOG), tmp_path, classes=["xyz"])


def test_boxes_are_of_the_upright_picture(tmp_path: Path) -> None:
    upright, _ = detect(asset(DOG), tmp_path / "a", min_score=0.5, overlay=False)
    with Image.open(asset(DOG)) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6  # the camera was turned: to be shown a quarter clockwise
        picture.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    turned, _ = detect(tmp_path / "turned.png", tmp_path / "b", min_score=0.5, overlay=False)
    assert (turned.width, turned.height) == (640, 427)
    assert turned.objects == upright.objects and turned.objects


def test_grey_and_transparent_pictures(tmp_path: Path) -> None:
    with Image.open(asset("images/objects/000000475732.jpg")) as cat:
        cat.convert("L").save(tmp_path / "grey.png")
        cat.convert("RGBA").save(tmp_path / "alpha.png")
    for name in ("grey.png", "alpha.png"):
        result, context = detect(tmp_path / name, tmp_path / name[:-4], model="ssd_mobilenet", min_score=0.5)
        assert result.counts == {"cat": 1}
        assert pixels_of(context.artifacts / "overlay.png").shape == (result.height, result.width, 3)


def test_an_empty_picture_has_no_objects(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a b?.png"), np.full((50, 60, 3), 128, np.uint8))
    result, context = detect(tmp_path / "a b?.png", tmp_path)
    assert (result.objects, result.counts, result.zones) == ([], {}, [])
    assert (context.artifacts / "labels/a_b_.txt").read_text() == ""
    assert json.loads((context.artifacts / "coco.json").read_text())["annotations"] == []


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(UnreadableInput) as caught:
        detect(tmp_path / "a.jpg", tmp_path)
    assert caught.value.field == "media"


def test_zones_of_a_picture_count_who_stands_inside(tmp_path: Path) -> None:
    left = {"name": "left", "polygon": [[0, 600], [300, 600], [300, 1079], [0, 1079]]}
    sky = {"name": "sky", "polygon": [[0, 0], [810, 0], [400, 300]]}
    result, context = detect(bus(), tmp_path, zones=[left, sky])
    assert [(z.name, z.most_at_once, z.entered) for z in result.zones] == [("left", 3, None), ("sky", 0, None)]
    assert {label: own.most_at_once for label, own in result.zones[0].by_label.items()} == {"person": 3}
    assert result.zones[1].by_label == {}
    changed = (pixels_of(context.artifacts / "overlay.png") != pixels_of(bus())).any(axis=2)
    assert changed[1070:1079, 20:280].any() and changed[0:3].all(axis=1).any()


def passing_bus(path: Path, frames: int = 24) -> Path:
    """The bus photo, small, moving from the left edge to the right edge of a grey picture, 10 frames a second."""
    photo = cv2.resize(pixels_of(bus()), (270, 360), interpolation=cv2.INTER_AREA)
    with VideoWriter(path, width=640, height=360, fps=10, codec="h264") as writer:
        for index in range(frames):
            canvas = np.full((360, 640, 3), 120, dtype=np.uint8)
            x = round(index * 370 / (frames - 1))
            canvas[:, x : x + 270] = photo
            writer.write(canvas)
    return path


def test_a_video_is_tracked_and_counted(tmp_path: Path) -> None:
    clip = passing_bus(tmp_path / "bus.mp4")
    params: dict[str, Any] = {
        "classes": ["bus"],
        "track": True,
        "lines": [{"name": "gate", "start": [320, 359], "end": [320, 0]}],
        "zones": [{"name": "right", "polygon": [[320, 0], [640, 0], [640, 360], [320, 360]]}],
    }
    result, context = detect(clip, tmp_path, **params)
    assert (result.media, result.objects, result.counts) == ("video", None, {"bus": 1})
    assert result.visits is not None and result.video is not None
    assert [(v.label, v.most_at_once) for v in result.visits] == [("bus", 1)]
    crossed = {"in": 1, "out": 0}
    assert result.model_dump(mode="json")["lines"] == [{"name": "gate", **crossed, "by_label": {"bus": crossed}}]
    [zone] = result.zones
    inside = {"most_at_once": 1, "objects": 1, "entered": 1, "left": 0}
    assert zone.model_dump() == {"name": "right", **inside, "by_label": {"bus": inside}}
    assert files_of(context) == {"overlay.mp4", "frames.jsonl", "coco.json", "objects.csv", "labels.zip"}

    frames = [json.loads(line) for line in (context.artifacts / "frames.jsonl").read_text().splitlines()]
    assert [frame["index"] for frame in frames] == list(range(24))
    assert {item["track_id"] for frame in frames for item in frame["objects"] if "track_id" in item} == {1}
    coco = COCO(str(context.artifacts / "coco.json"))
    assert len(coco.getImgIds()) == 24
    assert len(coco.getAnnIds()) == result.video.items == sum(len(frame["objects"]) for frame in frames)
    with zipfile.ZipFile(context.artifacts / "labels.zip") as archive:
        with_bus = [f"labels/frame_{frame['index']:06d}.txt" for frame in frames if frame["objects"]]
        assert archive.namelist() == ["data.yaml", *with_bus]
        assert archive.read(with_bus[0]).decode().startswith("5 ")
    assert clip.exists() and plan(inputs_of(media=clip), DetectObjectsParams.model_validate(params), context) == []


def test_a_video_that_is_not_tracked_counts_the_most_at_once(tmp_path: Path) -> None:
    clip = passing_bus(tmp_path / "bus.mp4", frames=6)
    result, context = detect(clip, tmp_path, every_n=2, overlay=False)
    assert result.counts["bus"] == 1 and result.counts["person"] >= 2
    assert list(result.counts.values()) == sorted(result.counts.values(), reverse=True)
    lines = (context.artifacts / "frames.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 2, 4]
    assert "overlay.mp4" not in files_of(context)


def test_cancelling_ends_the_run(tmp_path: Path) -> None:
    context = LocalContext(tmp_path, weights=local_model, cancel_after=1)
    with pytest.raises(Cancelled):
        run(inputs_of(media=asset(DOG)), DetectObjectsParams(), context)
    assert callable(run_part) and callable(join)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "Yolo 12"}, "'Yolo 12' can be no model's name; registered are: .*yolo11n"),
        ({"model": "cells@0"}, "can be no model's name"),
        ({"model": "yolo11n@0"}, "has no version '0'"),
        ({"model": "yunet"}, "finds no objects; those that do are: faster_rcnn"),
        ({"min_score": 1.1}, "less than or equal to 1"),
        ({"classes": []}, "at least 1"),
        ({"zones": [{"name": "a", "polygon": [[0, 0], [1, 1]]}]}, "at least 3"),
        ({"zones": [{"name": "a", "polygon": [[0, 0], [1, 1], [0, "x"]]}]}, "number"),
        ({"zones": [{"name": "a", "polygon": [[0, 0], [1, 1], [0, 1]]}] * 2}, "a name of its own"),
        ({"lines": [{"name": "a", "start": [0, 0], "end": [1, 1]}]}, "set 'track' to true"),
        ({"track": True, "lines": [{"name": "a", "start": [1, 1], "end": [1, 1]}]}, "two points"),
        ({"confidence": 0.3}, "not permitted"),
    ],
)
def test_params_are_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DetectObjectsParams.model_validate(wrong)


def test_the_pools_follow_from_the_model() -> None:
    pools_for = KIND.pools_for
    assert pools_for is not None
    own = dict.fromkeys(("cells", "cells@3", "cells@production"), ("torch", "cpu"))
    assert KIND.families == ("yolo",)
    for model, pools in {
        **own,
        "yolo11n": ("torch", "cpu"),
        "ssd_mobilenet": ("cpu",),
        "faster_rcnn": ("torch",),
    }.items():
        params = DetectObjectsParams(model=model)
        assert (tuple(pools_for(params)), list(KIND.models(params))) == (pools, [model])
