"""As a server: answers as a stream of chunks, and errors. (Whole replies are in `replies.py`.)"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from multiturn.errors import (
    ContextOverflow,
    ConversationBusy,
    GoingDown,
    InvalidInput,
    MissingKey,
    ModelError,
    ModelNotFound,
    MultiturnError,
    NotFound,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    TimedOut,
    TooLong,
    Unauthorized,
    UnknownModel,
)
from multiturn.formats.chat_completions.replies import finish_reason_for, message_fields, usage_fields
from multiturn.formats.sse import encode_event
from multiturn.messages import Message, Text, ToolCall, Usage

_encoder = msgspec.json.Encoder()


class StreamEncoder:
    """One answer as server-sent events: `encode` for each delta, then `finish`, or `fail` in its place. `created` is
    in whole seconds since the epoch; `include_usage` is what the client asked for in `stream_options`."""

    def __init__(self, *, id: str, created: int, model: str, include_usage: bool = False) -> None:
        base = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._base = _encoder.encode(base)[:-1]
        self._include_usage = include_usage
        self._tail = b',"usage":null}' if include_usage else b"}"
        self._begun = False
        self._calls: dict[object, int] = {}  # the index of each call on the wire, in order of its first piece

    def encode(self, delta: Delta) -> bytes:
        """The chunk for this delta; empty where the format has no place for it."""
        return self._said(self._fields(delta))

    def finish(self, answer: Answer, usage: Usage | None = None) -> bytes:
        """The rest: citations, why the answer ended, the other choices whole, the usage if it was asked for, and
        `[DONE]`. Without `usage`, the answer's own is told."""
        message = answer.message
        chunks = [self._said(_annotations(message)), self._chunk({}, finish_reason=finish_reason_for(message))]
        for index, other in enumerate(answer.alternatives, start=1):
            chunks.append(self._chunk(_whole(other), index=index))
            chunks.append(self._chunk({}, index=index, finish_reason=finish_reason_for(other)))
        usage = usage or message.usage
        if self._include_usage and usage is not None:
            told = _encoder.encode(usage_fields(usage))
            chunks.append(encode_event(b'%s,"choices":[],"usage":%s}' % (self._base, told)))
        if not self._begun:
            chunks.insert(0, self._said({"content": ""}))
        return b"".join([*chunks, b"data: [DONE]\n\n"])

    def fail(self, error: Exception) -> bytes:
        """The end of a stream that failed: the error as `encode_error` has it, and no `[DONE]`."""
        return encode_event(encode_error(error)[1])

    def _said(self, fields: dict[str, Any]) -> bytes:
        if not fields:
            return b""
        if not self._begun:
            self._begun = True
            fields = {"role": "assistant", **fields}
        return self._chunk(fields)

    def _chunk(self, fields: dict[str, Any], *, index: int = 0, finish_reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": fields, "logprobs": None, "finish_reason": finish_reason}
        return b'data: %s,"choices":[%s]%s\n\n' % (self._base, _encoder.encode(choice), self._tail)

    def _fields(self, delta: Delta) -> dict[str, Any]:
        match delta:
            case TextDelta(text=text):
                return {"content": text}
            case RefusalDelta(text=text):
                return {"refusal": text}
            case ReasoningDelta(text=text):
                return {"reasoning_content": text}
            case ToolCallDelta():
                return {"tool_calls": [self._piece(delta)]}
            case PartDelta(part=ToolCall() as call):
                whole = ToolCallDelta(0, call.call_id, call.name, call.arguments, call.kind)
                return {"tool_calls": [self._piece(whole, key=call.call_id)]}
            case PartDelta(part=part):
                return message_fields([part])

    def _piece(self, delta: ToolCallDelta, key: object = None) -> dict[str, Any]:
        key = delta.index if key is None else key
        first = key not in self._calls
        index = self._calls.setdefault(key, len(self._calls))
        field = "input" if delta.kind == "custom" else "arguments"
        said = {"name": delta.name, field: delta.arguments} if delta.name else {field: delta.arguments}
        head = {"id": delta.call_id, "type": delta.kind} if first else {}
        return {"index": index, **head, delta.kind: said}


def _annotations(message: Message) -> dict[str, Any]:
    fields = message_fields(part for part in message.parts if isinstance(part, Text))
    return {"annotations": fields["annotations"]} if "annotations" in fields else {}


def _whole(message: Message) -> dict[str, Any]:
    fields = message_fields(message.parts)
    for index, call in enumerate(fields.get("tool_calls", ())):
        call["index"] = index
    return {"role": "assistant", **fields}


# --- errors ---------------------------------------------------------------------------------------------------------

_PLACE = re.compile(r"([a-z_]+[\w.\[\]]*): ")


def encode_error(error: Exception) -> tuple[int, bytes]:
    """The status and the body, in OpenAI's shape, by which a client learns of this error. What is not ours tells
    nothing of its inside."""
    status, type, code = _as_server(error)
    known = isinstance(error, MultiturnError)
    place = _PLACE.match(str(error)) if isinstance(error, InvalidInput) else None
    fields = {
        "message": str(error) if known else "The server failed; its log says why.",
        "type": type,
        "param": place[1] if place else None,
        "code": code,
    }
    return status, msgspec.json.encode({"error": fields})


def _as_server(error: Exception) -> tuple[int, str, str | None]:
    """The status, type and code; a failing provider is a bad gateway, its rejection of our key included."""
    match error:
        case UnknownModel() | ModelNotFound():
            return 404, "invalid_request_error", "model_not_found"
        case GoingDown():
            return 503, "server_error", None
        case Unauthorized():
            return 401, "invalid_request_error", "invalid_api_key"
        case MissingKey():
            return 500, "server_error", "missing_key"
        case TooLong():
            return 400, "invalid_request_error", "context_length_exceeded"
        case InvalidInput():
            return 400, "invalid_request_error", None
        case NotFound():
            return 404, "invalid_request_error", "not_found"
        case ConversationBusy():
            return 409, "invalid_request_error", "conversation_busy"
        case ContextOverflow():
            return 400, "invalid_request_error", "context_length_exceeded"
        case RequestTooLarge():
            return 413, "invalid_request_error", "request_too_large"
        case RateLimited():
            return 429, "rate_limit_error", error.code or "rate_limit_exceeded"
        case RequestRejected():
            return error.status or 400, "invalid_request_error", error.code
        case TimedOut():
            return 504, "server_error", "timeout"
        case ModelError():
            return 502, "server_error", "upstream_error"
    return 500, "server_error", None
