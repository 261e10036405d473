"""How a job's result looks in a terminal: whole, and in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard, cast

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

MOST_ROWS = 20
_MOST_LINES = 30
_SHORT = 60
#: Rows of a curve that are shown on each side of the result's own point.
_AROUND = 2
#: What is one of them, where it is not the word without its s.
_SINGULAR = {"people": "person", "bodies": "body", "matches": "match", "classes": "class"}
#: Figures that a table needs and a sentence does not.
_LEFT_OUT = frozenset({"media", "width", "height", "curve"})


def result_view(result: Mapping[str, Any]) -> RenderableType:
    """A result: plain fields in a line each, texts as they are, lists of objects as tables."""
    return Group(*_parts(result))


def short(result: Mapping[str, Any]) -> str:
    """A result in one line: plain values as they are, lists by their length. What is empty or false is told only where
    it comes first (``no faces``, ``not same``)."""
    told = {name: value for name, value in result.items() if name not in _LEFT_OUT or len(result) <= 3}
    main = {next(iter(told), ""), next((name for name, value in result.items() if isinstance(value, list)), "")}
    words = [_word(name, value, main=name in main) for name, value in told.items()]
    return ", ".join(word for word in words if word)


def more(count: int, shown: int, what: str = "") -> list[RenderableType]:
    """A line that says how many are not shown, where there are any."""
    return [Text(f"  ... and {count - shown} more {what}".rstrip(), style="dim")] if count > shown else []


def plain(value: Any) -> str:
    """A value in a line; lists of plain values with commas, others as JSON."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return str(round(value, 3))
    if isinstance(value, list) and all(isinstance(v, int | float | str) for v in cast("list[Any]", value)):
        return ", ".join(plain(v) for v in cast("list[Any]", value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cut(text: str) -> str:
    """The beginning of a text that is too long for a cell."""
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."


def _parts(result: Mapping[str, Any]) -> Iterator[RenderableType]:
    seen = "media" in result  # of a video or a picture: what the other has is null
    for name, value in result.items():
        if value is None and seen:
            continue
        yield from _field(name, value, result)
        if name == "video" and seen:
            yield Text("one line a frame: frames.jsonl")


def _field(name: str, value: Any, result: Mapping[str, Any]) -> Iterator[RenderableType]:
    if isinstance(value, str) and "\n" in value.strip():
        lines = value.strip().splitlines()
        yield from (Text(f"{name}:"), Padding(Text("\n".join(lines[:_MOST_LINES])), (0, 0, 0, 2)))
        yield from more(len(lines), _MOST_LINES, "lines")
    elif _is_rows(value):
        yield from _rows(name, value, result.get("threshold"))
    elif _is_sentences(value):
        yield Text(f"{name}:")
        yield from (Padding(Text(line), (0, 0, 0, 2)) for line in value[:MOST_ROWS])
        yield from more(len(value), MOST_ROWS)
    elif isinstance(value, dict) and any(isinstance(v, dict | list) for v in cast("dict[str, Any]", value).values()):
        yield Text(f"{name}:")
        fields = {k: v for k, v in cast("dict[str, Any]", value).items() if v != 0 or not k.endswith("_left_out")}
        inner = [part for key, each in fields.items() for part in _field(key.replace("_", " "), each, fields)]
        yield Padding(Group(*inner), (0, 0, 0, 2))
    else:
        shown = _pairs(cast("dict[str, Any]", value)) if isinstance(value, dict) else plain(value)
        yield Text(f"{name}: {shown}")


def _is_rows(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in cast("list[Any]", value))


def _is_sentences(value: Any) -> TypeGuard[list[str]]:
    """Notes and warnings; short words, as languages, stay in one line."""
    return isinstance(value, list) and any(isinstance(v, str) and " " in v for v in cast("list[Any]", value))


def _rows(name: str, items: Sequence[dict[str, Any]], threshold: Any) -> Iterator[RenderableType]:
    """A table of the items; of a curve over thresholds the rows around the result's own ``threshold``."""
    if isinstance(threshold, float | int) and all("threshold" in item for item in items):
        near = min(range(len(items)), key=lambda i: abs(items[i]["threshold"] - threshold))
        shown = items[max(0, near - _AROUND) : near + _AROUND + 1]
        yield Text(f"{name}: {len(items)} points, around the threshold:")
        yield _table(shown)
        return
    yield Text(f"{name}:")
    yield _table(items[:MOST_ROWS])
    yield from more(len(items), MOST_ROWS)


def _table(items: Sequence[dict[str, Any]]) -> RenderableType:
    names = list(dict.fromkeys(name for item in items for name in item))
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for item in items:
        table.add_row(*(Text(_cell(name, item.get(name))) for name in names))
    return Padding(table, (0, 0, 0, 2))


def _cell(name: str, value: Any) -> str:
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in cast("list[Any]", value)):
        return _count(name, len(cast("list[Any]", value)))
    if isinstance(value, list) and len(cast("list[Any]", value)) > 16:
        return f"{len(cast('list[Any]', value))} values"
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return f"{len(fields)} values" if len(fields) > 8 else _pairs(fields, figures=True)
    return "" if value is None else cut(plain(value))


def _pairs(values: dict[str, Any], *, figures: bool = False) -> str:
    """``name value, ...``; with ``figures`` numbers from 10 on without their fraction, others with two digits of it."""
    shown = {
        name: _figure(value) if figures and isinstance(value, float) else plain(value)
        for name, value in values.items()
        if value is not None
    }
    return ", ".join(f"{name} {value}" for name, value in shown.items()) or "none"


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else str(round(value, 2))


def _word(name: str, value: Any, *, main: bool) -> str:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        numbers = bool(items) and all(isinstance(v, int | float) for v in items)
        return "" if numbers or not (items or main) else _count(name, len(items))
    if isinstance(value, bool):
        return name if value else f"not {name}" if main else ""
    if isinstance(value, int) and (name in _SINGULAR or (name.endswith("s") and not name.endswith("_s"))):
        return _count(name, value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        flat = {k: v for k, v in fields.items() if not isinstance(v, dict | list)}
        return f"{name} ({cut(_pairs(flat))})" if flat else ""
    return f"{name} {cut(' '.join(plain(value).split()))}" if value not in (None, "") else ""


def _count(name: str, number: int) -> str:
    """``1 person``, ``4 look alikes``."""
    words = name.replace("_", " ")
    if number == 0:
        return f"no {words}"
    if number == 1:
        words = _SINGULAR.get(words, words.removesuffix("s"))
    return f"{number} {words}"
