"""Tool calls as items. What such an item says beside the fields that we know (its `namespace`, its `caller`) is kept as
JSON in `ToolCall.signature`, for OpenAI rejects a call that comes back without it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from multiturn.formats.decoding import read
from multiturn.formats.responses.wire import CALL, FIELDS, own
from multiturn.ids import new_id
from multiturn.messages import ToolCall

_KNOWN = ("type", "id", "call_id", "name", "arguments", "input", "status")
_encoder = msgspec.json.Encoder()


def call_item(call: ToolCall, arguments: str, *, id: str | None, as_custom: bool) -> dict[str, Any]:
    """The item of this call, of type `custom_tool_call` or `function_call`."""
    kind, field = ("custom_tool_call", "input") if as_custom else ("function_call", "arguments")
    head = {"type": kind} if id is None else {"type": kind, "id": id}
    return {**head, "call_id": call.call_id, "name": call.name, field: arguments, **_others(call)}


def _others(call: ToolCall) -> dict[str, Raw]:
    try:
        return {name: raw for name, raw in FIELDS.decode(call.signature or "").items() if name not in _KNOWN}
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}  # not ours: the caller's own message, with another format's signature


def call_of(item: Raw, kind: str) -> ToolCall:
    """The call of an item of type `kind`. Raises `msgspec.ValidationError`."""
    call = read(CALL, bytes(item))
    arguments = call.input if kind == "custom_tool_call" else call.arguments
    if isinstance(arguments, dict):
        arguments = _encoder.encode(arguments).decode()
    fields = read(FIELDS, bytes(item))
    others = {name: raw for name, raw in fields.items() if name not in _KNOWN and own(raw) is not None}
    return ToolCall(
        call_id=call.call_id or call.id or new_id("call"),
        name=call.name or "",
        arguments=arguments or "",
        kind="custom" if kind == "custom_tool_call" else "function",
        id=call.id or None,
        signature=_encoder.encode(others).decode() if others else None,
    )


def sendable_arguments(call: ToolCall, *, faithful: bool) -> str:
    """A function call's arguments: empty ones as `{}`. What is not a JSON object is wrapped as `{"invalid_json": …}`,
    unless they go back, `faithful`ly, to the provider whose model wrote them."""
    text = call.arguments
    if not text.strip():
        return "{}"
    return text if faithful or _is_json_object(text) else _encoder.encode({"invalid_json": text}).decode()


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
