"""The body of a request, put together from bytes: `{"model": …, "messages": […], settings}`.

The history arrives encoded and is copied once; only the new messages, the instructions and the settings are encoded.
Instructions are the first message, of role `system`. A server that takes no schema is told it there, in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions.alternation import arranged, fits
from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.messages import encode_messages, to_json, wire_messages
from multiturn.formats.chat_completions.wire import OutgoingMessage
from multiturn.formats.switching import check_input
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolChoice, ToolSpec

_encoder = msgspec.json.Encoder()


def path(*, model: str, stream: bool) -> str:
    return "/chat/completions"


def encode_request(request: Request, history: Sequence[bytes], *, model: str, dialect: Dialect) -> bytes:
    """The request's whole body. `history` is `request.path`, each turn as `encode_messages` made it; it is left aside
    only where the dialect insists on an order of roles and the turns' borders break it. Raises `InvalidInput` where
    there is nothing to say to the model, or a setting is not JSON."""
    check_input(request.input, dialect, model)
    pieces = [piece for piece in _messages(request, history, dialect) if piece]
    if not pieces:
        raise InvalidInput("there is nothing to send: no instructions, no history and no new message")
    fields = _fields(request, dialect)
    extra = request.settings.extra or {}
    if kept := [name for name in ("messages", "stream") if name in extra]:
        raise InvalidInput(f"settings.extra cannot replace {kept[0]!r}, which the conversation itself decides")
    fields.update(extra)
    head, tail = _json({"model": fields.pop("model", model)}), _json(fields)
    pieces[0] = b'%s,"messages":[%s' % (head[:-1], pieces[0])
    pieces[-1] = b"%s]%s" % (pieces[-1], b"," + tail[1:] if fields else b"}")
    return b",".join(pieces)


def _messages(request: Request, history: Sequence[bytes], dialect: Dialect) -> list[bytes]:
    said = _instructions(request, dialect)
    instructions = [OutgoingMessage(role="system", content=said)] if said else []
    if (dialect.alternate or dialect.answers_tools) and not fits(request, said):
        return [to_json(arranged(instructions + wire_messages(request.messages, dialect), dialect, whole=True))]
    return [to_json(instructions), *history, encode_messages(request.input, dialect)]


def _instructions(request: Request, dialect: Dialect) -> str:
    output, said = request.settings.output, request.instructions or ""
    if dialect.schemas or output is None or output.schema is None:
        return said
    wish = "Answer with one JSON object and nothing else. It must be an instance of this JSON schema:"
    return "\n\n".join(filter(None, (said, f"{wish}\n{bytes(output.schema).decode()}")))


def _fields(request: Request, dialect: Dialect) -> dict[str, Any]:
    """Everything after the messages; what is None is left to the provider."""
    settings = request.settings
    fields: dict[str, Any] = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        dialect.max_tokens_field: settings.max_output_tokens,
        "stop": list(settings.stop) or None,
        dialect.seed_field: settings.seed,
        "presence_penalty": settings.presence_penalty,
        "frequency_penalty": settings.frequency_penalty,
        "n": settings.choices,
        "reasoning_effort": settings.reasoning_effort,
        "response_format": _response_format(settings.output, dialect),
        **_tool_fields(request.tools, settings),
        "stream": request.stream or None,
        "stream_options": {"include_usage": True} if request.stream and dialect.stream_usage else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tool_fields(tools: Sequence[ToolSpec], settings: Settings) -> dict[str, Any]:
    """Providers reject the other two fields where there are no tools."""
    if not tools and "tools" not in (settings.extra or {}):
        return {}
    return {
        "tools": [{"type": "function", "function": _function(tool)} for tool in tools],
        "tool_choice": _tool_choice(settings.tool_choice),
        "parallel_tool_calls": settings.parallel_tool_calls,
    }


def _function(tool: ToolSpec) -> dict[str, Any]:
    fields = {
        "name": tool.name,
        "description": tool.description or None,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tool_choice(choice: ToolChoice | None) -> object:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _response_format(output: OutputSchema | None, dialect: Dialect) -> dict[str, Any] | None:
    if output is None:
        return None
    if output.schema is None or not dialect.schemas:
        return {"type": "json_object"}
    fields = {
        "name": output.name,
        "description": output.description,
        "schema": output.schema,
        "strict": output.strict,
    }
    return {"type": "json_schema", "json_schema": {name: value for name, value in fields.items() if value is not None}}


def _json(fields: dict[str, Any]) -> bytes:
    try:
        return _encoder.encode(fields)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a setting cannot be sent as JSON: {error}") from error
