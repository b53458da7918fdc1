"""The application: every door on one service, and its life from start to drain."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.supervisors import Multiprocess

from multiturn.errors import MultiturnError, NotFound
from multiturn.formats.chat_completions import encode_error
from multiturn.models import catalogue
from multiturn.server import anthropic, chat_completions, conversations, draining, models, observing, openapi, responses
from multiturn.server.doors import Call, Door, json
from multiturn.server.listening import JoiningProtocol, Listening, often
from multiturn.server.observing import logs
from multiturn.server.service import Service
from multiturn.server.settings.values import ServerSettings
from multiturn.server.upstreams import Upstreams
from multiturn.stores import open_store

if TYPE_CHECKING:
    from multiturn.server.xai import Grpc

_RECOVER_EVERY_S = 5.0
_SAMPLE_EVERY_S = 1.0
_SETTINGS = "MULTITURN_SERVE_SETTINGS"  # how the processes of `--workers` learn theirs
_log = logging.getLogger("multiturn.server")


def routes(service: Service) -> list[BaseRoute]:
    """Every door's."""
    doors = (responses, conversations, chat_completions, anthropic, models, observing, openapi)
    return [route for door in doors for route in door.routes(service)]


def create_app(settings: ServerSettings) -> Application:
    """The ASGI application of one process, with its service as `app.state.service`. Nothing is opened before it
    starts."""
    importlib.import_module("multiturn.models.http")
    catalogue.prepare()  # no request should wait for these
    upstreams = Upstreams(settings.routes, settings.upstreams, allow_providers=bool(settings.allow_providers))
    watching = observing.Watching(settings, [card.id for card in upstreams.names()])
    store = watching.timed(open_store(settings.store))
    service = Service(settings, store, upstreams, watching)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await store.recover()
        grpc = await _grpc(service)
        chores = asyncio.gather(
            _sweep(service), service.background.sweep(), watching.sample(service, every_s=_SAMPLE_EVERY_S)
        )
        try:
            with draining.on_signals(service):
                yield
        finally:
            service.draining.set()
            if grpc is not None:
                await grpc.stop(draining.CUT_S)
            chores.cancel()
            with suppress(asyncio.CancelledError):
                await chores
            await service.background.aclose()
            await upstreams.aclose()
            await store.aclose()
            watching.catch_up()

    app = Application(routes(service), lifespan, settings.cors_origins)
    app.add_exception_handler(HTTPException, _stray(service))
    app.state.service = service
    return app


async def _grpc(service: Service) -> Grpc | None:
    """The server of xAI's API, running; None where it is not wanted, or its extra is not installed."""
    if not service.settings.grpc or find_spec("xai_sdk") is None:
        return None
    from multiturn.server.xai import Grpc

    grpc = Grpc()
    _log.info("listening for gRPC", extra={"host": service.settings.host, "port": await grpc.start(service)})
    return grpc


def _stray(service: Service) -> Callable[[Request, Exception], Any]:
    """What answers where no route does, in the shape that most clients read."""
    door = Door(service, "none", encode_error)

    async def refuse(request: Request, error: Exception) -> ASGIApp:
        assert isinstance(error, HTTPException)
        status, headers = error.status_code, error.headers
        body = encode_error(NotFound("route", f"{request.method} {request.url.path}"))[1]

        async def tell(_: Call) -> ASGIApp:
            return json(body, status, headers)

        return door.route("/{path}", tell).app

    return refuse


class Application(Starlette):
    """Starlette, but that a path without parameters leads straight to its door: what Starlette adds on the way, doors
    do themselves, and it costs as much as all else that is done for a short request."""

    def __init__(
        self, routes: Sequence[BaseRoute], lifespan: Callable[[Any], Any], origins: Sequence[str] = ()
    ) -> None:
        super().__init__(routes=routes, lifespan=lifespan)
        self.router.redirect_slashes = False
        self._answer: ASGIApp = self._routed
        if origins:
            told = ("x-request-id", "request-id", "retry-after")
            self._answer = CORSMiddleware(
                self._routed, origins, allow_methods=("*",), allow_headers=("*",), expose_headers=told
            )
        self._straight = {
            (method, route.path): route.app
            for route in routes
            if isinstance(route, Route) and "{" not in route.path
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["app"] = self
            straight = self._straight.get((scope["method"], scope["path"]))
            if straight is not None:
                await straight(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


async def _sweep(service: Service) -> None:
    """Close what other processes have left half-done, from time to time."""
    while True:
        await asyncio.sleep(_RECOVER_EVERY_S)
        try:
            await service.store.recover()
        except MultiturnError as error:
            _log.warning("the store could not be looked over: %s", error)


def serve(settings: ServerSettings) -> None:
    """Run the server until it is told to stop. SIGTERM and Ctrl-C drain it: nothing new begins, what runs has
    `drain_s` seconds to end. Raises `MultiturnError` where it cannot start."""
    logs.configure(settings.log)
    if settings.workers > 1:
        _serve_by_many(settings)
        return
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn, once it has ended well, raises it again
    server = Listening(uvicorn.Config(create_app(settings), **_options(settings)))
    _settle()
    server.run()
    if not server.started:
        raise SystemExit(3)


def _serve_by_many(settings: ServerSettings) -> None:
    """A process that starts the others, and starts anew those that die. They share a socket, and a folder in which
    their figures are."""
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)  # it tells where they listen, and of their deaths
    os.environ[_SETTINGS] = msgspec.json.encode(settings).decode()
    application, workers = "multiturn.server.app:from_environment", settings.workers
    with tempfile.TemporaryDirectory(prefix="multiturn-metrics-") as folder, suppress(KeyboardInterrupt):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        config = uvicorn.Config(application, factory=True, workers=workers, **_options(settings))
        Multiprocess(config, sockets=often(config.bind_socket())).run()


def from_environment() -> Application:
    """The application of one of several processes."""
    settings = msgspec.json.decode(os.environ[_SETTINGS], type=ServerSettings)
    logs.configure(settings.log)
    app = create_app(settings)
    _settle()
    return app


def _settle() -> None:
    """Make this a process that serves. What is there by now is never garbage, and the values of a turn form no cycles:
    the collector need not look for some after every 700 objects. And the threads of the store, which work for
    microseconds at a time, need not take over from the event loop that often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(0.02)


def _options(settings: ServerSettings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": JoiningProtocol,
        "ws": "websockets-sansio",
        "ws_max_size": 2 * settings.limits.body_bytes,  # what is not far too long is told so
        "ws_per_message_deflate": False,  # it would cost more than all else that is done for an event
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 1,  # by then everything that can be told has been (`draining`)
        "timeout_keep_alive": 75,
    }
