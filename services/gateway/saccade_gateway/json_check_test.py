"""Which JSON is refused before anything else looks at it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from saccade_core.errors import InvalidRequest, SaccadeError, TooLarge
from saccade_gateway.json_check import MAX_NAMES, MAX_VALUES, check_json


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "body",
    [
        None,
        {"a": [1, 2.5, True, None, "\u00e4\U0001f600"]},
        [0] * (MAX_VALUES - 1),
        {str(i): 0 for i in range(MAX_NAMES)},
        nested(65),
    ],
)
def test_what_keeps_to_the_rules_passes(body: Any) -> None:
    check_json(body)


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        ([0] * MAX_VALUES, TooLarge, "body"),
        ([[0] * 1000] * 100, TooLarge, "body"),
        ([{}] * MAX_VALUES, TooLarge, "body"),
        ({str(i): 0 for i in range(MAX_NAMES + 1)}, TooLarge, "body"),
        ({"params": [{str(i): 0 for i in range(MAX_NAMES + 1)}]}, TooLarge, "params[0]"),
        (nested(66), InvalidRequest, "[0]" * 65),
        ({"a": {"b": [0, math.nan]}}, InvalidRequest, "a.b[1]"),
        ({"a": -math.inf}, InvalidRequest, "a"),
        ({"a": ["\x00"]}, InvalidRequest, "a[0]"),
        ({"a": {"\x00": 1}}, InvalidRequest, "a"),
        ({"a": "\ud800"}, InvalidRequest, "a"),
        ({"a": {"\udfff": 1}}, InvalidRequest, "a"),
        ({"n" * 10_000: math.inf}, InvalidRequest, "n" * 200),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_place(body: Any, error: type[SaccadeError], field: str) -> None:
    with pytest.raises(error) as refused:
        check_json(body)
    assert type(refused.value) is error
    assert refused.value.field == field
