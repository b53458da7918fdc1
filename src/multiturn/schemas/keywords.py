"""JSON Schema as plain dicts: what some keywords say, and going through all of a schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

_ONE = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def changed(schema: Mapping[str, Any], change: Callable[[Schema], Any]) -> Schema:
    """The schema with every schema directly in it changed; booleans, which are schemas too, stay."""

    def each(value: Any) -> Any:
        return change(value) if isinstance(value, dict) else value

    made: Schema = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            made[key] = {name: each(inner) for name, inner in value.items()}
        elif key in _SEVERAL and isinstance(value, list):
            made[key] = [each(inner) for inner in value]
        else:
            made[key] = each(value) if key in _ONE else value
    return made


def plain(schema: Schema) -> Schema:
    """What libraries generate, without what tells a model nothing: titles and OpenAPI's `discriminator`. `oneOf`
    becomes `anyOf`, for OpenAI refuses it, and an `enum` gets its type."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "discriminator")}
    if "oneOf" in kept:
        kept["anyOf"] = kept.pop("oneOf")
    if "type" not in kept and options(kept):
        kept["type"] = type_of(options(kept))
    return changed(kept, plain)


def options(schema: Mapping[str, Any]) -> list[Any]:
    """The values to which `enum` or `const` confine it; none without them."""
    return list(schema.get("enum", [schema["const"]] if "const" in schema else []))


def type_of(values: Iterable[Any]) -> str | list[str]:
    """What `type` is to say of these values; "object" for what is no scalar."""
    types = list(dict.fromkeys(_TYPES.get(type(value), "object") for value in values))
    return types[0] if len(types) == 1 else types


def one_of(*values: Any) -> Schema:
    """The schema of these values. It has their type too, which Gemini and OpenAI's strict mode ask for."""
    return {"type": type_of(values), "enum": list(values)}


def resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """The schema that a local `$ref` names, as long as there is one; the empty schema where it leads nowhere."""
    seen = set()
    while isinstance(schema, Mapping) and "$ref" in schema:
        reference = schema["$ref"]
        if reference in seen or not reference.startswith("#"):
            return {}
        seen.add(reference)
        schema = root
        for step in reference[1:].split("/")[1:]:
            schema = schema.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(schema, Mapping) else {}
    return schema
