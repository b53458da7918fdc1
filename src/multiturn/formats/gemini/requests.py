"""The body of a request, put together from bytes: `{"contents": […], settings}`. Its model stands in the path.

The history arrives encoded and is copied once; only the new messages and the settings are encoded. Where a turn ended
with calls that nobody answered, a content that says so is put after it; a history that begins with the model gets a
user's line before it, and so do instructions without a word of a user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.messages import encode_messages, unanswered
from multiturn.formats.switching import check_input
from multiturn.request import NamedTool, Request, Settings, ToolChoice, ToolSpec

OPENING = b'{"role":"user","parts":[{"text":"(The conversation begins.)"}]}'
_OF_MODEL = b'{"role":"model"'
_OF_RESULTS = b'{"role":"user","parts":[{"functionResponse"'

_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens of thinking, as Google maps OpenAI's efforts (https://ai.google.dev/gemini-api/docs/openai)."""

_encoder = msgspec.json.Encoder()


def path(*, model: str, stream: bool) -> str:
    """`/models/{model}:generateContent`; a name that says where it is (`tunedModels/…`) is taken as it is."""
    place = quote(model if "/" in model else f"models/{model}")
    return f"/{place}:streamGenerateContent?alt=sse" if stream else f"/{place}:generateContent"


def encode_request(request: Request, history: Sequence[bytes], *, model: str, dialect: Dialect) -> bytes:
    """The request's whole body. `history` is `request.path`, each turn as `encode_messages` made it. Raises
    `InvalidInput` where there is nothing to say to the model, a setting has no field here, or is not JSON."""
    check_input(request.input, dialect, model)
    extra = request.settings.extra or {}
    if "contents" in extra:
        raise InvalidInput("settings.extra cannot replace 'contents', which the conversation itself decides")
    pieces = [piece for piece in _contents(request, history, dialect) if piece]
    if not pieces and not request.instructions:
        raise InvalidInput("there is nothing to send: no instructions, no history and no new message")
    if not pieces or pieces[0].startswith(_OF_MODEL):
        pieces.insert(0, OPENING)
    tail = _json(_merged(_fields(request, model, dialect), extra))
    pieces[0] = b'{"contents":[' + pieces[0]
    pieces[-1] += b"]}" if tail == b"{}" else b"]," + tail[1:]
    return b",".join(pieces)


def _contents(request: Request, history: Sequence[bytes], dialect: Dialect) -> list[bytes]:
    pieces = [*history, encode_messages(request.input, dialect)]
    open_calls = request.path.encoded(("gemini.unanswered", dialect), lambda turn: unanswered(turn, dialect))
    if not any(open_calls):
        return pieces
    made: list[bytes] = []
    waiting = b""  # what answers the calls of the turn before
    for piece, answer in zip(pieces, (*open_calls, b""), strict=True):
        if piece:
            made += (waiting, piece) if waiting and not piece.startswith(_OF_RESULTS) else (piece,)
            waiting = answer
    return made


# --- settings -------------------------------------------------------------------------------------------------------


def _fields(request: Request, model: str, dialect: Dialect) -> dict[str, Any]:
    """Everything after the contents; what is None is left to the provider."""
    settings = request.settings
    fields = {
        "systemInstruction": {"parts": [{"text": request.instructions}]} if request.instructions else None,
        **_tool_fields(request.tools, settings),
        "generationConfig": _generation(settings, model, dialect) or None,
    }
    return _set(fields)


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _generation(settings: Settings, model: str, dialect: Dialect) -> dict[str, Any]:
    output = settings.output
    return _set(
        {
            "temperature": settings.temperature,
            "topP": settings.top_p,
            "maxOutputTokens": settings.max_output_tokens,
            "stopSequences": list(settings.stop) or None,
            "seed": settings.seed,
            "presencePenalty": settings.presence_penalty,
            "frequencyPenalty": settings.frequency_penalty,
            "candidateCount": settings.choices,
            "responseMimeType": "application/json" if output else None,
            "responseJsonSchema": output.schema if output else None,
            "thinkingConfig": _thinking(settings.reasoning_effort, model, dialect),
        }
    )


def _thinking(effort: str | None, model: str, dialect: Dialect) -> dict[str, Any] | None:
    """How much to think, and that it be shown. Levels and budgets exclude each other, and showing needs thinking."""
    if effort is None:
        return {"includeThoughts": True} if re.fullmatch(dialect.thinkers, model) else None
    if not re.fullmatch(dialect.budgeted, model):
        return {"includeThoughts": True, "thinkingLevel": "MINIMAL" if effort == "none" else effort.upper()}
    if effort not in _BUDGETS:
        raise InvalidInput(f"{model} knows no reasoning_effort {effort!r}; use one of {', '.join(_BUDGETS)}")
    budget = _BUDGETS[effort]
    return {"includeThoughts": True, "thinkingBudget": budget} if budget else {"thinkingBudget": 0}


def _tool_fields(tools: Sequence[ToolSpec], settings: Settings) -> dict[str, Any]:
    """The API rejects a choice where there are no functions."""
    if not tools:
        return {}
    if settings.parallel_tool_calls is False:
        raise InvalidInput("Gemini cannot be kept from calling tools in parallel; leave parallel_tool_calls out")
    choice = _calling(settings.tool_choice)
    return {
        "tools": [{"functionDeclarations": [_function(tool) for tool in tools]}],
        "toolConfig": {"functionCallingConfig": choice} if choice else None,
    }


def _function(tool: ToolSpec) -> dict[str, Any]:
    return _set({"name": tool.name, "description": tool.description or None, "parametersJsonSchema": tool.parameters})


def _calling(choice: ToolChoice | None) -> dict[str, Any] | None:
    match choice:
        case None:
            return None
        case NamedTool(name=name):
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case "required":
            return {"mode": "ANY"}
    return {"mode": choice.upper()}


def _merged(ours: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Both, `extra` where they differ, object within object."""
    made = dict(ours)
    for name, value in extra.items():
        before = made.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = _merged(before, value)
        made[name] = value
    return made


def _json(fields: Mapping[str, Any]) -> bytes:
    try:
        return _encoder.encode(fields)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a setting cannot be sent as JSON: {error}") from error
