"""Command line flags from a kind's parameters: every rule is read from their JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from saccade.examples import Schema, example, resolve
from saccade_core.kind import Params

#: Flags that every kind's command has for itself; a parameter of that name is called ``--param-<name>``.
RESERVED = frozenset({"detach", "help", "input", "json", "label", "priority", "save", "url"})


class ApiChoice(click.Choice[str]):
    """A choice of the API's own words, shown as they are; ``-`` is taken for ``_`` and the other way round."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        """As it is: the option's own names may be written with hyphens, its values are the API's."""
        del ctx
        return str(choice)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The choice that is meant."""
        meant = {choice.replace("_", "-"): choice for choice in self.choices}
        return super().convert(meant.get(str(value).replace("_", "-"), value), param, ctx)


class ListItem(click.ParamType[Any]):
    """One value of a list, several with commas, or a JSON list, whose items may have commas."""

    def __init__(self, item: click.ParamType[Any]) -> None:
        self._item = item
        self.name = item.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """The item's."""
        return self._item.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A list of the values."""
        text = str(value)
        if text.lstrip().startswith("["):
            values: Any = JsonText().convert(text, param, ctx)
        else:
            values = [part.strip() for part in text.split(",")] if "," in text else [text]
        try:
            return [self._item.convert(each, param, ctx) for each in values]
        except click.BadParameter as error:
            hint = " Repeat the option for several, or part them by commas." if "," in text else ""
            self.fail(error.message + hint, param, ctx)


class JsonText(click.ParamType[Any]):
    """A value as JSON, or ``@file`` with JSON in it."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value that the text means."""
        if not isinstance(value, str):
            return value
        try:
            text = Path(value[1:]).read_text("utf-8") if value.startswith("@") else value
            return json.loads(text)
        except (OSError, ValueError) as error:
            self.fail(f"{value[:80]!r} is not JSON: {error}", param, ctx)


@dataclass(frozen=True, slots=True)
class Flag:
    """One parameter and its click option; ``nested`` says that each value may itself be a list of values."""

    name: str
    option: click.Option
    nested: bool = False

    @property
    def key(self) -> str:
        """Under which name click hands the value over."""
        return f"param_{self.name}"


def flags(params: type[Params]) -> list[Flag]:
    """A flag for each parameter, in their order."""
    schema = params.model_json_schema()
    definitions = cast("dict[str, Schema]", schema.get("$defs", {}))
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    required = set(cast("list[str]", schema.get("required", [])))
    return [_flag(name, field, definitions, name in required) for name, field in properties.items()]


def chosen(all_flags: Iterable[Flag], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that the user gave; the others are left to their defaults."""
    found: dict[str, Any] = {}
    for flag in all_flags:
        value = values.get(flag.key)
        if value is None or value == ():
            continue
        if flag.option.multiple:
            value = _flatten(value) if flag.nested else list(value)
        found[flag.name] = value
    return found


def _flag(name: str, field: Schema, definitions: Mapping[str, Schema], required: bool) -> Flag:
    schema = resolve(field, definitions)
    text = name.replace("_", "-")
    declared = f"--param-{text}" if text in RESERVED else f"--{text}"
    help_text = " ".join(str(field.get("description") or schema.get("description") or "").split())
    if "default" in field and field["default"] is not None:
        help_text += f"  [default: {_shown(field['default'])}]"
    if required:
        help_text += "  [required]"
    if hint := _hint(schema, definitions):
        help_text += f"  ({hint})"
    common: dict[str, Any] = {"help": help_text.strip() or None, "default": None}
    key = f"param_{name}"
    if schema.get("type") == "boolean":
        return Flag(name, click.Option([f"{declared}/--no-{declared[2:]}", key], **common))
    if schema.get("type") == "array" and "prefixItems" not in schema:
        items = resolve(schema.get("items", {}), definitions)
        item = _simple(items)
        common |= {"multiple": True, "default": ()}
        if item is None and items.get("type") != "array":
            return Flag(name, click.Option([declared, key], type=JsonText(), **common), nested=True)
        if item is not None:
            return Flag(name, click.Option([declared, key], type=ListItem(item), **common), nested=True)
        common |= {"multiple": False, "default": None}  # a list of lists is given whole
    return Flag(name, click.Option([declared, key], type=_simple(schema) or JsonText(), **common))


def _simple(schema: Schema) -> click.ParamType[Any] | None:
    """The click type of a plain value, or None where only JSON can say it."""
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices:
        return ApiChoice(choices) if all(isinstance(c, str) for c in choices) else JsonText()
    bounds: dict[str, Any] = {
        "min": schema.get("minimum", schema.get("exclusiveMinimum")),
        "max": schema.get("maximum", schema.get("exclusiveMaximum")),
        "min_open": "exclusiveMinimum" in schema,
        "max_open": "exclusiveMaximum" in schema,
    }
    match schema.get("type"):
        case "integer":
            return click.IntRange(**bounds)
        case "number":
            return click.FloatRange(**bounds)
        case "string":
            return click.STRING
        case _:
            return None


def _hint(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """How several values are given, and what JSON has to look like."""
    if schema.get("type") == "array" and "prefixItems" not in schema:
        items = resolve(schema.get("items", {}), definitions)
        if _simple(items) is not None:
            return "repeat the option for several, or part them by commas"
        if items.get("type") == "array":
            return f"like {json.dumps(example(schema, definitions))}"
        return f"repeat the option for several; each like {json.dumps(example(items, definitions))}"
    return (
        "" if schema.get("type") == "boolean" or _simple(schema) else f"like {json.dumps(example(schema, definitions))}"
    )


def _flatten(values: Iterable[Any]) -> list[Any]:
    return [item for value in values for item in (cast("list[Any]", value) if isinstance(value, list) else [value])]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
