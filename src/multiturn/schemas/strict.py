"""OpenAI's strict subset of JSON Schema, which keeps a model's answer to the schema. Other providers' are like it.

The rules are those of https://platform.openai.com/docs/guides/structured-outputs#supported-schemas: an object at the
root, `additionalProperties: false` and every property required, `anyOf` for unions, no other composition, some
keywords, and limits of size. Two are said only by its errors: nothing beside a `$ref`, and objects of one `anyOf` must
not begin with the same key, unless that key tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from multiturn.schemas.names import Schema

_KEPT = {
    *("type", "title", "description", "properties", "required", "items", "enum", "const", "anyOf", "$ref", "$defs"),
    *("additionalProperties", "pattern", "format", "minItems", "maxItems"),
    *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_SILENT = {"$schema", "$id", "$comment", "discriminator", "deprecated", "readOnly", "writeOnly"}
_LOOSE = {
    *("not", "if", "then", "else", "allOf", "dependentRequired", "dependentSchemas", "patternProperties"),
    *("prefixItems", "contains", "unevaluatedItems", "unevaluatedProperties", "definitions", "$dynamicRef"),
}
_LOOKAROUND = ("(?=", "(?!", "(?<")
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}

MOST_PROPERTIES = 5000
MOST_LEVELS = 10
MOST_CHARACTERS = 120_000
MOST_CHOICES = 1000
MANY_CHOICES, MOST_CHARACTERS_OF_MANY = 250, 15_000


class _Loose(Exception):
    """This cannot be said in the subset."""


def strict(schema: Mapping[str, Any]) -> Schema | None:
    """The schema under the strict rules, or None where they leave no way to say it, as for dicts with free keys.

    What may be left out may be null instead, except a constant; whoever reads the answer takes such a null as left
    out. Keywords outside the subset (`minLength`, `default`, …) go into the description, in brackets.
    """
    try:
        made = _stricter(dict(schema), schema.get("$defs", {}))
        made["$defs"] = {name: _stricter(of, schema["$defs"]) for name, of in schema.get("$defs", {}).items()}
        if made.get("type") != "object":
            return None
        _check_size(made)
    except (_Loose, RecursionError):
        return None
    return made if made["$defs"] else {key: value for key, value in made.items() if key != "$defs"}


def _stricter(schema: Any, defs: Schema) -> Schema:
    if not isinstance(schema, dict):
        raise _Loose
    made = _noted({key: value for key, value in schema.items() if key not in _SILENT and key != "$defs"})
    if "$ref" in made and len(made) > 1:
        made["anyOf"] = [{"$ref": made.pop("$ref")}]
    if "anyOf" in made:
        made["anyOf"] = _branches(made["anyOf"], defs)
    elif "$ref" not in made:
        made["type"] = _type(made)
        if "object" in made["type"]:
            made |= _object(made, defs)
        if "array" in made["type"]:
            made["items"] = _stricter(made.get("items"), defs)
    return made


def _noted(schema: Schema) -> Schema:
    """Only what the subset has, the rest in words. `allOf` of one, as some write around a reference, is that one."""
    if len(schema.get("allOf", ())) == 1:
        schema = {**schema["allOf"][0], **{key: value for key, value in schema.items() if key != "allOf"}}
    if "oneOf" in schema:
        schema = {("anyOf" if key == "oneOf" else key): value for key, value in schema.items()}
    if _LOOSE & schema.keys():
        raise _Loose
    kept = {key: value for key, value in schema.items() if _is_kept(key, value)}
    unsaid = {key: value for key, value in schema.items() if key not in kept}
    if unsaid.get("default") is None or _only_value(kept) is not None:
        unsaid.pop("default", None)
    notes = ", ".join(f"{key}: {json.dumps(value)}" for key, value in unsaid.items())
    if notes:
        kept["description"] = f"{kept.get('description', '')} ({notes})".strip()
    return kept


def _is_kept(key: str, value: Any) -> bool:
    if key == "format":
        return value in _FORMATS
    if key == "pattern":
        return not any(token in value for token in _LOOKAROUND)
    return key in _KEPT


def _type(schema: Schema) -> str | list[str]:
    """The type, which strict schemas must say of enumerations too."""
    if "type" in schema:
        return schema["type"]  # type: ignore[no-any-return]
    options = schema.get("enum", [schema["const"]] if "const" in schema else [])
    kinds = list(dict.fromkeys(_TYPES.get(type(option), "object") for option in options))
    if "object" in kinds or not (kinds or "properties" in schema):
        raise _Loose
    if not kinds:
        return "object"
    return kinds if len(kinds) > 1 else kinds[0]


def _object(schema: Schema, defs: Schema) -> Schema:
    """All of its properties required."""
    if schema.get("additionalProperties", "properties" not in schema) is not False:
        raise _Loose
    required = schema.get("required", ())
    properties = {}
    for name, of in schema.get("properties", {}).items():
        made = _stricter(of, defs)
        may_be_null = name in required or _only_value(made) is not None or _takes_null(made, defs)
        properties[name] = made if may_be_null else _or_null(made)
    properties = _constants_first(properties)
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _branches(branches: list[Any], defs: Schema) -> list[Schema]:
    """The members of a union, unions in it opened. Raises `_Loose` where objects begin alike."""
    made: list[Schema] = []
    for branch in branches:
        inner = _stricter(branch, defs)
        made += inner["anyOf"] if inner.keys() == {"anyOf"} else [inner]
    objects = (_resolved(branch, defs).get("properties", {}) for branch in made)
    first = [next(iter(_constants_first(properties).items())) for properties in objects if properties]
    for n, (name, of) in enumerate(first):
        if any(name == other and _only_value(of) in (None, _only_value(its)) for other, its in first[:n]):
            raise _Loose
    return made


def _constants_first(properties: Schema) -> Schema:
    """Answers come in the order of the schema, so that a tag which comes first tells objects apart at once."""
    return dict(sorted(properties.items(), key=lambda item: _only_value(item[1]) is None))


def _or_null(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    about = {"description": schema["description"]} if "description" in schema else {}
    inner = {key: value for key, value in schema.items() if key != "description"}
    return {**about, "anyOf": [inner, {"type": "null"}]}


def _takes_null(schema: Schema, defs: Schema) -> bool:
    schema = _resolved(schema, defs)
    if "anyOf" in schema:
        return any(_takes_null(branch, defs) for branch in schema["anyOf"])
    return "null" in schema.get("type", ()) and None in schema.get("enum", [None])


def _only_value(schema: Any) -> Any:
    """The one value of a constant, or None."""
    options: Any = schema.get("enum", [schema.get("const")]) if isinstance(schema, dict) else ()
    return options[0] if len(options) == 1 else None


def _resolved(schema: Schema, defs: Schema) -> Schema:
    """The schema that a reference leads to. Raises `_Loose` where that is not among the definitions."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].removeprefix("#/$defs/")
    if name not in defs:
        raise _Loose
    return _resolved(defs[name], defs)


# --- limits of size -------------------------------------------------------------------------------------------------


def _check_size(schema: Schema) -> None:
    """Raise `_Loose` for a schema that is too big."""
    parts = list(_parts(schema))
    names = [name for part in parts for key in ("properties", "$defs") for name in part.get(key, ())]
    choices = [str(value) for part in parts for value in (*part.get("enum", ()), part.get("const", ""))]
    many = [part["enum"] for part in parts if len(part.get("enum", ())) > MANY_CHOICES]
    if (
        sum(len(part.get("properties", ())) for part in parts) > MOST_PROPERTIES
        or sum(map(len, (*names, *choices))) > MOST_CHARACTERS
        or sum(len(part.get("enum", ())) for part in parts) > MOST_CHOICES
        or any(sum(len(str(value)) for value in enum) > MOST_CHARACTERS_OF_MANY for enum in many)
        or _levels(schema, schema["$defs"], {}) > MOST_LEVELS
    ):
        raise _Loose


def _parts(schema: Schema) -> Iterator[Schema]:
    """The schema and all in it, definitions too."""
    yield schema
    for inner in _inner(schema, "properties", "$defs"):
        yield from _parts(inner)


def _inner(schema: Schema, *named: str) -> Iterator[Schema]:
    yield from (of for key in named for of in schema.get(key, {}).values())
    yield from schema.get("anyOf", ())
    if "items" in schema:
        yield schema["items"]


def _levels(schema: Schema, defs: Schema, known: dict[str, int]) -> int:
    """How deep objects lie in objects; a recursive one counts once."""
    if "$ref" in schema:
        name = schema["$ref"]
        if name not in known:
            known[name] = 0
            known[name] = _levels(_resolved(schema, defs), defs, known)
        return known[name]
    deepest = max((_levels(inner, defs, known) for inner in _inner(schema, "properties")), default=0)
    return deepest + ("properties" in schema)
