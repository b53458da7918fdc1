"""Replies that came whole, read as a client and written as a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from multiturn.deltas import Answer
from multiturn.errors import ModelError
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.gemini.calls import with_id
from multiturn.formats.gemini.citations import cited, grounding_of
from multiturn.formats.gemini.content import model_parts
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.failures import blocked, reported_error, unreadable
from multiturn.formats.gemini.readings import finish_reason_of, origin_of, parts_of, usage_of
from multiturn.formats.gemini.wire import GENERATED, PART, AnyPart, Candidate, Content, Generated, Part
from multiturn.messages import Message, Opaque, ToolCall, Usage
from multiturn.messages import Part as OurPart

_encoder = msgspec.json.Encoder()


def decode_reply(body: bytes, dialect: Dialect) -> Answer:
    """The answer of a reply that was not streamed; its further candidates are `alternatives`, without usage. Raises
    `InvalidReply`, `RequestRejected` where Google blocked the prompt, or the error that the body reports."""
    try:
        generated = read(GENERATED, body)
        messages = [_message(each, generated, dialect) for each in _in_order(generated)]
    except UNREADABLE as error:
        raise unreadable(body, dialect, str(error)) from error
    if not messages:
        raise _no_answer(generated, body, dialect)
    usage = None if generated.usage_metadata is None else usage_of(generated.usage_metadata)
    first = msgspec.structs.replace(messages[0], id=generated.response_id, usage=usage)
    return Answer(first, alternatives=tuple(messages[1:]))


def _no_answer(generated: Generated, body: bytes, dialect: Dialect) -> ModelError:
    if generated.prompt_feedback is not None and generated.prompt_feedback.block_reason:
        return blocked(generated.prompt_feedback, dialect)
    if generated.error:
        return reported_error(body, dialect, streamed=False)
    return unreadable(body, dialect, "no candidates")


def _in_order(generated: Generated) -> list[Candidate]:
    return sorted(generated.candidates or (), key=lambda candidate: candidate.index or 0)


def _message(candidate: Candidate, generated: Generated, dialect: Dialect) -> Message:
    parts: list[OurPart] = []
    calls = 0
    for part in _read(candidate, dialect):
        if isinstance(part, ToolCall):
            part = with_id(part, position=calls, answer=generated.response_id or "")
            calls += 1
        parts.append(part)
    return Message(
        role="assistant",
        parts=cited(parts, [candidate.citation_metadata], candidate.grounding_metadata),
        origin=origin_of(generated.model_version, dialect.provider),
        finish_reason=finish_reason_of(candidate.finish_reason, calls=calls > 0),
    )


def _read(candidate: Candidate, dialect: Dialect) -> Iterator[OurPart]:
    for raw in (candidate.content.parts if candidate.content else None) or ():
        yield from parts_of(PART.decode(raw), raw, dialect.provider)


# --- as a server ----------------------------------------------------------------------------------------------------

_FINISH_REASONS = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
_KNOWN = ("LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS")


def encode_reply(answer: Answer, *, id: str, model: str, usage: Usage | None = None) -> bytes:
    """The body of a reply. Without `usage`, the answer's own is told."""
    candidates = [
        candidate_fields(index, message, reply_parts(message.parts))
        for index, message in enumerate((answer.message, *answer.alternatives))
    ]
    return _encoder.encode(generated_fields(candidates, id=id, model=model, usage=usage or answer.message.usage))


def generated_fields(candidates: list[dict[str, Any]], *, id: str, model: str, usage: Usage | None) -> dict[str, Any]:
    told = {} if usage is None else {"usageMetadata": _usage_fields(usage)}
    return {"candidates": candidates, **told, "modelVersion": model, "responseId": id}


def candidate_fields(index: int, message: Message, parts: list[AnyPart]) -> dict[str, Any]:
    """A candidate that has ended. It has a part at least: the SDK's chats forget an answer without one."""
    grounding = grounding_of(message.parts)
    told = {} if grounding is None else {"groundingMetadata": grounding}
    content = Content("model", parts or [Part(text="")])
    return {"content": content, "finishReason": _finish_reason_for(message), "index": index, **told}


def reply_parts(parts: Iterable[OurPart]) -> list[AnyPart]:
    """What a client is shown of an answer; other providers' items are not."""
    ours = Dialect().provider
    return model_parts(part for part in parts if not isinstance(part, Opaque) or part.provider == ours)


def _finish_reason_for(message: Message) -> str:
    """Google's word for why the message ended."""
    reason = message.finish_reason or "stop"
    if reason in ("stop", "tool_calls"):
        return "STOP"
    return _FINISH_REASONS.get(reason) or (reason.upper() if reason.upper() in _KNOWN else "OTHER")


def _usage_fields(usage: Usage) -> dict[str, int]:
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": max(0, usage.output_tokens - usage.reasoning_tokens),
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cached_tokens,
        "totalTokenCount": usage.total_tokens,
    }
