from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade_core.assets import registry
from saccade_core.errors import Cancelled, InputError, InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.archives import open_archive
from saccade_models.datasets.yolo import YoloDataset, read_yolo_dataset
from saccade_models.datasets.yolo_cut import Split
from saccade_models.datasets.yolo_labels import LabelReport, read_labels
from saccade_models.datasets.yolo_layout import find_layout
from saccade_models.datasets.yolo_testing import DATA_YAML, shape_files, write_zip

Files = dict[str, str | bytes]


def read(folder: Path, files: Files, split: Split | None = None) -> YoloDataset:
    folder.mkdir(parents=True, exist_ok=True)
    path = write_zip(folder / "set.zip", files)
    (folder / "out").mkdir()
    return read_yolo_dataset(
        InputFile(path, path.name, "application/zip", "inputs.dataset"), folder / "out", split or Split()
    )


def sources(data: YoloDataset) -> dict[str, list[str]]:
    return {part: [picture.source for picture in pictures] for part, pictures in data.parts.items()}


SHAPES = shape_files(8, size=40)


def test_a_clean_set_is_written_anew_and_means_the_same(tmp_path: Path) -> None:
    data = read(tmp_path, SHAPES)
    assert (data.labels, data.source, list(data.split), list(data.notes)) == (("circle", "square"), "data.yaml", [], [])
    assert {part: len(pictures) for part, pictures in data.parts.items()} == {"train": 4, "valid": 2, "test": 2}
    described: dict[str, Any] = dict(yaml.safe_load(data.yaml.read_text()) or {})
    assert described["names"] == {0: "circle", 1: "square"}
    for key, part in (("train", "train"), ("val", "valid"), ("test", "test")):
        folder = Path(described["path"]) / described[key]
        assert sorted(folder.iterdir()) == [picture.path for picture in data.parts[part]]
    first = data.parts["train"][0]
    assert first.path.read_bytes() == SHAPES[first.source]
    label = (first.path.parents[1] / "labels" / f"{first.path.stem}.txt").read_text()
    truth = str(SHAPES["train/labels/shape00.txt"])
    assert np.allclose(np.loadtxt(label.splitlines()), np.loadtxt(truth.splitlines()), atol=1e-7)


@pytest.mark.parametrize(
    "lines",
    [
        "train: train/images\nval: valid/images\ntest: test/images",
        "path: ../datasets/shapes\ntrain: train/images\nval: valid/images\ntest: test/images",
        "path: C:\\Users\\me\\My Data\\shapes\ntrain: train\\images\nval: valid\\images\ntest: test",
        "train: C:\\Users\\me\\set\\train\\images\nval: D:/set/valid/images\ntest: 'E:\\test\\images'",
        "train: /home/me/labels/Train/Images\nvalidation: /home/me/valid/images/\ntest: /mnt/x/test",
        "train: [./train/images]\nvalid: ['../../valid/images']\ntest: file:///home/me/test/images",
        "train: train.txt\nval: lists/val.txt\ntest: /content/test",
    ],
)
@pytest.mark.parametrize("top", ["", "my set/"])
def test_paths_as_users_tools_leave_them(tmp_path: Path, lines: str, top: str) -> None:
    lists: Files = {
        "train.txt": "./train/images/shape00.png\n/home/me/train/images/shape02.png\n\n"
        "C:\\d\\train\\images\\shape04.png\nshape06.png\n",
        "lists/val.txt": "\ufeffvalid/images/shape01.png\nvalid/images/shape05.png\n",
    }
    files = {**SHAPES, **lists, "data.yaml": f"{lines}\nnames: {{0: circle, 1: square}}\n"}
    data = read(tmp_path, {top + name: content for name, content in files.items()})
    assert sources(data) == {
        part: [f"{top}{part}/images/shape{n:02d}.png" for n in numbers]
        for part, numbers in (("train", (0, 2, 4, 6)), ("valid", (1, 5)), ("test", (3, 7)))
    }
    assert sum(len(picture.boxes) for picture in data.parts["train"]) == 8


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "names: [a, b]\n\ntrain: train/images\nval: /home/me/holdout",
            r"line 4 of data.yaml: 'val:' is .*looked for 'home/me/holdout', 'me/holdout', 'holdout'.*: .*train/images",
        ),
        ("train: x/images\nnames: [a, b]", r"line 1 of data.yaml: 'train:' .*more than one place.*test/images"),
        ("train: train/images\nval: /d/holdout/valid/pictures\nnames: [a, b]", "line 2 of data.yaml: 'val:'"),
        ("train: train/images\nval: 7\nnames: [a, b]", "line 2 of data.yaml: 'val:' must be a path"),
        ("names: [a, b]\nval: valid", "data.yaml: 'train:' names no pictures to learn"),
        ("train: train\nnames: [a, a]", "line 2 of data.yaml must name the classes"),
        ("train: train\nnames: {1: a, 2: b}", "line 2 of data.yaml must name the classes"),
        ("train: train\nnc: 3\nnames: [a, b]", "line 2 of data.yaml: 'nc:' says 3 classes, and 'names:' has 2"),
        ("train: [\nnames: 1", r"data.yaml, line \d is no valid YAML"),
        ("train: train\nnames: !!python/object/apply:os.system ['true']", r"line 2 has a tag \(!\)"),
        ("names: &n [a, b]\ntrain: train\nval: *n", "data.yaml, line 1 has an anchor or an alias"),
        ("names: [a, b]\ntrain: *n", "data.yaml, line 2 has an anchor or an alias"),
        ("names: [a, b]\nother:\n  <<: {a: 1}\n", r"data.yaml, line 3 has a merge key \(<<\)"),
        ("names: [a, b]\nnc: " + ":".join(["1"] * 400) + ".0", "no valid YAML"),
        (
            f"names: [a, b]\ntrain: {[f'train/{n}' for n in range(101)]}",
            "line 2 of data.yaml: 'train:' names 101 places",
        ),
        ("[" * 60_000, "no valid YAML"),
        ("just words", "is not a list of"),
        ("train: missing.txt\nnames: [a, b]", "has no such list of pictures"),
        ("train: train.txt\nnames: [a, b]", "line 2 of train.txt names no picture in the archive, 'other.png'"),
    ],
)
def test_a_wrong_line_is_said(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, {**SHAPES, "train.txt": "shape00.png\nother.png\n", "data.yaml": lines})
    assert caught.value.field == "inputs.dataset"


def test_a_bomb_of_merge_keys_is_refused_before_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 30)
    )
    grown = 0

    def flatten(_loader: yaml.SafeLoader, _node: yaml.MappingNode) -> None:
        nonlocal grown
        grown += 1

    monkeypatch.setattr(yaml.SafeLoader, "flatten_mapping", flatten)
    with pytest.raises(UnreadableInput, match=r"data\.yaml, line 1 has an anchor"):
        read(tmp_path, {**SHAPES, "data.yaml": bomb})
    assert grown == 0


def test_what_is_named_again_and_again_is_looked_up_once_and_can_be_cancelled(tmp_path: Path) -> None:
    folders = f"train: {['train/images'] * 2000}\nval: valid.txt\nnames: [a, b]\n"
    files: Files = {**SHAPES, "data.yaml": folders, "valid.txt": "valid/images/shape01.png\n" * 5000}
    path = write_zip(tmp_path / "set.zip", files)
    file, calls = InputFile(path, path.name, "application/zip", "inputs.dataset"), 0

    def check() -> None:
        nonlocal calls
        calls += 1

    def cancel() -> None:
        raise Cancelled("The job was cancelled.")

    with open_archive(file) as archive:
        layout = find_layout(archive, file, check)
        with pytest.raises(Cancelled):
            find_layout(archive, file, cancel)
    assert calls == 3  # a folder, a list, a line of it
    assert {part: len(names) for part, names in layout.parts.items()} == {"train": 4, "valid": 1}


def test_copies_stay_in_one_part_where_the_parts_are_cut_here(tmp_path: Path) -> None:
    files: Files = {"classes.txt": "circle\nsquare\n"}
    shapes = shape_files(20, size=20)
    for name in sorted(name for name in shapes if name.endswith(".png")):
        for copy in "abc":
            stem = f"{Path(name).stem}{copy}"
            files[f"{stem}.png"] = shapes[name]
            files[f"{stem}.txt"] = shapes[name.replace("images", "labels").replace(".png", ".txt")]
    data = read(tmp_path, files)
    assert list(data.split) == ["valid", "test"] and list(data.notes) == []
    parts = {part: {name[:-5] for name in names} for part, names in sources(data).items()}
    assert sum(map(len, parts.values())) == 20 and len(set[str]().union(*parts.values())) == 20
    assert {part: len(pictures) for part, pictures in data.parts.items()} == {"train": 42, "valid": 12, "test": 6}
    one: Files = {"classes.txt": "circle\nsquare\n", **{f"{n}.png": files["shape00a.png"] for n in range(9)}}
    with pytest.raises(InputError, match="its 1 different pictures are too few to be split"):
        read(tmp_path / "one", one)


def test_a_path_of_train_is_not_taken_for_valid(tmp_path: Path) -> None:
    """The only folder that ends in ``images`` is train's."""
    files: Files = {n: c for n, c in SHAPES.items() if n.startswith("train/")}
    lines = "train: train/images\nval: /home/me/valid/images\nnames: [a, b]"
    with pytest.raises(InputError, match=r"line 2 of data\.yaml: 'val:'"):
        read(tmp_path, {**files, "data.yaml": lines})


def test_parts_that_overlap_are_taken_apart(tmp_path: Path) -> None:
    same = read(tmp_path / "a", {**SHAPES, "data.yaml": "train: train\nval: train\ntest: test\nnames: [a, b]"})
    assert list(same.split) == ["valid"] and "valid is not used" in same.notes[0]
    assert {part: len(pictures) for part, pictures in same.parts.items()} == {"train": 3, "valid": 1, "test": 2}
    within = read(tmp_path / "b", {**SHAPES, "data.yaml": "train: .\nval: valid\nnames: [a, b]"})
    assert sources(within)["valid"] == ["valid/images/shape01.png", "valid/images/shape05.png"]
    assert len(within.parts["train"]) == 6 and "2 pictures named for both" in within.notes[0]


@pytest.mark.parametrize("labels", ["pictures/{}.txt", "labels/{}.txt", "pictures/labels/{}.txt"])
def test_labelimg_folders_are_split_by_the_seed(tmp_path: Path, labels: str) -> None:
    files: Files = {"classes.txt": "circle\nsquare\n"}
    for name, content in shape_files(40, size=20).items():
        stem = Path(name).stem
        if name != "data.yaml":
            files[labels.format(stem) if name.endswith(".txt") else f"pictures/{stem}.png"] = content
    first, again = read(tmp_path / "a", files), read(tmp_path / "b", files)
    other = read(tmp_path / "c", files, Split(seed=1))
    assert {part: len(pictures) for part, pictures in first.parts.items()} == {"train": 28, "valid": 8, "test": 4}
    assert (first.labels, first.source, list(first.split)) == (("circle", "square"), "classes.txt", ["valid", "test"])
    assert sources(first) == sources(again) != sources(other)
    assert all(len(picture.boxes) == 2 for pictures in first.parts.values() for picture in pictures)
    assert list(first.labels_without_picture) == []


def test_nothing_says_what_it_is(tmp_path: Path) -> None:
    files = {name: content for name, content in SHAPES.items() if name != "data.yaml"}
    with pytest.raises(InputError, match=r"neither a data.yaml nor, as LabelImg writes it, a classes.txt"):
        read(tmp_path / "a", files)
    with pytest.raises(InputError, match="no picture in the archive"):
        read(tmp_path / "b", {"data.yaml": DATA_YAML, "train/images/a.txt": "x"})
    with pytest.raises(InputError, match="which of its YAML files"):
        read(tmp_path / "c", {**files, "a.yaml": DATA_YAML, "b.yaml": DATA_YAML})


def test_wrong_labels_are_told_with_file_and_line(tmp_path: Path) -> None:
    wrong: Files = {
        "train/labels/shape00.txt": "0 0.5 0.5 0.1 0.1\n\n2 0.5 0.5 0.1 0.1\n",
        "train/labels/shape02.txt": "0 120 80 40 40\n1 0.5 0.5 0.1\n-1 0.5 0.5 0.1 0.1\n0.5 0.5 0.5 0.1 0.1\n",
        "valid/labels/shape01.txt": "0 nan 0.5 0.1 0.1\ncircle 0.5 0.5 0.1 0.1\n0 0.5 0.5 -0.1 0.1\n",
    }
    with pytest.raises(InputError) as caught:
        read(tmp_path, {**SHAPES, **wrong})
    message = caught.value.message
    assert "'train/labels/shape00.txt' line 3: class 2 is none of the 2 classes, which are 0 to 1." in message
    assert "'train/labels/shape02.txt' line 1: the box must lie in the picture, in shares of its sides" in message
    assert "'train/labels/shape02.txt' line 2: must be five numbers" in message
    assert message.endswith("And 3 more lines.") and caught.value.received == 8


def test_what_is_mended_is_reported(tmp_path: Path) -> None:
    pixels = SHAPES["train/images/shape00.png"]
    mended: Files = {
        "train/labels/shape00.txt": "0 0.02 0.5 0.1 0.2\n0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0 0.2\n"
        "1 0.1 0.2 0.4 0.3 0.2 0.6\n",
        "train/labels/lost.txt": "0 0.5 0.5 0.1 0.1\n",
        "train/labels/shape02.txt": "",
        "train/images/alone.png": pixels,
        "valid/images/broken.jpg": b"\xff\xd8\xff no picture",
        "valid/labels/broken.txt": "0 0.5 0.5 0.1 0.1\n",
    }
    data = read(tmp_path, {**SHAPES, **mended})
    found = data.found
    assert (found.clipped, found.duplicates, found.without_area, found.polygons) == (1, 1, 1, 1)
    boxes = {picture.source: picture.boxes for picture in data.parts["train"]}
    clipped, plain, polygon = boxes["train/images/shape00.png"]
    assert clipped == (0, pytest.approx(0.035), 0.5, pytest.approx(0.07), pytest.approx(0.2))
    assert plain == (0, 0.5, 0.5, 0.1, 0.1)
    assert polygon == (1, pytest.approx(0.25), pytest.approx(0.4), pytest.approx(0.3), pytest.approx(0.4))
    assert boxes["train/images/shape02.png"] == boxes["train/images/alone.png"] == []
    assert list(data.labels_without_picture) == ["train/labels/lost.txt"]
    assert [left.picture for left in data.unreadable] == ["valid/images/broken.jpg"]
    assert "broken.jpg" in data.unreadable[0].reason and str(tmp_path) not in data.unreadable[0].reason


def test_a_class_that_is_never_seen_and_copies_between_parts_are_noted(tmp_path: Path) -> None:
    copied: Files = {"test/images/shape03.png": SHAPES["train/images/shape00.png"]}
    lines = DATA_YAML.replace("nc: 2", "nc: 3").replace("'square'", "'square', 'star'")
    notes = read(tmp_path, {**SHAPES, **copied, "data.yaml": lines}).notes
    assert [note.split(":")[0] for note in notes] == [
        "No picture of train has a box of",
        "1 pictures are in more than one part, byte for byte",
    ]


def test_a_part_without_a_box_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 2 readable pictures of 'valid' has a box"):
        read(tmp_path, {**SHAPES, "valid/labels/shape01.txt": "", "valid/labels/shape05.txt": ""})
    with pytest.raises(InputError, match="too few to be split"):
        read(tmp_path / "b", {"classes.txt": "a\nb\n", "a.png": SHAPES["train/images/shape00.png"]})


def test_pictures_that_other_readers_see_otherwise_are_written_upright(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 4), dtype=np.uint8)
    pixels[:, :30] = (0, 0, 255, 255)
    cv2.imwrite(str(tmp_path / "alpha.png"), pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(pixels[:, :, 2::-1])).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    odd: Files = {f"train/images/{n}": (tmp_path / n).read_bytes() for n in ("alpha.png", "turned.jpg")}
    data = read(tmp_path / "set", {**SHAPES, **odd})
    written = {picture.source: picture.path for picture in data.parts["train"]}
    alpha = cv2.imread(str(written["train/images/alpha.png"]))
    turned = cv2.imread(str(written["train/images/turned.jpg"]), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert alpha is not None and turned is not None
    assert alpha.shape == (40, 60, 3) and (alpha[20, 50] > 240).all()  # over white
    assert turned.shape == (60, 40, 3)


def test_hostile_archives_are_refused_and_nothing_is_written_outside(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="leads out of its folder"):
        read(tmp_path / "a", {**SHAPES, "../escaped.txt": "x"})
    assert not (tmp_path / "escaped.txt").exists() and not (tmp_path / "a" / "escaped.txt").exists()
    with pytest.raises(InputTooLarge, match="200 times its size"):
        read(tmp_path / "b", {**SHAPES, "train/images/bomb.png": bytes(200 << 20)})
    Image.new("1", (20_000, 6_000)).save(tmp_path / "huge.png")
    huge = read(tmp_path / "c", {**SHAPES, "train/images/huge.png": (tmp_path / "huge.png").read_bytes()})
    assert "20000x6000 pixels" in huge.unreadable[0].reason  # left out, and said
    with pytest.raises(InputTooLarge, match="at most 64 KiB"):
        read(tmp_path / "d", {**SHAPES, "data.yaml": DATA_YAML + "#" * (64 << 10)})


def test_cancelling_ends_between_pictures(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", SHAPES)
    done: list[int] = []

    def step(number: int, total: int) -> None:
        assert total == 8
        done.append(number)
        if number == 3:
            raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        read_yolo_dataset(InputFile(path, "set.zip", "", "inputs.dataset"), tmp_path / "out", Split(), step)
    assert max(done) == 3


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.lists(st.floats(width=32), max_size=9).map(lambda v: " ".join(map(str, v))))
def test_any_label_line_gives_a_box_in_the_picture_or_is_told(text: str) -> None:
    report = LabelReport()
    for number, x, y, width, height in read_labels(text.encode("utf-8", "replace"), "a.txt", 3, report):
        assert number in {0, 1, 2} and 0 < width <= 1 and 0 < height <= 1
        assert x - width / 2 >= -1e-6 and x + width / 2 <= 1 + 1e-6
        assert y - height / 2 >= -1e-6 and y + height / 2 <= 1 + 1e-6
    assert all(line.startswith("'a.txt' line ") for line in report.wrong)


def test_the_blood_cells(tmp_path: Path) -> None:
    """A real set, whose boxes were counted when it was made."""
    from saccade_core.assets import asset

    names = [name for name in registry() if name.startswith("datasets/bccd_yolo/")]
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        for name in names:
            archive.write(asset(name), name.removeprefix("datasets/bccd_yolo/"))
    (tmp_path / "out").mkdir()
    data = read_yolo_dataset(InputFile(tmp_path / "cells.zip", "cells.zip", "", "d"), tmp_path / "out", Split())
    counts = {
        part: [sum(box[0] == n for picture in pictures for box in picture.boxes) for n in range(3)]
        for part, pictures in data.parts.items()
    }
    assert counts == {"train": [1378, 121, 114], "valid": [376, 29, 34], "test": [357, 29, 41]}, json.dumps(counts)
    assert (data.labels, list(data.unreadable), list(data.notes)) == (("RBC", "WBC", "Platelets"), [], [])
