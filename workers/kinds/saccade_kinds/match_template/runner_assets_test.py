from __future__ import annotations

from pathlib import Path

import pytest

from saccade_core.assets import asset
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.match_template.contract import MatchTemplateParams, MatchTemplateResult
from saccade_kinds.match_template.runner import run

pytestmark = pytest.mark.stack


def find(image: str, template: str, folder: Path, params: MatchTemplateParams) -> MatchTemplateResult:
    files = {
        name: asset(f"images/template_matching/{file}") for name, file in (("image", image), ("template", template))
    }
    return run(inputs_of(**files), params, LocalContext(folder))


def test_the_face_is_found(tmp_path: Path) -> None:
    result = find("messi.jpg", "messi_face.jpg", tmp_path, MatchTemplateParams())
    assert len(result.matches) == 1
    x1, y1, x2, y2 = result.matches[0].box
    assert abs(x1 - 220) <= 1
    assert abs(y1 - 85) <= 1
    assert (x2 - x1, y2 - y1) == (40, 52)
    assert result.matches[0].score == pytest.approx(0.991, abs=0.002)


@pytest.mark.parametrize("scales", [[1.0], [0.5, 1.0, 2.0]])
def test_there_are_31_coins(tmp_path: Path, scales: list[float]) -> None:
    result = find("game.jpg", "coin.jpg", tmp_path, MatchTemplateParams(threshold=0.8, scales=scales))
    assert len(result.matches) == 31
