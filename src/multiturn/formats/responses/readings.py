"""What the items and fields of a reply mean to us; whole replies and streams read them alike."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Raw

from multiturn.deltas import Answer
from multiturn.formats.decoding import read
from multiturn.formats.responses.annotations import citations_of
from multiturn.formats.responses.calls import call_of
from multiturn.formats.responses.dialect import Dialect
from multiturn.formats.responses.wire import (
    KIND,
    MESSAGE,
    REASONING,
    Count,
    ReplyContent,
    ReplyUsage,
    Response,
)
from multiturn.messages import Message, Opaque, Origin, Part, Reasoning, Refusal, Text, ToolCall, Usage

FINISH_REASONS = {"max_output_tokens": "length"}
"""Why an answer is incomplete, in the words of the other formats; what is not here is kept as it came."""


def answer_of(response: Response, items: Iterable[Raw], dialect: Dialect) -> Answer:
    """The answer that these items are. Raises `msgspec.ValidationError` for an item of another shape."""
    parts = tuple(part for item in items for part in parts_of(item, dialect))
    message = Message(
        role="assistant",
        parts=parts,
        id=response.id or None,
        origin=Origin(provider=dialect.provider, model=response.model or None, format="responses"),
        usage=None if response.usage is None else usage_of(response.usage),
        finish_reason=_finish_reason(response, parts),
    )
    return Answer(message)


def _finish_reason(response: Response, parts: tuple[Part, ...]) -> str:
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return FINISH_REASONS.get(reason or "", reason) or "length"
    return "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"


def parts_of(item: Raw, dialect: Dialect) -> list[Part]:
    """The parts that this item holds. Raises `msgspec.ValidationError`."""
    kind = read(KIND, bytes(item)).type
    match kind:
        case "message":
            return message_parts(item)
        case "reasoning":
            return [reasoning_of(item)]
        case "function_call" | "custom_tool_call":
            return [call_of(item, kind)]
    return [Opaque(provider=dialect.provider, data=Raw(bytes(item)), kind=kind)]


def message_parts(item: Raw) -> list[Part]:
    """The texts and refusals of a message, under its id; an empty text where it has an id and no content."""
    said = read(MESSAGE, bytes(item))
    id = said.id or None
    contents = [ReplyContent(text=said.content)] if isinstance(said.content, str) else said.content or []
    parts: list[Part] = []
    for content in contents:
        if content.refusal is not None:
            parts.append(Refusal(text=content.refusal, id=id))
        elif content.text is not None and (content.text or id):
            citations = citations_of(content.annotations)
            parts.append(Text(text=content.text, citations=citations, id=id, phase=said.phase or None))
    return parts or ([Text(text="", id=id, phase=said.phase or None)] if id else [])


def reasoning_of(item: Raw) -> Reasoning:
    thought = read(REASONING, bytes(item))
    return Reasoning(
        text="".join(content.text or "" for content in thought.content or ()),
        summary=tuple(summary.text or "" for summary in thought.summary or ()),
        id=thought.id or None,
        encrypted=thought.encrypted_content or None,
    )


def usage_of(usage: ReplyUsage) -> Usage:
    inputs, outputs = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        input_tokens=_count(usage.input_tokens),
        output_tokens=_count(usage.output_tokens),
        cached_tokens=_count(inputs.cached_tokens if inputs else None),
        cache_write_tokens=_count(inputs.cache_write_tokens if inputs else None),
        reasoning_tokens=_count(outputs.reasoning_tokens if outputs else None),
        cost_usd=_cost(usage),
    )


def _count(value: Count) -> int:
    return max(0, int(value or 0))


def _cost(usage: ReplyUsage) -> float | None:
    if isinstance(usage.cost, (int, float)) and not isinstance(usage.cost, bool):
        return float(usage.cost)
    return None if usage.cost_in_usd_ticks is None else usage.cost_in_usd_ticks / 1e10
