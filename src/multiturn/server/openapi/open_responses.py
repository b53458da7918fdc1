"""The schemas of Open Responses, version 2026-04-24, and what OpenAI's Responses API has beyond them.

`open_responses.json` holds the `components.schemas` of its OpenAPI document (github.com/openresponses/openresponses,
Apache-2.0) without descriptions and examples. Where OpenAI has more kinds of items, tools, choices and annotations,
there is one schema for all the others; no event of Open Responses is changed by it, and no field but those of
`WIDENED`. Of the two names for the events of a model's thinking, we send OpenAI's, `response.reasoning_text.delta`.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, TypeAlias

from multiturn.server.openapi.operations import REF

Json: TypeAlias = dict[str, Any]

STREAM_EVENT = "ResponseStreamEvent"
"""The schema of one event of a stream."""

WIDENED = ("JsonSchemaResponseFormat", "Reasoning")
"""Schemas whose values may be more than Open Responses says: the JSON schema of an answer, where it has null alone, and
words for thinking that only some models know, as the effort `minimal`."""

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer"}


def published() -> Json:
    """The schemas as they were published."""
    text = files(__package__).joinpath("open_responses.json").read_text()
    schemas: Json = json.loads(text)
    return schemas


def schemas() -> Json:
    """The schemas by which we answer."""
    found = published()
    _allow_more(found, "Annotation", "OtherAnnotation", {})
    _allow_more(found, "ItemField", "OtherItem", {"id": _TEXT})
    _allow_more(found, "ItemParam", "OtherItemParam", {})
    _allow_more(found, "Tool", "OtherTool", {})
    _allow_more(found, "ResponsesToolParam", "OtherToolParam", {})
    found["OtherToolChoice"] = _object(type={"type": "string", "not": {"enum": ["function", "allowed_tools"]}})
    found["ResponseResource"]["properties"]["tool_choice"]["oneOf"].append(_ref("OtherToolChoice"))
    found["JsonSchemaResponseFormat"]["properties"]["schema"]["anyOf"].append({"type": "object"})
    for name in ("effort", "summary"):
        found["Reasoning"]["properties"][name]["anyOf"].append(_TEXT)
    found["ResponseResource"]["properties"] |= {"conversation": _object(id=_TEXT), "user": _TEXT}
    found["CreateResponseBody"]["properties"] |= {
        "conversation": {"anyOf": [_TEXT, _object(id=_TEXT), {"type": "null"}]},
        "user": {"anyOf": [_TEXT, {"type": "null"}]},
    }
    found |= _text_events("CustomToolCallInput", "custom_tool_call_input", done="input")
    found |= _text_events("ReasoningText", "reasoning_text", done="text", content_index=_NUMBER)
    names = sorted(name for name in found if name.endswith("StreamingEvent"))
    found[STREAM_EVENT] = {"oneOf": [_ref(name) for name in names], "discriminator": {"propertyName": "type"}}
    return found


def _allow_more(schemas: Json, name: str, other: str, properties: Json) -> None:
    """Let a union have members of other types than those that it knows."""
    known = sorted({type for member in schemas[name]["oneOf"] for type in _types(schemas, member)})
    schemas[other] = _object(type={"type": "string", "not": {"enum": known}}, **properties)
    schemas[name]["oneOf"].append(_ref(other))


def _types(schemas: Json, member: Json) -> list[str]:
    schema = schemas[member["$ref"].removeprefix(REF)]
    type = schema["properties"]["type"]
    for each in type.get("anyOf", [type]):
        if "enum" in each:
            return list(each["enum"])
    return []


def _text_events(name: str, type: str, *, done: str, **place: Json) -> Json:
    """The two events of a text that Open Responses does not know; `done` is the field that has it whole."""
    place = {"sequence_number": _NUMBER, "item_id": _TEXT, "output_index": _NUMBER, **place}
    return {
        f"Response{name}{kind}StreamingEvent": _object(
            type={"type": "string", "enum": [f"response.{type}.{kind.lower()}"]}, **place, **{field: _TEXT}
        )
        for kind, field in (("Delta", "delta"), ("Done", done))
    }


def _ref(name: str) -> Json:
    return {"$ref": f"{REF}{name}"}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}
