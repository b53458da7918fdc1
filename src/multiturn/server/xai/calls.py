"""`Method`: what every method of the service has in common. Who is calling, how long it may take, and how an error is
told as a status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from multiturn.errors import GoingDown, MultiturnError, RateLimited, TotalTimedOut
from multiturn.formats.xai.failures import encode_error, http_status
from multiturn.models.channels import grpc
from multiturn.server.auth import Caller
from multiturn.server.service import Service
from multiturn.stores.base import Store

Context: TypeAlias = Any
"""A `grpc.aio.ServicerContext`; gRPC has no types that a checker could see."""
Handler: TypeAlias = Callable[["Call"], Awaitable[bytes]]

DOOR = "xai"
_LATER_S = 1.0  # a turn that takes too long ends by itself; so much later also one whose client reads nothing
_MOST_UNSENT = 256 << 10  # bytes that wait for a slow reader before the model is made to wait
_log = logging.getLogger("multiturn.server")


class Failed(Exception):
    """Ends a call with the status of this name."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code


class _Gone(Exception):
    """The client has hung up, and its call is being cancelled."""


class Call:
    """One call, by somebody who may make it. `body` is the request's message."""

    def __init__(self, service: Service, caller: Caller, body: bytes, context: Context) -> None:
        self.service = service
        self.caller = caller
        self.body = body
        self._context = context
        self._unsent: list[bytes] = []
        self._size = 0
        self._sending: asyncio.Task[None] | None = None

    @property
    def store(self) -> Store:
        """The store as this caller's tenant sees it."""
        return self.service.store.tenant(self.caller.tenant)

    async def write(self, message: bytes) -> None:
        """Send a message of a stream. Those that come while one is on its way go together, for protobuf's messages are
        merged by joining their bytes. Waits while the client is slow to read."""
        self._unsent.append(message)
        self._size += len(message)
        if self._sending is None or self._sending.done():
            await self.sent()
            self._sending = asyncio.create_task(self._send())
        if self._size > _MOST_UNSENT:
            await self.sent()

    async def _send(self) -> None:
        while self._unsent:
            data = b"".join(self._unsent)
            self._unsent.clear()
            self._size = 0
            try:
                await self._context.write(data)
            except grpc.aio.BaseError as error:
                raise _Gone from error

    async def sent(self) -> None:
        """Returns once all that was written is on its way."""
        if self._sending is not None:
            await self._sending

    async def drop(self) -> None:
        """Send no more."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)


class Method:
    """A method of the service. `handler` gives the reply; in a stream it writes, and what it gives is not sent."""

    def __init__(self, service: Service, route: str, handler: Handler) -> None:
        self._service = service
        self._route = route
        self._handler = handler

    async def answer(self, body: bytes, context: Context) -> bytes:
        """What gRPC calls. Raises its `AbortError` once the client has been told of an error."""
        service, began = self._service, time.monotonic()
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        more = _shown([*service.observer.arrived(DOOR, "POST", self._route, metadata), *service.headers])
        caller, code = None, "CANCELLED"  # the client's hanging up cancels this task
        with service.in_flight():
            try:
                try:
                    caller = await self._caller(metadata)
                    reply = await self._in_time(Call(service, caller, body, context))
                    context.set_trailing_metadata(more)
                    code = "OK"
                    return reply
                except _Gone:
                    return b""
                except Exception as error:
                    code, details, wait = _told(error)
                await context.abort(grpc.StatusCode[code], details, (*more, *wait))
                raise AssertionError("abort has raised")
            finally:
                status = http_status(code)
                service.observer.request(DOOR, "POST", self._route, status, time.monotonic() - began, caller)

    async def _caller(self, metadata: Mapping[str, str]) -> Caller:
        """As `Service.caller`, which reads HTTP's headers."""
        caller = await self._service.keys.caller(metadata)
        if self._service.draining.is_set():
            raise GoingDown
        self._service.rates.take(caller)
        return caller

    async def _in_time(self, call: Call) -> bytes:
        longest_s = self._service.settings.limits.stream_s
        try:
            async with asyncio.timeout(longest_s + _LATER_S) as limit:
                return await self._sent(call)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TotalTimedOut(f"the answer took longer than {longest_s:g} s, which is the most here") from None
        finally:
            await call.drop()

    async def _sent(self, call: Call) -> bytes:
        """The reply, once what was written is on its way; also where an error follows it."""
        try:
            reply = await self._handler(call)
        except Exception:
            await call.sent()
            raise
        await call.sent()
        return reply


def _told(error: Exception) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """The status of this error, and in how many seconds to come again. What is not ours is logged."""
    if isinstance(error, Failed):
        return error.code, str(error), ()
    if not isinstance(error, MultiturnError):
        _log.error("a call failed", exc_info=error, extra={"door": DOOR})
    code, details = encode_error(error)
    wait: tuple[tuple[str, str], ...] = ()
    if isinstance(error, RateLimited) and error.retry_after_s is not None:
        wait = (("retry-after", str(max(1, round(error.retry_after_s)))),)
    return code, details, wait


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Headers as gRPC's metadata, which has none of HTTP's own."""
    return tuple((name.decode(), value.decode()) for name, value in headers if name.startswith(b"x-"))
