from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from pydantic import ValidationError

from saccade_core.assets import asset
from saccade_core.errors import Cancelled, InputError, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.verify_faces.contract import VerifyFacesParams, VerifyFacesResult
from saccade_kinds.verify_faces.runner import run
from saccade_models.weights import local_model

SAMPLE = Path(__file__).parent / "sample"


def verify(first: Path, second: Path, folder: Path, **params: Any) -> tuple[VerifyFacesResult, LocalContext]:
    context = LocalContext(folder / "run", weights=local_model)
    return run(inputs_of(first=first, second=second), VerifyFacesParams.model_validate(params), context), context


def face(name: str) -> Path:
    return asset(f"images/faces/{name}")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("obama_1.jpg", "obama_3.jpg", True),
        ("biden_1.jpg", "biden_2.jpg", True),
        ("obama_1.jpg", "biden_2.jpg", False),
        ("lin_manuel_miranda.png", "alex_lacamoire_1.png", False),
    ],
)
def test_who_is_the_same(first: str, second: str, same: bool, tmp_path: Path) -> None:
    result, context = verify(face(first), face(second), tmp_path)
    assert result.same is same
    assert result.similarity >= 0.59 if same else result.similarity <= 0.15
    assert result.threshold == 0.45 and result.warnings == []
    overlay = cv2.imread(str(context.artifacts / "overlay.png"))
    assert overlay is not None and overlay.shape[0] == 520
    green, red = (overlay[2, 2, 1], overlay[2, 2, 2])
    assert bool(green > red) is same


def test_the_threshold_decides_and_order_does_not_matter(tmp_path: Path) -> None:
    there, _ = verify(SAMPLE / "astronaut.jpg", SAMPLE / "astronaut-again.jpg", tmp_path)
    back, _ = verify(SAMPLE / "astronaut-again.jpg", SAMPLE / "astronaut.jpg", tmp_path)
    assert there.same and there.similarity == pytest.approx(back.similarity, abs=1e-4)
    assert (there.first_box, there.second_box) == (back.second_box, back.first_box)
    strict, _ = verify(SAMPLE / "astronaut.jpg", SAMPLE / "astronaut-again.jpg", tmp_path, threshold=0.99)
    assert not strict.same
    itself, _ = verify(SAMPLE / "astronaut.jpg", SAMPLE / "astronaut.jpg", tmp_path, threshold=0.99)
    assert itself.same and itself.similarity == pytest.approx(1, abs=1e-3)


def test_of_several_faces_the_largest_counts_and_it_is_said(tmp_path: Path) -> None:
    result, _ = verify(face("obama_and_biden.jpg"), face("obama_1.jpg"), tmp_path)
    assert result.warnings[0] == "first: 3 faces were found; the largest was compared"
    x1, _, x2, _ = result.first_box
    assert x2 - x1 > 160


def test_which_picture_has_no_face_is_said(tmp_path: Path) -> None:
    shapes = asset("images/ops/shapes.png")
    for name, files in (("first", (shapes, face("obama_1.jpg"))), ("second", (face("obama_1.jpg"), shapes))):
        with pytest.raises(InputError, match="No face") as caught:
            verify(*files, tmp_path)
        assert caught.value.field == name
    (tmp_path / "x.jpg").write_bytes(b"nothing")
    with pytest.raises(UnreadableInput) as unread:
        verify(face("obama_1.jpg"), tmp_path / "x.jpg", tmp_path)
    assert unread.value.field == "second"


def test_cancel_and_params(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", weights=local_model, cancel_after=2)
    with pytest.raises(Cancelled):
        run(
            inputs_of(first=SAMPLE / "astronaut.jpg", second=SAMPLE / "astronaut-again.jpg"),
            VerifyFacesParams(),
            context,
        )
    with pytest.raises(ValidationError):
        VerifyFacesParams(threshold=1.5)
