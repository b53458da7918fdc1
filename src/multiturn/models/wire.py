"""HTTP/1.1 as a client speaks it (RFC 9112), on one connection: a request, its answer, then perhaps the next.

What is known here is one connection. Who keeps it, and for how long, is in `multiturn.models.connections`; limits of
time, retries and errors of ours are in `multiturn.models.http`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from typing import Protocol, cast

import httptools

MAX_HEAD_BYTES = 64 << 10
MAX_HEADERS = 256
MOST_UNREAD = 256 << 10  # bytes that wait for a slow reader before the sender is made to wait
PIECE_BYTES = 256 << 10
"""What a big request body is written in: written whole, what the socket does not take at once is copied, and moves in
memory with every piece that it takes."""

Broken = (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade)
"""What breaks a connection: the network, or an answer that is no HTTP."""


class Keeper(Protocol):
    """Who is told what becomes of a connection."""

    def freed(self, connection: Connection) -> None:
        """An answer has come to its end, and another request can be made."""

    def closed(self, connection: Connection) -> None:
        """May be told twice."""


class Connection(asyncio.Protocol):
    """A connection on which one request at a time is made: `ask`, wait for `more` until it `has_head`, then `take`
    until it gives nothing. `close` or `leave` it after that, or before."""

    transport: asyncio.Transport

    def __init__(self, keeper: Keeper, route: Hashable = None) -> None:
        self.route = route  # its keeper's
        self.error: Exception | None = None  # what has broken it, one of `Broken`; it is of no use any more
        self.status = 0
        self.headers: dict[str, str] = {}  # the names in lower case; the first of several alike
        self.has_head = False
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._head_bytes = 0
        self._pieces: list[bytes] = []  # of the body, not yet taken
        self._unread = 0
        self._unsent = memoryview(b"")  # the rest of the request's body
        self._is_over = True  # the answer has come to its end
        self._is_left = False  # nobody wants the rest of the answer
        self._is_reusable = False
        self._reads = self._writes = True
        self._waiter: asyncio.Future[None] | None = None
        self._until = math.inf
        self._timer: asyncio.TimerHandle | None = None

    # --- a request and its answer ---------------------------------------------------------------------------------

    def ask(self, head: bytes, body: bytes) -> None:
        """Send a request. A big body goes out while its answer is waited for, which may come before all of it went."""
        self.status, self.headers, self.has_head, self._head_bytes = 0, {}, False, 0
        self._is_over = self._is_left = self._is_reusable = False
        self._until = math.inf
        if self.transport.is_closing():
            self.error = self.error or ConnectionResetError("closed before the request")
        elif len(body) <= PIECE_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._unsent = memoryview(body)
            self._send()

    def _send(self) -> None:
        while self._unsent and self._writes:
            piece, self._unsent = self._unsent[:PIECE_BYTES], self._unsent[PIECE_BYTES:]
            self.transport.write(piece)

    def more(self, until: float) -> asyncio.Future[None]:
        """Done when something has come, or has broken the connection; `TimeoutError` at that moment of the loop."""
        self._waiter = self._loop.create_future()
        self._ring_at(until)
        return self._waiter

    def take(self) -> bytes | None:
        """What has come of the body; nothing at its end, None where one has to wait. Raises what has broken the
        connection, once all that came before is taken."""
        if self._pieces:
            pieces = self._take_all()
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._is_over:
            return b""
        if self.error is not None:
            raise self.error
        return None

    def _take_all(self) -> list[bytes]:
        pieces, self._pieces, self._unread = self._pieces, [], 0
        if not self._reads and not self.transport.is_closing():
            self._reads = True
            self.transport.resume_reading()
        return pieces

    def leave(self, linger_s: float) -> None:
        """No more of the answer is wanted. If it comes to its end in that time the connection is used again."""
        self._is_left = True
        self._drop()
        if not self._is_over:
            self.hang_up_at(self._loop.time() + linger_s)

    def close(self) -> None:
        """Hang up, unless the answer has come to its end already."""
        self._drop()
        if not self._is_over:
            self.abort()

    def abort(self) -> None:
        """Hang up. Who waits for the rest of the answer gets an error."""
        if not self._is_over:
            self.error = self.error or ConnectionAbortedError("closed on this side")
        self.transport.abort()
        self._keeper.closed(self)
        self._wake()

    def hang_up_at(self, until: float) -> None:
        """Hang up at that moment of the loop's clock, unless it is used before."""
        self._waiter = None
        self._ring_at(until)

    def _drop(self) -> None:
        """What has come is not wanted; and if that was all, the connection is free."""
        self._take_all()
        if self._is_over and self._is_reusable and not self._unsent and not self.transport.is_closing():
            self._keeper.freed(self)
        elif self._is_over:
            self.abort()

    # --- its clock ------------------------------------------------------------------------------------------------

    def _ring_at(self, until: float) -> None:
        """One timer goes with a connection, however often it is waited for: most limits move on before they are
        reached, so it is set again when it rings, and at once only to an earlier moment."""
        self._until = until
        if until < (math.inf if self._timer is None else self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._loop.time() < self._until:
            self._ring_at(self._until)
        elif self._waiter is None:
            self.abort()  # it was kept, or left, for long enough
        elif not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def _wake(self) -> None:
        if self._waiter is not None:
            self._until = math.inf
            if not self._waiter.done():
                self._waiter.set_result(None)

    # --- asyncio's side -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by name

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self.abort()  # nobody has asked
            return
        try:
            self._parser.feed_data(data if self.has_head else self._after_head(data))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._spoil(error)
        if self._is_left:
            self._drop()
        elif self._unread > MOST_UNREAD and self._reads:
            self._reads = False
            self.transport.pause_reading()
        self._wake()

    def _after_head(self, data: bytes) -> bytes:
        """What is left to parse. Where there is more than a head may have, the head must be in the first of it."""
        self._head_bytes += len(data)
        if self._head_bytes <= MAX_HEAD_BYTES:
            return data
        room = MAX_HEAD_BYTES - (self._head_bytes - len(data))
        self._parser.feed_data(data[:room])
        if not self.has_head:
            raise httptools.HttpParserError("a head without end")
        return data[room:]

    def _spoil(self, error: Exception) -> None:
        self._is_reusable = False
        if not self._is_over:
            self.error = self.error or error
            self.transport.abort()

    def pause_writing(self) -> None:
        self._writes = False

    def resume_writing(self) -> None:
        self._writes = True
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        bounded = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower()
        if self.has_head and not bounded and error is None and self.error is None:
            self._is_over = True  # RFC 9112, section 6.3: such a body ends with its connection
        self._is_reusable = False
        self.error = self.error or error or ConnectionResetError("closed on the other side")
        self._unsent = memoryview(b"")
        self._keeper.closed(self)
        self._wake()
        if self._timer is not None:
            self._timer.cancel()

    # --- httptools' side ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_over:
            raise httptools.HttpParserError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # or it is a trailer
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS:
            raise httptools.HttpParserError("too many headers")
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= 200

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._unread += len(body)

    def on_message_complete(self) -> None:
        if self.has_head:
            self._is_over = True
            self._is_reusable = self._parser.should_keep_alive()
        else:
            self.headers.clear()  # 100 Continue and the like: the answer is yet to come
