"""Replies that came whole, read as a client and written as a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from multiturn.deltas import Answer
from multiturn.formats.anthropic.citations import citation_fields
from multiturn.formats.anthropic.content import tool_use
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.failures import reported_error, unreadable
from multiturn.formats.anthropic.readings import finish_reason_of, origin_of, part_of, refusal_of, usage_of
from multiturn.formats.anthropic.wire import REPLY
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.switching import in_words
from multiturn.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
    Video,
)

_encoder = msgspec.json.Encoder()


def decode_reply(body: bytes, dialect: Dialect) -> Answer:
    """The answer of a reply that was not streamed, its parts in the order of the blocks. Raises `InvalidReply`, or the
    error that the body reports despite its status of 200."""
    try:
        reply = read(REPLY, body)
        if reply.error or reply.type == "error":
            raise reported_error(body, dialect, streamed=False)
        if reply.content is None:
            raise ValueError("no content")
        parts = (*(part_of(raw, dialect) for raw in reply.content), refusal_of(reply.stop_details))
    except UNREADABLE as error:
        raise unreadable(body, dialect, str(error)) from error
    message = Message(
        role="assistant",
        parts=tuple(part for part in parts if part is not None),
        id=reply.id if isinstance(reply.id, str) else None,
        origin=origin_of(reply.model, dialect),
        usage=usage_of(reply.usage),
        finish_reason=finish_reason_of(reply.stop_reason),
    )
    return Answer(message)


# --- as a server ----------------------------------------------------------------------------------------------------

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_KNOWN = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal")


def encode_reply(
    answer: Answer, *, id: str, model: str, usage: Usage | None = None, provider: str = "anthropic"
) -> bytes:
    """The body of a reply. Without `usage`, the answer's own is told. `provider` is whose opaque blocks may be shown
    as they are. Other choices, and the stop sequence that ended the answer, are not told."""
    message = answer.message
    body = {
        **message_fields(id, model),
        "content": [block for part in message.parts for block in block_fields(part, provider)],
        **stop_fields(message),
        "usage": usage_fields(usage or message.usage or Usage()),
    }
    return _encoder.encode(body)


def message_fields(id: str, model: str) -> dict[str, Any]:
    return {"id": id, "type": "message", "role": "assistant", "model": model}


def block_fields(part: Part, provider: str) -> Iterator[Any]:
    """The block that shows this part to a client, if any does. What a model made besides text is told in words."""
    match part:
        case Text() if part.text:
            cited = citation_fields(part.citations, replied=True)
            yield {"type": "text", "text": part.text, "citations": cited or None}
        case Reasoning():
            yield from _thinking_fields(part)
        case ToolCall():
            yield tool_use(part)
        case Opaque() if part.provider == provider:
            yield part.data
        case Image() | Audio() | Video() | File():
            yield {"type": "text", "text": in_words(part), "citations": None}


def _thinking_fields(part: Reasoning) -> Iterator[dict[str, Any]]:
    """Encrypted content is shown only where it is all there is; beside an id or a summary it is OpenAI's."""
    thinking = part.text or "\n".join(part.summary)
    if part.encrypted and not (thinking or part.signature or part.id):
        yield {"type": "redacted_thinking", "data": part.encrypted}
    elif thinking or part.signature:
        yield {"type": "thinking", "thinking": thinking, "signature": part.signature or ""}


def stop_fields(message: Message) -> dict[str, Any]:
    """Why the message ended, in a word that a client knows, and the model's words if it declined."""
    explanation = _refusal(message.parts)
    reason = _STOP_REASONS.get(message.finish_reason or "", message.finish_reason)
    if explanation:
        details = {"type": "refusal", "category": None, "explanation": explanation}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    if reason not in _KNOWN:
        reason = "tool_use" if message.tool_calls else "end_turn"
    return {"stop_reason": reason, "stop_sequence": None, "stop_details": None}


def _refusal(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Refusal))


def usage_fields(usage: Usage) -> dict[str, Any]:
    apart = usage.cached_tokens + usage.cache_write_tokens
    return {
        "input_tokens": max(0, usage.input_tokens - apart),
        "output_tokens": usage.output_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
