from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from saccade_kinds.train_classifier.contract import KIND, TrainClassifierParams


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"preset": "cnn_pool", "base": "ssd_mobilenet"}, "one of layers, preset and base"),
        ({"layers": [{"type": "flatten"}], "preset": "cnn"}, "one of layers, preset and base"),
        ({"fine_tune": True}, "fine_tune needs a base"),
        ({"preset": "cnn_pool", "batch_norm": False}, "batch_norm shapes the preset cnn"),
        ({"preset": "cnn_pool", "dropout": 0.5}, "dropout shapes the preset cnn"),
        ({"base": "pets@2", "activation": "tanh"}, "activation shapes the preset cnn"),
        ({"base": "../pets"}, "pattern"),
        ({"image_size": 0}, "greater than or equal to 1"),
        ({"image_size": [32, 5000]}, "4096"),
        ({"augment": {"shift": 0.6}}, "0.5"),
        ({"preset": "mlp"}, "cnn_pool"),
    ],
)
def test_params_are_checked(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TrainClassifierParams.model_validate(wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"preset": "cnn", "dropout": 0, "batch_norm": False, "activation": "tanh", "initializer": "glorot"},
        {"base": "ssd_mobilenet", "dropout": 0.5, "fine_tune": True},
        {"preset": "cnn_pool", "batch_norm": True},
        {"image_size": [24, 32], "augment": {"flip": "none"}},
    ],
)
def test_params_that_are_right(right: dict[str, Any]) -> None:
    TrainClassifierParams.model_validate(right)


def test_what_the_worker_is_told() -> None:
    params = TrainClassifierParams(name="pets", base="animals@production")
    assert list(KIND.models(params)) == ["animals@production"]
    assert list(KIND.models(TrainClassifierParams())) == []
    assert KIND.registers(params) == "pets"
    assert KIND.families == ("classifier",)
