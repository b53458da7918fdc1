"""As a server: a client's request as our values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions.incoming_messages import to_messages
from multiturn.formats.chat_completions.wire import CONTENT_TYPES, IncomingMessage
from multiturn.formats.decoding import read, read_request
from multiturn.messages import Message
from multiturn.request import NamedTool, OutputSchema, Settings, ToolChoice, ToolSpec


class ServerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of our server. `native` are the fields that we do not know, for a model that is asked in this
    format too; `echo` those that a stored completion repeats, as they came, views of the body."""

    messages: tuple[Message, ...]
    model: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    settings: Settings = Settings()
    native: dict[str, Any] = {}
    stream: bool = False
    include_usage: bool = False
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    echo: dict[str, Raw] = {}


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None


class _Tool(msgspec.Struct):
    function: _Function
    type: Literal["function"] = "function"


class _FunctionName(msgspec.Struct):
    name: str


class _NamedTool(msgspec.Struct):
    function: _FunctionName
    type: Literal["function"] = "function"


class _Schema(msgspec.Struct):
    name: str
    schema: Raw = Raw()
    description: str | None = None
    strict: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    messages: list[IncomingMessage]
    model: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | _NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder()
_LEGACY = {"functions": "tools", "function_call": "tool_choice"}
ECHOED = (
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "seed",
    "service_tier",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "user",
)
"""What a stored completion repeats of its request: platform.openai.com/docs/api-reference/chat/get."""


def decode_request(body: bytes, *, provider: str = "openai") -> ServerRequest:
    """The request that this body makes. `provider` is whose file and audio ids may be in it. Raises `InvalidInput`,
    whose message begins with the field: `messages[2].content[0].type: …`."""
    asked = read_request(_BODY, body, types=CONTENT_TYPES)
    if not asked.messages:
        raise InvalidInput("messages: there must be at least one")
    if asked.n is not None and asked.n < 1:
        raise InvalidInput(f"n: must be at least 1, not {asked.n}")
    fields = read(_FIELDS, body)
    return ServerRequest(
        messages=to_messages(asked.messages, provider),
        model=asked.model,
        tools=tuple(_tool(tool) for tool in asked.tools or ()),
        settings=_settings(asked),
        native=_native(fields),
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        store=asked.store,
        metadata=asked.metadata,
        user=asked.user,
        echo={name: fields[name] for name in ECHOED if name in fields and bytes(fields[name]) != b"null"},
    )


def _native(fields: dict[str, Raw]) -> dict[str, Any]:
    """The fields that `_Body` does not know, without those that are null."""
    unknown = {name: raw for name, raw in fields.items() if name not in _Body.__struct_fields__}
    native = {name: value for name, raw in unknown.items() if (value := read_request(_ANY, raw, name)) is not None}
    for name in _LEGACY.keys() & native.keys():
        raise InvalidInput(f"{name}: this field is gone from the API; use {_LEGACY[name]}")
    return native


# --- tools and settings ---------------------------------------------------------------------------------------------


def _tool(tool: _Tool) -> ToolSpec:
    function = tool.function
    spec = ToolSpec(name=function.name, description=function.description or "", strict=function.strict)
    parameters = _own(function.parameters)
    return spec if parameters is None else msgspec.structs.replace(spec, parameters=parameters)


def _own(raw: Raw) -> Raw | None:
    """A copy that does not keep the whole body in memory; None for what was absent or null."""
    data = bytes(raw)
    return None if data in (b"", b"null") else Raw(data)


def _settings(asked: _Body) -> Settings:
    return Settings(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        choices=asked.n,
        reasoning_effort=asked.reasoning_effort,
        tool_choice=_tool_choice(asked.tool_choice),
        parallel_tool_calls=asked.parallel_tool_calls,
        output=_output(asked.response_format),
    )


def _tool_choice(choice: Literal["auto", "none", "required"] | _NamedTool | None) -> ToolChoice | None:
    return NamedTool(choice.function.name) if isinstance(choice, _NamedTool) else choice


def _output(wanted: _ResponseFormat | None) -> OutputSchema | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputSchema()
    schema = wanted.json_schema
    if schema is None or (raw := _own(schema.schema)) is None:
        raise InvalidInput("response_format.json_schema.schema: this type needs it")
    return OutputSchema(schema=raw, name=schema.name, description=schema.description, strict=schema.strict)
