"""`EventStream`: server-sent events on their way to a client who may go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from multiturn.errors import MultiturnError
from multiturn.formats.sse import KEEP_ALIVE

KEEP_ALIVE_S = 10.0
"""After one to two times as long without an event, a ping is sent."""
FIRST_WITHIN_S = 5.0
"""How long a stream waits for its first event before it begins: until then, an error still has a status of its own."""
_MOST_WAITING = 256 << 10  # bytes that wait for a slow reader before the model is made to wait
_log = logging.getLogger("multiturn.server")


class EventStream:
    """An ASGI response that sends what `pieces` yields, several at once where they came at once. What `pieces` raises
    once the stream has begun is told as `fail` tells it. When the client goes away, `pieces` is closed, and so the
    model's call with it. `ping` is sent where there is nothing to say for long."""

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
        self._first: asyncio.Task[bytes | None] | None = None

    async def open(self) -> EventStream:
        """Itself, once the first event is there, or has been long in coming. Raises what `pieces` raises before it."""
        self._first = asyncio.ensure_future(_next(self._pieces))
        try:
            await asyncio.wait({self._first}, timeout=FIRST_WITHIN_S)
        except asyncio.CancelledError:
            await _stop(self._first)
            await self._pieces.aclose()
            raise
        if self._first.done():
            self._first.result()
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        buffer = _Buffer(self._ping)
        making = asyncio.ensure_future(self._make(buffer))
        leaving = asyncio.ensure_future(_until_gone(receive))
        leaving.add_done_callback(lambda _: buffer.stop())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while data := await buffer.take():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            if not leaving.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await _stop(leaving)
            await _stop(making)

    async def _make(self, buffer: _Buffer) -> None:
        try:
            if self._first is not None:
                await buffer.put(await self._first or b"")
            async for piece in self._pieces:
                if buffer.add(piece):
                    await buffer.drained()
        except Exception as error:
            if not isinstance(error, MultiturnError):
                _log.error("a stream failed", exc_info=error)
            buffer.add(self._fail(error))
        finally:
            await _stop(self._first)
            await self._pieces.aclose()
            buffer.end()


class _Buffer:
    """Bytes from one task to another."""

    def __init__(self, ping: bytes) -> None:
        self._ping = ping
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._is_quiet = False
        self._tick()

    def _tick(self) -> None:
        if self._is_quiet:
            self.add(self._ping)
        self._is_quiet = True
        self._timer = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._tick)

    def add(self, piece: bytes) -> bool:
        """Whether so much waits that whoever adds should wait too."""
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            self._filled.set()
        return self._size > _MOST_WAITING

    async def put(self, piece: bytes) -> None:
        if self.add(piece):
            await self.drained()

    async def drained(self) -> None:
        self._emptied.clear()
        await self._emptied.wait()

    def end(self) -> None:
        self._timer.cancel()
        self._ended = True
        self._filled.set()

    def stop(self) -> None:
        """Nobody takes any more."""
        self._pieces.clear()
        self.end()

    async def take(self) -> bytes:
        """All that has come; a ping where nothing comes for long; empty at the end."""
        while not self._pieces:
            if self._ended:
                return b""
            self._filled.clear()
            await self._filled.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size, self._is_quiet = 0, False
        self._emptied.set()
        return data


async def _next(pieces: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(pieces, None)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(task: asyncio.Task[object] | asyncio.Future[object] | None) -> None:
    """End a task and wait until it has ended; what it raised is told where it was awaited."""
    if task is None:
        return
    if not task.done():
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
