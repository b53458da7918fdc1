"""A request, put together from bytes: the `messages` fields, then everything else.

The history arrives encoded and is copied once; only the new messages, the instructions and the settings are encoded.
Instructions are the first message, of role `system`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multiturn.errors import InvalidInput
from multiturn.formats.switching import check_input
from multiturn.formats.xai.dialect import Dialect
from multiturn.formats.xai.messages import encode_messages
from multiturn.formats.xai.wire import (
    EFFORTS,
    TOOL_MODES,
    Message,
    MessageToDict,
    ParseDict,
    ParseError,
    Proto,
    chat_pb2,
    dumps,
)
from multiturn.messages import system
from multiturn.request import NamedTool, OutputSchema, Request, ToolChoice, ToolSpec

OURS = {
    "messages": "the conversation itself decides them",
    "previous_response_id": "the conversation itself decides it",
    "store_messages": "set Settings(store=…)",
    "n": "set Settings(choices=…)",
}
"""Fields that `Settings.extra` cannot have, and why."""


def encode_request(request: Request, history: Sequence[bytes], *, model: str, dialect: Dialect) -> bytes:
    """A `GetCompletionsRequest`. `history` is `request.path`, each turn as `encode_messages` made it.

    xAI keeps the answer unless `Settings.store` is False; then it is asked for its thinking in encrypted form, which
    goes back with the next request. `Settings.extra` has protobuf's JSON names (`{"max_turns": 3, "include":
    ["INCLUDE_OPTION_INLINE_CITATIONS"]}`), or the SDK's own objects (`{"tools": [web_search()]}`); its lists are added
    to ours, of everything else it has the last word. Raises `InvalidInput` where there is nothing to say to the model,
    or a setting cannot be sent."""
    check_input(request.input, dialect, model)
    instructions = [system(request.instructions)] if request.instructions else []
    messages = [encode_messages(instructions, dialect), *history, encode_messages(request.input, dialect)]
    if not any(messages):
        raise InvalidInput("there is nothing to send: no instructions, no history and no new message")
    return b"".join([*messages, _rest(request, model)])


def _rest(request: Request, model: str) -> bytes:
    """Everything but the messages; what is None is left to the provider."""
    extra = request.settings.extra or {}
    if taken := OURS.keys() & extra.keys():
        name = min(taken)
        raise InvalidInput(f"settings.extra cannot have {name!r}: {OURS[name]}")
    try:
        made = chat_pb2.GetCompletionsRequest(model=model, **_fields(request))
        made.MergeFrom(ParseDict(_plain(extra), chat_pb2.GetCompletionsRequest()))
    except (TypeError, ValueError, ParseError) as error:
        raise InvalidInput(f"a setting cannot be sent to xAI: {error}") from error
    return dumps(made)


def _fields(request: Request) -> dict[str, Any]:
    settings = request.settings
    fields = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": settings.max_output_tokens,
        "stop": settings.stop or None,
        "seed": settings.seed,
        "presence_penalty": settings.presence_penalty,
        "frequency_penalty": settings.frequency_penalty,
        "n": settings.choices,
        "reasoning_effort": _effort(settings.reasoning_effort),
        "response_format": _response_format(settings.output),
        "tools": [_tool(tool) for tool in request.tools] or None,
        "store_messages": settings.store is not False,
        "use_encrypted_content": settings.store is False or None,
        "previous_response_id": request.previous_answer,
    }
    if request.tools or "tools" in (settings.extra or {}):  # without tools, xAI rejects these two
        fields["tool_choice"] = _tool_choice(settings.tool_choice)
        fields["parallel_tool_calls"] = settings.parallel_tool_calls
    return {name: value for name, value in fields.items() if value is not None}


def _effort(effort: str | None) -> Proto | None:
    if effort is not None and effort not in EFFORTS:
        raise ValueError(f"reasoning_effort is one of {', '.join(EFFORTS)}, not {effort!r}")
    return EFFORTS.get(effort or "")


def _tool(tool: ToolSpec) -> Proto:
    parameters = bytes(tool.parameters).decode()
    function = {"name": tool.name, "description": tool.description, "parameters": parameters, "strict": tool.strict}
    return chat_pb2.Tool(function=chat_pb2.Function(**function))


def _tool_choice(choice: ToolChoice | None) -> Proto | None:
    if isinstance(choice, NamedTool):
        return chat_pb2.ToolChoice(function_name=choice.name)
    return None if choice is None else chat_pb2.ToolChoice(mode=TOOL_MODES[choice])


def _response_format(output: OutputSchema | None) -> Proto | None:
    if output is None:
        return None
    if output.schema is None:
        return chat_pb2.ResponseFormat(format_type=chat_pb2.FORMAT_TYPE_JSON_OBJECT)
    schema = bytes(output.schema).decode()
    return chat_pb2.ResponseFormat(format_type=chat_pb2.FORMAT_TYPE_JSON_SCHEMA, schema=schema)


def _plain(value: object) -> Any:
    """The value with the SDK's objects as JSON has them."""
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
