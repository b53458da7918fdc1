"""As a server: answers as a stream of events, and errors. (Whole replies are in `replies.py`.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, TextDelta, ToolCallDelta
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
from multiturn.formats.anthropic.citations import citation_fields
from multiturn.formats.anthropic.replies import block_fields, message_fields, stop_fields, usage_fields
from multiturn.formats.decoding import UNREADABLE
from multiturn.formats.sse import encode_event
from multiturn.messages import Citation, Part, Reasoning, Text, ToolCall, Usage

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
"""An event that says nothing, to send while there is nothing to say."""

_encoder = msgspec.json.Encoder()


class _Block:
    """A block that grows on the client's side: its place, what it holds, and what was sent of its text. The `kind` of a
    call is the call's."""

    def __init__(self, index: int, kind: str) -> None:
        self.index = index
        self.kind = kind
        self.ended = False
        self._pieces: list[str] = []

    def grow(self, text: str) -> None:
        self._pieces.append(text)

    @property
    def text(self) -> str:
        return "".join(self._pieces)


class StreamEncoder:
    """One answer as server-sent events: `begin`, which may be left out, `encode` for each delta, then `finish`, or
    `fail` in its place. `provider` is whose opaque blocks may be shown as they are.

    A block ends before the next one begins, but for a call whose arguments are not whole yet. Where the answer may be
    `signed`, thinking and texts end with it, since the signature of thinking and the citations of a text are known only
    then; where not, a text that another block follows has no citations. Texts that follow one another are one block,
    and so have their citations together."""

    def __init__(self, *, id: str, model: str, provider: str = "anthropic", signed: bool = True) -> None:
        self._start = message_fields(id, model)
        self._provider = provider
        self._signed = signed
        self._begun = False
        self._count = 0  # blocks begun
        self._growing: list[_Block] = []
        self._last: _Block | None = None  # what the next text may belong to
        self._calls: dict[int, _Block] = {}

    def begin(self) -> bytes:
        """The start of the message, which else comes with the first event."""
        return self._started()

    def encode(self, delta: Delta) -> bytes:
        """The events for this delta; empty where the format has no place for it."""
        match delta:
            case TextDelta(text=text) if text:
                return self._grow("text", text)
            case ReasoningDelta(text=text) if text:
                return self._grow("thinking", text)
            case ToolCallDelta():
                return self._call(delta)
            case PartDelta(part=ToolCall() as call):
                whole = ToolCallDelta(-1 - self._count, call.call_id, call.name, call.arguments, call.kind)
                return self._call(whole)
            case PartDelta(part=part):
                return b"".join(self._whole(block) for block in block_fields(part, self._provider))
        return b""  # a refusal is told when the answer ends

    def finish(self, answer: Answer, usage: Usage | None = None) -> bytes:
        """The rest: signatures, citations, the ends of the blocks, why the answer ended, and the usage. Without
        `usage`, the answer's own is told."""
        message = answer.message
        late = _Late(message.parts)
        events = [self._started()]
        for block in self._growing:
            owed = [self._delta(block, fields) for fields in late.deltas(block)]
            events += [] if block.ended else [*owed, self._end(block)]
        counts = usage_fields(usage or message.usage or Usage())
        events.append(_event("message_delta", {"delta": stop_fields(message), "usage": counts}))
        return b"".join([*events, _event("message_stop", {})])

    def fail(self, error: Exception) -> bytes:
        """The end of a stream that failed: the error as `encode_error` has it."""
        return encode_event(encode_error(error)[1], "error")

    def _started(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message = {**self._start, "content": [], "stop_reason": None, "stop_sequence": None}
        return _event("message_start", {"message": {**message, "usage": usage_fields(Usage())}})

    def _begin(self, content_block: Any) -> bytes:
        ends = [self._end(block) for block in self._growing if not block.ended and self._is_whole(block)]
        index, self._count = self._count, self._count + 1
        start = _event("content_block_start", {"index": index, "content_block": content_block})
        return b"".join([self._started(), *ends, start])

    def _is_whole(self, block: _Block) -> bool:
        """Whether nothing more can come to a block that another one follows."""
        if block.kind in ("text", "thinking"):
            return not self._signed
        return block.kind == "function" and _is_json(block.text)

    def _end(self, block: _Block) -> bytes:
        block.ended = True
        return _event("content_block_stop", {"index": block.index})

    def _grow(self, kind: str, text: str) -> bytes:
        start = b""
        if self._last is None or self._last.kind != kind:
            empty = {"text": ""} if kind == "text" else {"thinking": "", "signature": ""}
            self._last = _Block(self._count, kind)
            start = self._begin({"type": kind, **empty})
            self._growing.append(self._last)
        self._last.grow(text)
        return start + self._delta(self._last, {"type": f"{kind}_delta", kind: text})

    def _call(self, delta: ToolCallDelta) -> bytes:
        start = b""
        if delta.index not in self._calls:
            block = self._calls[delta.index] = _Block(self._count, delta.kind)
            self._last = None
            start = self._begin({"type": "tool_use", "id": delta.call_id, "name": delta.name, "input": {}})
            self._growing.append(block)
            if delta.kind == "custom":
                start += self._delta(block, _piece_of_input(_CUSTOM_START))
        block = self._calls[delta.index]
        piece = _escaped(delta.arguments) if block.kind == "custom" else delta.arguments
        block.grow(piece)
        return start + (self._delta(block, _piece_of_input(piece)) if piece and not block.ended else b"")

    def _whole(self, content_block: Any) -> bytes:
        """A block that comes at once."""
        self._last = None
        index = self._count
        return self._begin(content_block) + _event("content_block_stop", {"index": index})

    def _delta(self, block: _Block, fields: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": block.index, "delta": fields})


_CUSTOM_START, _CUSTOM_END = '{"input":"', '"}'  # around the text of a custom tool's call


def _piece_of_input(text: str) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": text}


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (*UNREADABLE, RecursionError):
        return False
    return True


def _escaped(text: str) -> str:
    return _encoder.encode(text).decode()[1:-1]


class _Late:
    """What the parts of the answer add to the blocks that were streamed, in the order of both."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._thoughts = iter([part for part in parts if isinstance(part, Reasoning) and part.text])
        self._texts = iter([part for part in parts if isinstance(part, Text)])

    def deltas(self, block: _Block) -> Iterator[dict[str, Any]]:
        if block.kind == "thinking":
            yield from self._signature(block.text)
        elif block.kind == "text":
            yield from self._citations(block.text)
        elif block.kind == "custom":
            yield _piece_of_input(_CUSTOM_END)

    def _signature(self, text: str) -> Iterator[dict[str, Any]]:
        thought = next((thought for thought in self._thoughts if thought.text == text), None)
        if thought is not None and thought.signature:
            yield {"type": "signature_delta", "signature": thought.signature}

    def _citations(self, text: str) -> Iterator[dict[str, Any]]:
        """Those of the next texts, if together they are what was streamed."""
        arrived, citations = "", list[Citation]()
        while len(arrived) < len(text) and (part := next(self._texts, None)) is not None:
            arrived += part.text
            citations += part.citations
        for citation in citation_fields(citations, replied=True) if arrived == text else ():
            yield {"type": "citations_delta", "citation": citation}


def _event(type: str, fields: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (type.encode(), _encoder.encode({"type": type, **fields}))


# --- errors ---------------------------------------------------------------------------------------------------------


def encode_error(error: Exception, *, request_id: str | None = None) -> tuple[int, bytes]:
    """The status and the body, in Anthropic's shape, by which a client learns of this error. What is not ours tells
    nothing of its inside."""
    status, type = _as_server(error)
    message = str(error) if isinstance(error, MultiturnError) else "The server failed; its log says why."
    if isinstance(error, ContextOverflow | TooLong) and "prompt is too long" not in message:
        message = f"prompt is too long: {message}"  # clients know it by these words alone
    body = {"type": "error", "error": {"type": type, "message": message}, "request_id": request_id}
    return status, _encoder.encode(body)


def _as_server(error: Exception) -> tuple[int, str]:
    """The status and type; a failing provider is a bad gateway, its rejection of our key included."""
    match error:
        case UnknownModel() | ModelNotFound() | NotFound():
            return 404, "not_found_error"
        case GoingDown():
            return 503, "api_error"
        case Unauthorized():
            return 401, "authentication_error"
        case MissingKey():
            return 500, "api_error"
        case InvalidInput():
            return 400, "invalid_request_error"
        case ConversationBusy():
            return 409, "conflict_error"
        case RequestTooLarge():
            return 413, "request_too_large"
        case RateLimited():
            return 429, "rate_limit_error"
        case RequestRejected():
            return error.status or 400, "invalid_request_error"
        case TimedOut():
            return 504, "timeout_error"
        case ModelError(status=529):
            return 529, "overloaded_error"
        case ModelError():
            return 502, "api_error"
    return 500, "api_error"
