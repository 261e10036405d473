"""What we write is read by the tools it is for, and says the same."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from saccade_core.kind import InputFile
from saccade_models.boxes import iou_matrix, xywh_to_xyxy
from saccade_models.evaluation.annotations import build
from saccade_models.evaluation.measure import measure
from saccade_models.evaluation.read_coco import read_dataset, read_json
from saccade_models.evaluation.read_yolo import read_yolo
from saccade_models.evaluation.report import write_csv
from saccade_models.formats.cells import cell
from saccade_models.formats.coco import coco_annotation, coco_image, write_coco
from saccade_models.formats.objects_csv import HEADER, write_objects_csv
from saccade_models.formats.yolo_txt import data_yaml, yolo_line
from saccade_models.page_text import PageText, Word, csv_rows

SIZE = (640, 427)
BOXES = [[0.0, 0.0, 640.0, 427.0], [12.34, 56.78, 100.01, 200.02], [639.0, 426.0, 640.0, 427.0]]
CLASSES = {0: "person", 15: "cat", 16: 'quotes " and 猫'}


def file(path: Path) -> InputFile:
    return InputFile(path, path.name, "application/octet-stream", "predictions")


def test_coco_json_is_read_by_pycocotools_and_by_ourselves(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    images = [coco_image(1, "one.jpg", *SIZE), coco_image(2, "empty.jpg", *SIZE)]
    annotations = [coco_annotation(n + 1, 1, class_id, BOXES[n], 0.5) for n, class_id in enumerate(CLASSES)]
    write_coco(path, images, annotations, CLASSES)
    theirs = COCO(str(path))
    assert [theirs.loadCats(i)[0]["name"] for i in theirs.getCatIds()] == list(CLASSES.values())
    assert len(theirs.getAnnIds(imgIds=[1])) == 3
    assert theirs.getAnnIds(imgIds=[2]) == []
    loaded = theirs.loadAnns(theirs.getAnnIds())
    np.testing.assert_allclose(xywh_to_xyxy([a["bbox"] for a in loaded]), BOXES, atol=0.011)
    assert all(a["area"] == round(a["bbox"][2] * a["bbox"][3], 2) and a["iscrowd"] == 0 for a in loaded)
    ours = read_dataset(read_json(file(path)), file(path), scored=True).annotations
    assert ours.images == ["empty", "one"] or list(ours.images) == ["one", "empty"]
    assert [ours.labels[c] for c in ours.class_id] == list(CLASSES.values())


def test_coco_json_of_nothing_is_json(tmp_path: Path) -> None:
    write_coco(tmp_path / "coco.json", [], [], {})
    assert read_json(file(tmp_path / "coco.json")) == {"images": [], "annotations": [], "categories": []}


def test_yolo_files_come_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.zip"
    lines = [yolo_line(n, box, SIZE, 0.25) for n, box in enumerate(BOXES)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.yaml", data_yaml(list(CLASSES.values())))
        archive.writestr("labels/frame_000001.txt", "".join(lines))
    found, _ = read_yolo(file(path), scored=True)
    assert list(found.labels) == list(CLASSES.values())
    assert found.class_id.tolist() == [0, 1, 2]
    assert found.scores is not None and found.scores.tolist() == [0.25] * 3
    pixels = xywh_to_xyxy(found.boxes * np.array([*SIZE, *SIZE]))
    np.testing.assert_allclose(pixels, BOXES, atol=0.001)


corners = st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(1, 40), st.floats(1, 27))


@given(corners)
def test_a_yolo_line_has_shares_of_the_picture_that_keep_the_box(corner: tuple[float, float, float, float]) -> None:
    x, y, width, height = corner
    box = [x, y, x + width, y + height]
    class_id, cx, cy, w, h, score = (float(v) for v in yolo_line(7, box, SIZE, 0.5).split())
    assert (class_id, score) == (7, 0.5)
    assert all(0 <= v <= 1 for v in (cx, cy, w, h))
    back = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * [*SIZE, *SIZE]
    assert iou_matrix([box], [back])[0, 0] > 0.99


def test_data_yaml_names_every_class_once() -> None:
    names = yaml.safe_load(data_yaml(["person", "???", "yes", "123", '猫: \\ "', "???"]))["names"]
    assert names == {0: "person", 1: "???", 2: "yes", 3: "123", 4: '猫: \\ "', 5: "???#5"}


def test_the_table_has_a_row_for_each_object(tmp_path: Path) -> None:
    item = {"label": 'a "b", c', "class_id": 3, "score": 0.5, "box": [1, 2, 3.5, 4]}
    write_objects_csv(tmp_path / "o.csv", [(0, 0.0, [item]), (1, 0.04, []), (2, 0.08, [{**item, "track_id": 9}])])
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.reader(table))
    assert tuple(rows[0]) == HEADER
    assert rows[1] == ["0", "0.0", 'a "b", c', "3", "0.5", "1", "2", "3.5", "4", ""]
    assert rows[2][0] == "2" and rows[2][-1] == "9"
    assert len(rows) == 3


@pytest.mark.parametrize(
    "word", ['=HYPERLINK("x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"]
)
def test_no_cell_is_a_formula(word: str) -> None:
    assert cell(word) == f"'{word}"


@pytest.mark.parametrize("word", ["", "cat", "-12.50", "+49", "-1,000.5%", "a=b", "'quoted"])
def test_other_cells_stay_as_they_are(word: str) -> None:
    assert cell(word) == word


def test_no_table_has_a_formula(tmp_path: Path) -> None:
    item = {"label": "=1+1", "class_id": 3, "score": 0.5, "box": [-1, 2, 3.5, 4]}
    write_objects_csv(tmp_path / "objects.csv", [(0, 0.0, [item])])
    truths = build(["@SUM(A1)"], ["a"], [(0, 0, (0, 0, 1, 1), False)], None, normalised=True)
    found = replace(truths, scores=np.array([0.5]))
    write_csv(tmp_path / "evaluation.csv", measure(truths, found, 0.5).classes)
    for name, words in (("objects.csv", ["'=1+1", "-1"]), ("evaluation.csv", ["'@SUM(A1)"])):
        with (tmp_path / name).open(encoding="utf-8", newline="") as table:
            _, row = csv.reader(table)
        assert set(words) <= set(row)
    page = PageText(1, 10, 10, "ocr", [Word("=1+1", 0.5, (0, 0, 9, 9), 0, 0)])
    assert "'=1+1" in next(csv_rows(page))
