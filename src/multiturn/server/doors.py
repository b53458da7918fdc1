"""`Door`: what every API of the server has in common. Who is calling, how much they may send, and how an error is told
in the API's own shape."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multiturn.errors import GoingDown, MultiturnError, RateLimited
from multiturn.server.auth import Caller
from multiturn.server.limits import read_body
from multiturn.stores.base import Store

if TYPE_CHECKING:
    from multiturn.server.service import Service

Handler: TypeAlias = Callable[["Call"], Awaitable[ASGIApp]]
ErrorEncoder: TypeAlias = Callable[[Exception], tuple[int, bytes]]

T = TypeVar("T")
_WATCH_AFTER_S = 0.2  # before, an answer is there sooner than it could be stopped
_log = logging.getLogger("multiturn.server")


class Call:
    """One request at a door, from somebody who may make it."""

    def __init__(self, service: Service, request: Request, caller: Caller) -> None:
        self.service = service
        self.request = request
        self.caller = caller

    @property
    def store(self) -> Store:
        """The store as this caller's tenant sees it."""
        return self.service.store.tenant(self.caller.tenant)

    async def body(self) -> bytes:
        """The request's body, of JSON. Raises `RequestTooLarge`, and `InvalidInput` for JSON too deep or too long."""
        return await read_body(self.request, self.service.settings.limits)

    def param(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


class Door:
    """One API. `encode_error` gives an error's status and body as that API tells it."""

    def __init__(self, service: Service, name: str, encode_error: ErrorEncoder) -> None:
        self.service = service
        self.name = name
        self._encode_error = encode_error

    def route(self, path: str, handler: Handler, methods: Sequence[str] = ("POST",)) -> Route:
        return Route(path, _Endpoint(self, path, handler), methods=list(methods))

    def error(self, error: Exception) -> Response:
        """The answer that tells this error; what is not ours tells nothing of its inside, and is logged."""
        if not isinstance(error, MultiturnError):
            _log.error("a request failed", exc_info=error, extra={"door": self.name})
        status, body = self._encode_error(error)
        headers = {}
        if isinstance(error, RateLimited | GoingDown) and error.retry_after_s is not None:
            headers["retry-after"] = str(max(1, round(error.retry_after_s)))
        return json(body, status, headers)


class _Endpoint:
    """A route of a door, as an ASGI application."""

    def __init__(self, door: Door, path: str, handler: Handler) -> None:
        self._door = door
        self._path = path
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door, service, began = self._door, self._door.service, time.monotonic()
        request, caller = Request(scope, receive), None
        has_begun, status = False, 499  # what a log says of a client that has gone
        more = service.observer.arrived(door.name, request.method, self._path, request.headers)

        def answer(message: Message) -> Awaitable[None]:
            nonlocal has_begun, status
            if not has_begun:
                has_begun, status = True, message["status"]
                message["headers"] = [*message["headers"], *more, *service.headers]
            return send(message)

        with service.in_flight():
            try:
                try:
                    caller = await service.caller(request)
                    response = await self._handler(Call(service, request, caller))
                    await response(scope, receive, answer)
                except ClientDisconnect:
                    return
                except asyncio.CancelledError:
                    if has_begun or not service.draining.is_set():
                        raise
                    await door.error(GoingDown())(scope, receive, answer)  # the time to end by itself is over
                except Exception as error:
                    if has_begun:
                        raise
                    await door.error(error)(scope, receive, answer)
            finally:
                service.observer.request(
                    door.name, request.method, self._path, status, time.monotonic() - began, caller
                )


def json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON."""
    return Response(body, status, headers, media_type="application/json")


async def while_there(receive: Receive, work: Awaitable[T]) -> T:
    """What `work` gives. It is cancelled when the client hangs up, for nobody waits for it then: raises
    `ClientDisconnect`. The request's body must have been read."""
    me, has_left, is_over = asyncio.current_task(), False, False
    assert me is not None

    def leave(leaving: asyncio.Task[None]) -> None:
        nonlocal has_left
        if not leaving.cancelled() and not is_over:
            has_left = True
            me.cancel()

    leaving: asyncio.Task[None] | None = None

    def watch() -> None:
        nonlocal leaving
        leaving = asyncio.ensure_future(_gone(receive))
        leaving.add_done_callback(leave)

    timer = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, watch)
    try:
        return await work
    except asyncio.CancelledError:
        if has_left and not me.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        is_over = True
        timer.cancel()
        if leaving is not None:
            leaving.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
