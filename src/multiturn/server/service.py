"""`Service`: what every door is given, and what lives as long as the server does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from starlette.requests import Request

from multiturn.errors import GoingDown
from multiturn.server.auth import Caller, Keys
from multiturn.server.background import Background
from multiturn.server.exchange import Exchange, Exchanges, Observer
from multiturn.server.limits import Rates
from multiturn.server.settings.values import ServerSettings
from multiturn.server.upstreams import Upstreams
from multiturn.stores.base import Store


class Watch(Observer, Protocol):
    """Who is told of exchanges and of requests."""

    def arrived(self, door: str, method: str, route: str, headers: Mapping[str, str]) -> Sequence[tuple[bytes, bytes]]:
        """A request has come, in the task that calls; the headers that its answer has beside its own. Those of the
        request have names in small letters. `method` is `WEBSOCKET` for a connection, which may hold many turns."""

    def request(self, door: str, method: str, route: str, status: int, seconds: float, caller: Caller | None) -> None:
        """The request has been answered; `route` is the pattern, not the path."""


class Service:
    """One process's share of the server. Made by `app.create_app`; `settings` are what it was told, `exchanges` where
    turns begin. Once it is `draining`, nothing new begins."""

    def __init__(self, settings: ServerSettings, store: Store, upstreams: Upstreams, observer: Watch) -> None:
        self.settings = settings
        self.store = store
        self.upstreams = upstreams
        self.observer = observer
        self.keys = Keys(store, host=settings.host, origins=settings.cors_origins)
        self.rates = Rates(settings.limits)
        self.exchanges = Exchanges(
            store,
            upstreams,
            path_cache_bytes=settings.path_cache_bytes,
            longest_s=settings.limits.stream_s,
            queue=settings.queue,
            observers=(observer, _Spending(self.rates)),
        )
        self.draining = asyncio.Event()
        self.background = Background(self.exchanges, settings, self.draining)
        self.headers: list[tuple[bytes, bytes]] = []
        """What every answer says beside its own."""
        if upstreams.is_offline:
            self.headers.append((b"x-multiturn-model", b"offline"))
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def busy(self) -> int:
        """How many requests are being answered."""
        return self._in_flight

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """While a request is being answered, streams included."""
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def idle(self) -> None:
        """Returns once no request is being answered."""
        await self._idle.wait()

    async def caller(self, request: Request) -> Caller:
        """Who is calling. Raises `Unauthorized`, `RateLimited` for one who calls too often, and `GoingDown` once no
        more is begun."""
        caller = await self.keys.caller(request.headers)
        if self.draining.is_set():
            raise GoingDown
        self.rates.take(caller)
        return caller


class _Spending:
    """Counts what each key's turns have taken, for its limit of tokens a minute."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def began(self, exchange: Exchange) -> None: ...

    def first(self, exchange: Exchange) -> None: ...

    def ended(self, exchange: Exchange, error: BaseException | None) -> None:
        self._rates.spend(exchange.caller, exchange.turn.usage.total_tokens)


class Silent:
    """Tells nobody."""

    def began(self, exchange: Exchange) -> None: ...

    def first(self, exchange: Exchange) -> None: ...

    def ended(self, exchange: Exchange, error: BaseException | None) -> None: ...

    def arrived(self, door: str, method: str, route: str, headers: Mapping[str, str]) -> Sequence[tuple[bytes, bytes]]:
        return ()

    def request(
        self, door: str, method: str, route: str, status: int, seconds: float, caller: Caller | None
    ) -> None: ...
