"""JSON schemas as the API's constrained output takes them.

It insists on `additionalProperties: false` and knows neither bounds nor patterns
(https://platform.claude.com/docs/en/build-with-claude/structured-outputs). What it does not know goes into the
description, as words for the model, which is what Anthropic's own SDKs do. What it cannot say at all is left to the
prompt, for the answer would be another: objects with free keys, recursion, and values of any kind.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

_KEPT = ("$ref", "enum", "const", "anyOf", "allOf", "type", "description", "title")
_KINDS = ("$ref", "enum", "const", "anyOf", "oneOf", "allOf", "type")
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_DEFINITIONS = ("$defs", "definitions")


def strict_schema(schema: Raw) -> Raw | None:
    """The nearest schema that the API takes; None where there is none that says the same."""
    made = _made(bytes(schema))
    return None if made is None else Raw(made)


@lru_cache(maxsize=256)  # a conversation sends the same ones in every turn
def _made(schema: bytes) -> bytes | None:
    try:
        plain = msgspec.json.decode(schema)
    except msgspec.DecodeError:
        return None
    return msgspec.json.encode(_strict(plain)) if _can_be_said(plain, plain, ()) else None


def _can_be_said(schema: Any, root: Any, within: tuple[str, ...]) -> bool:
    """`within` are the references that led here."""
    if not isinstance(schema, dict) or not any(name in schema for name in _KINDS):
        return False
    if "$ref" in schema:
        name = str(schema["$ref"])
        return name not in within and _can_be_said(_at(root, name), root, (*within, name))
    if "object" in _listed(schema.get("type")) and _is_open(schema):
        return False
    inner = [*schema.get("properties", {}).values()] if "object" in _listed(schema.get("type")) else []
    inner += [schema["items"]] if "items" in schema else []
    inner += (each for name in ("anyOf", "oneOf", "allOf") for each in _listed(schema.get(name, [])))
    return all(_can_be_said(each, root, within) for each in inner)


def _is_open(schema: dict[str, Any]) -> bool:
    """Whether it is an object whose keys are for the model to choose."""
    free = schema.get("additionalProperties", False) is not False or "patternProperties" in schema
    return free or not isinstance(schema.get("properties"), dict)


def _at(root: Any, reference: str) -> Any:
    found = root
    for key in reference.removeprefix("#").split("/")[1:]:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _strict(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    rest = dict(schema)
    strict: dict[str, Any] = {}
    for name in _DEFINITIONS:
        if isinstance(rest.get(name), dict):
            strict[name] = {key: _strict(each) for key, each in rest.pop(name).items()}
    if "$ref" in rest:
        return {**strict, "$ref": rest["$ref"]}
    if "oneOf" in rest:
        rest.setdefault("anyOf", rest.pop("oneOf"))
    strict |= {name: _each(rest.pop(name)) for name in _KEPT if name in rest}
    for kind in _listed(strict.get("type")):
        strict |= _of_kind(kind, rest)
    return _with_words(strict, rest)


def _each(value: Any) -> Any:
    """A value, or the schemas that it lists."""
    return [_strict(each) for each in value] if isinstance(value, list) else value


def _of_kind(kind: Any, rest: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a type that are kept, taken out of `rest`."""
    if kind == "object":
        rest.pop("additionalProperties", None)
        properties = {name: _strict(each) for name, each in rest.pop("properties", {}).items()}
        required = {"required": rest.pop("required")} if "required" in rest else {}
        return {"properties": properties, "additionalProperties": False, **required}
    if kind == "array":
        items = {"items": _strict(rest.pop("items"))} if "items" in rest else {}
        return items | ({"minItems": rest.pop("minItems")} if rest.get("minItems") in (0, 1) else {})
    if kind == "string" and rest.get("format") in _FORMATS:
        return {"format": rest.pop("format")}
    return {}


def _with_words(strict: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    if not rest:
        return strict
    words = "{" + ", ".join(f"{name}: {value}" for name, value in rest.items()) + "}"
    before = strict.get("description")
    return {**strict, "description": words if before is None else f"{before}\n\n{words}"}
