"""`Watching`: what is told of requests and turns, passed on to figures, traces and logs.

Figures and lines come a moment late: those of all that has happened in a tenth of a second are made in one go, which
takes a fraction of what making each by itself does, for then the code for it is in the processor's caches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from multiturn.server.auth import Caller
from multiturn.server.exchange import Exchange
from multiturn.server.observing import logs
from multiturn.server.observing.stores import timed
from multiturn.server.observing.visits import VISIT, Visit
from multiturn.server.settings.values import ServerSettings
from multiturn.stores.base import Store

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from multiturn.server.observing.metrics import Metrics
    from multiturn.server.observing.tracing import Tracing
    from multiturn.server.service import Service


_WAITS_S = 0.1


class Watching:
    """The `Watch` of a server with these settings. `models` are the names that may stand in a figure's label."""

    def __init__(self, settings: ServerSettings, models: Collection[str] = ()) -> None:
        self.metrics: Metrics | None = None
        self._tracing: Tracing | None = None
        if settings.metrics:
            from multiturn.server.observing.metrics import Metrics

            self.metrics = Metrics(models)
        if settings.tracing:
            from multiturn.server.observing.tracing import Tracing

            self._tracing = Tracing(content=settings.log.content)
        self._content = settings.log.content
        self._running: dict[Exchange, _Running] = {}
        self._due: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._clock: asyncio.TimerHandle | None = None

    def _later(self, tell: Callable[..., None], *told: Any) -> None:
        self._due.append((tell, told))
        if self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(_WAITS_S, self.catch_up)

    def catch_up(self) -> None:
        """Count and log all that has happened by now."""
        if self._clock is not None:
            self._clock.cancel()
        due, self._due, self._clock = self._due, [], None
        with logs.together():
            for tell, told in due:
                tell(*told)

    def timed(self, store: Store) -> Store:
        """The same store; figures tell how long it takes."""
        if self.metrics is None:
            return store
        return timed(store, partial(self._later, self.metrics.begin), partial(self._later, self.metrics.finish))

    async def sample(self, service: Service, *, every_s: float) -> None:
        """Take down levels from time to time, for other processes to show; needless where there are none."""
        while self.metrics is not None and self.metrics.is_shared:
            self.catch_up()
            self.metrics.sample(service)
            await asyncio.sleep(every_s)

    # --- requests ---

    def arrived(self, door: str, method: str, route: str, headers: Mapping[str, str]) -> Sequence[tuple[bytes, bytes]]:
        visit = Visit(door, method, headers.get("x-request-id"))
        VISIT.set(visit)
        if self._tracing is not None:
            self._tracing.arrived(visit, method, route, headers)
        return ((b"x-request-id", visit.id.encode()),)

    def request(self, door: str, method: str, route: str, status: int, seconds: float, caller: Caller | None) -> None:
        visit = VISIT.get()
        if self.metrics is not None:
            self._later(self.metrics.answered, door, method, route, status, seconds)
        if visit is not None and self._tracing is not None:
            self._tracing.answered(visit, status)
        if visit is not None:
            visit.is_over = True
        level = logs.wanted(status)
        if level is not None:
            self._later(self._log, level, time.time(), visit, door, f"{method} {route}", status, seconds, caller)
            if level >= logging.WARNING:
                self.catch_up()

    def _log(
        self,
        level: int,
        at: float,
        visit: Visit | None,
        door: str,
        message: str,
        status: int,
        seconds: float,
        caller: Caller | None,
    ) -> None:
        fields = logs.of_request(visit, door, status, seconds, caller)
        if visit is not None and visit.exchange is not None:
            fields |= logs.of_turn(visit.exchange.turn, visit.error, visit.first_s, content=self._content)
        logs.write(level, at, message, fields)

    # --- turns ---

    def began(self, exchange: Exchange) -> None:
        visit = VISIT.get()
        running = self._running[exchange] = _Running(visit)
        if self.metrics is not None:
            self._later(self.metrics.began, exchange.asked.stream, exchange.asked.background)
        if self._tracing is not None:
            running.span = self._tracing.began(exchange, visit)

    def first(self, exchange: Exchange) -> None:
        running = self._running[exchange]
        running.first_s = time.perf_counter() - running.began
        if self.metrics is not None:
            self._later(self.metrics.first, _door(exchange, running.visit), running.first_s)

    def ended(self, exchange: Exchange, error: BaseException | None) -> None:
        running = self._running.pop(exchange)
        visit, turn = running.visit, exchange.turn
        if self.metrics is not None:
            asked = exchange.asked
            self._later(self.metrics.ended, _door(exchange, visit), turn, asked.stream, asked.background)
        if self._tracing is not None and running.span is not None:
            self._tracing.ended(exchange, visit, running.span, error, running.first_s)
        if visit is not None and visit.tells_of(exchange):
            visit.exchange, visit.error, visit.first_s = exchange, error, running.first_s
        elif (level := logs.wanted(200)) is not None:
            fields = logs.of_turn(turn, error, running.first_s, content=self._content)
            own = {"door": _door(exchange, visit), "ms": round((time.perf_counter() - running.began) * 1000, 1)}
            fields = own | ({"request_id": visit.id} if visit else {}) | fields
            self._later(logs.write, level, time.time(), "a turn", fields)


class _Running:
    """A turn whose model is being asked."""

    __slots__ = ("began", "first_s", "span", "visit")

    def __init__(self, visit: Visit | None) -> None:
        self.visit = visit
        self.began = time.perf_counter()
        self.first_s: float | None = None
        self.span: Span | None = None


def _door(exchange: Exchange, visit: Visit | None) -> str:
    return visit.door if visit else exchange.asked.format
