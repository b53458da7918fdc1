"""The rules of OpenAI's strict schemas, to check schemas by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

SUPPORTED = {
    *("type", "title", "description", "properties", "required", "additionalProperties", "items", "anyOf", "enum"),
    *("const", "$ref", "$defs", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minItems", "maxItems"),
}
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


def broken_rules(schema: Any, root: Schema, at: str = "root") -> Iterator[str]:
    """Every rule of https://platform.openai.com/docs/guides/structured-outputs that a schema breaks."""
    if not isinstance(schema, dict):
        yield f"{at}: not an object schema"
        return
    yield from (f"{at}: {key} is not supported" for key in schema.keys() - SUPPORTED)
    if schema.get("format", "date") not in FORMATS:
        yield f"{at}: format {schema['format']}"
    if "$ref" in schema:
        if len(schema) > 1:
            yield f"{at}: keywords beside $ref"
        if schema["$ref"].removeprefix("#/$defs/") not in root.get("$defs", {}):
            yield f"{at}: {schema['$ref']} leads nowhere"
    elif "type" not in schema and "anyOf" not in schema:
        yield f"{at}: no type"
    kind = schema.get("type", "")
    if "object" in kind:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            yield f"{at}: additionalProperties is not false"
        if schema.get("required") != list(properties):
            yield f"{at}: not everything is required"
        for name, of in properties.items():
            yield from broken_rules(of, root, f"{at}.{name}")
    if "array" in kind:
        yield from broken_rules(schema.get("items"), root, f"{at}[]")
    for n, branch in enumerate(schema.get("anyOf", ())):
        yield from broken_rules(branch, root, f"{at}|{n}")
    yield from shared_beginnings(schema.get("anyOf", ()), root, at)
    for name, of in schema.get("$defs", {}).items():
        yield from broken_rules(of, root, name)


def shared_beginnings(branches: list[Schema], root: Schema, at: str) -> Iterator[str]:
    """OpenAI: "Objects provided via 'anyOf' must not share identical first keys"."""
    firsts = []
    for branch in branches:
        while "$ref" in branch:
            branch = root["$defs"][branch["$ref"].removeprefix("#/$defs/")]
        for name, of in list(branch.get("properties", {}).items())[:1]:
            firsts.append((name, str(of.get("enum", of.get("const")))))
    if len(set(firsts)) < len(firsts) or (
        len({name for name, _ in firsts}) < len(firsts) and "None" in dict(firsts).values()
    ):
        yield f"{at}: objects begin alike"
