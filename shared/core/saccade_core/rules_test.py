"""Messages name no class and no regular expression."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from saccade_core.kind import GalleryName
from saccade_core.rules import message_of, pattern_in_words


class Zone(BaseModel):
    name: str
    corners: list[int] = []


class Wanted(BaseModel):
    gallery: GalleryName = "g"
    zones: list[Zone] = []
    odd: str = Field(default="ab", pattern="^(a|b)+$")
    even: int = 2

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("an even number")
        return value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"gallery": "a b"},
            "Only letters, digits and . _ -, beginning with a letter or digit, at most 63 characters.",
        ),
        ({"zones": ["a"]}, "Input should be an object with the fields name, corners."),
        ({"even": 3}, "an even number"),
        ({"odd": "c"}, "String should match pattern '^(a|b)+$'"),
    ],
)
def test_rules_are_said_in_words(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Wanted.model_validate(given)
    assert [message_of(error, Wanted) for error in caught.value.errors()] == [message]


def test_names_of_other_forms() -> None:
    assert pattern_in_words("^[A-Za-z][A-Za-z_]{1,30}$") == (
        "letters and _, beginning with a letter, 2 to 31 characters"
    )
    assert pattern_in_words("^[a-z][a-z0-9]*$") is None
