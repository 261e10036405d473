from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, EngineFailed, InvalidParams
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.describe_network import runner
from saccade_kinds.describe_network.contract import DescribeNetworkParams, DescribeNetworkResult
from saccade_models.networks.spec import Layer


def described(folder: Path, **params: Any) -> tuple[DescribeNetworkResult, LocalContext]:
    context = LocalContext(folder)
    return runner.run(inputs_of(), DescribeNetworkParams.model_validate(params), context), context


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("11-11-11-1", 276),
        ("tabular_11_11_11_1", 276),
        ("7-7-1", 64),
        ("cnn_valid", 503_138),
        ("cnn_same", 810_338),
        ("cnn_pool", 57_562),
    ],
)
def test_presets_by_either_name(preset: str, parameters: int, tmp_path: Path) -> None:
    found, context = described(tmp_path, preset=preset)
    assert found.parameters == found.trainable == parameters == sum(layer.parameters for layer in found.layers)
    assert context.models[0][0] == "keras"
    picture = cv2.imread(str(context.artifacts / "diagram.png"))
    assert picture is not None and np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 50


def test_a_preset_for_other_pictures_and_classes(tmp_path: Path) -> None:
    found, _ = described(tmp_path, preset="cnn_pool", input_shape=[64, 48, 3], outputs=2)
    assert (found.input_shape, found.output_shape) == ([64, 48, 3], [2])
    assert found.layers[0].parameters == (3 * 3 * 3 + 1) * 32 == 896


def test_layers_of_ones_own(tmp_path: Path) -> None:
    layers = [
        {"type": "conv2d", "filters": 4, "strides": 2, "padding": "same", "activation": "step", "name": "edges"},
        {"type": "min_pool2d"},
        {"type": "batch_norm"},
        {"type": "flatten"},
        {"type": "dense", "units": 2, "activation": "sign"},
    ]
    found, _ = described(tmp_path, input_shape=[9, 8, 1], layers=layers)
    assert [(layer.name, layer.output_shape, layer.parameters) for layer in found.layers] == [
        ("edges", [5, 4, 4], 40),
        ("min_pool2d_1", [2, 2, 4], 0),
        ("batch_norm_1", [2, 2, 4], 16),
        ("flatten_1", [16], 0),
        ("dense_1", [2], 34),
    ]
    assert (found.parameters, found.trainable) == (90, 82)
    assert found.layers[0].formula == "height 9 / 2, rounded up, = 5, width 8 / 2 = 4; (3 * 3 * 1 + 1) * 4 = 40"


@pytest.mark.parametrize("count", [1, 3, 40])
def test_diagrams_of_any_length_have_all_layers_in_rows(count: int, tmp_path: Path) -> None:
    layers = [{"type": "dense", "units": 2 + n % 20} for n in range(count)]
    found, context = described(tmp_path, input_shape=[4], layers=layers)
    picture = cv2.imread(str(context.artifacts / "diagram.png"), cv2.IMREAD_GRAYSCALE)
    assert len(found.layers) == count and picture is not None
    inked = np.flatnonzero((picture < 250).any(axis=1))
    assert picture.shape[0] <= 4000 and picture.shape[1] <= 2000
    assert inked[0] > 5 and inked[-1] < picture.shape[0] - 5


def test_a_layer_that_does_not_fit_is_named(tmp_path: Path) -> None:
    layers = [{"type": "conv2d", "filters": 1}, {"type": "conv2d", "filters": 1, "name": "late", "kernel_size": 7}]
    with pytest.raises(InvalidParams, match=r"'late' .*\(7, 7\).*\(6, 6, 1\)") as caught:
        described(tmp_path, input_shape=[8, 8, 1], layers=layers)
    assert caught.value.field == "params.layers[1]"
    with pytest.raises(InvalidParams, match=r"'conv2d_1' takes \(height, width, channels\); its input is \(7,\)"):
        described(tmp_path, preset="cnn_same", input_shape=[7])


def test_a_huge_network_costs_no_memory(tmp_path: Path) -> None:
    found, _ = described(tmp_path, input_shape=[14_000], layers=[{"type": "dense", "units": 14_000}])
    assert found.parameters == 196_014_000


def test_what_keras_counts_otherwise_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> list[tuple[tuple[int, ...], int]]:
        return [((1,), 4)]

    monkeypatch.setattr(runner, "built", wrong)
    with pytest.raises(EngineFailed, match="'dense_1': the formulas give \\(1,\\) and 3 parameters, Keras"):
        described(tmp_path, preset="perceptron")


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": [{"type": "flatten"}]},
        {"layers": [{"type": "flatten"}], "input_shape": [2], "preset": "mlp"},
        {"layers": [{"type": "flatten"}], "input_shape": [2], "outputs": 2},
        {"layers": [], "input_shape": [2]},
        {"layers": [{"type": "lambda"}], "input_shape": [2]},
        {"preset": "resnet"},
        {"input_shape": []},
        {"input_shape": [0]},
        {"outputs": 0},
    ],
)
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DescribeNetworkParams.model_validate(wrong)


def test_cancelling_ends_before_the_drawing(tmp_path: Path) -> None:
    context = LocalContext(tmp_path, cancel_after=1)
    with pytest.raises(Cancelled):
        runner.run(inputs_of(), DescribeNetworkParams(), context)
    assert not list(context.artifacts.iterdir())


def test_params_survive_json() -> None:
    params = DescribeNetworkParams.model_validate({"input_shape": [5], "layers": [{"type": "dense", "units": 2}]})
    again = DescribeNetworkParams.model_validate_json(params.model_dump_json())
    assert again == params
    layers: list[Layer] | None = again.layers
    assert layers is not None and layers[0].type == "dense"
