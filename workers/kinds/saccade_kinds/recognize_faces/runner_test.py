from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.assets import asset
from saccade_core.errors import NotFound
from saccade_core.kind import GalleryFiles
from saccade_core.parts import DonePart, Part
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.recognize_faces.contract import KIND, RecognizeFacesParams, RecognizeFacesResult
from saccade_kinds.recognize_faces.runner import join, plan, run, run_part
from saccade_models.faces.recognition import Recognition
from saccade_models.faces.testing import gallery, people
from saccade_models.media import segments
from saccade_models.weights import local_model

#: One photo of each person.
ENROLLED = {
    "Barack Obama": "obama_1.jpg",
    "Joe Biden": "biden_1.jpg",
    "Lin-Manuel Miranda": "lin_manuel_miranda.png",
    "Alex Lacamoire": "alex_lacamoire_1.png",
}


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("embeddings")
    recognition = Recognition.load(LocalContext(folder, weights=local_model))
    found: dict[str, list[Any]] = {}
    for person, name in ENROLLED.items():
        picture = np.asarray(cv2.imread(str(asset(f"images/faces/{name}"))), dtype=np.uint8)
        found[person] = [face.embedding for face in recognition.faces(picture)]
    return found


@pytest.fixture(scope="module")
def known(embeddings: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> GalleryFiles:
    return gallery(tmp_path_factory.mktemp("known"), embeddings)


def recognize(
    media: Path, files: GalleryFiles, folder: Path, **params: Any
) -> tuple[RecognizeFacesResult, LocalContext]:
    context = LocalContext(folder / "run", weights=local_model, gallery_files=files)
    given = RecognizeFacesParams.model_validate({"gallery": "test", **params})
    return run(inputs_of(media=media), given, context), context


def names(result: RecognizeFacesResult) -> list[str | None]:
    assert result.faces is not None
    return [face.person for face in sorted(result.faces, key=lambda face: face.box[0])]


@pytest.mark.parametrize(
    ("photo", "person"),
    [
        ("obama_2.jpg", "Barack Obama"),
        ("obama_3.jpg", "Barack Obama"),
        ("obama_partial.jpg", "Barack Obama"),
        ("biden_2.jpg", "Joe Biden"),
    ],
)
def test_other_photos_of_the_enrolled_are_named(photo: str, person: str, known: GalleryFiles, tmp_path: Path) -> None:
    result, context = recognize(asset(f"images/faces/{photo}"), known, tmp_path)
    assert names(result) == [person]
    assert result.faces is not None
    (face,) = result.faces
    assert face.similarity is not None and face.similarity >= 0.59
    assert face.candidates[0].person == person and len(face.candidates) == 3
    assert face.candidates[1].similarity <= 0.2
    assert result.people == {person: 1} and (result.threshold, result.notes) == (0.45, [])
    assert {name for name, _, _ in context.models} == {"yunet", "mobilefacenet"}
    assert (context.artifacts / "overlay.png").stat().st_size > 1000


def test_both_are_named_and_the_third_is_nobody(known: GalleryFiles, tmp_path: Path) -> None:
    result, _ = recognize(asset("images/faces/obama_and_biden.jpg"), known, tmp_path)
    assert names(result) == ["Joe Biden", "Barack Obama", None]
    assert result.people == {"Joe Biden": 1, "Barack Obama": 1}


@pytest.mark.parametrize("group", ["2007_007763", "2008_001322", "2008_002506", "2009_004587"])
def test_strangers_are_nobody(group: str, known: GalleryFiles, tmp_path: Path) -> None:
    result, _ = recognize(asset(f"images/groups/{group}.jpg"), known, tmp_path)
    assert result.faces and set(names(result)) == {None}
    assert all(face.similarity is not None and len(face.candidates) == 3 for face in result.faces)
    assert result.people == {}


def test_in_an_empty_gallery_everybody_is_a_stranger(tmp_path: Path) -> None:
    result, _ = recognize(asset("images/faces/obama_1.jpg"), gallery(tmp_path / "g", {}), tmp_path)
    assert result.faces is not None
    assert [(f.person, f.similarity, f.candidates) for f in result.faces] == [(None, None, [])]


def test_the_threshold_is_asked_for_or_computed(known: GalleryFiles, tmp_path: Path) -> None:
    strict, _ = recognize(asset("images/faces/obama_2.jpg"), known, tmp_path, threshold=0.95)
    assert names(strict) == [None] and strict.people == {} and strict.threshold == 0.95
    assert strict.faces is not None and strict.faces[0].candidates[0].person == "Barack Obama"
    few, _ = recognize(asset("images/faces/obama_2.jpg"), known, tmp_path, max_false_accept_rate=0.001)
    assert few.threshold == 0.45 and "too few" in few.notes[0]
    rows, owners = people(120, 2)
    many = gallery(tmp_path / "many", {f"p{i}": list(rows[owners == i]) for i in range(120)})
    computed, _ = recognize(asset("images/faces/obama_2.jpg"), many, tmp_path, max_false_accept_rate=0.01)
    assert 0.1 < computed.threshold < 0.45
    assert "240 comparisons" in computed.notes[-1]


def test_of_a_video_people_are_counted_over_its_frames(known: GalleryFiles, tmp_path: Path) -> None:
    result, context = recognize(asset("videos/short_hamilton_clip.mp4"), known, tmp_path, every_n=25)
    lines = [json.loads(line) for line in (context.artifacts / "frames.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 11 and result.faces is None
    named = [{face["person"] for face in line["faces"]} - {None} for line in lines]
    assert result.people == {p: sum(p in frame for frame in named) for p in set().union(*named)}
    assert result.people["Lin-Manuel Miranda"] >= 3  # he sings; of Alex Lacamoire only a profile and 20 px are seen
    assert set(result.people) <= {"Lin-Manuel Miranda", "Alex Lacamoire"}


def in_parts(
    before: GalleryFiles, after: GalleryFiles, folder: Path, monkeypatch: pytest.MonkeyPatch, **params: Any
) -> tuple[RecognizeFacesResult, LocalContext]:
    """A video whose first parts see the gallery ``before``; the last one, and the join, see it ``after``."""
    monkeypatch.setattr(segments, "USUAL", 3)
    inputs = inputs_of(media=asset("videos/short_hamilton_clip.mp4"))
    given = RecognizeFacesParams.model_validate({"gallery": "test", "every_n": 25, **params})

    def context(name: str, files: GalleryFiles) -> LocalContext:
        return LocalContext(folder / name, weights=local_model, gallery_files=files)

    planned = plan(inputs, given, context("plan", before))
    assert len(planned) > 2
    done: list[DonePart] = []
    for part in planned:
        sent = Part(part.index, json.loads(json.dumps(part.spec)), part.weight)
        at = context(f"part{part.index}", after if part is planned[-1] else before)
        done.append(DonePart(sent, json.loads(json.dumps(run_part(inputs, given, at, sent))), at.artifacts))
    at = context("join", after)
    return join(inputs, given, at, done), at


def seen_faces(context: LocalContext) -> list[dict[str, Any]]:
    lines = (context.artifacts / "frames.jsonl").read_text("utf-8").splitlines()
    return [face for line in lines for face in json.loads(line)["faces"]]


def frames_of(context: LocalContext) -> list[Any]:
    with av.open(str(context.artifacts / "overlay.mp4")) as video:
        return [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]


def test_who_is_removed_while_the_parts_run_is_named_nowhere(
    embeddings: dict[str, list[Any]], known: GalleryFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "Lin-Manuel Miranda"
    rest = {person: rows for person, rows in embeddings.items() if person != gone}
    after = replace(gallery(tmp_path / "after", rest), revision=2)
    same, before = in_parts(known, known, tmp_path / "same", monkeypatch)
    assert same.people[gone] >= 3
    result, joined = in_parts(known, after, tmp_path / "removed", monkeypatch)
    assert gone not in result.people
    assert gone not in (joined.artifacts / "frames.jsonl").read_text("utf-8")
    faces, old = seen_faces(joined), seen_faces(before)
    assert [face["box"] for face in faces] == [face["box"] for face in old]
    for face, was in zip(faces, old, strict=True):
        assert face["person"] == (None if was["person"] == gone else was["person"])
        assert face["candidates"][: len(rest) - 1] == [c for c in was["candidates"] if c["person"] != gone][:2]
        assert face["similarity"] == face["candidates"][0]["similarity"]
    drawn, plain = frames_of(joined), frames_of(before)
    assert len(drawn) == len(plain)
    differs = [bool(np.abs(a.astype(int) - b).max() > 60) for a, b in zip(drawn, plain, strict=True)]
    assert any(differs)  # labels and colours went with the name


def test_the_parts_share_the_threshold_that_is_told(
    known: GalleryFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, owners = people(120, 2)
    many = gallery(tmp_path / "many", {f"p{i}": list(rows[owners == i]) for i in range(120)})
    result, _ = in_parts(many, replace(known, revision=2), tmp_path, monkeypatch, max_false_accept_rate=0.01)
    assert 0.1 < result.threshold < 0.45  # the small gallery at the end would give 0.45
    assert "240 comparisons" in result.notes[-1]
    fixed, _ = in_parts(known, known, tmp_path / "fixed", monkeypatch, threshold=0.99)
    assert (fixed.threshold, fixed.notes, fixed.people) == (0.99, [], {})


def test_without_a_gallery_it_is_an_error(tmp_path: Path) -> None:
    context = LocalContext(tmp_path, weights=local_model)
    with pytest.raises(NotFound):
        run(inputs_of(media=asset("images/faces/obama_1.jpg")), RecognizeFacesParams(gallery="g"), context)
    assert KIND.gallery(RecognizeFacesParams(gallery="g")) == "g" and not KIND.enrolls


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"gallery": "a b"},
        {"gallery": "g", "threshold": 0.5, "max_false_accept_rate": 0.1},
        {"gallery": "g", "max_false_accept_rate": 0},
    ],
)
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RecognizeFacesParams.model_validate(wrong)
