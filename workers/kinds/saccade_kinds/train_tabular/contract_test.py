from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from saccade_kinds.train_tabular.contract import KIND, TrainTabularParams
from saccade_kinds.train_tabular.network import layers_of
from saccade_models.networks.shapes import describe


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"target": ""},
        {"target": "y", "preset": "perceptron", "hidden_layers": [3]},
        {"target": "y", "hidden_layers": [0]},
        {"target": "y", "task": "ranking"},
        {"target": "y", "validation_split": 0.6, "test_split": 0.6},
        {"target": "y", "nonsense": 1},
    ],
)
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainTabularParams.model_validate(wrong)


@pytest.mark.parametrize(
    ("params", "inputs", "parameters"),
    [
        ({"preset": "tabular_11_11_11_1"}, 11, 276),
        ({"preset": "7_7_1"}, 7, 64),
        ({"preset": "perceptron"}, 2, 3),
        ({"hidden_layers": []}, 2, 3),
        ({"hidden_layers": [4], "batch_norm": True}, 2, 12 + 16 + 5),
    ],
)
def test_networks_are_as_asked(params: dict[str, Any], inputs: int, parameters: int) -> None:
    layers = layers_of(TrainTabularParams.model_validate({"target": "y", "dropout": 0.0, **params}), "binary", 2)
    assert describe((inputs,), layers).parameters == parameters


def test_tables_are_taken() -> None:
    table = KIND.inputs["table"]
    assert table.takes("text/csv")
    assert table.takes("text/plain")
    assert not table.takes("image/png")
    assert KIND.registers(TrainTabularParams(target="y", name="churn")) == "churn"
