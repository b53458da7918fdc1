"""What a response repeats of the request that it answers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from multiturn.formats.responses.wire import ANY, FIELDS, KIND

_encode = msgspec.json.Encoder().encode


class Echo(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The fields of a response that say how it was asked for, under their own names; the defaults are OpenAI's. It is
    kept with what is answered, as JSON, to be told again whenever the response is."""

    previous_response_id: str | None = None
    conversation: str | None = None
    instructions: str | None = None
    tools: tuple[Raw, ...] = ()
    tool_choice: Raw = Raw(b'"auto"')
    parallel_tool_calls: bool = True
    text: Raw = Raw(b"{}")
    reasoning: Raw = Raw(b"{}")
    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int = 0
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    truncation: str = "disabled"
    store: bool = True
    background: bool = False
    service_tier: str = "default"
    metadata: dict[str, str] = {}
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None


ECHO_FIELDS = frozenset(Echo.__struct_fields__)


def echo_fields(echo: Echo) -> dict[str, Any]:
    """The fields as a response has them: whole, where a request may leave parts of them out."""
    fields = msgspec.structs.asdict(echo)
    for name in ("conversation", "user"):
        if fields[name] is None:
            del fields[name]
    if echo.conversation is not None:
        fields["conversation"] = {"id": echo.conversation}
    fields["tools"] = [_tool(tool) for tool in echo.tools]
    fields["reasoning"] = _reasoning(bytes(echo.reasoning))
    fields["text"] = _text(bytes(echo.text))
    return fields


@lru_cache(maxsize=64)  # most requests say the same, or nothing
def _reasoning(reasoning: bytes) -> Raw:
    return Raw(_encode({"effort": None, "summary": None, **FIELDS.decode(reasoning)}))


@lru_cache(maxsize=64)
def _text(text: bytes) -> Raw:
    return Raw(_encode({**FIELDS.decode(text), "format": _format(text)}))


def _tool(tool: Raw) -> dict[str, Any] | Raw:
    if KIND.decode(tool).type != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **FIELDS.decode(tool)}


def _format(text: bytes) -> dict[str, Any]:
    wanted = ANY.decode(text).get("format") or {"type": "text"}
    if wanted.get("type") != "json_schema":
        return dict(wanted)
    return {"description": None, "strict": False, **wanted}
