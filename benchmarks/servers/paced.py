"""An upstream whose streams take their time, in a process of its own: in `benchmarks/`,

    python -m servers.paced PORT PER_SECOND SECONDS

Every request to it, whatever its path, is answered with a Chat Completions stream of so many pieces a second. The text
of a piece is the time at which it was sent: nanoseconds of the clock that all processes share (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections import deque
from typing import ClassVar, cast

import uvloop

from servers import answers

_TICK_S = 0.001
_MARK = b"@TIME@"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_ID = b"0123456789abcdef0123456789abcdef"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_PIECE = answers.chunk({"content": _MARK.decode()}).replace(answers.ID.encode(), _ID)
_STAMP = 20  # characters that a time takes, so that all pieces are of one length
_BEFORE, _AFTER = _chunk(_PIECE.replace(_MARK, b"%0*d" % (_STAMP, 0))).split(b"%0*d" % (_STAMP, 0))
_LAST = (answers.chunk({}, "stop") + answers.LAST).replace(answers.ID.encode(), _ID)
_END = _chunk(_LAST) + b"0\r\n\r\n"


class Paced(asyncio.Protocol):
    """One connection. What streams stands in `due`, in the order in which the next pieces are to be sent: when, which
    connection, and how many pieces are left."""

    due: ClassVar[deque[tuple[float, Paced, int]]] = deque()
    every_s = 0.05
    pieces = 600

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # that of uvloop is none by its class
        self._head, self._missing = b"", 0

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            length = head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0]
            self._head, self._missing, data = b"", int(length), body
        self._missing -= len(data)
        if not self._missing:
            self.transport.write(_HEAD)
            self.due.append((time.monotonic() + self.every_s, self, self.pieces))

    def send(self, left: int) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(b"%s%0*d%s" % (_BEFORE, _STAMP, time.monotonic_ns(), _AFTER))
        if left == 1:
            self.transport.write(_END)


async def _pace() -> None:
    """Every connection has the same pace, so the one that was served last is due last."""
    due = Paced.due
    while True:
        now = time.monotonic()
        while due and due[0][0] <= now:
            when, connection, left = due.popleft()
            connection.send(left)
            if left > 1:
                due.append((when + Paced.every_s, connection, left - 1))
        await asyncio.sleep(_TICK_S)


async def _serve(port: int) -> None:
    await asyncio.get_running_loop().create_server(Paced, "127.0.0.1", port, backlog=2048)
    await _pace()


if __name__ == "__main__":
    port, per_second, seconds = sys.argv[1:]
    Paced.every_s, Paced.pieces = 1 / float(per_second), round(float(per_second) * float(seconds))
    gc.disable()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(int(port)))
