from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InvalidParams
from saccade_core.kind import GalleryFiles, Inputs
from saccade_core.testing import LocalContext
from saccade_kinds.calibrate_gallery.contract import CalibrateGalleryParams, CalibrateGalleryResult
from saccade_kinds.calibrate_gallery.runner import run
from saccade_models.faces.testing import gallery, people, unit
from saccade_models.weights import local_model


def calibrate(files: GalleryFiles, folder: Path, rate: float = 0.001) -> tuple[CalibrateGalleryResult, LocalContext]:
    context = LocalContext(folder / "run", weights=local_model, gallery_files=files)
    return run(Inputs(), CalibrateGalleryParams(gallery="test", max_false_accept_rate=rate), context), context


def crowd(folder: Path, *, spoil: bool = False) -> GalleryFiles:
    """60 people of 4 photos; spoilt, person 3 has a photo of person 40, and 50 and 51 are twins."""
    rows, owners = people(60, 4, spread=0.6)
    if spoil:
        rows[3 * 4 + 1] = unit(rows[40 * 4] + 0.3 * rows[3 * 4 + 1])
        rows[51 * 4 : 52 * 4] = unit(rows[50 * 4 : 51 * 4] + 0.6 * rows[51 * 4 : 52 * 4])
    return gallery(folder / "gallery", {f"person {i}": list(rows[owners == i]) for i in range(60)})


def test_a_gallery_in_order(tmp_path: Path) -> None:
    result, context = calibrate(crowd(tmp_path), tmp_path)
    assert (result.people, result.faces) == (60, 240)
    assert (result.genuine_pairs, result.impostor_pairs) == (60 * 6, 240 * 239 // 2 - 60 * 6)
    assert result.false_accept_rate is not None and 0 < result.false_accept_rate <= 0.001
    assert result.false_reject_rate == 0
    assert result.look_alikes == [] and result.poor_photos == [] and result.notes == []
    with (context.artifacts / "curve.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["threshold"]) for row in rows] == [point.threshold for point in result.curve]
    assert [float(row["false_reject_rate"]) for row in rows] == [p.false_reject_rate for p in result.curve]
    with PIL.Image.open(context.artifacts / "curve.png") as picture:
        assert picture.size == (1200, 900)
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_what_is_wrong_in_a_gallery_is_named(tmp_path: Path) -> None:
    result, _ = calibrate(crowd(tmp_path, spoil=True), tmp_path, 0.01)
    assert {(a.first, a.second) for a in result.look_alikes} == {
        ("person 50", "person 51"),
        ("person 3", "person 40"),
    }
    (poor,) = result.poor_photos
    assert (poor.face, poor.person, poor.nearest) == ("face_13", "person 3", "person 40")
    assert poor.nearest_similarity is not None and poor.nearest_similarity > 0.8
    assert poor.best < 0.45


def test_a_small_gallery_is_not_trusted(tmp_path: Path) -> None:
    rows, _ = people(3, 1)
    files = gallery(tmp_path / "g", {name: [row] for name, row in zip("abc", rows, strict=True)})
    result, context = calibrate(files, tmp_path)
    assert (result.threshold, result.genuine_pairs, result.impostor_pairs) == (0.45, 0, 3)
    assert result.false_reject_rate is None
    assert any("too few" in note for note in result.notes)
    assert (context.artifacts / "curve.png").stat().st_size > 1000


@pytest.mark.parametrize("faces", [0, 1])
def test_nothing_to_compare_is_an_error(faces: int, tmp_path: Path) -> None:
    files = gallery(tmp_path / "g", {"a": list(people(1, 1)[0])[:faces]})
    with pytest.raises(InvalidParams, match=f"holds {faces} faces") as caught:
        calibrate(files, tmp_path)
    assert caught.value.field == "params.gallery"


def test_cancel_and_params(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "r", weights=local_model, gallery_files=crowd(tmp_path), cancel_after=2)
    with pytest.raises(Cancelled):
        run(Inputs(), CalibrateGalleryParams(gallery="g"), context)
    for rate in (0, 1):
        with pytest.raises(ValidationError):
            CalibrateGalleryParams(gallery="g", max_false_accept_rate=rate)
