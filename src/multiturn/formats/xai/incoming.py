"""As a server: a client's request as our values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from multiturn.errors import InvalidInput
from multiturn.formats.xai.compaction import expanded
from multiturn.formats.xai.content import parts_of
from multiturn.formats.xai.readings import call_of
from multiturn.formats.xai.wire import (
    EFFORTS,
    ROLES,
    TOOL_MODES,
    DecodeError,
    MessageToDict,
    Proto,
    chat_pb2,
    opaque,
)
from multiturn.messages import Message, Opaque, Origin, Part, Reasoning, Role, ToolCall, ToolResult
from multiturn.request import NamedTool, OutputSchema, Settings, ToolChoice, ToolSpec

_ROLE_OF = {number: name for name, number in ROLES.items()}
_EFFORT_OF = {number: name for name, number in EFFORTS.items()}
_MODE_OF: dict[int, Any] = {number: name for name, number in TOOL_MODES.items()}
_KNOWN = (
    *("messages", "model", "user", "n", "max_tokens", "seed", "stop", "temperature", "top_p", "tools", "tool_choice"),
    *("response_format", "frequency_penalty", "presence_penalty", "reasoning_effort", "parallel_tool_calls"),
    *("previous_response_id", "store_messages"),
)
"""The fields that have a place in `ServerRequest`."""


class ServerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of our server. `previous_answer` is the id of the kept answer that it goes on from. Other
    fields, and tools that xAI would run, are in `settings.extra`."""

    messages: tuple[Message, ...]
    model: str
    tools: tuple[ToolSpec, ...] = ()
    settings: Settings = Settings()
    previous_answer: str | None = None
    user: str | None = None


def decode_request(body: bytes, *, provider: str = "xai") -> ServerRequest:
    """The request that a `GetCompletionsRequest` makes. `provider` is whose encrypted content and file ids may be in
    it. Raises `InvalidInput`, whose message begins with the field: `messages[2].content[0]: …`."""
    return to_request(read_request(body), provider)


def read_request(body: bytes) -> Proto:
    """The `GetCompletionsRequest`. Raises `InvalidInput`."""
    asked = read(chat_pb2.GetCompletionsRequest, body)
    if not asked.messages:
        raise InvalidInput("messages: there must be at least one")
    if asked.HasField("n") and asked.n < 1:
        raise InvalidInput(f"n: must be at least 1, not {asked.n}")
    return asked


def read(kind: Proto, body: bytes) -> Proto:
    """A request of this kind. Raises `InvalidInput`."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidInput(f"the request is not a {kind.DESCRIPTOR.name}: {error}") from error


def to_request(asked: Proto, provider: str) -> ServerRequest:
    """The request that this `GetCompletionsRequest` makes; as `decode_request`."""
    return ServerRequest(
        messages=to_messages(asked.messages, provider),
        model=asked.model,
        tools=tuple(_tool(tool.function) for tool in asked.tools if tool.HasField("function")),
        settings=_settings(asked),
        previous_answer=asked.previous_response_id or None,
        user=asked.user or None,
    )


# --- messages -------------------------------------------------------------------------------------------------------


def to_messages(items: Sequence[Proto], provider: str) -> tuple[Message, ...]:
    """A client's messages. One of `CompactContext` stands for all before it, as the SDK says of it ("drop everything
    before the last compaction message")."""
    made: list[Message] = []
    for n, item in enumerate(expanded(items)):
        made.append(_message(item, f"messages[{n}]", provider, made))
    return tuple(made)


def _message(item: Proto, place: str, provider: str, before: list[Message]) -> Message:
    role = _ROLE_OF.get(item.role)
    if role is None:
        raise InvalidInput(f"{place}.role: none of {', '.join(f'ROLE_{name.upper()}' for name in ROLES)}")
    if not item.content and not item.encrypted_content:
        raise InvalidInput(f"{place}.content: each message must have at least one content element")
    if role == "assistant":
        return _assistant(item, place, provider)
    if role == "tool" and item.tool_calls:  # what a server-side tool gave back echoes its call
        return _kept(item, "tool_output", provider)
    if role == "user" and not item.content:
        return _kept(item, "compaction", provider)
    parts = parts_of(item.content, provider, place)
    if role == "tool":
        return Message(role="tool", parts=(ToolResult(_call_id(item, place, before), parts),))
    return Message(role=role, parts=parts, name=item.name or None)


def _assistant(item: Proto, place: str, provider: str) -> Message:
    parts: list[Part] = []
    if item.reasoning_content or item.encrypted_content:
        parts.append(Reasoning(text=item.reasoning_content, encrypted=item.encrypted_content or None))
    parts += parts_of(item.content, provider, place)
    parts += [call_of(call, provider) for call in item.tool_calls]
    # what is encrypted means something to one provider only, and a message says by its origin to which
    scoped = item.encrypted_content or any(isinstance(part, Opaque) for part in parts)
    return Message(role="assistant", parts=tuple(parts), origin=_origin(provider) if scoped else None)


def _kept(item: Proto, kind: str, provider: str) -> Message:
    role: Role = "user" if kind == "compaction" else "assistant"
    return Message(role=role, parts=(opaque(provider, kind, item),), origin=_origin(provider))


def _origin(provider: str) -> Origin:
    return Origin(provider=provider, format="xai")


def _call_id(item: Proto, place: str, before: list[Message]) -> str:
    """The call that a tool's result answers. The SDK's `tool_result(text)` does not say which; then it is the first
    one that has no result yet."""
    if item.tool_call_id:
        return str(item.tool_call_id)
    calls = [part.call_id for message in before for part in message.parts if isinstance(part, ToolCall)]
    answered = {part.call_id for message in before for part in message.parts if isinstance(part, ToolResult)}
    open_call = next((id for id in calls if id not in answered), None)
    if open_call is None:
        raise InvalidInput(f"{place}.tool_call_id: a tool message must name the call that it answers")
    return open_call


# --- tools and settings ---------------------------------------------------------------------------------------------


def _tool(function: Proto) -> ToolSpec:
    spec = ToolSpec(name=function.name, description=function.description, strict=function.strict or None)
    if not function.parameters:
        return spec
    return msgspec.structs.replace(spec, parameters=_json(function.parameters, f"tools[{function.name}].parameters"))


def _json(text: str, place: str) -> Raw:
    try:
        return msgspec.json.decode(text, type=Raw).copy()
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{place}: not JSON: {error}") from error


def _settings(asked: Proto) -> Settings:
    return Settings(
        temperature=_number(asked, "temperature"),
        top_p=_number(asked, "top_p"),
        max_output_tokens=_field(asked, "max_tokens"),
        stop=tuple(asked.stop),
        seed=_field(asked, "seed"),
        presence_penalty=_number(asked, "presence_penalty"),
        frequency_penalty=_number(asked, "frequency_penalty"),
        choices=_field(asked, "n"),
        reasoning_effort=_EFFORT_OF.get(asked.reasoning_effort),
        tool_choice=_tool_choice(asked.tool_choice) if asked.HasField("tool_choice") else None,
        parallel_tool_calls=_field(asked, "parallel_tool_calls"),
        output=_output(asked.response_format),
        store=asked.store_messages,
        extra=_extra(asked) or None,
    )


def _field(asked: Proto, name: str) -> Any:
    return getattr(asked, name) if asked.HasField(name) else None


def _number(asked: Proto, name: str) -> float | None:
    """A float of 32 bits, as it was meant: 0.7 rather than 0.699999988079071."""
    return float(f"{getattr(asked, name):.7g}") if asked.HasField(name) else None


def _tool_choice(choice: Proto) -> ToolChoice | None:
    if choice.function_name:
        return NamedTool(choice.function_name)
    mode: ToolChoice | None = _MODE_OF.get(choice.mode)
    return mode


def _output(wanted: Proto) -> OutputSchema | None:
    if wanted.format_type == chat_pb2.FORMAT_TYPE_JSON_OBJECT:
        return OutputSchema()
    if wanted.format_type != chat_pb2.FORMAT_TYPE_JSON_SCHEMA:
        return None
    return OutputSchema(schema=_json(wanted.schema, "response_format.schema"))


def _extra(asked: Proto) -> dict[str, Any]:
    """The fields that `ServerRequest` has no place for, by their names in protobuf's JSON."""
    fields = {field.name: value for field, value in asked.ListFields() if field.name not in _KNOWN}
    if tools := [tool for tool in asked.tools if not tool.HasField("function")]:
        fields["tools"] = tools
    if not fields:
        return {}
    rest = chat_pb2.GetCompletionsRequest(**fields)
    extra: dict[str, Any] = MessageToDict(rest, preserving_proto_field_name=True)
    return extra
