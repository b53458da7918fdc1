"""A model's side of a tool: asking for it, and reading what it is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from multiturn.messages import ToolCall, ToolResult
from multiturn.tools import Tool, ToolContext, by_name, call, tool


async def ask(func: Tool[..., Any] | Callable[..., Any], arguments: object = None) -> ToolResult:
    """What comes of calling one tool with these arguments, as JSON text or as what JSON is made of."""
    ((name, made),) = by_name([func]).items()
    return await call({name: made}, asked(name, arguments), ToolContext(call_id="call_1"))


def asked(name: str, arguments: object = None, *, call_id: str = "call_1") -> ToolCall:
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    return ToolCall(call_id, name, text)


def schema_of(func: Tool[..., Any] | Callable[..., Any]) -> dict[str, Any]:
    """The JSON schema that a model is shown."""
    made = func if isinstance(func, Tool) else tool(func)
    shown: dict[str, Any] = msgspec.json.decode(made.spec.parameters)
    return shown


def property_of(hint: object) -> dict[str, Any]:
    """The schema of a parameter of this type; `$defs` of the whole are in it."""

    def takes(value: Any) -> None: ...

    takes.__annotations__["value"] = hint
    schema = schema_of(takes)
    shown: dict[str, Any] = schema["properties"]["value"]
    return shown | ({"$defs": schema["$defs"]} if "$defs" in schema else {})
