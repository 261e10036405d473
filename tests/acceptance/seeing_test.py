"""What the seeing kinds find in real photos, over HTTP through the whole stack.

The truths were looked at or marked by hand; see the list of assets.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saccade_core.assets import asset
from saccade_models.boxes import iou_matrix
from servers.asking import artifact_bytes, finished, result_of
from servers.detecting import bus
from servers.stack import Stack

pytestmark = pytest.mark.stack

GROUPS: dict[str, list[dict[str, int]]] = json.loads(asset("images/groups/face_boxes.json").read_text("utf-8"))
PORTRAITS = [
    "alex_lacamoire_1.png",
    "biden_1.jpg",
    "biden_2.jpg",
    "lin_manuel_miranda.png",
    "obama_1.jpg",
    "obama_2.jpg",
    "obama_3.jpg",
]
HANDS = [
    "call_044768ad.jpg",
    "call_17b3aa02.jpg",
    "four_06aa70cc.jpg",
    "four_105f8f8e.jpg",
    "four_15a73593.jpg",
    "none_0a71a6e8.jpg",
    "rock_026fd791.jpg",
    "rock_0cc7ad09.jpg",
]


def _objects(stack: Stack, picture: str | Path, **params: Any) -> Counter[str]:
    result = result_of(finished(stack, "detect_objects", {"media": picture}, **params))
    found = Counter(item["label"] for item in result["objects"])
    assert dict(found) == result["counts"]
    for item in result["objects"]:
        x1, y1, x2, y2 = item["box"]
        assert 0 <= x1 < x2 <= result["width"] and 0 <= y1 < y2 <= result["height"]
    return found


def test_four_persons_and_a_bus(stack: Stack) -> None:
    assert _objects(stack, bus()) == {"person": 4, "bus": 1}


@pytest.mark.parametrize(
    ("picture", "at_least"),
    [
        ("objects/000000475732.jpg", {"cat": 1}),
        ("objects/000000052891.jpg", {"dog": 1, "frisbee": 1}),
        ("objects/000000373353.jpg", {"bus": 1, "car": 1, "person": 1}),
        ("objects/000000038829.jpg", {"bicycle": 1, "motorcycle": 1, "person": 1}),
        ("objects/000000215245.jpg", {"zebra": 6}),
        ("objects/000000098261.jpg", {"bird": 2}),
        ("people/COCO_val2014_000000000294.jpg", {"person": 1}),
        ("people/COCO_val2014_000000000328.jpg", {"person": 3}),
        ("people/COCO_val2014_000000000459.jpg", {"person": 1, "tie": 1}),
        ("people/COCO_val2014_000000000474.jpg", {"person": 1, "baseball glove": 1}),
        ("people/COCO_val2014_000000000564.jpg", {"person": 1}),
        ("people/COCO_val2014_000000000192.jpg", {"person": 4}),
    ],
)
def test_what_is_in_the_photo_is_found(stack: Stack, picture: str, at_least: dict[str, int]) -> None:
    found = _objects(stack, f"images/{picture}")
    assert all(found[label] >= count for label, count in at_least.items()), found


@pytest.mark.parametrize(
    ("picture", "expected"),
    [("475732", {"cat": 1}), ("052891", {"dog": 1, "frisbee": 1})],
)
def test_ssd_finds_the_cat_and_the_dog_with_the_frisbee(stack: Stack, picture: str, expected: dict[str, int]) -> None:
    found = _objects(stack, f"images/objects/000000{picture}.jpg", model="ssd_mobilenet", min_score=0.5)
    assert found == expected


def _faces(stack: Stack, picture: str, **params: Any) -> list[dict[str, Any]]:
    return result_of(finished(stack, "detect_faces", {"media": picture}, **params))["faces"]


@pytest.mark.parametrize("engine", ["yunet", "ssd"])
@pytest.mark.parametrize("picture", list(GROUPS))
def test_every_face_of_a_group_is_found_where_it_was_marked(stack: Stack, engine: str, picture: str) -> None:
    faces = _faces(stack, f"images/groups/{picture}", engine=engine)
    assert len(faces) == len(GROUPS[picture])
    marked = np.array(
        [[m["left"], m["top"], m["left"] + m["width"], m["top"] + m["height"]] for m in GROUPS[picture]], np.float32
    )
    overlap = iou_matrix(marked, np.array([face["box"] for face in faces], np.float32))
    assert overlap.max(axis=1).min() >= 0.5
    assert len(set(overlap.argmax(axis=1).tolist())) == len(faces), "two marks share one box"


def _subjects(stack: Stack, picture: str, what: str) -> list[dict[str, Any]]:
    return result_of(finished(stack, "find_landmarks", {"media": picture}, what=what))["subjects"]


@pytest.mark.parametrize("picture", PORTRAITS)
def test_478_points_on_a_portrait(stack: Stack, picture: str) -> None:
    [face] = _subjects(stack, f"images/faces/{picture}", "face_mesh")
    assert len(face["points"]) == 478 and len(face["blendshapes"]) == 52


@pytest.mark.parametrize("picture", HANDS)
def test_21_points_on_a_hand_and_33_on_the_body(stack: Stack, picture: str) -> None:
    [hand] = _subjects(stack, f"images/hands/{picture}", "hands")
    assert len(hand["points"]) == 21 and hand["handedness"] in {"left", "right"}
    [body] = _subjects(stack, f"images/hands/{picture}", "pose")
    assert len(body["points"]) == 33


@pytest.mark.parametrize("picture", ["faces/obama_2.jpg", "people/COCO_val2014_000000000192.jpg"])
def test_no_body_is_invented(stack: Stack, picture: str) -> None:
    assert _subjects(stack, f"images/{picture}", "pose") == []


def test_no_face_mesh_is_invented(stack: Stack) -> None:
    assert _subjects(stack, "images/faces/obama_and_biden.jpg", "face_mesh") == []


PEOPLE = {
    "obama": "obama_1.jpg",
    "biden": "biden_1.jpg",
    "lin_manuel_miranda": "lin_manuel_miranda.png",
}


@pytest.fixture(scope="module")
def gallery(stack: Stack) -> str:
    """A gallery of one photo of each person but Alex, who stays a stranger."""
    for person, photo in PEOPLE.items():
        job = finished(stack, "enroll_faces", {"images": [f"images/faces/{photo}"]}, gallery="people", person=person)
        assert result_of(job)["enrolled"] == 1
    return "people"


@pytest.mark.parametrize(
    ("picture", "person"),
    [
        ("obama_2.jpg", "obama"),
        ("obama_3.jpg", "obama"),
        ("obama_partial.jpg", "obama"),
        ("biden_2.jpg", "biden"),
        ("alex_lacamoire_1.png", None),
    ],
)
def test_each_is_recognised_and_strangers_are_nobody(
    stack: Stack, gallery: str, picture: str, person: str | None
) -> None:
    job = finished(stack, "recognize_faces", {"media": f"images/faces/{picture}"}, gallery=gallery)
    [face] = result_of(job)["faces"]
    assert face["person"] == person


def test_both_presidents_and_a_stranger(stack: Stack, gallery: str) -> None:
    job = finished(stack, "recognize_faces", {"media": "images/faces/obama_and_biden.jpg"}, gallery=gallery)
    people = [face["person"] for face in result_of(job)["faces"]]
    assert sorted(p for p in people if p) == ["biden", "obama"]
    assert people.count(None) == len(people) - 2


def test_a_group_of_strangers_is_nobody(stack: Stack, gallery: str) -> None:
    job = finished(stack, "recognize_faces", {"media": "images/groups/2007_007763.jpg"}, gallery=gallery)
    faces = result_of(job)["faces"]
    assert len(faces) == 7 and {face["person"] for face in faces} == {None}


def test_two_photos_of_one_person_and_of_two(stack: Stack) -> None:
    def same(first: str, second: str) -> bool:
        inputs = {"first": f"images/faces/{first}", "second": f"images/faces/{second}"}
        return result_of(finished(stack, "verify_faces", dict(inputs)))["same"]

    assert same("obama_1.jpg", "obama_3.jpg")
    assert same("biden_1.jpg", "biden_2.jpg")
    assert not same("obama_1.jpg", "biden_1.jpg")
    assert not same("lin_manuel_miranda.png", "alex_lacamoire_1.png")


def test_coco_and_yolo_files_say_what_the_result_says(stack: Stack, tmp_path: Path) -> None:
    job = finished(stack, "detect_objects", {"media": bus()})
    result = result_of(job)
    coco = json.loads(artifact_bytes(stack, job, "coco.json", tmp_path))
    names = {c["id"]: c["name"] for c in coco["categories"]}
    assert Counter(names[a["category_id"]] for a in coco["annotations"]) == result["counts"]
    assert [(i["width"], i["height"]) for i in coco["images"]] == [(result["width"], result["height"])]
    [labels] = [a.name for a in job.artifacts if a.name.startswith("labels/")]
    rows = artifact_bytes(stack, job, labels, tmp_path).decode().splitlines()
    assert len(rows) == len(result["objects"])
    assert all(0 <= float(v) <= 1 for row in rows for v in row.split()[1:])
