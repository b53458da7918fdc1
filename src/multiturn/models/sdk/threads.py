"""The calls of a client that blocks, in threads.

A reply has a thread of its own, from the request to the end of its body. Not `asyncio.to_thread`: its pool is as small
as the machine, a waiting call takes one of its threads for minutes, and a program that ends waits for them all.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from multiturn.models.sdk.failures import cut
from multiturn.models.sdk.replies import LINGER_S, Reply

T = TypeVar("T")


class Line:
    """One thread that does what it is told, in order, until it is let go."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        threading.Thread(target=_work, args=(self._jobs,), name="multiturn-sdk", daemon=True).start()

    async def run(self, job: Callable[[], T]) -> T:
        """The job's result, under the caller's context variables. Cancelling gives up the wait and not the job."""
        done: Future[T] = Future()
        context = contextvars.copy_context()  # tracing finds the caller's span there
        self._jobs.put(lambda: _settle(done, lambda: context.run(job)))
        return await asyncio.wrap_future(done)

    def end(self, last: Callable[[], object] = lambda: None) -> None:
        """Let the thread go, after what it was told before and `last`, whose errors nobody hears."""
        self._jobs.put(lambda: _heedless(last))
        self._jobs.put(None)


def _work(jobs: SimpleQueue[Callable[[], object] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()


def _settle(done: Future[T], job: Callable[[], T]) -> None:
    if done.set_running_or_notify_cancel():
        try:
            result = job()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(result)


def _heedless(job: Callable[[], object]) -> None:
    with suppress(Exception):
        job()


async def once(job: Callable[[], T]) -> T:
    """What a job that blocks returns."""
    line = Line()
    try:
        return await line.run(job)
    finally:
        line.end()


class ThreadReply(Reply):
    """A reply that a sync client has begun to receive."""

    def __init__(self, http_response: Any, line: Line, host: str) -> None:
        super().__init__(http_response.status_code, http_response.headers, host)
        self._response = http_response
        self._pieces = http_response.iter_bytes()
        self._line = line

    @classmethod
    async def to(cls, ask: Callable[[], Any], host: str) -> ThreadReply:
        """The reply to a call that blocks and returns a response of httpx, its body not read. Where nobody waits for
        it any more, it is closed as soon as it comes."""
        line = Line()
        came: list[Any] = []
        try:
            await line.run(lambda: came.append(ask()))
        except BaseException:
            line.end(lambda: [response.close() for response in came])
            raise
        return cls(came[0], line, host)

    async def read_some(self) -> bytes:
        try:
            return await self._line.run(lambda: next(self._pieces, b""))
        except Exception as error:
            failure = cut(error, self.host)
        raise failure  # not inside `except`, see `given`

    def leave(self) -> None:
        """As `Reply.leave`, in the thread."""
        self._line.end(self._read_on_here)
        asyncio.get_running_loop().call_later(LINGER_S, _hang_up, self._response)

    def _read_on_here(self) -> None:
        with closing(self._response):
            for _ in self._pieces:
                pass

    def close(self) -> None:
        _hang_up(self._response)
        self._line.end(self._response.close)


def _hang_up(response: Any) -> None:
    """Wake a thread that waits for more of this response, and let the provider see the connection close: closing a
    socket does neither while it is being read. Not over HTTP/2, whose connection is shared: there the thread notices
    with the next piece. https://www.python-httpx.org/advanced/extensions/#network_stream"""
    stream = response.extensions.get("network_stream")
    if response.is_closed or stream is None or "stream_id" in response.extensions:
        return
    connection = stream.get_extra_info("socket")
    if isinstance(connection, socket.socket):
        with suppress(OSError):  # it is closed already
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
