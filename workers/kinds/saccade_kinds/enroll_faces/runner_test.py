from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.assets import asset
from saccade_core.errors import Cancelled, InputError
from saccade_core.kind import GalleryFiles
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.enroll_faces.contract import EnrollFacesParams, EnrollFacesResult
from saccade_kinds.enroll_faces.runner import run
from saccade_models.faces.testing import gallery
from saccade_models.weights import local_model

SAMPLE = Path(__file__).parent / "sample" / "astronaut.jpg"
OBAMA = [asset(f"images/faces/obama_{n}.jpg") for n in (1, 2, 3)]


def enroll(
    images: list[Path], folder: Path, person: str = "Somebody", known: GalleryFiles | None = None
) -> tuple[EnrollFacesResult, LocalContext]:
    files = known or gallery(folder / "gallery", {})
    context = LocalContext(folder / "run", weights=local_model, gallery_files=files)
    return run(inputs_of(images=images), EnrollFacesParams(gallery="test", person=person), context), context


def test_good_photos_are_enrolled_with_all_that_is_kept(tmp_path: Path) -> None:
    result, context = enroll(OBAMA, tmp_path, "Barack Obama")
    assert (result.enrolled, result.rejected, result.warnings) == (3, [], [])
    assert [(face.image, face.input) for face in result.faces] == [
        (f"obama_{n}.jpg", f"images[{n - 1}]") for n in (1, 2, 3)
    ]
    for face, told in zip(context.enrolled, result.faces, strict=True):
        assert (face.person, face.model, face.source) == ("Barack Obama", "mobilefacenet@1", f"inputs.{told.input}")
        assert len(face.embedding) == 128 and np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)
        assert face.quality == told.quality and face.quality["score"] > 0.9
        crop, photo = (cv2.imread(str(path)) for path in (face.crop, face.photo))
        assert crop is not None and photo is not None
        assert crop.shape == (112, 112, 3) and 112 < max(photo.shape) <= 512
        assert face.crop.is_relative_to(context.scratch) and face.photo.is_relative_to(context.scratch)
    sheet = cv2.imread(str(context.artifacts / "enrolled.jpg"))
    assert sheet is not None and sheet.shape[1] == 600


def test_photos_that_will_not_do_are_rejected_with_the_reason(tmp_path: Path) -> None:
    photo = cv2.imread(str(OBAMA[0]))
    assert photo is not None
    made = {
        "blurred": cv2.GaussianBlur(photo, (0, 0), 14),
        "small": cv2.resize(photo, None, fx=0.1, fy=0.1),
        "dark": (photo * 0.08).astype(np.uint8),
    }
    for name, pixels in made.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    (tmp_path / "broken.jpg").write_bytes(OBAMA[0].read_bytes()[:2000])
    files = [
        asset("images/ops/shapes.png"),
        asset("images/faces/obama_and_biden.jpg"),
        *(tmp_path / name for name in ("blurred.png", "small.png", "broken.jpg")),
        OBAMA[0],
        OBAMA[0],
    ]
    result, context = enroll(files, tmp_path)
    assert result.enrolled == len(context.enrolled) == 1
    reasons = [(told.image, told.reason) for told in result.rejected]
    expected = ["no face was found", "3 faces were found", "too blurred", "too small", "broken.jpg", "already"]
    assert len(reasons) == len(expected)
    for (_, reason), words in zip(reasons, expected, strict=True):
        assert words in reason
    assert [told.input for told in result.rejected] == [f"images[{n}]" for n in (0, 1, 2, 3, 4, 6)]


def test_doubts_are_told_and_the_photo_is_enrolled(tmp_path: Path) -> None:
    _, before = enroll([OBAMA[0]], tmp_path / "a", "Barack Obama")
    _, other = enroll([asset("images/faces/biden_1.jpg")], tmp_path / "b", "Joe Biden")
    known = gallery(
        tmp_path / "known",
        {"Barack Obama": [before.enrolled[0].embedding], "Joe Biden": [other.enrolled[0].embedding]},
    )
    result, _ = enroll([OBAMA[1]], tmp_path / "c", "Joe Biden", known)
    assert result.enrolled == 1
    words = " ".join(told.message for told in result.warnings)
    assert "looks like Barack Obama (similarity 0.7" in words
    assert "does not look like the other photos of Joe Biden" in words
    again, _ = enroll([OBAMA[0]], tmp_path / "d", "Barack Obama", known)
    assert again.enrolled == 0 and "already" in again.rejected[0].reason


def test_nothing_readable_fails_the_job(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(SAMPLE.read_bytes()[:64] + b"\0" * 64)
    with pytest.raises(InputError) as caught:
        enroll([tmp_path / "broken.jpg", tmp_path / "broken.jpg"], tmp_path)
    assert caught.value.field == "images[0]"


def test_cancelling_ends_between_photos(tmp_path: Path) -> None:
    context = LocalContext(
        tmp_path / "run", weights=local_model, gallery_files=gallery(tmp_path / "g", {}), cancel_after=2
    )
    with pytest.raises(Cancelled):
        run(inputs_of(images=[SAMPLE] * 3), EnrollFacesParams(gallery="g", person="p"), context)
    assert len(context.enrolled) == 1


@pytest.mark.parametrize(("name", "person"), [("", "p"), ("a b", "p"), ("g", ""), ("g", "a/b"), ("g", "x" * 101)])
def test_names_are_checked(name: str, person: str) -> None:
    with pytest.raises(ValidationError):
        EnrollFacesParams(gallery=name, person=person)
