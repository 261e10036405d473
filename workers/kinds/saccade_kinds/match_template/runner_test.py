from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InvalidParams, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.match_template.contract import MatchTemplateParams, MatchTemplateResult
from saccade_kinds.match_template.runner import run
from saccade_models.images import Pixels

SAMPLE = Path(__file__).parent / "sample"
#: Where the sample's five stars were drawn: x, y of the template's corner (its size is 40x40).
STARS = {(20, 20), (130, 40), (230, 15), (75, 110), (195, 120)}


def find(image: Path, template: Path, folder: Path, **params: Any) -> tuple[MatchTemplateResult, LocalContext]:
    context = LocalContext(folder / "run")
    return run(inputs_of(image=image, template=template), MatchTemplateParams.model_validate(params), context), context


def save(folder: Path, name: str, pixels: Pixels) -> Path:
    cv2.imwrite(str(folder / name), pixels)
    return folder / name


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_all_stars_are_found_best_first(tmp_path: Path) -> None:
    result, context = find(SAMPLE / "sky.png", SAMPLE / "star.png", tmp_path, threshold=0.9)
    assert {m.box[:2] for m in result.matches} == STARS
    assert all((m.box[2] - m.box[0], m.box[3] - m.box[1]) == (40, 40) for m in result.matches)
    scores = [m.score for m in result.matches]
    assert scores == sorted(scores, reverse=True)
    assert result.matches[0].box == (130, 40, 170, 80)  # the template was cut out here
    assert scores[0] > 0.9999
    overlay, plain = cv2.imread(str(context.artifacts / "overlay.png")), cv2.imread(str(SAMPLE / "sky.png"))
    assert overlay is not None
    assert plain is not None
    changed = (overlay != plain).any(axis=2)
    for x, y in STARS:
        assert changed[y, x : x + 40].all()
        assert not changed[y + 10 : y + 30, x + 10 : x + 30].any(), "a label hides what was found"
    assert [stage for _, _, stage in context.reported] == ["searching", "drawing", "done"]


def test_max_matches_keeps_the_best(tmp_path: Path) -> None:
    result, _ = find(SAMPLE / "sky.png", SAMPLE / "star.png", tmp_path, max_matches=1)
    assert [m.box for m in result.matches] == [(130, 40, 170, 80)]


def test_a_cut_out_is_found_at_its_place_and_nothing_elsewhere(tmp_path: Path) -> None:
    picture = noise(150, 100)
    image, template = save(tmp_path, "i.png", picture), save(tmp_path, "t.png", picture[30:50, 60:90])
    result, _ = find(image, template, tmp_path)
    assert [m.box for m in result.matches] == [(60, 30, 90, 50)]
    assert 0.999 < result.matches[0].score <= 1
    other, _ = find(image, save(tmp_path, "u.png", noise(30, 20)[::-1]), tmp_path)
    assert other.matches == []


def test_scales_find_the_enlarged_template(tmp_path: Path) -> None:
    star = cv2.imread(str(SAMPLE / "star.png"))
    assert star is not None
    picture = np.full((200, 200, 3), 60, np.uint8)
    picture[20:60, 30:70] = star
    picture[90:170, 100:180] = cv2.resize(star, (80, 80), interpolation=cv2.INTER_CUBIC)
    image = save(tmp_path, "i.png", picture)
    one, _ = find(image, SAMPLE / "star.png", tmp_path)
    assert [m.box for m in one.matches] == [(30, 20, 70, 60)]
    both, context = find(image, SAMPLE / "star.png", tmp_path, scales=[0.5, 1, 2, 2, 20])
    assert {m.box for m in both.matches if m.score > 0.95} == {(30, 20, 70, 60), (100, 90, 180, 170)}
    assert context.reported[0][1] == 4  # three scales that fit, each once, and the drawing


def test_flat_places_score_nothing_and_all_numbers_are_finite(tmp_path: Path) -> None:
    picture = np.full((80, 80, 3), 200, np.uint8)
    picture[40:50, 40:50] = noise(10, 10)
    image, template = save(tmp_path, "i.png", picture), save(tmp_path, "t.png", picture[38:52, 38:52])
    result, _ = find(image, template, tmp_path, threshold=0, max_matches=10_000)
    assert result.matches[0].box == (38, 38, 52, 52)
    assert all(np.isfinite(m.score) for m in result.matches)
    textured = [m for m in result.matches if m.score > 0]
    assert all(m.box[2] > 40 and m.box[0] < 50 and m.box[3] > 40 and m.box[1] < 50 for m in textured)


def test_a_template_without_texture_is_refused(tmp_path: Path) -> None:
    template = save(tmp_path, "t.png", np.full((8, 8, 3), 120, np.uint8))
    with pytest.raises(InvalidParams, match="one colour") as caught:
        find(SAMPLE / "sky.png", template, tmp_path)
    assert (caught.value.field, caught.value.received) == ("template", "8x8")
    checks = np.zeros((8, 8, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 255
    with pytest.raises(InvalidParams, match="texture") as caught:
        find(SAMPLE / "sky.png", save(tmp_path, "c.png", checks), tmp_path, scales=[0.125, 0.25])
    assert caught.value.field == "params.scales"


def test_a_template_larger_than_the_picture_is_refused(tmp_path: Path) -> None:
    for width, height in ((301, 10), (10, 201)):
        with pytest.raises(InvalidParams, match="300x200") as caught:
            find(SAMPLE / "sky.png", save(tmp_path, "t.png", noise(width, height)), tmp_path)
        assert (caught.value.field, caught.value.received) == ("template", f"{width}x{height}")
    same, _ = find(SAMPLE / "sky.png", SAMPLE / "sky.png", tmp_path)
    assert [m.box for m in same.matches] == [(0, 0, 300, 200)]


def test_which_input_is_broken_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name, files in (
        ("image", (tmp_path / "text.png", SAMPLE / "star.png")),
        ("template", (SAMPLE / "sky.png", tmp_path / "text.png")),
    ):
        with pytest.raises(UnreadableInput) as caught:
            find(*files, tmp_path)
        assert caught.value.field == name


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.1}, {"max_matches": 0}, {"scales": []}, {"scales": [0]}, {"scale": 1}]
)
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MatchTemplateParams.model_validate(wrong)


def test_cancelling_ends_between_scales(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=2)
    params = MatchTemplateParams(scales=[0.5, 1, 1.5])
    with pytest.raises(Cancelled):
        run(inputs_of(image=SAMPLE / "sky.png", template=SAMPLE / "star.png"), params, context)
    assert not list(context.artifacts.iterdir())
