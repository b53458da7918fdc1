"""A turn as a response, and what of a request is kept with it to be told again. Every turn can be shown, whichever door
or library it came through; where nothing is known of how it was asked for, OpenAI's defaults are told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from multiturn.deltas import Answer
from multiturn.errors import NotFound
from multiturn.formats.decoding import read
from multiturn.formats.responses import Echo, StreamEncoder, encode_response
from multiturn.formats.responses.outgoing import Frame, as_sse
from multiturn.formats.responses.served import Status
from multiturn.formats.responses.wire import FIELDS, own
from multiturn.messages import Message, Usage
from multiturn.server.exchange import CHAIN, Exchange
from multiturn.turns import Turn, TurnStatus

_ECHO = msgspec.json.Decoder(Echo)
_encode = msgspec.json.Encoder().encode
_NOTHING = Echo()


def response_id(turn_id: str) -> str:
    return f"resp_{turn_id.partition('_')[2]}"


def turn_id(response_id: str, kind: str = "response") -> str:
    """The id of the turn that is this response. Raises `NotFound` for what can be none."""
    prefix, _, rest = response_id.partition("_")
    if prefix != "resp" or not rest:
        raise NotFound(kind, response_id)
    return f"turn_{rest}"


def kept(echo: Echo) -> str | None:
    """What is stored of the echo: what the turn itself does not tell."""
    rest = msgspec.structs.replace(
        echo, instructions=None, previous_response_id=None, conversation=None, metadata={}, background=False
    )
    return None if rest == _NOTHING else _encode(rest).decode()


def kept_whole(body: bytes) -> str:
    """What is stored of a request that runs in the background: all that the turn does not tell, so that another node
    can run it. The echo can be read of it, too."""
    fields = {name: raw for name, raw in read(FIELDS, body).items() if own(raw) is not None and name not in _OF_TURN}
    if fields.get("service_tier") == msgspec.Raw(b'"auto"'):
        del fields["service_tier"]  # as in the echo
    return _encode(fields).decode()


_OF_TURN = frozenset(("conversation", "input", "instructions", "metadata", "model", "previous_response_id", "stream"))


def echo_of(turn: Turn) -> Echo:
    """What the response that is this turn repeats of its request."""
    named = not turn.conversation.startswith(f"{CHAIN}_")
    return msgspec.structs.replace(
        _ECHO.decode(turn.asked) if turn.asked else _NOTHING,
        instructions=turn.instructions,
        previous_response_id=response_id(turn.parent) if turn.parent and not named else None,
        conversation=turn.conversation if named else None,
        metadata=turn.metadata or {},
        background=turn.background,
    )


def response_of(
    turn: Turn, echo: Echo | None = None, *, encrypted: bool = False, status: Status | None = None
) -> bytes:
    """The response that is this turn, as JSON. `status` is how it stands, where the turn does not tell."""
    done = turn.status is TurnStatus.COMPLETED
    return encode_response(
        turn.output,
        echo or echo_of(turn),
        id=response_id(turn.id),
        created=int(turn.created_at),
        model=turn.model or "",
        status=status or status_of(turn),
        reason=_REASONS.get(turn.reason or "", turn.reason),
        completed=int(turn.finished_at) if done and turn.finished_at else None,
        usage=usage_of(turn),
        error=turn.error,
        encrypted=encrypted,
    )


def status_of(turn: Turn) -> Status:
    """How the response stands. What was stopped is `cancelled`, by whomever: its caller went away, or asked for it. A
    turn of the library that waits for others is `incomplete`."""
    match turn.status:
        case TurnStatus.INCOMPLETE if turn.reason == "interrupted":
            return "cancelled"
        case TurnStatus.PAUSED:
            return "incomplete"
        case status:
            return _STATUSES[status]


_STATUSES: dict[TurnStatus, Status] = {
    TurnStatus.IN_PROGRESS: "in_progress",
    TurnStatus.COMPLETED: "completed",
    TurnStatus.INCOMPLETE: "incomplete",
    TurnStatus.FAILED: "failed",
}
_REASONS = {"length": "max_output_tokens"}


def usage_of(turn: Turn) -> Usage | None:
    """What was counted; None where nobody has counted anything."""
    counted = turn.aside is not None or any(message.usage for message in turn.output)
    return turn.usage if counted else None


# --- streams --------------------------------------------------------------------------------------------------------


def encoder_of(
    turn: Turn, echo: Echo | None = None, *, encrypted: bool = False, frame: Frame = as_sse
) -> StreamEncoder:
    """What tells this turn as events."""
    return StreamEncoder(
        echo or echo_of(turn),
        id=response_id(turn.id),
        created=int(turn.created_at),
        model=turn.model or "",
        encrypted=encrypted,
        frame=frame,
    )


async def events(exchange: Exchange, encoder: StreamEncoder) -> AsyncGenerator[bytes, None]:
    """The response as server-sent events, while it comes. Raises what the exchange raises."""
    if exchange.is_replayed:
        yield told(exchange.turn, encoder)
        return
    async with aclosing(exchange.deltas()) as deltas:
        async for pieces in deltas:
            yield b"".join(map(encoder.encode, pieces))
    assert exchange.answer is not None
    yield encoder.finish(exchange.answer, usage_of(exchange.turn), int(exchange.turn.finished_at or 0))


def told(turn: Turn, encoder: StreamEncoder) -> bytes:
    """All events of a response that has been answered before."""
    pieces = [encoder.begin(), *map(encoder.settle, turn.output[:-1])]
    last = turn.output[-1] if turn.output else Message("assistant")
    return b"".join([*pieces, encoder.finish(Answer(last), usage_of(turn), int(turn.finished_at or 0))])
