"""Which parameters are taken."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from saccade_models.training.params import LEARNING_RATES, TrainingParams


def test_defaults_are_valid_and_every_optimizer_has_a_learning_rate() -> None:
    params = TrainingParams()
    assert (params.batch_size, params.patience, params.learning_rate) == (32, None, None)
    choices = TrainingParams.model_json_schema()["properties"]["optimizer"]["enum"]
    assert set(choices) == set(LEARNING_RATES)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("epochs", 0),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("momentum", 1),
        ("dropout", 1),
        ("seed", -1),
        ("optimizer", "lion"),
        ("activation", "step"),
        ("name", "../weights"),
        ("time_budget_s", 0),
        ("validation_split", 1.0),
        ("batchsize", 3),
    ],
)
def test_a_value_outside_its_rule_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        TrainingParams.model_validate({field: value})
    assert refused.value.errors()[0]["loc"] == (field,)


def test_splits_that_leave_nothing_to_train_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"0\.9 at most"):
        TrainingParams(validation_split=0.5, test_split=0.5)
