"""The schema of Open Responses, version 2026-04-24, and a check against it.

They are the published ones, which the server's OpenAPI document is made of. The check knows the keywords that occur
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from multiturn.server.openapi.open_responses import published

SCHEMAS: dict[str, Any] = published()
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_KEYWORDS = {
    *("type", "enum", "$ref", "allOf", "anyOf", "oneOf", "properties", "required", "additionalProperties", "items"),
    *("minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems", "maxProperties"),
}


def problems(value: Any, schema: str) -> list[str]:
    """What is wrong with this value as an instance of that schema; nothing, if it is one."""
    return list(_problems(value, {"$ref": f"#/components/schemas/{schema}"}, schema))


def _problems(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    assert schema.keys() <= _KEYWORDS, schema.keys() - _KEYWORDS
    if "$ref" in schema:
        yield from _problems(value, SCHEMAS[schema["$ref"].rpartition("/")[2]], at)
    for each in schema.get("allOf", ()):
        yield from _problems(value, each, at)
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            found = [list(_problems(value, each, at)) for each in schema[kind]]
            fitting = sum(not each for each in found)
            if fitting == 0 or (kind == "oneOf" and fitting > 1):
                yield f"{at}: fits {fitting} of {len(found)} kinds; nearest: {min(found, key=len)}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "type" in schema:
        yield from _typed(value, schema, at)


def _typed(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    if not isinstance(value, _TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        yield f"{at}: {value!r} is no {schema['type']}"
    elif isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{at}: {len(value)} characters"
        if not re.search(schema.get("pattern", ""), value):
            yield f"{at}: {value!r} is not like {schema['pattern']}"
    elif isinstance(value, dict):
        yield from _object(value, schema, at)
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{at}: {len(value)} items"
        for number, item in enumerate(value):
            yield from _problems(item, schema.get("items", {}), f"{at}[{number}]")
    elif isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{at}: {value} is out of range"


def _object(value: dict[str, Any], schema: dict[str, Any], at: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: {name} is missing"
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{at}: {len(value)} properties"
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, each in value.items():
        if name in known or isinstance(others, dict):
            yield from _problems(each, known.get(name, others), f"{at}.{name}")
