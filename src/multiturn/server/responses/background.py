"""Responses that run in the background: begun and left, told as events to any number of readers, taken over.

A response's events are made of what is stored of it, so that every reader is told the same under the same numbers, at
any time and on any node: `response.created` and `response.queued`, `response.in_progress` once its model is asked, what
the model says, and the end, when the turn has ended in the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

import msgspec
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp

from multiturn.deltas import CallsStarted, Draft, ModelAsked, Said
from multiturn.errors import InvalidInput
from multiturn.formats.responses import decode_request, encode_error
from multiturn.formats.responses.outgoing import as_sse
from multiturn.formats.responses.served import Status
from multiturn.formats.responses.served_items import reason_of
from multiturn.formats.responses.wire import FIELDS
from multiturn.server.auth import Caller
from multiturn.server.doors import Call, json
from multiturn.server.exchange import Exchange, Exchanges
from multiturn.server.responses.asking import asked_of, fitted
from multiturn.server.responses.custom_tools import WithCustomTools
from multiturn.server.responses.include import ENCRYPTED
from multiturn.server.responses.shown import encoder_of, response_of, status_of
from multiturn.server.streaming import EventStream
from multiturn.stores.base import Store
from multiturn.turns import Turn, TurnStatus

CANCELLED_WITHIN_S = 2.0
"""How long a cancelled response is waited for, so that the answer can show it as it ended."""
_PEEK_S = 0.25  # how long to look for a sign that a response on another node has begun
_encode = msgspec.json.Encoder().encode


class _Kept(msgspec.Struct):
    """What is read of a stored request, apart from what is repeated of it."""

    background: bool = False
    include: tuple[str, ...] = ()


_KEPT = msgspec.json.Decoder(_Kept)


async def started(call: Call, exchange: Exchange, *, stream: bool) -> ASGIApp:
    """The answer to who has begun it: the response as it waits, or its events."""
    if not exchange.is_replayed:
        call.service.background.start(exchange)
    if stream:
        return _stream(call.store, exchange.turn, -1)
    return json(await shown(call, exchange.turn))


async def shown(call: Call, turn: Turn, *, encrypted: bool = False) -> bytes:
    """The response that is this turn, with the status `queued` as long as its model is not asked."""
    status: Status | None = None
    if turn.background and turn.status is TurnStatus.IN_PROGRESS and await _is_queued(call, turn):
        status = "queued"
    return response_of(turn, encrypted=encrypted or _is_encrypted(turn), status=status)


async def _is_queued(call: Call, turn: Turn) -> bool:
    """Whether its model is not asked yet; that it is, is the first that is written down of it."""
    if (waits := call.service.background.is_queued(turn.id)) is not None:
        return waits
    with suppress(TimeoutError):
        async with aclosing(call.store.follow(turn.id)) as stretches, asyncio.timeout(_PEEK_S):
            await anext(stretches)
            return False
    return True


async def cancelled(call: Call, turn: Turn) -> bytes:
    """The response, stopped if it has not ended before; as it stands, where that takes long."""
    turn = await call.store.cancel(turn.id)
    if turn.status is TurnStatus.IN_PROGRESS:
        call.service.background.stop(turn.id)
        with suppress(TimeoutError):
            async with aclosing(call.store.follow(turn.id)) as stretches, asyncio.timeout(CANCELLED_WITHIN_S):
                async for stretch in stretches:
                    turn = stretch if isinstance(stretch, Turn) else turn
    return await shown(call, turn)


# --- taken over -----------------------------------------------------------------------------------------------------


def knows(turn: Turn) -> bool:
    """Whether the turn is a response of this API that runs in the background."""
    return _kept(turn).background


async def resume(exchanges: Exchanges, caller: Caller, turn: Turn) -> Exchange:
    """The exchange of a response that another node has left. Raises `UnknownModel`, and `InvalidInput` for what its
    model cannot do any more."""
    body = _encode({**FIELDS.decode(turn.asked or "{}"), "model": turn.model, "input": ""})
    request = decode_request(body)
    request, customs = fitted(request, exchanges.upstreams.model(request.model or ""))
    asked = msgspec.structs.replace(
        asked_of(request),
        messages=turn.input,
        instructions=turn.instructions,
        stream=True,
        echo=turn.asked,
        metadata=turn.metadata,
    )
    exchange = await exchanges.resumed(asked, caller, turn)
    if customs:
        exchange.model = WithCustomTools(exchange.model, customs)
    return exchange


def _kept(turn: Turn) -> _Kept:
    return _KEPT.decode(turn.asked) if turn.background and turn.asked else _Kept()


def _is_encrypted(turn: Turn) -> bool:
    """Whether the request wants to see encrypted thinking."""
    return ENCRYPTED in _kept(turn).include


# --- as events ------------------------------------------------------------------------------------------------------


async def streamed(call: Call, turn: Turn) -> ASGIApp:
    """The events of a response from the one behind `starting_after` on, those to come included. Raises `InvalidInput`
    where they are not kept."""
    if not turn.background:
        raise InvalidInput("stream: only the events of a response that ran in the background can be had again")
    return _stream(call.store, turn, _starting_after(call.request.query_params))


def _starting_after(query: QueryParams) -> int:
    number = query.get("starting_after")
    if number is None:
        return -1
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise InvalidInput(f"starting_after: {number!r} is not the number of an event")
    return int(number)


def _stream(store: Store, turn: Turn, after: int) -> ASGIApp:
    events = _Events(store, turn, after)
    return EventStream(events.told(), events.fail)


class _Events:
    """The events of one response, behind number `after`, for one reader. What it shows of encrypted thinking, the
    request has said: with more or less of it, the numbers would be others."""

    def __init__(self, store: Store, turn: Turn, after: int) -> None:
        self._store = store
        self._turn = turn
        self._after = after
        self._count = 0
        self._is_encrypted = _is_encrypted(turn)
        self._encoder = encoder_of(turn, encrypted=self._is_encrypted, frame=self._frame)

    async def told(self) -> AsyncGenerator[bytes, None]:
        """The events, as they come."""
        stretches = self._store.follow(self._turn.id)
        async with aclosing(stretches):
            opening = self._opening()
            if self._turn.status is TurnStatus.IN_PROGRESS:
                yield opening
            else:
                yield opening + self._pieces(await self._first(stretches))
            async for stretch in stretches:
                yield self._pieces(stretch)

    def fail(self, error: Exception) -> bytes:
        """What is told where the events cannot be read on: the response may be well. Its number is that of the last
        event, so that reading goes on after it."""
        fields = msgspec.json.decode(encode_error(error)[1])["error"]
        event = {key: fields[key] for key in ("code", "message", "param")}
        return as_sse("error", _encode({"type": "error", "sequence_number": max(0, self._count - 1), **event}))

    async def _first(self, stretches: AsyncGenerator[Sequence[Draft] | Turn, None]) -> Sequence[Draft] | Turn:
        try:
            return await anext(stretches)
        except InvalidInput:
            raise InvalidInput(
                "stream: the events of this response are not kept any more; retrieve it without stream=true"
            ) from None

    def _frame(self, type: str, event: bytes) -> bytes:
        number, self._count = self._count, self._count + 1
        return as_sse(type, event) if number > self._after else b""

    def _event(self, type: str, response: bytes) -> bytes:
        fields = type.encode(), self._encoder.sequence, response
        self._encoder.sequence += 1
        return self._frame(type, b'{"type":"%s","sequence_number":%d,"response":%s}' % fields)

    def _opening(self) -> bytes:
        queued = self._as("queued")
        return self._event("response.created", queued) + self._event("response.queued", queued)

    def _as(self, status: Status) -> bytes:
        """The response before anything is said."""
        turn = msgspec.structs.replace(
            self._turn, status=TurnStatus.IN_PROGRESS, output=(), reason=None, error=None, aside=None, finished_at=None
        )
        return response_of(turn, status=status)

    def _pieces(self, stretch: Sequence[Draft] | Turn) -> bytes:
        if isinstance(stretch, Turn):
            return self._end(stretch)
        return b"".join(map(self._piece, stretch))

    def _piece(self, draft: Draft) -> bytes:
        match draft:
            case ModelAsked():
                return self._event("response.in_progress", self._as("in_progress"))
            case Said(message=message):
                return self._encoder.settle(message)
            case CallsStarted():
                return b""
        return self._encoder.encode(draft)

    def _end(self, turn: Turn) -> bytes:
        """The end of its items, where the model has come to its end, and the response as it is stored."""
        last = turn.output[-1] if turn.output else None
        whole = turn.status is TurnStatus.COMPLETED or reason_of(last) is not None
        rest = self._encoder.settle(last) if last is not None and whole else b""
        type = _ENDS.get(status_of(turn), "response.incomplete")
        return rest + self._event(type, response_of(turn, encrypted=self._is_encrypted)) + b"data: [DONE]\n\n"


_ENDS: dict[str, str] = {"completed": "response.completed", "failed": "response.failed"}
"""The last event; of a response that was cancelled, it is that of an incomplete one."""
