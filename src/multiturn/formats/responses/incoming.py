"""As a server: a client's request as our values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw

from multiturn.errors import InvalidInput
from multiturn.formats.decoding import read, read_request
from multiturn.formats.responses.echo import ECHO_FIELDS, Echo
from multiturn.formats.responses.incoming_messages import to_messages
from multiturn.formats.responses.wire import ANY, FIELDS, KIND, own
from multiturn.messages import Message
from multiturn.request import NamedTool, OutputSchema, Settings, ToolChoice, ToolSpec


class ServerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of our server.

    `native` is what only a provider of this API understands, as it came: tools that are no functions, choices among
    them, `truncation`, `service_tier` and fields that we do not know. For a model that is asked through this API, it
    goes into `Settings.extra`; `beyond` names what any other model cannot make up for. `echo` is what the response
    repeats."""

    messages: tuple[Message, ...]
    model: str | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    settings: Settings = Settings()
    stream: bool = False
    store: bool | None = None
    background: bool = False
    include: tuple[str, ...] = ()
    truncation: Literal["auto", "disabled"] = "disabled"
    metadata: dict[str, str] | None = None
    user: str | None = None
    native: dict[str, Any] = {}
    echo: Echo = Echo()

    @property
    def beyond(self) -> tuple[str, ...]:
        """The fields of `native` that change what is answered, without tools and choices among them."""
        return tuple(name for name in self.native if name not in _HINTS and name not in ("tools", "tool_choice"))


class _Conversation(msgspec.Struct):
    id: str


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: Raw = Raw()
    description: str | None = None
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


_Name: TypeAlias = Annotated[str, Meta(max_length=64)]


class _Body(msgspec.Struct):
    input: Annotated[str, Meta(max_length=10_485_760)] | list[Raw] | None = None
    model: str | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | _Conversation | None = None
    tools: list[Raw] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[str] | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: _Name | None = None
    prompt_cache_key: _Name | None = None
    user: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None


_BODY = msgspec.json.Decoder(_Body)
_ECHO = msgspec.json.Decoder(Echo)
_FUNCTION = msgspec.json.Decoder(_Function)
_NATIVE = (
    "include",
    "max_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "top_logprobs",
    "truncation",
    "user",
)


_HINTS = frozenset(
    {
        *("include", "max_tool_calls", "reasoning", "safety_identifier", "service_tier", "text", "truncation", "user"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    }
)
"""What a model may go without. `reasoning` and `text` are here what is left of them, as how much a model is to say."""


def decode_request(
    body: bytes,
    *,
    provider: str = "openai",
    items: Mapping[str, Message] = MappingProxyType({}),
    known: Collection[str] = (),
) -> ServerRequest:
    """The request that this body of `POST /responses` makes. `provider` is whose ids, encrypted thinking and opaque
    items may be in it; `items` are those that references may lead to, by their ids; those with `known` ids are passed
    over. Raises `InvalidInput`, whose message begins with the field: `input[2].content[0].type: …`."""
    asked = read_request(_BODY, body, "")
    _check(asked)
    tools = [(f"tools[{nth}]", tool) for nth, tool in enumerate(asked.tools or ())]
    fields = {name: raw for name, raw in read(FIELDS, body).items() if own(raw) is not None}
    conversation = asked.conversation.id if isinstance(asked.conversation, _Conversation) else asked.conversation
    return ServerRequest(
        messages=to_messages(asked.input if asked.input is not None else [], provider, items, known),
        model=asked.model,
        instructions=asked.instructions,
        previous_response_id=asked.previous_response_id,
        conversation=conversation,
        tools=tuple(_tool(tool, place) for place, tool in tools if _is_function(tool, place)),
        settings=_settings(asked),
        stream=bool(asked.stream),
        store=asked.store,
        background=bool(asked.background),
        include=tuple(asked.include or ()),
        truncation=asked.truncation or "disabled",
        metadata=asked.metadata,
        user=asked.user,
        native=_native(asked, fields, tools),
        echo=_echo(fields, conversation),
    )


def _check(asked: _Body) -> None:
    if asked.previous_response_id is not None and asked.conversation is not None:
        raise InvalidInput("conversation: it cannot be given together with previous_response_id")
    if not asked.input and asked.input != "" and asked.previous_response_id is None and asked.conversation is None:
        raise InvalidInput("input: there must be at least one item")
    check_metadata(asked.metadata)
    if asked.background and asked.store is False:
        raise InvalidInput("background: a response that runs in the background has to be stored; leave out store=false")


def check_metadata(metadata: Mapping[str, str] | None) -> None:
    """Raise `InvalidInput` for metadata that is longer than this API lets it be: 16 pairs, names of 64 characters and
    values of 512."""
    if not metadata:
        return
    if len(metadata) > 16:
        raise InvalidInput(f"metadata: it holds {len(metadata)} pairs, and may hold 16")
    for name, value in metadata.items():
        if not 0 < len(name) <= 64:
            raise InvalidInput(f"metadata: the name {name[:80]!r} has {len(name)} characters; it may have 1 to 64")
        if len(value) > 512:
            raise InvalidInput(f"metadata.{name}: the value has {len(value)} characters, and may have 512")


def _native(asked: _Body, fields: dict[str, Raw], tools: Sequence[tuple[str, Raw]]) -> dict[str, Any]:
    known = set(_Body.__struct_fields__) - set(_NATIVE)
    native = {name: read_request(ANY, raw, name) for name, raw in fields.items() if name not in known}
    if others := [read_request(ANY, tool, place) for place, tool in tools if not _is_function(tool, place)]:
        native["tools"] = others
    if isinstance(asked.tool_choice, dict) and asked.tool_choice.get("type") != "function":
        native["tool_choice"] = asked.tool_choice
    for name, ours in (("text", "format"), ("reasoning", "effort")):
        rest = {key: value for key, value in read_request(ANY, fields.get(name, b"{}"), name).items() if key != ours}
        if rest:
            native[name] = rest
    return native


def _echo(fields: dict[str, Raw], conversation: str | None) -> Echo:
    repeated: dict[str, Any] = {name: raw for name, raw in fields.items() if name in ECHO_FIELDS}
    if conversation is not None:
        repeated["conversation"] = conversation
    if fields.get("service_tier") == Raw(b'"auto"'):
        del repeated["service_tier"]  # what a response tells is the tier that it was served in
    return read(_ECHO, msgspec.json.encode(repeated))


# --- tools and settings ---------------------------------------------------------------------------------------------


def _is_function(tool: Raw, place: str) -> bool:
    return read_request(KIND, tool, place).type == "function"


def _tool(tool: Raw, place: str) -> ToolSpec:
    if "function" in FIELDS.decode(tool):
        raise InvalidInput(f"{place}.function: in this API the fields of a function stand beside its type")
    function = read_request(_FUNCTION, tool, place)
    spec = ToolSpec(name=function.name, description=function.description or "", strict=function.strict)
    parameters = own(function.parameters)
    if parameters is not None and not bytes(parameters).startswith(b"{"):
        raise InvalidInput(f"{place}.parameters: it must be a JSON schema, which is an object")
    return spec if parameters is None else msgspec.structs.replace(spec, parameters=parameters)


def _settings(asked: _Body) -> Settings:
    return Settings(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_output_tokens,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        reasoning_effort=asked.reasoning.effort if asked.reasoning else None,
        tool_choice=_tool_choice(asked.tool_choice),
        parallel_tool_calls=asked.parallel_tool_calls,
        output=_output(asked.text.format if asked.text else None),
    )


def _tool_choice(choice: str | dict[str, Any] | None) -> ToolChoice | None:
    match choice:
        case None | "auto" | "none" | "required":
            return choice
        case {"type": "function", "name": str(name)}:
            return NamedTool(name)
        case {"type": str(kind)} if kind != "function":
            return None  # a choice among tools that are no functions: `ServerRequest.native`
        case str():
            raise InvalidInput(f"tool_choice: {choice!r} is none of auto, none, required")
    raise InvalidInput("tool_choice: it needs a type and, for a function, a name")


def _output(wanted: _Format | None) -> OutputSchema | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputSchema()
    schema = own(wanted.schema)
    for name, given in (("name", wanted.name), ("schema", schema)):
        if given is None:
            raise InvalidInput(f"text.format.{name}: this type needs it")
    if not bytes(schema or b"").startswith(b"{"):
        raise InvalidInput("text.format.schema: it must be a JSON schema, which is an object")
    return OutputSchema(schema=schema, name=wanted.name or "", description=wanted.description, strict=wanted.strict)
