"""Tools as their models read them, for counting: TypeScript, as OpenAI writes them, or JSON.

OpenAI has not published how it writes tools. The form here is the one that github.com/hmarr/openai-chat-tokens found
by asking, and that recorded requests bear out (tests/context/recorded.json): titles and descriptions are comments, and
defaults, formats and `additionalProperties` are not told. It is counted, and never sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from typing import Any

import msgspec

from multiturn.request import ToolSpec

Schema = Mapping[str, Any]

_TYPES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def typescript(tools: Iterable[ToolSpec], *, joined: bool) -> str:
    """All tools as one namespace. `joined` without a line's end before a closing brace, as since GPT-4o."""
    end = "" if joined else "\n"
    lines = ["namespace functions {", ""]
    for tool in tools:
        if tool.description:
            lines.append("// " + cleandoc(tool.description))
        schema = _decoded(tool.parameters)
        fields = "\n".join(_fields(schema if isinstance(schema, dict) else {}, 0, end))
        lines += [f"type {tool.name} = " + (f"(_: {{\n{fields}{end}}}) => any;" if fields else "() => any;"), ""]
    return "\n".join([*lines, "} // namespace functions"])


def json(tool: ToolSpec) -> str:
    """One tool as the JSON that is sent, but for `additionalProperties: false`, which adds nothing to what recorded
    requests of Gemini and Claude were counted for."""
    parameters = _open(_decoded(tool.parameters))  # without the spaces of whoever wrote it
    return msgspec.json.encode({"name": tool.name, "description": tool.description, "parameters": parameters}).decode()


def _open(schema: Any) -> Any:
    if isinstance(schema, dict):
        closed = schema.get("additionalProperties") is False
        return {name: _open(value) for name, value in schema.items() if not (closed and name == "additionalProperties")}
    return [_open(each) for each in schema] if isinstance(schema, list) else schema


def _decoded(schema: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(schema)
    except ValueError:  # a number too large, for one: whoever is asked says so
        return {}


def _fields(schema: Schema, depth: int, end: str) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return
    first, final = next(iter(properties), None), next(reversed(properties), None)
    for name, field in properties.items():
        if not isinstance(field, dict):
            continue
        comments = [f"// {field[told]}" for told in ("title", "description") if field.get(told)] if depth < 2 else []
        if comments and name == first and not depth and not end:
            comments[0] = " " + comments[0]  # since GPT-4o; else the brace and these signs would be one token
        yield from (" " * depth + comment for comment in comments)
        optional = "" if isinstance(required, list) and name in required else "?"
        last = "," if end or name != final else ""
        yield " " * depth + f"{name}{optional}: {_type(field, depth, end)}{last}"


def _type(schema: Schema, depth: int, end: str) -> str:
    if isinstance(options := schema.get("enum"), list):
        return " | ".join(msgspec.json.encode(option).decode() for option in options)
    if isinstance(options := schema.get("anyOf"), list):
        return " | ".join(_type(option, depth, end) for option in options if isinstance(option, dict))
    match schema.get("type"):
        case "array":
            items = schema.get("items")
            return f"{_type(items, depth, end) if isinstance(items, dict) else 'any'}[]"
        case "object":
            fields = "\n".join(_fields(schema, depth + 2, end))
            return f"{{\n{fields}{end}}}" if fields else "object"
        case list() as kinds:
            return " | ".join(_TYPES.get(kind, "any") for kind in kinds if isinstance(kind, str))
        case str() as kind:
            return _TYPES.get(kind, "any")
    return "any"
