"""As a server: a client's request as our values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from multiturn.errors import InvalidInput
from multiturn.formats.anthropic.incoming_messages import to_messages
from multiturn.formats.anthropic.requests import BUDGETS
from multiturn.formats.anthropic.wire import IncomingMessage, TextBlock
from multiturn.formats.decoding import read, read_request
from multiturn.messages import Message
from multiturn.request import NamedTool, OutputSchema, Settings, ToolChoice, ToolSpec


class ServerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of our server. `user` is its `metadata.user_id`. `native` are fields for a model that is asked
    in this format too: those that we do not know, and the whole list of tools where some are Anthropic's own, or have
    habits that only Anthropic knows. How thinking is shown, and cache markers, are left to the dialect."""

    messages: tuple[Message, ...]
    instructions: str | None = None
    model: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    settings: Settings = Settings()
    native: dict[str, Any] = {}
    stream: bool = False
    user: str | None = None


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Tool(msgspec.Struct):
    name: str
    input_schema: Raw = Raw()
    type: str | None = None
    description: str | None = None
    strict: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None


class _Format(msgspec.Struct):
    type: Literal["json_schema"]
    schema: Raw


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Body(msgspec.Struct):
    messages: list[IncomingMessage]
    model: str | None = None
    max_tokens: int | None = None
    system: str | list[TextBlock] | None = None
    tools: list[Raw] | None = None
    tool_choice: _ToolChoice | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    metadata: _Metadata | None = None
    cache_control: Any = None
    stream: bool | None = None


_BODY = msgspec.json.Decoder(_Body)
_TOOL = msgspec.json.Decoder(_Tool)
_TOOL_FIELDS = {*_Tool.__struct_fields__, "cache_control"}
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder()


def decode_request(body: bytes, *, provider: str = "anthropic", native: bool = True) -> ServerRequest:
    """The request that this body makes. `provider` is whose file ids and signatures may be in it, and `native` says
    whether blocks that only Anthropic's models read are kept for them. Raises `InvalidInput`, whose message begins
    with the field: `messages[2].content[0].source: …`."""
    asked = read_request(_BODY, body)
    if asked.max_tokens is None:
        raise InvalidInput("max_tokens: this field is required")
    return _request(asked, body, provider, native)


def decode_count(body: bytes, *, provider: str = "anthropic", native: bool = True) -> ServerRequest:
    """The request whose tokens a client wants counted (`POST /v1/messages/count_tokens`); as `decode_request`, but for
    `max_tokens`."""
    return _request(read_request(_BODY, body), body, provider, native)


def encode_count(input_tokens: int) -> bytes:
    """The answer to such a request."""
    return msgspec.json.encode({"input_tokens": input_tokens})


def _request(asked: _Body, body: bytes, provider: str, native: bool) -> ServerRequest:
    if not asked.messages:
        raise InvalidInput("messages: there must be at least one")
    tools, all_tools = _tools(asked.tools or [])
    others = _others(body) | ({} if all_tools is None else {"tools": all_tools})
    return ServerRequest(
        messages=to_messages(asked.messages, provider, native),
        instructions=_instructions(asked.system),
        model=asked.model,
        tools=tools,
        settings=_settings(asked),
        native=others,
        stream=bool(asked.stream),
        user=asked.metadata.user_id if asked.metadata else None,
    )


def _others(body: bytes) -> dict[str, Any]:
    """The fields that `_Body` does not know, without those that are null."""
    unknown = {name: raw for name, raw in read(_FIELDS, body).items() if name not in _Body.__struct_fields__}
    return {name: value for name, raw in unknown.items() if (value := read_request(_ANY, raw, name)) is not None}


def _instructions(system: str | list[TextBlock] | None) -> str | None:
    if isinstance(system, list):
        return "\n\n".join(block.text for block in system if block.text) or None
    return system or None


def _tools(tools: list[Raw]) -> tuple[tuple[ToolSpec, ...], list[Any] | None]:
    """The tools that every model may call, and, where these are not the whole truth, all of them as they came."""
    specs: list[ToolSpec] = []
    whole_truth = True
    for n, raw in enumerate(tools):
        data, place = bytes(raw), f"tools[{n}]"
        tool = read_request(_TOOL, data, place)
        if tool.type in (None, "custom"):
            specs.append(_spec(tool, place))
            whole_truth = whole_truth and read(_FIELDS, data).keys() <= _TOOL_FIELDS
        else:
            whole_truth = False
    return tuple(specs), None if whole_truth else [
        read_request(_ANY, raw, f"tools[{n}]") for n, raw in enumerate(tools)
    ]


def _spec(tool: _Tool, place: str) -> ToolSpec:
    schema = bytes(tool.input_schema)
    if not schema.startswith(b"{"):
        raise InvalidInput(f"{place}.input_schema: this type of tool needs a JSON schema")
    return ToolSpec(tool.name, tool.description or "", Raw(schema), tool.strict)


# --- settings -------------------------------------------------------------------------------------------------------


def _settings(asked: _Body) -> Settings:
    choice = asked.tool_choice
    return Settings(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_tokens,
        stop=tuple(asked.stop_sequences or ()),
        reasoning_effort=_effort(asked),
        tool_choice=_choice(choice),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        output=_output(asked.output_config),
    )


def _effort(asked: _Body) -> str | None:
    """How much to think, in one word. A budget is the effort whose share of `max_tokens` is the nearest."""
    thinking = asked.thinking
    if thinking is not None and thinking.type == "disabled":
        return "none"
    if asked.output_config is not None and asked.output_config.effort:
        return asked.output_config.effort
    if thinking is None:
        return None
    if not thinking.budget_tokens or not asked.max_tokens:
        return "high"  # what the API takes for granted
    share = thinking.budget_tokens / asked.max_tokens
    return min(BUDGETS, key=lambda effort: abs(BUDGETS[effort] - share))


def _choice(choice: _ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.type == "tool":
        if not choice.name:
            raise InvalidInput("tool_choice.name: this type needs it")
        return NamedTool(choice.name)
    return "required" if choice.type == "any" else choice.type


def _output(config: _OutputConfig | None) -> OutputSchema | None:
    if config is None or config.format is None:
        return None
    return OutputSchema(schema=Raw(bytes(config.format.schema)))
