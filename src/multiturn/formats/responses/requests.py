"""The body of a request, put together from bytes: `{"model": …, "input": […], settings}`.

The history arrives encoded and is copied once; only the new messages and the settings are encoded. Where the provider
holds the history itself, `previous_response_id` names its end and only the new messages are sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.responses.dialect import Dialect
from multiturn.formats.responses.messages import encode_messages
from multiturn.formats.switching import check_input
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolChoice, ToolSpec

_OURS = ("input", "stream", "previous_response_id", "conversation")
_encoder = msgspec.json.Encoder()


def path(*, model: str, stream: bool) -> str:
    return "/responses"


def encode_request(request: Request, history: Sequence[bytes], *, model: str, dialect: Dialect) -> bytes:
    """The request's whole body. `history` is `request.path`, each turn as `encode_messages` made it. Of
    `settings.extra`, an object is merged into ours field by field, a list is added to ours, and anything else takes
    the place of ours. Raises `InvalidInput` where there is nothing to say to the model, for a setting that this API
    does not have, and for one that is not JSON."""
    check_input(request.input, dialect, model)
    pieces = [piece for piece in (*history, encode_messages(request.input, dialect)) if piece]
    if not pieces and request.previous_answer is None:
        raise InvalidInput("there is nothing to send: no history and no new message")
    fields = _with_extra(_fields(request, dialect), request.settings.extra or {})
    head, tail = _json({"model": fields.pop("model", model)}), _json(fields)
    pieces = pieces or [b""]
    pieces[0] = b'%s,"input":[%s' % (head[:-1], pieces[0])
    pieces[-1] = b"%s]%s" % (pieces[-1], b"," + tail[1:] if fields else b"}")
    return b",".join(pieces)


def _with_extra(fields: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in extra.items():
        ours = fields.get(name)
        if name in _OURS:
            raise InvalidInput(f"settings.extra cannot replace {name!r}, which the conversation itself decides")
        if isinstance(ours, dict) and isinstance(value, dict):
            fields[name] = {**ours, **value}
        elif isinstance(ours, list) and isinstance(value, list):
            fields[name] = [*ours, *(item for item in value if item not in ours)]
        else:
            fields[name] = value
    return fields


def _fields(request: Request, dialect: Dialect) -> dict[str, Any]:
    """Everything after the input; what is None is left to the provider."""
    settings = request.settings
    _refuse_unknown(settings, dialect)
    fields: dict[str, Any] = {
        "instructions": request.instructions or None,
        "previous_response_id": request.previous_answer,
        "store": settings.store,
        "include": ["reasoning.encrypted_content"] if dialect.encrypted_reasoning and dialect.thinks else None,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "presence_penalty": settings.presence_penalty,
        "frequency_penalty": settings.frequency_penalty,
        "max_output_tokens": settings.max_output_tokens,
        "reasoning": {"effort": settings.reasoning_effort} if settings.reasoning_effort else None,
        "text": {"format": _format(settings.output)} if settings.output else None,
        **_tool_fields(request.tools, settings),
        "stream": request.stream or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_unknown(settings: Settings, dialect: Dialect) -> None:
    """A setting that silently does nothing is worse than an error."""
    asked = {
        "stop": settings.stop,
        "seed": settings.seed is not None,
        "choices": (settings.choices or 1) > 1,
        "presence_penalty": settings.presence_penalty is not None and not dialect.penalties,
        "frequency_penalty": settings.frequency_penalty is not None and not dialect.penalties,
    }
    if unknown := [name for name, given in asked.items() if given]:
        raise InvalidInput(
            f"settings.{unknown[0]}: the Responses API has no such setting; leave it out, or ask {dialect.provider} "
            f"through chat completions"
        )


def _tool_fields(tools: Sequence[ToolSpec], settings: Settings) -> dict[str, Any]:
    """Providers reject the other two fields where there are no tools."""
    if not tools and "tools" not in (settings.extra or {}):
        return {}
    return {
        "tools": [_function(tool) for tool in tools],
        "tool_choice": _tool_choice(settings.tool_choice),
        "parallel_tool_calls": settings.parallel_tool_calls,
    }


def _function(tool: ToolSpec) -> dict[str, Any]:
    """`strict` is always sent: left out, it is true in this API, and schemas not made for that are rewritten."""
    description = {"description": tool.description} if tool.description else {}
    strict = bool(tool.strict)
    return {"type": "function", "name": tool.name, **description, "parameters": tool.parameters, "strict": strict}


def _tool_choice(choice: ToolChoice | None) -> object:
    return {"type": "function", "name": choice.name} if isinstance(choice, NamedTool) else choice


def _format(output: OutputSchema) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    fields = {
        "type": "json_schema",
        "name": output.name,
        "description": output.description,
        "schema": output.schema,
        "strict": output.strict,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _json(fields: dict[str, Any]) -> bytes:
    try:
        return _encoder.encode(fields)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a setting cannot be sent as JSON: {error}") from error
