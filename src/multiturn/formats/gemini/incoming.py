"""As a server: a client's request as our values."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw

from multiturn.errors import InvalidInput
from multiturn.formats.decoding import UNREADABLE, read, read_request
from multiturn.formats.gemini.incoming_messages import to_messages
from multiturn.formats.gemini.spelling import camel_case
from multiturn.formats.gemini.wire import PART, ReadContent
from multiturn.messages import Message
from multiturn.request import NamedTool, OutputSchema, Settings, ToolChoice, ToolSpec


class ServerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of our server; the model, and whether to stream, are in the path. Fields that we do not know
    are in `settings.extra`."""

    messages: tuple[Message, ...]
    instructions: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    settings: Settings = Settings()


class _Function(msgspec.Struct, rename="camel"):
    name: str
    description: str | None = None
    parameters_json_schema: Raw = Raw()
    parameters: Raw = Raw()


class _Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[_Function] | None = None


class _Body(msgspec.Struct, rename="camel"):
    contents: list[ReadContent]
    system_instruction: ReadContent | None = None
    tools: list[_Tool] | None = None
    tool_config: dict[str, Any] | None = None
    generation_config: dict[str, Raw] | None = None


_BODY = msgspec.json.Decoder(_Body)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder()

_GENERATION = {
    "temperature": "temperature",
    "topP": "top_p",
    "maxOutputTokens": "max_output_tokens",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "candidateCount": "choices",
}
"""The fields of `generationConfig` that are settings of ours just so."""


def decode_request(body: bytes, *, provider: str = "gemini") -> ServerRequest:
    """The request that this body makes. `provider` is whose files and signatures may be in it. Raises `InvalidInput`,
    whose message begins with the field: `contents[2].role: …`."""
    with suppress(*UNREADABLE, RecursionError):  # what is no JSON is refused by the next line
        body = camel_case(body)
    asked = read_request(_BODY, body)
    if not asked.contents:
        raise InvalidInput("contents: there must be at least one")
    return ServerRequest(
        messages=to_messages(asked.contents, provider),
        instructions=_instructions(asked.system_instruction),
        tools=tuple(_tool(function) for tool in asked.tools or () for function in tool.function_declarations or ()),
        settings=_settings(asked, read(_FIELDS, body)),
    )


def _instructions(content: ReadContent | None) -> str | None:
    texts = [read_request(PART, bytes(raw)).text for raw in (content.parts if content else None) or ()]
    return "".join(text for text in texts if text) or None


def _tool(function: _Function) -> ToolSpec:
    spec = ToolSpec(name=function.name, description=function.description or "")
    schema = _own(function.parameters_json_schema) or _own(function.parameters)
    return spec if schema is None else msgspec.structs.replace(spec, parameters=schema)


def _own(raw: Raw) -> Raw | None:
    """A copy that does not keep the whole body in memory; None for what was absent or null."""
    data = bytes(raw)
    return None if data in (b"", b"null") else Raw(data)


# --- settings -------------------------------------------------------------------------------------------------------


def _settings(asked: _Body, fields: dict[str, Raw]) -> Settings:
    rest = {name: raw for name, raw in (asked.generation_config or {}).items() if _own(raw)}
    values: dict[str, Any] = {ours: _ANY.decode(rest.pop(name)) for name, ours in _GENERATION.items() if name in rest}
    values["stop"] = _ANY.decode(rest.pop("stopSequences", Raw(b"[]")))
    values["output"] = _output(rest)
    values["reasoning_effort"] = _effort(rest)
    choice, config = _tool_choice(asked.tool_config or {})
    known = {"contents", "systemInstruction", "generationConfig", "toolConfig"}
    if all(tool.function_declarations for tool in asked.tools or ()):
        known.add("tools")
    extra = {
        name: value
        for name, raw in fields.items()
        if name not in known and (value := read_request(_ANY, raw, name)) is not None
    }
    extra |= {"generationConfig": {name: _ANY.decode(raw) for name, raw in rest.items()}} if rest else {}
    extra |= {"toolConfig": config} if config else {}
    try:
        return msgspec.convert({**values, "tool_choice": choice, "extra": extra or None}, Settings)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"generationConfig: {error}") from error


def _output(rest: dict[str, Raw]) -> OutputSchema | None:
    """What the answer must be; only JSON is known here, other types stay where they are."""
    if rest.get("responseMimeType") is None or _ANY.decode(rest["responseMimeType"]) != "application/json":
        return None
    del rest["responseMimeType"]
    schemas = [_own(rest.pop(name)) for name in ("responseJsonSchema", "responseSchema") if name in rest]
    return OutputSchema(schema=next((schema for schema in schemas if schema), None))


def _effort(rest: dict[str, Raw]) -> str | None:
    """The level of thinking; what else is said of it stays where it is."""
    if "thinkingConfig" not in rest:
        return None
    config = _ANY.decode(rest["thinkingConfig"])
    if not isinstance(config, dict) or not isinstance(level := config.pop("thinkingLevel", None), str):
        return None
    rest["thinkingConfig"] = Raw(msgspec.json.encode(config))
    if not config:
        del rest["thinkingConfig"]
    return level.lower()


def _tool_choice(config: dict[str, Any]) -> tuple[ToolChoice | None, dict[str, Any]]:
    """The choice, and what of the configuration is not one."""
    match config.get("functionCallingConfig"):
        case {"mode": "ANY", "allowedFunctionNames": [str(name)], **rest} if not rest:
            choice: ToolChoice | None = NamedTool(name)
        case {"mode": "AUTO", **rest} if not rest:
            choice = "auto"
        case {"mode": "NONE", **rest} if not rest:
            choice = "none"
        case {"mode": "ANY", **rest} if not rest:
            choice = "required"
        case _:
            return None, config
    return choice, {name: value for name, value in config.items() if name != "functionCallingConfig"}
