from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError

from saccade_core.assets import asset
from saccade_core.errors import Cancelled, ModelMissing, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.find_landmarks.contract import KIND, FindLandmarksParams, FindLandmarksResult
from saccade_kinds.find_landmarks.runner import run
from saccade_models.weights import local_model

SAMPLE = Path(__file__).parent / "sample" / "astronaut.jpg"


def find(media: Path, folder: Path, **params: Any) -> tuple[FindLandmarksResult, LocalContext]:
    context = LocalContext(folder / "run", weights=local_model)
    return run(inputs_of(media=media), FindLandmarksParams.model_validate(params), context), context


def test_the_sample(tmp_path: Path) -> None:
    result, context = find(SAMPLE, tmp_path)
    assert (result.media, result.width, result.height, result.video) == ("image", 320, 320, None)
    (face,) = result.subjects or []
    assert (face.what, len(face.points), face.handedness, face.visibility, face.score) == (
        "face_mesh", 478, None, None, None,
    )  # fmt: skip
    shapes = face.blendshapes or {}
    assert len(shapes) == 52
    assert shapes["mouthSmileLeft"] > 0.5 and shapes["mouthSmileRight"] > 0.5, "she smiles"
    assert shapes["eyeBlinkLeft"] < 0.5 and shapes["eyeBlinkRight"] < 0.5, "with open eyes"
    overlay, plain = cv2.imread(str(context.artifacts / "overlay.png")), cv2.imread(str(SAMPLE))
    assert overlay is not None and plain is not None
    ys, xs = np.nonzero((overlay != plain).any(axis=2))
    points = np.array(face.points)
    assert abs(xs.min() - points[:, 0].min()) < 4 and abs(xs.max() - points[:, 0].max()) < 4
    assert abs(ys.min() - points[:, 1].min()) < 4 and abs(ys.max() - points[:, 1].max()) < 4
    assert [name for name, _, _ in context.models] == ["mediapipe", "face_landmarker"]


def test_what_is_switched_off_is_not_there(tmp_path: Path) -> None:
    result, context = find(SAMPLE, tmp_path, overlay=False, blendshapes=False)
    (face,) = result.subjects or []
    assert face.blendshapes is None
    assert not list(context.artifacts.iterdir())


def test_holistic_gives_each_part(tmp_path: Path) -> None:
    result, context = find(asset("images/hands/call_044768ad.jpg"), tmp_path, what="holistic", csv=True)
    subjects = result.subjects or []
    found = [(s.what, s.handedness, len(s.points), len(s.visibility or []), len(s.blendshapes or {})) for s in subjects]
    assert found == [("face_mesh", None, 478, 0, 52), ("pose", None, 33, 33, 0), ("hand", "left", 21, 0, 0)]
    with (context.artifacts / "landmarks.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["what"] for row in rows) == {"face_mesh": 478, "pose": 33, "hand": 21}
    last, wrist = rows[-1], subjects[2].points[20]
    assert (last["subject"], last["handedness"], last["point"], last["frame"]) == ("2", "left", "20", "0")
    assert tuple(float(last[axis]) for axis in "xyz") == wrist


def test_a_picture_lying_on_its_side_gives_the_points_of_the_upright_one(tmp_path: Path) -> None:
    with PIL.Image.open(SAMPLE) as opened:
        wide = opened.crop((0, 0, 320, 200))
    wide.save(tmp_path / "upright.png")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees to be upright
    wide.transpose(PIL.Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    upright, _ = find(tmp_path / "upright.png", tmp_path)
    lying, _ = find(tmp_path / "lying.png", tmp_path)
    assert (lying.width, lying.height) == (320, 200)
    assert len(upright.subjects or []) == 1
    assert lying.subjects == upright.subjects


def test_a_video_gives_its_frames(tmp_path: Path) -> None:
    video = asset("videos/short_hamilton_clip.mp4")
    result, context = find(video, tmp_path, every_n=55, overlay=False, csv=True)
    assert result.media == "video" and result.subjects is None and result.video is not None
    lines = [json.loads(line) for line in (context.artifacts / "frames.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == [0, 55, 110, 165, 220]
    subjects = [subject for line in lines for subject in line["subjects"]]
    assert result.video.frames_seen == 5 and result.video.items == len(subjects) > 0
    assert {len(subject["points"]) for subject in subjects} == {478}
    with (context.artifacts / "landmarks.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == 1 + 478 * len(subjects)


def test_errors_and_cancelling(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UnreadableInput) as caught:
        find(tmp_path / "text.jpg", tmp_path)
    assert caught.value.field == "media"
    with pytest.raises(ModelMissing):
        run(inputs_of(media=SAMPLE), FindLandmarksParams(), LocalContext(tmp_path / "bare"))
    context = LocalContext(tmp_path / "stopped", weights=local_model, cancel_after=1)
    with pytest.raises(Cancelled):
        run(inputs_of(media=SAMPLE), FindLandmarksParams(), context)


@pytest.mark.parametrize(
    "wrong", [{"what": "feet"}, {"max_subjects": 0}, {"max_subjects": 21}, {"min_score": 1.1}, {"points": 3}]
)
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FindLandmarksParams.model_validate(wrong)


def test_each_thing_has_its_model() -> None:
    names = [KIND.models(FindLandmarksParams(what=what)) for what in ("face_mesh", "hands", "pose", "holistic")]
    assert names == [["face_landmarker"], ["hand_landmarker"], ["pose_landmarker"], ["holistic_landmarker"]]
