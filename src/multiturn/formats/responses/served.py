"""As a server: whole responses, in whatever state they are. (Their streams are in `outgoing.py`.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Raw

from multiturn import errors
from multiturn.deltas import Answer
from multiturn.errors import ContextOverflow, InvalidInput, MultiturnError, RateLimited, RequestRejected, TooLong
from multiturn.formats.responses.echo import Echo, echo_fields
from multiturn.formats.responses.served_items import encode_items, reason_of
from multiturn.messages import Message, Usage
from multiturn.turns import Fault

Status: TypeAlias = Literal["completed", "incomplete", "failed", "cancelled", "in_progress", "queued"]

_encoder = msgspec.json.Encoder()


def encode_reply(
    answer: Answer,
    echo: Echo,
    *,
    id: str,
    created: int,
    model: str,
    completed: int | None = None,
    usage: Usage | None = None,
) -> bytes:
    """The body of a reply: a whole response. Its status is as the answer ended; other choices have no place in it.
    Times are in whole seconds since the epoch; without `usage`, the answer's own is told."""
    return encode_response(
        (answer.message,), echo, id=id, created=created, model=model, completed=completed, usage=usage
    )


def encode_response(
    output: Sequence[Message],
    echo: Echo,
    *,
    id: str,
    created: int,
    model: str,
    status: Status | None = None,
    reason: str | None = None,
    completed: int | None = None,
    usage: Usage | None = None,
    error: Exception | Fault | None = None,
    encrypted: bool = True,
) -> bytes:
    """A response whose output are these messages. Without a `status`, it is as the last of them ended; `failed` goes
    with its `error`, `incomplete` with its `reason` where the last message does not tell it. Without `usage`, the
    messages' own is told. `encrypted` says whether encrypted thinking is shown."""
    last = output[-1] if output else None
    whole = status in (None, "completed")
    spent = [message.usage for message in output if message.usage]
    fields = response_fields(
        echo,
        id=id,
        created=created,
        model=model,
        status=status or status_of(last),
        reason=reason or reason_of(last),
        completed=completed,
        output=map(Raw, encode_items(output, response_id=id, encrypted=encrypted, whole=whole)),
        usage=usage or (sum(spent, start=Usage()) if spent else None),
        error=error,
    )
    return _encoder.encode(fields)


def response_fields(
    echo: Echo,
    *,
    id: str,
    created: int,
    model: str,
    status: Status,
    reason: str | None = None,
    completed: int | None = None,
    output: Iterable[object] = (),
    usage: Usage | None = None,
    error: Exception | Fault | None = None,
) -> dict[str, Any]:
    """Every field of a response. `reason` is why it is incomplete."""
    done = status == "completed"
    return {
        "id": id,
        "object": "response",
        "created_at": created,
        "completed_at": (created if completed is None else completed) if done else None,
        "status": status,
        "error": None if error is None else error_fields(error),
        "incomplete_details": {"reason": reason} if status == "incomplete" and reason else None,
        "model": model,
        "output": list(output),
        "usage": None if usage is None else usage_fields(usage),
        **echo_fields(echo),
    }


def status_of(message: Message | None) -> Status:
    """How a response stands that ends with this message."""
    return "completed" if reason_of(message) is None else "incomplete"


def usage_fields(usage: Usage) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
    return fields if usage.cost_usd is None else {**fields, "cost": usage.cost_usd}


def error_fields(error: Exception | Fault) -> dict[str, Any]:
    """What a failed response says of its error. What is not ours tells nothing of its inside."""
    kind: object = getattr(errors, error.kind, None) if isinstance(error, Fault) else type(error)
    if not isinstance(kind, type) or not issubclass(kind, MultiturnError):
        return {"code": "server_error", "message": "The server failed; its log says why."}
    return {"code": _code_of(kind), "message": error.message if isinstance(error, Fault) else str(error)}


def _code_of(kind: type[MultiturnError]) -> str:
    if issubclass(kind, RateLimited):
        return "rate_limit_exceeded"
    if issubclass(kind, (ContextOverflow, TooLong)):
        return "context_length_exceeded"
    return "invalid_prompt" if issubclass(kind, (InvalidInput, RequestRejected)) else "server_error"
