"""Tool results as Gemini's function responses."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from multiturn.formats.gemini.calls import function_name, sent_id
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.media import media_part
from multiturn.formats.gemini.wire import FunctionResponse, Part
from multiturn.messages import Text, ToolCall, ToolResult

_encoder = msgspec.json.Encoder()

_SHOWN = ("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain")
"""What a function response may hold beside its JSON (ai.google.dev, function calling, multimodal responses)."""


def function_response(result: ToolResult, name: str, dialect: Dialect) -> tuple[Part, list[Part]]:
    """The response of the function of this name, and the parts that have to follow after all responses: media that it
    cannot hold, under a line that says whose they are."""
    held: list[Part] = []
    after: list[Part] = []
    for part in result.parts:
        if not isinstance(part, Text):
            shown = media_part(part)
            fits = shown.inline_data is not None and shown.inline_data.mime_type in _SHOWN
            (held if fits and dialect.media_in_results else after).append(shown)
    response = FunctionResponse(
        name=function_name(name),
        response=_response(result),
        id=sent_id(result.call_id),
        parts=held or None,
    )
    return Part(function_response=response), [Part(text=f"[from tool {name}]"), *after] if after else []


def no_response(call: ToolCall) -> Part:
    """What stands for the result of a call that nobody answered: Gemini wants one for each."""
    response = FunctionResponse(function_name(call.name), Raw(b'{"error":"no result"}'), sent_id(call.call_id))
    return Part(function_response=response)


def _response(result: ToolResult) -> Raw:
    """A JSON object as it is; anything else under the key that Google's SDK documents for it."""
    text = result.text
    if result.is_error:
        return Raw(_encoder.encode({"error": text}))
    return Raw(text) if is_json_object(text) else Raw(_encoder.encode({"output": text}))


def is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
