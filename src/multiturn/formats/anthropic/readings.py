"""What blocks and single fields of a reply mean to us; whole replies and streams read them alike. A field of a strange
shape is as good as absent, and a block that we do not know is kept whole."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw

from multiturn.formats.anthropic.citations import citations_of
from multiturn.formats.anthropic.content import CallExtras
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.wire import REPLY_BLOCK, Count, ReplyBlock, ReplyUsage
from multiturn.formats.decoding import read
from multiturn.ids import new_id
from multiturn.messages import Opaque, Origin, Part, Reasoning, Refusal, Text, ToolCall, Usage

STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Our words for Anthropic's. What is not here is kept as it came: so is `pause_turn`, by which the API says that it
stopped in the middle of its own tools' work."""


def origin_of(model: str | None, dialect: Dialect) -> Origin:
    return Origin(provider=dialect.provider, model=model or None, format=dialect.format)


def finish_reason_of(stop_reason: str | None) -> str | None:
    return STOP_REASONS.get(stop_reason, stop_reason) if stop_reason else None


def refusal_of(stop_details: object) -> Refusal | None:
    """Why the API refused, if it says so."""
    match stop_details:
        case {"type": "refusal", "explanation": str(explanation)} if explanation:
            return Refusal(explanation)
    return None


def part_of(raw: Raw, dialect: Dialect) -> Part | None:
    """The part that this block is; None for one without anything in it. Raises `UNREADABLE` if it is no JSON object."""
    own = bytes(raw)  # a copy, which does not keep the whole reply in memory
    block = read(REPLY_BLOCK, own)
    match block.type:
        case "text":
            return text_of(_string(block.text), block.citations)
        case "thinking":
            return thinking_of(_string(block.thinking), _string(block.signature))
        case "redacted_thinking":
            return Reasoning(encrypted=data) if (data := _string(block.data)) else None
        case "tool_use":
            return call_of(block, bytes(block.input).decode() or "{}")
    return Opaque(provider=dialect.provider, data=Raw(own), kind=_string(block.type) or None)


def text_of(text: str, citations: object = None) -> Text | None:
    return Text(text, citations_of(citations)) if text else None


def thinking_of(text: str, signature: str) -> Reasoning | None:
    return Reasoning(text, signature=signature or None) if text or signature else None


def call_of(block: ReplyBlock, arguments: str) -> ToolCall:
    name = _string(block.name)
    return ToolCall(_string(block.id) or new_id("toolu"), name, arguments, signature=_extras_of(block))


def _extras_of(block: ReplyBlock) -> str | None:
    extras = CallExtras()
    if isinstance(block.caller, dict) and block.caller.get("type") != "direct":
        extras.caller = Raw(msgspec.json.encode(block.caller))
    if isinstance(block.toolset_name, str):
        extras.toolset_name = block.toolset_name
    return None if extras == CallExtras(UNSET, UNSET) else msgspec.json.encode(extras).decode()


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


# --- usage ----------------------------------------------------------------------------------------------------------


def usage_of(usage: ReplyUsage | None) -> Usage | None:
    """The counts. Ours of the input has all of it; the API counts apart what came from the cache or went there."""
    if usage is None:
        return None
    cached, written = _count(usage.cache_read_input_tokens), _count(usage.cache_creation_input_tokens)
    details = usage.output_tokens_details
    return Usage(
        input_tokens=_count(usage.input_tokens) + cached + written,
        output_tokens=_count(usage.output_tokens),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=_count(details.thinking_tokens) if details else 0,
    )


def latest(known: ReplyUsage | None, news: ReplyUsage | None) -> ReplyUsage | None:
    """What is known after an event brought news: its counts are totals, and those that it leaves out still hold."""
    if known is None or news is None:
        return news or known
    told = {name: value for name, value in msgspec.structs.asdict(news).items() if value is not None}
    return msgspec.structs.replace(known, **told)


def _count(value: Count) -> int:
    return max(0, int(value or 0))
