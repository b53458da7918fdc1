"""`/v1/responses` over WebSocket: one `response.create` after another on a connection that stays open.

The protocol is OpenAI's (https://developers.openai.com/api/docs/guides/websocket-mode), of which Open Responses has the
part with one lane. Requests of one lane, which `stream_id` names, are answered in order, and those of several lanes at
once. What is not stored can be followed on its own connection, as long as it is the last of its lane. Faults are told as
`error` events, and the connection goes on."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from multiturn.deltas import Answer, Delta
from multiturn.errors import InvalidInput, MultiturnError, RateLimited, TotalTimedOut
from multiturn.formats.decoding import read_request
from multiturn.formats.responses import StreamEncoder
from multiturn.formats.responses.wire import FIELDS
from multiturn.messages import Message
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.runs import Ended, Item, Run
from multiturn.server.auth import Caller
from multiturn.server.doors import Call, Door
from multiturn.server.exchange import Exchange, GoingDown
from multiturn.server.limits import check_size
from multiturn.server.responses.asking import begun, decoded
from multiturn.server.responses.include import ENCRYPTED
from multiturn.server.responses.shown import encoder_of, response_id, usage_of
from multiturn.server.streaming import FIRST_WITHIN_S
from multiturn.turns import TurnStatus, continues

AT_ONCE = 16
"""How many responses one connection makes at once."""
LANES = 32
"""How many lanes with a name one connection may have."""
_MOST_WAITING = 64  # requests that wait on one connection
_GOING_AWAY = 1001  # the code at which clients connect anew by themselves
_STREAM_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_encode = msgspec.json.Encoder().encode


class Refused(InvalidInput):
    """What only this protocol can get wrong, with the code that it has for that."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class _Event(msgspec.Struct):
    """What a client's event says of itself; the rest is the request."""

    type: str = ""
    stream_id: object = None
    generate: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None


class _Request(msgspec.Struct):
    """A request that waits for its turn."""

    body: bytes
    generate: bool
    previous: str | None


_EVENT = msgspec.json.Decoder(_Event)
_OF_EVENT = ("type", "stream_id", "generate", "background", "stream", "stream_options")


class WebSocketRoute:
    """The route, as an ASGI application."""

    def __init__(self, door: Door, path: str) -> None:
        self._door = door
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door, service, began = self._door, self._door.service, time.monotonic()
        headers = [(name, value) for name, value in scope["headers"] if name != b"idempotency-key"]  # not for each turn
        request = Request({**scope, "type": "http", "method": "POST", "headers": headers})
        more = service.observer.arrived(door.name, "WEBSOCKET", self._path, request.headers)
        caller, status = None, 101
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


class _Gone(Exception):
    """The client has hung up."""


class _Lane:
    """Requests that are answered in order. `last` is the last response, where that is not stored: its id, and all that
    was said up to its end."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.waiting: deque[_Request] = deque()
        self.task: asyncio.Task[None] | None = None
        self.last: tuple[str, Path] | None = None


class _Connection:
    """One client's connection, from its handshake on."""

    def __init__(self, door: Door, request: Request, send: Send) -> None:
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
            self._ending = GoingDown() if draining.done() else _too_old(longest_s)
            while not reading.done() and (running := self._running()):
                await asyncio.wait({reading, *running}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                with suppress(_Gone):
                    await self._close(self._ending)
            else:
                reading.result()
        finally:
            await _stopped(reading, draining, *self._running())

    def _running(self) -> list[asyncio.Task[None]]:
        return [lane.task for lane in self._lanes.values() if lane.task is not None]

    async def _close(self, error: MultiturnError) -> None:
        if not isinstance(error, GoingDown):
            await self._tell(self._error(error, None))
        with suppress(OSError):
            await self._send({"type": "websocket.close", "code": _GOING_AWAY})

    # --- requests -----------------------------------------------------------------------------------------------

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            name = None
            try:
                data = message.get("bytes") or (message.get("text") or "").encode()
                check_size(data, self._service.settings.limits)
                event = read_request(_EVENT, data)
                if event.type == "response.steer":
                    await self._tell(_not_steered(data))
                    continue
                name = _name_of(event)
                self._enqueue(name, _request_of(event, data))
            except MultiturnError as error:
                with suppress(_Gone):
                    await self._tell(self._error(error, name))

    def _enqueue(self, name: str | None, request: _Request) -> None:
        if sum(len(lane.waiting) for lane in self._lanes.values()) >= _MOST_WAITING:
            raise RateLimited(f"{_MOST_WAITING} requests wait on this connection; send more when some are answered")
        if name not in self._lanes and name is not None and len(self._lanes.keys() - {None}) >= LANES:
            raise Refused(
                "websocket_stream_limit_reached",
                f"this connection has had {LANES} different stream_ids, the most there may be; use one of them again, "
                "or open another connection",
                "stream_id",
            )
        lane = self._lanes.setdefault(name, _Lane(name))
        lane.waiting.append(request)
        if lane.task is None:
            lane.task = asyncio.create_task(self._work(lane))

    async def _work(self, lane: _Lane) -> None:
        try:
            while lane.waiting:
                async with self._slots:
                    await self._answer(lane, lane.waiting.popleft())
        except _Gone:
            lane.waiting.clear()
        finally:
            lane.task = None

    # --- responses ----------------------------------------------------------------------------------------------

    async def _answer(self, lane: _Lane, request: _Request) -> None:
        """Answer one request. Raises `_Gone`."""
        service, telling = self._service, _Telling(lane.name)
        try:
            with service.in_flight():
                if self._ending is not None or service.draining.is_set():
                    raise self._ending or GoingDown
                caller = await service.keys.caller(self._request.headers)  # again, for it may be revoked by now
                service.rates.take(caller)
                async with _in_time(service.settings.limits.stream_s):
                    lane.last = await self._told(caller, request, telling)
        except _Gone:
            raise
        except Exception as error:
            if lane.last is not None and lane.last[0] == request.previous:
                lane.last = None  # as OpenAI does: who fails on a lane begins it anew
            if telling.encoder is not None and telling.encoder.sequence:
                telling.encoder.fail(error)
                await self._flush(telling)
            else:
                await self._tell(self._error(error, lane.name))

    async def _told(self, caller: Caller, request: _Request, telling: _Telling) -> tuple[str, Path] | None:
        """Tell the response; what the lane keeps of it."""
        call = Call(self._service, self._request, caller)
        asked = decoded(call, request.body)
        path = self._kept(request.previous) if asked.store is False else None
        exchange = await begun(call, request.body, asked, path=path)
        if not request.generate:
            exchange.run = _Unasked(exchange)
        encoder = telling.encoder = encoder_of(
            exchange.turn, asked.echo, encrypted=ENCRYPTED in asked.include, frame=telling.frame
        )
        async with aclosing(exchange.deltas()) as deltas:
            await self._tell_deltas(deltas, encoder, telling)
        turn = exchange.turn
        answer = exchange.answer or Answer(Message("assistant"))
        encoder.finish(answer, usage_of(turn), int(turn.finished_at or 0))
        await self._flush(telling)
        if exchange.asked.stored or not continues(turn):
            return None
        return response_id(turn.id), exchange.path.followed_by(turn)

    async def _tell_deltas(
        self, deltas: AsyncGenerator[Delta | Notice, None], encoder: StreamEncoder, telling: _Telling
    ) -> None:
        first = asyncio.ensure_future(anext(deltas, None))
        try:
            await asyncio.wait({first}, timeout=FIRST_WITHIN_S)
            if not first.done():  # until now, an error would have had a status
                encoder.begin()
                await self._flush(telling)
            delta = await first
        finally:
            await _stopped(first)
        while delta is not None:
            if not isinstance(delta, Notice):
                encoder.encode(delta)
                await self._flush(telling)
            delta = await anext(deltas, None)

    def _kept(self, id: str | None) -> Path | None:
        """All that was said up to the end of a response that is not stored."""
        found = (lane.last[1] for lane in self._lanes.values() if lane.last is not None and lane.last[0] == id)
        return next(found, None)

    # --- events -------------------------------------------------------------------------------------------------

    async def _flush(self, telling: _Telling) -> None:
        for event in telling.take():
            await self._tell(event)

    async def _tell(self, event: bytes) -> None:
        try:
            await self._send({"type": "websocket.send", "text": event.decode()})
        except OSError:  # how uvicorn says it
            raise _Gone from None

    def _error(self, error: Exception, stream_id: str | None) -> bytes:
        """The event that tells this error, as `Door.error` would."""
        answer = self._door.error(error)
        fields: dict[str, Any] = msgspec.json.decode(answer.body)["error"]
        if isinstance(error, Refused):
            fields |= {"code": error.code, "param": error.param}
        fields["code"] = fields["code"] or fields["type"]  # Open Responses wants one
        if (seconds := answer.headers.get("retry-after")) is not None:
            fields["headers"] = {"retry-after": seconds}
        event = {"type": "error", "status": answer.status_code, "error": fields}
        return _encode(event if stream_id is None else {**event, "stream_id": stream_id})


class _Telling:
    """The events of one response that are yet to be sent, each with its lane's name."""

    def __init__(self, stream_id: str | None) -> None:
        self.encoder: StreamEncoder | None = None
        self._events: list[bytes] = []
        self._end = b"}" if stream_id is None else b',"stream_id":"%s"}' % stream_id.encode()

    def frame(self, type: str, event: bytes) -> bytes:
        self._events.append(event[:-1] + self._end)
        return b""

    def take(self) -> list[bytes]:
        events, self._events = self._events, []
        return events


class _Unasked(Run):
    """A run that asks no model: what is said waits for the response that follows it (`generate: false`)."""

    def __init__(self, exchange: Exchange) -> None:
        pass
