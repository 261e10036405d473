"""Command line flags from a kind's parameters: every rule is read from their JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from saccade_core.kind import Params

Schema = dict[str, Any]
#: Flags that every kind's command has for itself; a parameter of that name is called ``--param-<name>``.
RESERVED = frozenset({"detach", "help", "input", "json", "label", "priority", "save", "url"})


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
    schema = _resolve(field, definitions)
    text = name.replace("_", "-")
    declared = f"--param-{text}" if text in RESERVED else f"--{text}"
    help_text = " ".join(str(field.get("description") or schema.get("description") or "").split())
    if "default" in field and field["default"] is not None:
        help_text += f"  [default: {_shown(field['default'])}]"
    if required:
        help_text += "  [required]"
    common: dict[str, Any] = {"help": help_text.strip() or None, "default": None}
    key = f"param_{name}"
    if schema.get("type") == "boolean":
        return Flag(name, click.Option([f"{declared}/--no-{declared[2:]}", key], **common))
    if schema.get("type") == "array" and "prefixItems" not in schema:
        items = _resolve(schema.get("items", {}), definitions)
        item = _simple(items)
        common |= {"multiple": True, "default": ()}
        if item is None and items.get("type") != "array":
            return Flag(name, click.Option([declared, key], type=JsonText(), **common), nested=True)
        if item is not None:
            return Flag(name, click.Option([declared, key], type=item, **common))
        common |= {"multiple": False, "default": None}  # a list of lists is given whole
    return Flag(name, click.Option([declared, key], type=_simple(schema) or JsonText(), **common))


def _resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Follow a reference, and drop ``null`` from a choice that has one other member."""
    if "$ref" in schema:
        return _resolve(definitions[str(schema["$ref"]).rsplit("/", 1)[-1]], definitions)
    options = [o for o in cast("list[Schema]", schema.get("anyOf", [])) if o.get("type") != "null"]
    if len(options) == 1:
        return _resolve(options[0], definitions)
    return schema


def _simple(schema: Schema) -> click.ParamType[Any] | None:
    """The click type of a plain value, or None where only JSON can say it."""
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices:
        return click.Choice(choices) if all(isinstance(c, str) for c in choices) else JsonText()
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


def _flatten(values: Iterable[Any]) -> list[Any]:
    return [item for value in values for item in (cast("list[Any]", value) if isinstance(value, list) else [value])]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
