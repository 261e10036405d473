from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InputError, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.evaluate_detections.contract import EvaluateDetectionsParams, EvaluateDetectionsResult
from saccade_kinds.evaluate_detections.runner import run

SAMPLE = Path(__file__).parent / "sample"


def measured(
    folder: Path, truth: Path, predictions: Path, **params: Any
) -> tuple[EvaluateDetectionsResult, LocalContext]:
    context = LocalContext(folder / "run")
    inputs = inputs_of(truth=truth, predictions=predictions)
    return run(inputs, EvaluateDetectionsParams.model_validate(params), context), context


def test_the_sample_gives_figures_curves_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, context = measured(tmp_path, SAMPLE / "truth.zip", SAMPLE / "predictions.zip")
    assert capsys.readouterr() == ("", "")  # pycocotools prints as it goes
    assert (result.images, result.truths, result.predictions, result.notes) == (4, 48, 59, [])
    assert [(c.label, c.truths) for c in result.classes] == [("circle", 23), ("square", 7), ("triangle", 18)]
    assert result.map == result.map50 == pytest.approx(np.mean([c.ap50 or 0 for c in result.classes]))
    assert 0.6 < result.map50 < 1 and 0.3 < result.map50_95 < result.map50
    with (context.artifacts / "evaluation.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["label"], float(r["ap50"])) for r in rows] == [
        (c.label, pytest.approx(c.ap50, abs=1e-6)) for c in result.classes
    ]
    for name in ("pr-curves.png", "confusion.png"):
        picture = cv2.imread(str(context.artifacts / name))
        assert picture is not None
        assert min(picture.shape[:2]) > 400 and picture.std() > 10
    fractions = [done / total for done, total, _ in context.reported]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert context.models[0][0] == "pycocotools"


def test_a_stricter_overlap_changes_only_what_is_taken_at_it(tmp_path: Path) -> None:
    files = SAMPLE / "truth.zip", SAMPLE / "predictions.zip"
    loose, _ = measured(tmp_path, *files, iou=0.33)
    strict, _ = measured(tmp_path, *files, iou=0.75)
    assert (loose.map50, loose.map50_95) == (strict.map50, strict.map50_95)
    assert loose.map >= loose.map50 > strict.map


def test_many_classes_with_strange_names_can_be_drawn(tmp_path: Path) -> None:
    """More than curves and rows that can be read; names that matplotlib would take for formulas or hide."""
    names = ["$\\frac{", "_hidden", "x" * 200, "a\nb", *(f"class {n}" for n in range(40))]
    numbers = range(len(names))
    value = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": 1, "category_id": n, "bbox": [20 * n, 0, 10, 10]} for n in numbers],
    }
    found = [{k: v for k, v in a.items() if k != "id"} | {"score": 0.9} for a in value["annotations"]]
    (tmp_path / "truth.json").write_text(json.dumps(value))
    (tmp_path / "found.json").write_text(json.dumps(found[:-1]))
    result, context = measured(tmp_path, tmp_path / "truth.json", tmp_path / "found.json")
    assert result.map50 == pytest.approx((len(names) - 1) / len(names))
    assert [c.label for c in result.classes] == names
    assert cv2.imread(str(context.artifacts / "confusion.png")) is not None


def test_nothing_predicted_is_a_measure_too(tmp_path: Path) -> None:
    value = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(value))
    (tmp_path / "found.json").write_text("[]")
    result, _ = measured(tmp_path, tmp_path / "truth.json", tmp_path / "found.json")
    assert (result.map50, result.map50_95, result.predictions) == (0, 0, 0)
    assert result.notes == ["1 of 1 pictures have no predictions.", "Nothing was predicted of 1 classes: cat."]


def test_which_input_is_broken_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes((SAMPLE / "truth.zip").read_bytes()[:64] + bytes(64))
    for name, files in (
        ("truth", (broken, SAMPLE / "predictions.zip")),
        ("predictions", (SAMPLE / "truth.zip", broken)),
    ):
        with pytest.raises(UnreadableInput) as caught:
            measured(tmp_path, *files)
        assert caught.value.field == name
    with pytest.raises(InputError, match="must have a score"):
        measured(tmp_path, SAMPLE / "truth.zip", SAMPLE / "truth.zip")


def test_cancelling_ends_between_classes(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=3)
    inputs = inputs_of(truth=SAMPLE / "truth.zip", predictions=SAMPLE / "predictions.zip")
    with pytest.raises(Cancelled):
        run(inputs, EvaluateDetectionsParams(), context)
    assert context.reported[-1][2] == "measuring"


@pytest.mark.parametrize("wrong", [{"iou": 0}, {"iou": 1}, {"max_detections": 0}, {"min_score": 2}, {"thresholds": 1}])
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EvaluateDetectionsParams.model_validate(wrong)
