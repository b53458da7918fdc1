"""`EventStream`: server-sent events on their way to a client who may go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from multiturn.errors import MultiturnError
from multiturn.formats.sse import KEEP_ALIVE
from multiturn.server.doors import while_there

KEEP_ALIVE_S = 10.0
"""After one to two times as long without an event, a ping is sent."""
FIRST_WITHIN_S = 5.0
"""How long a stream waits for its first event before it begins: until then, an error still has a status of its own."""
_log = logging.getLogger("multiturn.server")


class EventStream:
    """An ASGI response that sends what `pieces` yields. A client who reads slowly makes `pieces` wait, and with it the
    model; one who goes away stops it: then `pieces` is cancelled and closed. What `pieces` raises before the stream has
    begun is raised, for that has a status of its own; after that it is told as `fail` tells it. `ping` is sent where
    there is nothing to say for long."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        fail: Callable[[Exception], bytes],
        headers: Mapping[str, str] | None = None,
        *,
        ping: bytes = KEEP_ALIVE,
    ) -> None:
        self.headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        self.headers.update(headers or {})
        self._pieces = pieces
        self._fail = fail
        self._ping = ping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `ClientDisconnect` once the client has gone."""
        out = _Out(send, self.headers, self._ping)
        try:
            await while_there(receive, self._tell(out))
        finally:
            out.end()

    async def _tell(self, out: _Out) -> None:
        try:
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    if piece:
                        await out.send(piece)
        except Exception as error:
            if not out.has_begun:
                raise
            if not isinstance(error, MultiturnError):
                _log.error("a stream failed", exc_info=error)
            await out.send(self._fail(error))
        await out.send(b"", more=False)


class _Out:
    """The way to the client. A clock begins the stream where the first event is long in coming, and sends pings."""

    def __init__(self, send: Send, headers: Mapping[str, str], ping: bytes) -> None:
        self.has_begun = False
        self._send = send
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self._ping = ping
        self._is_quiet = True
        self._telling: asyncio.Task[None] | None = None  # what the clock sends
        self._clock = asyncio.get_running_loop().call_later(FIRST_WITHIN_S, self._tick)

    async def send(self, data: bytes, *, more: bool = True) -> None:
        self._is_quiet = False
        if self._telling is not None:
            await self._telling
        if not self.has_begun:
            await self._begin()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _begin(self) -> None:
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})

    def _tick(self) -> None:
        if self._is_quiet:
            self._telling = asyncio.ensure_future(self._tell())
        self._is_quiet = True
        self._clock = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._tick)

    async def _tell(self) -> None:
        try:
            if self.has_begun:
                await self._send({"type": "http.response.body", "body": self._ping, "more_body": True})
            else:
                await self._begin()
        finally:
            self._telling = None

    def end(self) -> None:
        self._clock.cancel()
        if self._telling is not None:
            self._telling.cancel()
