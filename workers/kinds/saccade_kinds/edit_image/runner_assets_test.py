from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from saccade_core.assets import asset
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.edit_image.contract import EditImageParams
from saccade_kinds.edit_image.runner import run
from saccade_models.images import Pixels

pytestmark = pytest.mark.stack


def edited(name: str, folder: Path, *operations: dict[str, Any]) -> Pixels:
    context = LocalContext(folder)
    run(inputs_of(image=asset(name)), EditImageParams.model_validate({"operations": operations}), context)
    pixels = cv2.imread(str(context.artifacts / "image.png"), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels.astype(np.uint8)


def test_a_threshold_parts_the_six_shapes_from_their_ground(tmp_path: Path) -> None:
    pixels = edited("images/ops/shapes.png", tmp_path, {"op": "canny"}, {"op": "convolve", "kernel": [[1] * 5] * 5})
    contours, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    assert len(contours) == 6


def test_edges_of_a_road_lie_where_the_light_changes(tmp_path: Path) -> None:
    path = "images/ops/road.jpg"
    edges = edited(path, tmp_path, {"op": "canny", "low": 100, "high": 200})
    slopes = edited(path, tmp_path, {"op": "grayscale"}, {"op": "sobel"})
    assert 0.005 < (edges == 255).mean() < 0.3
    assert slopes[edges == 255].mean() > 3 * slopes[edges == 0].mean()
