from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saccade_core.errors import InputError, InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.evaluation import pairing
from saccade_models.evaluation.measure import measure
from saccade_models.evaluation.pairing import read_pair

NAMES = 'names: ["cell", "dust"]\n'


def dataset(**changes: Any) -> dict[str, Any]:
    """Two pictures of 200x100 with one box each: a cell in ``b`` (id 5), dust in ``a`` (id 9)."""
    value = {
        "images": [
            {"id": 9, "file_name": "images/a.jpg", "width": 200, "height": 100},
            {"id": 5, "file_name": "images/b.jpg", "width": 200, "height": 100},
        ],
        "categories": [{"id": 4, "name": "cell"}, {"id": 2, "name": "dust"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 4, "bbox": [20, 10, 40, 50]},
            {"id": 2, "image_id": 9, "category_id": 2, "bbox": [0, 0, 20, 10], "iscrowd": 0},
        ],
    }
    return {**value, **changes}


def scored(score: float = 0.9) -> dict[str, Any]:
    value = dataset()
    return {**value, "annotations": [{**a, "score": score} for a in value["annotations"]]}


def saved(folder: Path, value: Any, name: str = "truth") -> InputFile:
    path = folder / f"{name}.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return InputFile(path, path.name, "application/json", f"inputs.{name}")


def packed(folder: Path, entries: dict[str, str], name: str = "truth") -> InputFile:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for entry, text in entries.items():
            zipped.writestr(entry, text)
    return InputFile(path, path.name, "application/zip", f"inputs.{name}")


YOLO = {
    "set/data.yaml": NAMES,
    "set/labels/b.txt": "0 0.2 0.35 0.2 0.5\n",
    "set/labels/a.txt": "1 0.05 0.05 0.1 0.1\n\n",
}
FOUND = {n: t.replace("\n", " 0.9\n", 1) if n.endswith("txt") else t for n, t in YOLO.items()}


@pytest.mark.parametrize("truth_is", ["coco", "yolo"])
@pytest.mark.parametrize("found_is", ["coco", "yolo", "results"])
def test_every_pair_of_formats_says_the_same(tmp_path: Path, truth_is: str, found_is: str) -> None:
    truth = saved(tmp_path, dataset()) if truth_is == "coco" else packed(tmp_path, YOLO)
    results = [{k: a[k] for k in ("image_id", "category_id", "bbox", "score")} for a in scored()["annotations"]]
    found = {
        "coco": lambda: saved(tmp_path, scored(), "predictions"),
        "yolo": lambda: packed(tmp_path, FOUND, "predictions"),
        "results": lambda: saved(tmp_path, results, "predictions"),
    }[found_is]()
    if (truth_is, found_is) == ("yolo", "results"):
        with pytest.raises(InputError, match="ids of a COCO data set"):
            read_pair(truth, found)
        return
    pair = read_pair(truth, found)
    assert (list(pair.truth.labels), len(pair.truth), len(pair.predictions)) == (["cell", "dust"], 2, 2)
    assert sorted(pair.truth.images) == ["a", "b"] and pair.notes == []
    measured = measure(pair.truth, pair.predictions, 0.95)
    assert (measured.map50, measured.map50_95, measured.map) == pytest.approx((1, 1, 1))
    assert pair.truth.normalised == pair.predictions.normalised == ("yolo" in {truth_is, found_is})
    wanted = [0.1, 0.1, 0.2, 0.5] if pair.truth.normalised else [20, 10, 40, 50]
    assert pair.truth.boxes[pair.truth.class_id == 0][0].tolist() == pytest.approx(wanted)


def test_classes_by_number_where_one_has_no_names(tmp_path: Path) -> None:
    nameless = {n: t for n, t in FOUND.items() if n.endswith("txt")}
    pair = read_pair(packed(tmp_path, YOLO), packed(tmp_path, nameless, "predictions"))
    assert (list(pair.truth.labels), pair.predictions.class_id.tolist()) == (["cell", "dust"], [1, 0])
    swapped = {**FOUND, "set/data.yaml": "names: {0: dust, 1: cell}\n"}
    pair = read_pair(packed(tmp_path, YOLO), packed(tmp_path, swapped, "predictions"))
    assert (list(pair.truth.labels), pair.predictions.class_id.tolist()) == (["cell", "dust"], [0, 1])
    with_file = {"labels/a.txt": "1 0 0 0 0\n", "labels/b.txt": "", "classes.txt": "cell\ndust\n"}
    pair = read_pair(packed(tmp_path, with_file), packed(tmp_path, nameless, "predictions"))
    assert list(pair.truth.labels) == ["cell", "dust"]


def test_notes_say_what_was_not_counted(tmp_path: Path) -> None:
    found = {"data.yaml": "names: [cell, bird]", "labels/b.txt": "0 0.2 0.35 0.2 0.5 0.9\n1 0.5 0.5 0.1 0.1 0.8\n"}
    pair = read_pair(packed(tmp_path, YOLO), packed(tmp_path, found, "predictions"))
    assert len(pair.predictions) == 1
    assert pair.notes == [
        "1 predictions are of classes that the truth does not have, and were not counted: bird.",
        "1 of 2 pictures have no predictions.",
        "Nothing was predicted of 1 classes: dust.",
    ]
    with pytest.raises(InputError, match=r"No class of the predictions \(bird\)"):
        read_pair(
            packed(tmp_path, YOLO),
            packed(tmp_path, {"data.yaml": "names: [bird]", "labels/b.txt": "0 0 0 1 1 1"}, "predictions"),
        )


def test_pictures_that_only_the_predictions_name(tmp_path: Path) -> None:
    """A YOLO truth has no file for a picture without things, unless its images are there to tell."""
    more = {**FOUND, "set/labels/c.txt": "0 0.5 0.5 0.1 0.1 0.3\n"}
    pair = read_pair(packed(tmp_path, YOLO), packed(tmp_path, more, "predictions"))
    assert list(pair.truth.images) == ["a", "b", "c"]
    images = {f"set/images/{n}.jpg": "" for n in "abd"}
    with pytest.raises(InputError, match="1 of the predictions' pictures are not in the truth, 'c'") as caught:
        read_pair(packed(tmp_path, {**YOLO, **images}), packed(tmp_path, more, "predictions"))
    assert (caught.value.field, caught.value.received) == ("inputs.predictions", "c")
    pair = read_pair(packed(tmp_path, {**YOLO, **images}), packed(tmp_path, FOUND, "predictions"))
    assert list(pair.truth.images) == ["a", "b", "d"]
    with pytest.raises(InputError, match="not in the truth"):
        read_pair(saved(tmp_path, dataset()), packed(tmp_path, more, "predictions"))


BROKEN_COCO: list[tuple[Any, str]] = [
    ("{", "no valid JSON"),
    ("[" * 100_000, "no valid JSON"),
    ('{"images": NaN}', "no valid JSON"),
    ([], "the file must be an object"),
    (dataset(images=None), "images must be a list"),
    (dataset(images=[{"file_name": "a"}]), r"images\[0\] must be an object, with an id"),
    (dataset(images=[{"id": True, "file_name": "a"}]), r"images\[0\]"),
    (dataset(images=[{"id": 5, "file_name": "a"}, {"id": 5, "file_name": "b"}]), "images must be ids that differ"),
    (dataset(images=[{"id": 5}]), "file_name must be a text"),
    (dataset(categories=[{"id": 1, "name": 3}]), "name must be a text"),
    (dataset(annotations=["x"]), r"annotations\[0\]"),
    (dataset(annotations=[]), "The truth has no box"),
]


@pytest.mark.parametrize(("value", "words"), BROKEN_COCO)
def test_broken_coco_is_refused_by_entry(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_pair(saved(tmp_path, value), saved(tmp_path, [], "predictions"))
    assert caught.value.field == "inputs.truth"
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": None}, r"results\[0\].score must be a number from 0 to 1"),
        ({"score": 1.5}, "score"),
        ({"score": True}, "score"),
        ({"image_id": 77}, r"results\[0\].image_id must be the id of a picture"),
        ({"image_id": [5]}, "image_id"),
        ({"category_id": "4"}, "category_id must be the id of a category"),
        ({"bbox": [0, 0, 1]}, r"results\[0\].bbox must be \[x, y, width, height\]"),
        ({"bbox": [0, 0, -1, 1]}, "bbox"),
        ({"bbox": [0, 0, 1, 1e300]}, "bbox"),
        ({"bbox": [0, 0, 1, "1"]}, "bbox"),
        ({"bbox": [0, 0, 1, 10**400]}, "bbox"),
        ({"iscrowd": 2}, "iscrowd must be 0 or 1"),
        ({"iscrowd": {}}, "iscrowd"),
    ],
)
def test_broken_results_are_refused_by_entry(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    right = {"image_id": 5, "category_id": 4, "bbox": [0, 0, 1, 1], "score": 0.5}
    assert len(read_pair(saved(tmp_path, dataset()), saved(tmp_path, [right], "predictions")).predictions) == 1
    with pytest.raises(InputError, match=words) as caught:
        read_pair(saved(tmp_path, dataset()), saved(tmp_path, [{**right, **change}], "predictions"))
    assert caught.value.field == "inputs.predictions"


def test_a_size_is_needed_only_for_shares(tmp_path: Path) -> None:
    sizeless = dataset(
        images=[{"id": 9, "file_name": "a.jpg"}, {"id": 5, "file_name": "b.jpg", "width": 0, "height": 9}]
    )
    assert len(read_pair(saved(tmp_path, sizeless), saved(tmp_path, scored(), "predictions")).truth) == 2
    with pytest.raises(InputError, match="needs its width and height"):
        read_pair(saved(tmp_path, sizeless), packed(tmp_path, FOUND, "predictions"))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"labels/a.txt": "0 0.5 0.5 0.1 0.1"}, "'labels/a.txt' line 1 must have a score"),
        ({"labels/a.txt": "\n0 0.5 0.5 0.1"}, "'labels/a.txt' line 2 must be: class x y width height"),
        ({"labels/a.txt": "0 0.1 0.1 0.2 0.2 0.3 0.3 0.4"}, "line 1 must be"),
        ({"labels/a.txt": "0 x 0 0 0 1"}, "line 1 must be"),
        ({"labels/a.txt": "0.5 0 0 0 0 1"}, "begin with a class number"),
        ({"labels/a.txt": "-1 0 0 0 0 1"}, "begin with a class number"),
        ({"labels/a.txt": "5000 0 0 0 0 1"}, "begin with a class number"),
        ({"labels/a.txt": "nan 0 0 0 0 1"}, "begin with a class number"),
        ({"labels/a.txt": "0 inf 0 0 0 1"}, "in shares of the picture's sides"),
        ({"labels/a.txt": "0 320 240 50 50 1"}, "in shares of the picture's sides"),
        ({"labels/a.txt": "0 0 0 -0.1 0 1"}, "in shares of the picture's sides"),
        ({"labels/a.txt": "0 0 0 0 0 1.1"}, "score from 0 to 1"),
        ({"train/labels/a.txt": "", "test/labels/a.txt": ""}, "two files are of one picture"),
        ({"labels/a.txt": "", "data.yaml": "names: [a, a]"}, "must name the classes"),
        ({"labels/a.txt": "", "data.yaml": "names: {1: a}"}, "must name the classes"),
        ({"labels/a.txt": "", "data.yaml": "- names"}, "must name the classes"),
        ({"labels/a.txt": "", "data.yaml": "names: !!python/object/apply:os.getcwd []"}, "no valid YAML"),
        ({"labels/a.txt": "", "data.yaml": "names: [" * 5000}, "no valid YAML"),
        ({"labels/a.txt": "", "data.yaml": "[" * 70_000}, "may hold at most 64 KiB"),
        ({"labels/a.txt": "", "data.yaml": f"names: [0x{'f' * 5000}]"}, "must name the classes"),
    ],
)
def test_broken_yolo_is_refused_by_line(tmp_path: Path, entries: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_pair(packed(tmp_path, YOLO), packed(tmp_path, entries, "predictions"))
    assert caught.value.field == "inputs.predictions"


def test_label_files_that_are_no_text(tmp_path: Path) -> None:
    file = packed(tmp_path, {})
    with zipfile.ZipFile(file.path, "w") as zipped:
        zipped.writestr("labels/a.txt", b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text"):
        read_pair(file, packed(tmp_path, FOUND, "predictions"))
    file.path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UnreadableInput):
        read_pair(file, packed(tmp_path, FOUND, "predictions"))


def test_too_many_boxes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "MAX_BOXES_OF_A_PICTURE", 2)
    many = {"labels/b.txt": "0 0.2 0.35 0.2 0.5 0.9\n" * 3}
    with pytest.raises(InputTooLarge, match="of one picture are measured; 'b' has more"):
        read_pair(packed(tmp_path, YOLO), packed(tmp_path, many, "predictions"))
    monkeypatch.setattr("saccade_models.evaluation.read_yolo.MAX_BOXES", 2)
    with pytest.raises(InputTooLarge, match="At most 2 boxes"):
        read_pair(packed(tmp_path, YOLO), packed(tmp_path, many, "predictions"))


def test_boxes_of_one_picture_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = "".join(f"0 0.{n} 0.5 0.1 0.1 0.5\n" for n in range(1, 9))
    pair = read_pair(packed(tmp_path, YOLO), packed(tmp_path, {"labels/b.txt": lines}, "predictions"))
    assert (np.diff(pair.predictions.boxes[:, 0]) > 0).all()
