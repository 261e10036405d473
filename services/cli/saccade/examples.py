"""Short examples of JSON values, made from their JSON schemas, for the help of options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

Schema = dict[str, Any]


def resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Follow a reference, and drop ``null`` from a choice that has one other member."""
    if "$ref" in schema:
        return resolve(definitions[str(schema["$ref"]).rsplit("/", 1)[-1]], definitions)
    options = [o for o in cast("list[Schema]", schema.get("anyOf", [])) if o.get("type") != "null"]
    if len(options) == 1:
        return resolve(options[0], definitions)
    return schema


def example(schema: Schema, definitions: Mapping[str, Schema]) -> Any:
    """A value of the right shape: an object with its required fields (or its first), a list with as many items as it
    needs, of a choice the first member; numbers and texts are stand-ins."""
    schema = resolve(schema, definitions)
    if options := cast("list[Schema]", schema.get("oneOf") or schema.get("anyOf") or []):
        return example(options[0], definitions)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            return _object(schema, definitions)
        case "array":
            return _list(schema, definitions)
        case "integer" | "number":
            return schema.get("default", max(1, schema.get("minimum", 1)))
        case _:
            return schema.get("default", "...")


def _object(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Any]:
    fields = cast("dict[str, Schema]", schema.get("properties", {}))
    wanted = {name for name, field in fields.items() if "const" in field}
    required = set(cast("list[str]", schema.get("required", []))) - wanted
    wanted |= required or set([name for name in fields if name not in wanted][:1])
    return {name: example(field, definitions) for name, field in fields.items() if name in wanted}


def _list(schema: Schema, definitions: Mapping[str, Schema]) -> list[Any]:
    fixed = cast("list[Schema]", schema.get("prefixItems", []))
    if fixed:
        return [example(item, definitions) for item in fixed]
    item = example(schema.get("items", {}), definitions)
    return [item] * max(1, min(4, int(schema.get("minItems", 1))))
