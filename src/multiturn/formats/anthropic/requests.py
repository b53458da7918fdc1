"""The body of a request, put together from bytes: `{"model": …, "messages": […], settings}`.

The history arrives encoded and is copied once; only the new messages, the system's words and the settings are encoded.
The instructions, and what the system says before everything else, are the top-level `system`; so is a schema that the
API cannot hold the model to. A request that would begin with the model's words, or have none but the system's, gets a
line of the user's before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.messages import (
    encode_messages,
    opening_words,
    system_words,
    to_json,
    wire_messages,
)
from multiturn.formats.anthropic.pairing import answering, edges, edges_of, no_results
from multiturn.formats.anthropic.schemas import strict_schema
from multiturn.formats.anthropic.wire import OutgoingMessage, TextBlock
from multiturn.formats.switching import check_input
from multiturn.messages import Message, ToolCall, ToolResult
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolChoice, ToolSpec

OPENING = "(The conversation begins.)"
MIN_BUDGET = 1024  # tokens; the API takes no less
BUDGETS: Mapping[str, float] = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
"""What share of `max_tokens` an effort may think, where thinking has a budget; the shares are OpenRouter's
(https://openrouter.ai/docs/use-cases/reasoning-tokens)."""

_ABSENT = {
    "seed": "a seed",
    "presence_penalty": "a presence penalty",
    "frequency_penalty": "a frequency penalty",
}
_encoder = msgspec.json.Encoder()


def path(*, model: str, stream: bool) -> str:
    return "/v1/messages"


def encode_request(request: Request, history: Sequence[bytes], *, model: str, dialect: Dialect) -> bytes:
    """The request's whole body. `history` is `request.path`, each turn as `encode_messages` made it. Raises
    `InvalidInput` where there is nothing to say to the model, or a setting is one that the API has not, or not JSON."""
    check_input(request.input, dialect, model)
    _check(request.settings, dialect)
    system, pieces = _messages(request, history, dialect)
    fields = _fields(request, system, dialect)
    extra = request.settings.extra or {}
    if kept := [name for name in ("messages", "stream") if name in extra]:
        raise InvalidInput(f"settings.extra cannot replace {kept[0]!r}, which the conversation itself decides")
    fields.update(extra)
    head, tail = _json({"model": fields.pop("model", model)}), _json(fields)
    pieces[0] = b'%s,"messages":[%s' % (head[:-1], pieces[0])
    pieces[-1] = b"%s],%s" % (pieces[-1], tail[1:])
    return b",".join(pieces)


def _check(settings: Settings, dialect: Dialect) -> None:
    for name, words in _ABSENT.items():
        if getattr(settings, name) is not None:
            raise InvalidInput(f"{dialect.provider} does not take {words}; leave settings.{name} out")
    if settings.choices not in (None, 1):
        raise InvalidInput(f"{dialect.provider} gives one answer at a time; leave settings.choices out, or ask again")


# --- the messages ---------------------------------------------------------------------------------------------------


def _messages(request: Request, history: Sequence[bytes], dialect: Dialect) -> tuple[list[str], list[bytes]]:
    """The system's words, and the messages in pieces, at least one, none empty."""
    new = _said(request, len(history))
    made = wire_messages(new, dialect, last=True)
    if new and not made:
        raise InvalidInput(f"there is nothing to send: the new message is empty, which {dialect.provider} refuses")
    pieces = [*_opened(request, history, dialect), to_json(_trimmed(made))]
    if history and not made:  # the model is to go on from the last words of the history
        last = wire_messages(_said(request, len(history) - 1), dialect, last=True)
        pieces[-2] = to_json(_trimmed(last))
    left = request.path.encoded(("anthropic.edges", dialect), lambda messages: _edges(messages, dialect))
    if any(left) or edges(made):
        pieces = _strung(request, pieces, [*left, edges(made)], dialect)
    pieces = [piece for piece in pieces if piece]
    system = _system_words(request, dialect)
    if not pieces and not system:
        raise InvalidInput("there is nothing to send: no instructions, no history and no new message")
    if not pieces or pieces[0].startswith(b'{"role":"assistant"'):
        pieces.insert(0, to_json([OutgoingMessage("user", [TextBlock(OPENING)])]))
    return system, pieces


def _said(request: Request, n: int) -> Sequence[Message]:
    """The messages of turn `n`, the last being the input; the first without the system's words before all others."""
    turns = request.path.turns
    messages = turns[n].messages if n < len(turns) else request.input
    return messages if n else messages[opening_words(messages) :]


def _system_words(request: Request, dialect: Dialect) -> list[str]:
    first = request.path.turns[0].messages if request.path.turns else request.input
    said = system_words(first[: opening_words(first)], dialect)
    words = [request.instructions or "", *said, _wish(request.settings.output, dialect)]
    return [text for text in words if text.strip()]


def _wish(output: OutputSchema | None, dialect: Dialect) -> str:
    """What a model is told of the JSON that is wanted, where the API cannot hold it to that."""
    if output is None or _format(output, dialect) is not None:
        return ""
    wish = "Answer with one JSON object and nothing else."
    if output.schema is None:
        return wish
    return f"{wish} It must be an instance of this JSON schema:\n{bytes(output.schema).decode()}"


def _opened(request: Request, history: Sequence[bytes], dialect: Dialect) -> Sequence[bytes]:
    """The history without the system's words before all others. What is left of a turn that begins with such words is
    encoded once and kept, as every turn is."""
    if not history or not opening_words(request.path.turns[0].messages):
        return history
    kept = request.path.encoded(("anthropic.opening", dialect), lambda messages: _without_system(messages, dialect))
    return [kept[0], *history[1:]]


def _without_system(messages: Sequence[Message], dialect: Dialect) -> bytes:
    count = opening_words(messages)
    return encode_messages(messages[count:], dialect) if count else b""


def _edges(messages: Sequence[Message], dialect: Dialect) -> bytes:
    has_tools = any(isinstance(part, ToolCall | ToolResult) for message in messages for part in message.parts)
    return edges(wire_messages(messages, dialect)) if has_tools else b""


def _strung(request: Request, pieces: Sequence[bytes], left: Sequence[bytes], dialect: Dialect) -> list[bytes]:
    """The pieces, a turn each, with errors between them for calls that were never answered. A turn with results that
    nobody asked for is encoded anew each time, which is rare: they came too late."""
    strung: list[bytes] = []
    calls: Sequence[str] = ()
    for n, piece in enumerate(pieces):
        if not piece:
            continue
        results, next_calls = edges_of(left[n])
        if not set(results) <= set(calls):
            first, *others = wire_messages(_said(request, n), dialect)
            strung.append(to_json([answering(calls, first), *others]))
        else:
            strung += (*_errors(call for call in calls if call not in results), piece)
        calls = next_calls
    return [*strung, *_errors(calls)]


def _errors(calls: Iterable[str]) -> list[bytes]:
    content = no_results(dict.fromkeys(calls))
    return [to_json([OutgoingMessage("user", content)])] if content else []


def _trimmed(made: list[OutgoingMessage]) -> list[OutgoingMessage]:
    """The same without white space at the very end of words that the model is to go on from: the API refuses it."""
    if made and made[-1].role == "assistant" and isinstance(last := made[-1].content[-1], TextBlock):
        content = [*made[-1].content[:-1], TextBlock(last.text.rstrip(), last.citations)]
        return [*made[:-1], OutgoingMessage("assistant", content)]
    return made


# --- the settings ---------------------------------------------------------------------------------------------------


def _fields(request: Request, system: Sequence[str], dialect: Dialect) -> dict[str, Any]:
    """Everything after the messages; what is None is left to the provider."""
    settings = request.settings
    max_tokens = _max_tokens(settings, dialect)
    fields: dict[str, Any] = {
        "max_tokens": max_tokens,
        "system": _system(system),
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "stop_sequences": list(settings.stop) or None,
        "thinking": _thinking(settings, max_tokens, dialect),
        "output_config": _output_config(settings, dialect),
        **_tool_fields(request.tools, settings),
        "cache_control": {"type": "ephemeral"} if dialect.cache else None,
        "stream": request.stream or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _system(words: Sequence[str]) -> str | list[TextBlock] | None:
    if len(words) < 2:
        return words[0] if words else None
    return [TextBlock(text) for text in words]


def _max_tokens(settings: Settings, dialect: Dialect) -> int:
    if settings.max_output_tokens is not None:
        return settings.max_output_tokens
    thinks = settings.reasoning_effort not in (None, "none") or "thinking" in (settings.extra or {})
    return dialect.max_tokens_thinking if thinks else dialect.max_tokens


def _thinking(settings: Settings, max_tokens: int, dialect: Dialect) -> dict[str, Any] | None:
    effort = settings.reasoning_effort
    if effort is None:
        return None
    if effort == "none":
        return {"type": "disabled"}
    display = {"display": dialect.thinking_display} if dialect.thinking_display else {}
    if dialect.thinking == "adaptive":
        return {"type": "adaptive", **display}
    if max_tokens <= MIN_BUDGET:
        raise InvalidInput(
            f"{dialect.provider} thinks with at least {MIN_BUDGET} tokens, and settings.max_output_tokens leaves it "
            f"{max_tokens}; raise it, or set reasoning_effort to 'none'"
        )
    budget = max(MIN_BUDGET, int(max_tokens * BUDGETS.get(effort, BUDGETS["medium"])))
    return {"type": "enabled", "budget_tokens": budget}


def _output_config(settings: Settings, dialect: Dialect) -> dict[str, Any] | None:
    config: dict[str, Any] = {}
    if settings.reasoning_effort not in (None, "none") and dialect.thinking == "adaptive":
        config["effort"] = "low" if settings.reasoning_effort == "minimal" else settings.reasoning_effort
    if settings.output is not None and (format := _format(settings.output, dialect)) is not None:
        config["format"] = format
    return config or None


def _format(output: OutputSchema, dialect: Dialect) -> dict[str, Any] | None:
    schema = strict_schema(output.schema) if output.schema is not None and dialect.schemas else None
    return None if schema is None else {"type": "json_schema", "schema": schema}


def _tool_fields(tools: Sequence[ToolSpec], settings: Settings) -> dict[str, Any]:
    """A choice without tools is refused, so it is not sent."""
    if not tools and "tools" not in (settings.extra or {}):
        return {}
    return {"tools": [_tool(tool) for tool in tools], "tool_choice": _tool_choice(settings)}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    """A tool is strict where it is to be, and the API can say its schema."""
    strict = strict_schema(tool.parameters) if tool.strict else None
    fields = {
        "name": tool.name,
        "description": tool.description or None,
        "input_schema": tool.parameters if strict is None else strict,
        "strict": True if strict is not None else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tool_choice(settings: Settings) -> dict[str, Any] | None:
    single = settings.parallel_tool_calls is False
    choice = _choice(settings.tool_choice or ("auto" if single else None))
    if choice is not None and single and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _choice(choice: ToolChoice | None) -> dict[str, Any] | None:
    match choice:
        case None:
            return None
        case NamedTool(name=name):
            return {"type": "tool", "name": name}
        case "required":
            return {"type": "any"}
    return {"type": choice}


def _json(fields: dict[str, Any]) -> bytes:
    try:
        return _encoder.encode(fields)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a setting cannot be sent as JSON: {error}") from error
