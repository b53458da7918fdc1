"""`Grpc`: the server of xAI's API, on the event loop that also serves HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from multiturn.errors import InvalidInput
from multiturn.models.channels import grpc
from multiturn.server.draining import CUT_S
from multiturn.server.histories import Histories
from multiturn.server.service import Service
from multiturn.server.settings.values import ServerSettings
from multiturn.server.xai import models
from multiturn.server.xai.calls import Handler, Method
from multiturn.server.xai.chat import Chat
from multiturn.server.xai.compacting import compact
from multiturn.server.xai.deferred import Deferred, forget_unfetched, resume
from multiturn.server.xai.shown import is_deferred

_REFUSING_S = 0.2


class Grpc:
    """Started once, before `service.background` looks for what other nodes have left; and stopped once, before that."""

    async def start(self, service: Service) -> int:
        """Begin to serve at `grpc_port` of the settings, and give the port, for 0 takes a free one. Raises
        `InvalidInput` where nobody can listen there."""
        histories, settings = Histories(), service.settings
        service.background.resumes(is_deferred, resume)
        server = grpc.aio.server(options=_options(settings))
        server.add_generic_rpc_handlers(_services(service, Chat(histories), Deferred(histories)))
        try:
            port: int = server.add_insecure_port(f"{_host(settings)}:{settings.grpc_port}")
        except RuntimeError as error:
            raise InvalidInput(
                f"cannot listen on {_host(settings)}:{settings.grpc_port} for gRPC; choose another with --grpc-port"
            ) from error
        await server.start()
        self._service, self._server = service, server
        self._chores = asyncio.gather(self._drain(service), forget_unfetched(service.store))
        return port

    async def _drain(self, service: Service) -> None:
        """Once the server is going down, send clients elsewhere, and let their calls end. A call that gRPC has taken
        but not passed on when it stops ends as `CANCELLED`, which no client tries again; so whoever calls at the same
        moment as the news comes is first refused by us, as `UNAVAILABLE`."""
        await service.draining.wait()
        await asyncio.sleep(_REFUSING_S)
        await self._server.stop(service.settings.drain_s + CUT_S)

    async def stop(self, grace_s: float) -> None:
        """Returns once no call is answered any more. They have so many seconds to end; then they are cut, and their
        turns are incomplete. Deferred completions are the service's."""
        self._chores.cancel()
        await asyncio.gather(self._chores, return_exceptions=True)
        await self._server.stop(grace_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(CUT_S):
                await self._service.idle()  # what was cut writes down how its turn has ended


def _services(service: Service, chat: Chat, deferred: Deferred) -> tuple[Any, ...]:
    single = {
        "GetCompletion": chat.completion,
        "StartDeferredCompletion": deferred.start,
        "GetDeferredCompletion": deferred.fetch,
        "GetStoredCompletion": chat.stored,
        "DeleteStoredCompletion": chat.delete,
        "CompactContext": compact,
    }
    streamed = {"GetCompletionChunk": chat.chunks}
    listing = {"ListLanguageModels": models.listed, "GetLanguageModel": models.retrieve}
    return _handlers(service, "xai_api.Chat", single, streamed), _handlers(service, "xai_api.Models", listing, {})


def _handlers(service: Service, name: str, single: Mapping[str, Handler], streamed: Mapping[str, Handler]) -> Any:
    def method(each: str, handler: Handler) -> Any:
        return Method(service, f"/{name}/{each}", handler).answer

    rows = {each: grpc.unary_unary_rpc_method_handler(method(each, handler)) for each, handler in single.items()}
    rows |= {each: grpc.unary_stream_rpc_method_handler(method(each, handler)) for each, handler in streamed.items()}
    return grpc.method_handlers_generic_handler(name, rows)


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    """See https://grpc.github.io/grpc/core/group__grpc__arg__keys.html. The SDK pings every 30 s, also where nothing
    is said for long, for which gRPC would hang up on it; our own pings find clients that are gone without a word."""
    return [
        ("grpc.max_receive_message_length", settings.limits.body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(settings.workers > 1)),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _host(settings: ServerSettings) -> str:
    host = settings.host.strip("[]")
    return f"[{host}]" if ":" in host else host
