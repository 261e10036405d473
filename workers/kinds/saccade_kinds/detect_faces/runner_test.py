from __future__ import annotations

import io
import json
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
from saccade_kinds.detect_faces.contract import KIND, DetectFacesFace, DetectFacesParams, DetectFacesResult
from saccade_kinds.detect_faces.runner import run
from saccade_models.images import Pixels
from saccade_models.video_types import VideoFacts
from saccade_models.weights import local_model

SAMPLE = Path(__file__).parent / "sample" / "astronaut.jpg"
#: The astronaut's face, marked by hand.
FACE = (125, 30, 185, 115)


def find(media: Path, folder: Path, **params: Any) -> tuple[DetectFacesResult, LocalContext]:
    context = LocalContext(folder / "run", weights=local_model)
    return run(inputs_of(media=media), DetectFacesParams.model_validate(params), context), context


def faces_of(result: DetectFacesResult) -> list[DetectFacesFace]:
    assert result.faces is not None
    return result.faces


def save(folder: Path, name: str, pixels: Pixels) -> Path:
    cv2.imwrite(str(folder / name), pixels)
    return folder / name


def center(box: tuple[float, float, float, float]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


@pytest.mark.parametrize(("engine", "points"), [("yunet", 5), ("ssd", 0), ("mediapipe", 6), ("haar", 0)])
def test_every_engine_finds_the_astronaut(engine: str, points: int, tmp_path: Path) -> None:
    result, context = find(SAMPLE, tmp_path, engine=engine)
    (face,) = faces_of(result)
    x, y = center(face.box)
    assert FACE[0] < x < FACE[2] and FACE[1] < y < FACE[3]
    assert len(face.landmarks) == points
    assert (result.media, result.width, result.height, result.video) == ("image", 320, 320, None)
    assert len({name for name, _, _ in context.models}) == 1
    assert set(KIND.models(DetectFacesParams.model_validate({"engine": engine}))) <= {n for n, _, _ in context.models}
    overlay, plain = cv2.imread(str(context.artifacts / "overlay.png")), cv2.imread(str(SAMPLE))
    assert overlay is not None and plain is not None
    changed = (overlay != plain).any(axis=2)
    x1, y1, x2, _ = (round(v) for v in face.box)
    assert changed[y1, x1:x2].all()
    assert not changed[200:].any()
    for px, py in face.landmarks:
        assert changed[min(319, int(py)), min(319, int(px))]


def test_no_face_is_no_error(tmp_path: Path) -> None:
    result, _ = find(asset("images/ops/shapes.png"), tmp_path)
    assert result.faces == []


def test_a_turned_photo_has_its_boxes_where_it_is_shown(tmp_path: Path) -> None:
    upright = PIL.Image.open(SAMPLE)
    (plain,) = faces_of(find(SAMPLE, tmp_path)[0])
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn it by 90 degrees clockwise to show it
    stored = upright.transpose(PIL.Image.Transpose.ROTATE_90).resize((320, 320))
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    (turned,) = faces_of(find(tmp_path / "turned.jpg", tmp_path)[0])
    assert turned.box == pytest.approx(plain.box, abs=3)
    # Without its EXIF the same file lies on its side, and so does the face.
    stored.save(tmp_path / "lying.jpg", quality=95)
    lying = faces_of(find(tmp_path / "lying.jpg", tmp_path, min_score=0.3)[0])
    assert all(abs(center(face.box)[0] - center(plain.box)[0]) > 30 for face in lying)


def test_grey_transparent_and_tiny_pictures(tmp_path: Path) -> None:
    color = cv2.imread(str(SAMPLE))
    assert color is not None
    pixels = np.asarray(color, dtype=np.uint8)
    gray = save(tmp_path, "gray.png", np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), dtype=np.uint8))
    alpha = save(tmp_path, "alpha.png", np.dstack([pixels, np.full((320, 320), 255, np.uint8)]))
    for file in (gray, alpha):
        assert len(faces_of(find(file, tmp_path)[0])) == 1
    assert faces_of(find(save(tmp_path, "dot.png", pixels[:1, :1]), tmp_path)[0]) == []


def test_of_a_video_each_frame_is_told(tmp_path: Path) -> None:
    result, context = find(asset("videos/short_hamilton_clip.mp4"), tmp_path, every_n=30)
    assert (result.media, result.faces) == ("video", None)
    assert result.video is not None and isinstance(result.video.facts, VideoFacts)
    lines = [json.loads(line) for line in (context.artifacts / "frames.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == list(range(0, 275, 30))
    assert sum(len(line["faces"]) for line in lines) == result.video.items > 0
    for line in lines:
        for face in line["faces"]:
            assert DetectFacesFace.model_validate(face).score >= 0.7
    assert (context.artifacts / "overlay.mp4").stat().st_size > 10_000


def test_bad_input_missing_model_and_cancel(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(io.BytesIO(b"no picture").getvalue())
    with pytest.raises(UnreadableInput) as caught:
        find(tmp_path / "text.png", tmp_path)
    assert caught.value.field == "media"
    with pytest.raises(ModelMissing):
        run(inputs_of(media=SAMPLE), DetectFacesParams(), LocalContext(tmp_path / "bare"))
    with pytest.raises(Cancelled):
        run(
            inputs_of(media=SAMPLE),
            DetectFacesParams(),
            LocalContext(tmp_path / "c", weights=local_model, cancel_after=1),
        )


@pytest.mark.parametrize(
    "wrong", [{"engine": "dlib"}, {"min_score": 1.1}, {"scale_factor": 1.0}, {"min_neighbors": -1}, {"sides": 4}]
)
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DetectFacesParams.model_validate(wrong)
