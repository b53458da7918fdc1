"""As a server: answers as a stream of events, and errors. (Whole replies are in `replies.py`.)"""

from __future__ import annotations

from typing import Any

import msgspec

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta
from multiturn.errors import RateLimited
from multiturn.formats import chat_completions
from multiturn.formats.gemini.failures import STATUSES
from multiturn.formats.gemini.replies import candidate_fields, generated_fields, reply_parts
from multiturn.formats.gemini.wire import AnyPart, Content, Part
from multiturn.formats.sse import encode_event
from multiturn.messages import Message, Reasoning, Text, ToolCall, Usage

_encoder = msgspec.json.Encoder()


class StreamEncoder:
    """One answer as server-sent events: `encode` for each delta, then `finish`, or `fail` in its place. Function calls
    come whole, so they come with the end, in the order of the answer, and so do the signatures of texts; those of
    pictures, which would come too late, are not told."""

    def __init__(self, *, id: str, model: str) -> None:
        self._id = id
        self._model = model
        self._signed: list[str | None] = []  # the signatures that were sent with their part

    def encode(self, delta: Delta) -> bytes:
        """The event for this delta; empty for one of a call."""
        parts = self._parts(delta)
        return self._event([{"content": Content("model", parts), "index": 0}]) if parts else b""

    def _parts(self, delta: Delta) -> list[AnyPart]:
        match delta:
            case TextDelta(text=text) | RefusalDelta(text=text) if text:
                return [Part(text=text)]
            case ReasoningDelta(text=text) if text:
                return [Part(text=text, thought=True)]
            case PartDelta(part=part) if not isinstance(part, ToolCall):
                self._signed.append(getattr(part, "signature", None))
                return reply_parts((part,))
        return []

    def finish(self, answer: Answer, usage: Usage | None = None) -> bytes:
        """The last event: calls, signatures, why the answer ended, the other candidates whole, and the usage. Without
        `usage`, the answer's own is told."""
        message = answer.message
        last = candidate_fields(0, message, [*self._signatures(message), *reply_parts(message.tool_calls)])
        others = (
            candidate_fields(index, other, reply_parts(other.parts))
            for index, other in enumerate(answer.alternatives, start=1)
        )
        return self._event([last, *others], usage or message.usage)

    def fail(self, error: Exception) -> bytes:
        """The end of a stream that failed: the error as `encode_error` has it."""
        return encode_event(encode_error(error)[1])

    def _signatures(self, message: Message) -> list[AnyPart]:
        """A part without words for each signature whose words were streamed."""
        signed = [part for part in message.parts if isinstance(part, Text | Reasoning) and part.signature]
        return [
            Part(text="", thought=isinstance(part, Reasoning), thought_signature=part.signature)
            for part in signed
            if part.signature not in self._signed
        ]

    def _event(self, candidates: list[dict[str, Any]], usage: Usage | None = None) -> bytes:
        fields = generated_fields(candidates, id=self._id, model=self._model, usage=usage)
        return encode_event(_encoder.encode(fields))


def encode_error(error: Exception) -> tuple[int, bytes]:
    """The status and the body, in Google's shape, by which a client learns of this error; statuses and words are those
    of `chat_completions.encode_error`."""
    status, body = chat_completions.encode_error(error)
    fields = {
        "code": status,
        "message": msgspec.json.decode(body)["error"]["message"],
        "status": STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT"),
    }
    if isinstance(error, RateLimited) and error.retry_after_s is not None:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"}
        fields["details"] = [retry]
    return status, msgspec.json.encode({"error": fields})
