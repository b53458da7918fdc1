"""`/v1/responses` over WebSocket: one `response.create` after another on a connection that stays open.

The protocol is OpenAI's (https://developers.openai.com/api/docs/guides/websocket-mode), of which Open Responses has the
part without lanes. The requests of one lane, which `stream_id` names, are answered in order, and those of several lanes
at once. A response that is not stored can be followed on its own connection, as long as it is the last of its lane.
Faults are told as `error` events, and the connection goes on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.types import Receive, Scope, Send

from multiturn.deltas import Answer, Delta
from multiturn.errors import GoingDown, MultiturnError, RateLimited, TotalTimedOut
from multiturn.formats.responses import StreamEncoder
from multiturn.messages import Message
from multiturn.path import Path
from multiturn.request import Request
from multiturn.runs import Ended, Item, Run
from multiturn.server.auth import Caller
from multiturn.server.doors import Call, Door
from multiturn.server.exchange import Exchange
from multiturn.server.limits import as_text, check_size
from multiturn.server.responses.asking import begun, decoded
from multiturn.server.responses.include import ENCRYPTED
from multiturn.server.responses.shown import encoder_of, response_id, usage_of
from multiturn.server.responses.websocket_events import Create, Pending, Refused, error_event, read_event, too_old
from multiturn.server.streaming import FIRST_WITHIN_S
from multiturn.turns import TurnStatus, continues

AT_ONCE = 16
"""How many responses one connection makes at once."""
LANES = 32
"""How many lanes with a name one connection may have."""
MOST_WAITING = 64
"""How many requests may wait on one connection; fewer where they are long."""
_LATER_S = 1.0  # a turn that takes too long ends by itself; so much later also one whose client reads nothing
_GOING_AWAY = 1001  # the code at which clients connect anew by themselves
_log = logging.getLogger("multiturn.server")


class Connections:
    """The route, as an ASGI application."""

    def __init__(self, door: Door, path: str) -> None:
        self._door = door
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door, service, began = self._door, self._door.service, time.monotonic()
        request, caller, status = _as_request(scope), None, 101
        more = service.observer.arrived(door.name, "WEBSOCKET", self._path, request.headers)
        try:
            await receive()  # `websocket.connect`
            try:
                caller = await service.keys.caller(request.headers)
                if service.draining.is_set():
                    raise GoingDown
            except Exception as error:
                refusal = door.error(error)
                refusal.raw_headers += [*more, *service.headers]
                status = refusal.status_code
                await refusal(scope, receive, send)
                return
            await send({"type": "websocket.accept", "headers": [*more, *service.headers]})
            await _Connection(door, request, send).serve(receive)
        finally:
            service.observer.request(door.name, "WEBSOCKET", self._path, status, time.monotonic() - began, caller)


def _as_request(scope: Scope) -> HTTPRequest:
    """The handshake. An idempotency key in it cannot be meant for every turn."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"idempotency-key"]
    return HTTPRequest({**scope, "type": "http", "method": "GET", "headers": headers})


class _Gone(Exception):
    """The client has hung up."""


class _Lane:
    """Requests that are answered in order. `last` is the last response, where that is not stored: its id, and all that
    was said up to its end."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.waiting: deque[Create] = deque()
        self.task: asyncio.Task[None] | None = None
        self.last: tuple[str, Path] | None = None


class _Connection:
    """One client's connection, from its handshake on."""

    def __init__(self, door: Door, request: HTTPRequest, send: Send) -> None:
        self._door = door
        self._service = door.service
        self._request = request
        self._send = send
        self._lanes: dict[str | None, _Lane] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._ending: MultiturnError | None = None

    async def serve(self, receive: Receive) -> None:
        """Answer until the client hangs up, the connection is too old, or the server goes down; what runs then may
        end."""
        reading = asyncio.ensure_future(self._read(receive))
        draining = asyncio.ensure_future(self._service.draining.wait())
        longest_s = self._service.settings.limits.websocket_s
        try:
            await asyncio.wait({reading, draining}, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                self._ending = GoingDown() if draining.done() else too_old(longest_s)
                await self._end(reading, self._ending)
            if reading.done():
                reading.result()
        finally:
            await _stopped(reading, draining, *self._running())

    async def _end(self, reading: asyncio.Task[None], error: MultiturnError) -> None:
        """Close, once nothing runs any more; requests that come now are told why not."""
        while not reading.done() and (running := self._running()):
            await asyncio.wait({reading, *running}, return_when=asyncio.FIRST_COMPLETED)
        with suppress(_Gone, OSError):
            if isinstance(error, Refused):
                await self._fail(error, None)
            await self._send({"type": "websocket.close", "code": _GOING_AWAY})

    def _running(self) -> list[asyncio.Task[None]]:
        return [lane.task for lane in self._lanes.values() if lane.task is not None]

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _read(self, receive: Receive) -> None:
        with suppress(_Gone):
            while (message := await receive())["type"] != "websocket.disconnect":
                lane = None
                try:
                    data = message.get("bytes") or (message.get("text") or "").encode()
                    check_size(data, self._service.settings.limits)
                    data = as_text(data)
                    event = read_event(data)
                    if isinstance(event, Create):
                        lane = event.lane
                        self._enqueue(event)
                    else:
                        await self._tell(event)
                except MultiturnError as error:
                    await self._fail(error, lane)

    def _enqueue(self, create: Create) -> None:
        waiting = [len(each.body) for lane in self._lanes.values() for each in lane.waiting]
        if len(waiting) >= MOST_WAITING or sum(waiting) > self._service.settings.limits.body_bytes:
            raise RateLimited(f"{len(waiting)} requests wait on this connection; send more once some are answered")
        if create.lane not in self._lanes and create.lane and len(self._lanes.keys() - {None}) >= LANES:
            raise Refused(
                "websocket_stream_limit_reached",
                f"this connection has {LANES} stream_ids, the most there may be; use one of them again, or open "
                "another connection",
                "stream_id",
            )
        lane = self._lanes.setdefault(create.lane, _Lane(create.lane))
        lane.waiting.append(create)
        if lane.task is None:
            lane.task = asyncio.create_task(self._work(lane))

    async def _work(self, lane: _Lane) -> None:
        try:
            with suppress(_Gone):
                while lane.waiting:
                    async with self._slots:
                        await self._answer(lane, lane.waiting.popleft())
        finally:
            lane.task = None

    # --- responses --------------------------------------------------------------------------------------------------

    async def _answer(self, lane: _Lane, create: Create) -> None:
        """Answer one request. Raises `_Gone`."""
        service, pending = self._service, Pending(lane.name)
        try:
            with service.in_flight():
                if self._ending is not None or service.draining.is_set():
                    raise self._ending or GoingDown
                caller = await service.keys.caller(self._request.headers)  # again: keys are revoked
                service.rates.take(caller)
                async with _within(service.settings.limits.stream_s):
                    lane.last = await self._told(caller, create, pending)
        except _Gone:
            raise
        except Exception as error:
            if lane.last is not None and lane.last[0] == create.previous:
                lane.last = None  # as OpenAI does: what fails on its own lane begins anew
            await self._failed(error, pending, lane)

    async def _told(self, caller: Caller, create: Create, pending: Pending) -> tuple[str, Path] | None:
        """Tell the response; what its lane keeps of it."""
        call = Call(self._service, self._request, caller)
        asked = decoded(call, create.body)
        path = self._kept(create.previous) if asked.store is False else None
        exchange = await begun(call, create.body, asked, path=path)
        if not create.generate:
            exchange.run = _Unasked(exchange)
        encrypted = ENCRYPTED in asked.include
        encoder = encoder_of(exchange.turn, asked.echo, encrypted=encrypted, frame=pending.frame)
        pending.encoder = encoder
        async with aclosing(exchange.deltas()) as deltas:
            await self._tell_deltas(deltas, encoder, pending)
        turn, answer = exchange.turn, exchange.answer or Answer(Message("assistant"))
        encoder.finish(answer, usage_of(turn), int(turn.finished_at or 0))
        await self._flush(pending)
        if exchange.asked.stored or not continues(turn):
            return None
        return response_id(turn.id), exchange.path.followed_by(turn)

    async def _tell_deltas(
        self, deltas: AsyncGenerator[Sequence[Delta], None], encoder: StreamEncoder, pending: Pending
    ) -> None:
        first = asyncio.ensure_future(_next(deltas))
        try:
            await asyncio.wait({first}, timeout=FIRST_WITHIN_S)
            if not first.done():  # until now, an error would have had a status of its own
                encoder.begin()
                await self._flush(pending)
            pieces = await first
        finally:
            await _stopped(first)
        while pieces is not None:
            for delta in pieces:
                encoder.encode(delta)
            await self._flush(pending)
            pieces = await _next(deltas)

    def _kept(self, id: str | None) -> Path | None:
        """All that was said up to the end of a response that is not stored."""
        found = (lane.last[1] for lane in self._lanes.values() if lane.last is not None and lane.last[0] == id)
        return next(found, None)

    # --- events -----------------------------------------------------------------------------------------------------

    async def _failed(self, error: Exception, pending: Pending, lane: _Lane) -> None:
        """Tell how a response has failed: as its last event, where others have been told."""
        if pending.encoder is None or not pending.encoder.sequence:
            await self._fail(error, lane.name)
            return
        if not isinstance(error, MultiturnError):
            _log.error("a response failed", exc_info=error, extra={"door": self._door.name})
        pending.encoder.fail(error)
        await self._flush(pending)

    async def _fail(self, error: Exception, lane: str | None) -> None:
        await self._tell(error_event(error, self._door.error(error), lane))

    async def _flush(self, pending: Pending) -> None:
        for event in pending.take():
            await self._tell(event)

    async def _tell(self, event: bytes) -> None:
        try:
            await self._send({"type": "websocket.send", "text": event.decode()})
        except OSError:  # as servers say that nobody is there
            raise _Gone from None


class _Unasked(Run):
    """A run that asks no model (`generate: false`): what was said waits for the response that follows."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange.model, Request(path=exchange.path, input=exchange.turn.input))

    async def items(self) -> AsyncGenerator[Item, None]:
        """As `Run.items` says."""
        yield Ended(TurnStatus.COMPLETED)


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    """Raises `TotalTimedOut` where what is done within it takes longer, and has not ended by itself."""
    try:
        async with asyncio.timeout(seconds + _LATER_S) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise TotalTimedOut(f"the answer took longer than {seconds:g} s, which is the most here") from None


async def _next(deltas: AsyncGenerator[Sequence[Delta], None]) -> Sequence[Delta] | None:
    return await anext(deltas, None)


async def _stopped(*tasks: asyncio.Future[Any]) -> None:
    """End these tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
