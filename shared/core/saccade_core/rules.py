"""Pydantic's messages in words for people who never saw a class or a regular expression of Saccade."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

#: One character of a class, then others of a class, so many at most: how the names here are written.
_NAME = re.compile(r"\^\[(?P<first>[^\]]+)\]\[(?P<rest>[^\]]+)\]\{(?P<least>\d+),(?P<most>\d+)\}\$")
_RANGES = (("A-Za-z", "letters"), ("a-z", "lower-case letters"), ("A-Z", "upper-case letters"), ("0-9", "digits"))


def message_of(error: Mapping[str, Any], params: type[BaseModel] | None = None) -> str:
    """The message of one of ``ValidationError.errors()``; ``params`` is the model whose parts it may speak of."""
    context = cast("Mapping[str, Any]", error.get("ctx") or {})
    match error["type"]:
        case "string_pattern_mismatch":
            words = pattern_in_words(str(context.get("pattern", "")))
            return f"Only {words}." if words else str(error["msg"])
        case "model_type" | "model_attributes_type" | "dataclass_type":
            return _object(str(context.get("class_name", "")), params)
        case _:
            return str(error["msg"]).removeprefix("Value error, ")


def pattern_in_words(pattern: str) -> str | None:
    """``^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`` as "letters, digits and . _ -, beginning with a letter or digit, at most
    63 characters"; None for a pattern of another form."""
    found = _NAME.fullmatch(pattern)
    if found is None:
        return None
    kinds, others = _class(found["rest"])
    allowed = [*kinds, *([" ".join(others)] if others else [])]
    first, marks = _class(found["first"])
    start = " or ".join([*(kind.removesuffix("s") for kind in first), *marks])
    length = f"at most {int(found['most']) + 1} characters"
    if int(found["least"]):
        length = f"{int(found['least']) + 1} to {int(found['most']) + 1} characters"
    shown = " and ".join([", ".join(allowed[:-1]), allowed[-1]]) if len(allowed) > 1 else allowed[0]
    return f"{shown}, beginning with a {start}, {length}"


def _class(text: str) -> tuple[list[str], list[str]]:
    """The kinds of characters in a class, and its other characters."""
    kinds: list[str] = []
    for span, words in _RANGES:
        if span in text:
            kinds.append(words)
            text = text.replace(span, "")
    return kinds, list(text.replace("\\", ""))


def _object(class_name: str, params: type[BaseModel] | None) -> str:
    definitions: dict[str, Any] = params.model_json_schema().get("$defs", {}) if params else {}
    fields = list(definitions.get(class_name, {}).get("properties", {}))
    if not fields:
        return "Input should be an object."
    return f"Input should be an object with the fields {', '.join(fields)}."
