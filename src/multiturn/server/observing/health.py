"""`/health`, `/ready` and `/metrics`: for who runs the server, without a key and without a trace of their own."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from multiturn.errors import StoreError
from multiturn.server.doors import json
from multiturn.server.observing.watching import Watching
from multiturn.stores.base import Store

if TYPE_CHECKING:
    from multiturn.server.service import Service

STORE_WITHIN_S = 2.0
_FRESH_S = 1.0  # the store is asked no more often, however often somebody asks here
_NOBODY = bytes(32)


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests should come here, and what speaks against it: a part of the server, and a sentence."""

    ready: bool
    problems: dict[str, str] = {}


def routes(service: Service) -> list[BaseRoute]:
    """`/health` says that the process answers; `/ready` is a 503 where requests should go elsewhere, and says why."""
    store = _StoreProbe(service.store)

    async def health(_: Request) -> Response:
        return json(b'{"status":"ok"}')

    async def ready(_: Request) -> Response:
        found = await readiness(service, store)
        return json(msgspec.json.encode(found), 200 if found.ready else 503)

    async def metrics(request: Request) -> Response:
        assert isinstance(watch, Watching)
        assert figures is not None
        watch.catch_up()
        figures.sample(service)
        page, media_type = await asyncio.to_thread(figures.shown, request.headers.get("accept", ""))
        return Response(page, media_type=media_type)

    made: list[BaseRoute] = [Route("/health", health), Route("/ready", ready)]
    watch = service.observer
    figures = watch.metrics if isinstance(watch, Watching) else None
    return made if figures is None else [*made, Route("/metrics", metrics)]


async def readiness(service: Service, store: _StoreProbe) -> Readiness:
    problems = {}
    if service.draining.is_set():
        problems["server"] = "is going down"
    if problem := await store.problem():
        problems["store"] = problem
    states = service.upstreams.states()
    if not service.upstreams.is_offline and not any(state.healthy for state in states):
        problems["upstreams"] = f"none of {len(states)} answers" if len(states) > 1 else "does not answer"
    return Readiness(not problems, problems)


class _StoreProbe:
    """Asks the store whether it is there, by a look-up that finds nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked_at = -_FRESH_S
        self._problem: str | None = None
        self._asking = asyncio.Lock()

    async def problem(self) -> str | None:
        """What is wrong with it; None where nothing is."""
        async with self._asking:
            if time.monotonic() >= self._asked_at + _FRESH_S:
                self._problem = await self._ask()
                self._asked_at = time.monotonic()
            return self._problem

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(STORE_WITHIN_S):
                await self._store.key(_NOBODY)
        except TimeoutError:
            return f"has not answered within {STORE_WITHIN_S:g} s"
        except StoreError as error:
            return type(error).__name__
        return None
