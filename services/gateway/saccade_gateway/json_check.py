"""What any JSON body must keep to before it is validated or recorded: size, depth, text and numbers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from saccade_core.errors import InvalidRequest, TooLarge

MAX_VALUES = 100_000
MAX_NAMES = 1_000
MAX_DEPTH = 64
_FIELD_CHARACTERS = 200


class _Place(NamedTuple):
    """Where a value is; its path is written only where the value is refused."""

    holder: _Place | None
    key: str | int = ""
    depth: int = 0

    def of(self, key: str | int) -> _Place:
        """The place of an item in the value here."""
        return _Place(self, key, self.depth + 1)

    def field(self) -> str:
        """The path as error messages have it: ``params.operations[0]``."""
        parts: list[str] = []
        place = self
        while place.holder is not None:
            parts.append(f"[{place.key}]" if isinstance(place.key, int) else f".{place.key[:_FIELD_CHARACTERS]}")
            place = place.holder
        return "".join(reversed(parts)).removeprefix(".")[:_FIELD_CHARACTERS]


def check_json(body: Any) -> None:
    """Refuse JSON that costs too much to validate, or that no database takes.

    Raises TooLarge over MAX_VALUES values in all or MAX_NAMES names in one object, and InvalidRequest where it is
    nested over MAX_DEPTH deep, a number is not finite, or text holds NUL or half a surrogate pair.
    """
    if not isinstance(body, dict | list):
        return  # nothing that could be recorded: its validation tells
    waiting: list[tuple[_Place, Any]] = [(_Place(None), body)]
    values = 1
    while waiting:
        place, inside = waiting.pop()
        values += len(inside)
        _check_size(place, inside, values)
        items = inside.items() if isinstance(inside, dict) else enumerate(inside)
        for key, value in items:
            kind = type(value)  # of what was JSON, never a class derived from these
            if kind is dict or kind is list:
                waiting.append((place.of(key), value))
            elif kind is str:
                _check_text(value, place, key)
            elif kind is float and not math.isfinite(value):
                raise InvalidRequest("A number must be finite.", field=place.of(key).field(), received=str(value))


def _check_size(place: _Place, inside: dict[str, Any] | list[Any], values: int) -> None:
    if place.depth > MAX_DEPTH:
        raise InvalidRequest(f"JSON may be nested {MAX_DEPTH} deep.", field=place.field())
    if isinstance(inside, dict) and len(inside) > MAX_NAMES:
        message = f"An object may have {MAX_NAMES:,} names."
        raise TooLarge(message, field=place.field() or "body", received=f"{len(inside)} names")
    if values > MAX_VALUES:
        raise TooLarge(f"A request may hold {MAX_VALUES:,} values.", field="body", received="more")
    if isinstance(inside, dict):
        for name in inside:
            _check_text(name, place)


def _check_text(text: str, holder: _Place, key: str | int | None = None) -> None:
    """``text`` is a name in ``holder``, or the value of its ``key``."""
    if "\x00" in text:
        rule = "Text may not hold a NUL character."
    elif not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        rule = "Text may not hold half a surrogate pair."
    else:
        return
    raise InvalidRequest(rule, field=(holder if key is None else holder.of(key)).field(), received=text)
