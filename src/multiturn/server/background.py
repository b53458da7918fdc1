"""`Background`: turns that run on without their callers. So many at once, the others wait in order; what a node leaves
undone another takes over; and anybody can stop one, on any node."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import TypeAlias

from multiturn.errors import GoingDown, InvalidInput, MultiturnError, RunCancelled
from multiturn.server.auth import Caller
from multiturn.server.exchange import Exchange, Exchanges
from multiturn.server.settings.values import ServerSettings
from multiturn.turns import Fault, Turn, TurnStatus, finished

Resume: TypeAlias = Callable[[Exchanges, Caller, Turn], Awaitable[Exchange]]
"""Gives the exchange of a turn that came through its door, made of what the turn holds."""

LOOK_EVERY_S = 0.25
"""How soon a turn that runs here is stopped when another node was asked to stop it."""
_TAKE_EVERY_S = 1.0
_FORGET_EVERY_S = 60.0
_LEAST_KEPT_S = 60.0  # drafts, for those who still read them when the turn ends
_log = logging.getLogger("multiturn.server")


class Background:
    """The turns of one process. `sweep` runs as long as the server does; `aclose` comes before the store's."""

    def __init__(self, exchanges: Exchanges, settings: ServerSettings, draining: asyncio.Event) -> None:
        self._exchanges = exchanges
        self._most = settings.background.concurrency
        self._keep_s = max(settings.background.keep_drafts_s, _LEAST_KEPT_S)
        self._draining = draining
        self._waiting: dict[str, _Job] = {}  # by the turns' ids, in the order in which they came
        self._running: dict[str, _Job] = {}
        self._resumes: list[tuple[Callable[[Turn], bool], Resume]] = []

    @property
    def queued(self) -> int:
        """How many turns wait for others to end."""
        return len(self._waiting)

    def resumes(self, knows: Callable[[Turn], bool], resume: Resume) -> None:
        """Let the turns that it `knows` be taken over by this door, too."""
        self._resumes.append((knows, resume))

    def start(self, exchange: Exchange, then: Callable[[], None] | None = None) -> None:
        """Let it run, now or when it is its turn. `then` is called when it has come to its own end."""
        self._waiting[exchange.turn.id] = _Job(exchange, then)
        self._fill()

    def is_queued(self, turn_id: str) -> bool | None:
        """Whether the turn waits for others to end; None where it does not run here."""
        return True if turn_id in self._waiting else False if turn_id in self._running else None

    def stop(self, turn_id: str) -> None:
        """Stop the turn at once, where it runs here or is to: it is incomplete then."""
        if turn_id in self._waiting:
            self._launch(turn_id)  # which ends before its model is asked
        if turn_id in self._running:
            self._running[turn_id].exchange.stop(RunCancelled("the run was cancelled"))

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._most and not self._draining.is_set():
            self._launch(next(iter(self._waiting)))

    def _launch(self, turn_id: str) -> None:
        job = self._running[turn_id] = self._waiting.pop(turn_id)
        job.task = asyncio.create_task(self._run(turn_id, job), context=job.context)

    async def _run(self, turn_id: str, job: _Job) -> None:
        try:
            await job.exchange.ended()
            if job.then is not None:
                job.then()
        except MultiturnError as error:
            _log.debug("a turn in the background did not come to its end: %s", error)  # the turn says it
        except Exception:
            _log.exception("a turn in the background failed")
        finally:
            del self._running[turn_id]
            self._fill()

    async def aclose(self) -> None:
        """Stop what runs, and leave what waits to another node."""
        self._waiting.clear()
        left = [job.task for job in self._running.values() if job.task is not None]
        for job in self._running.values():
            job.exchange.stop(GoingDown())
        await asyncio.gather(*left, return_exceptions=True)

    # --- what other nodes have to do with ---------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Look after what others ask for and what they have left, until it is cancelled."""
        took_at = forgot_at = -_FORGET_EVERY_S
        while True:
            now = time.monotonic()
            try:
                if self._running or self._waiting:
                    await self._stop_cancelled()
                if now - took_at >= _TAKE_EVERY_S:
                    took_at = now
                    await self._take()
                if now - forgot_at >= _FORGET_EVERY_S:
                    forgot_at = now
                    await self._exchanges.store.forget_drafts(time.time() - self._keep_s)
            except MultiturnError as error:
                _log.warning("turns in the background could not be looked after: %s", error)
            except Exception:  # whatever it is, the next look may do better
                _log.exception("turns in the background could not be looked after")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _stop_cancelled(self) -> None:
        for turn_id in await self._exchanges.store.cancelled():
            self.stop(turn_id)

    async def _take(self) -> None:
        """Take over what gone nodes have left before its model was asked, while there is room."""
        while not self._waiting and len(self._running) < self._most and not self._draining.is_set():
            taken = await self._exchanges.store.take(self._can)
            if taken is None:
                return
            tenant, turn = taken
            try:
                self.start(await self._resumed(Caller(tenant), turn))
            except Exception as error:
                if not isinstance(error, MultiturnError):
                    _log.exception("a turn in the background could not be taken over")
                await self._fail(tenant, turn, error)

    def _can(self, turn: Turn) -> bool:
        """Whether it can be run here. One of a door that is not open here is left to a node that has it; one that holds
        nothing of its request can be run nowhere, and is told so."""
        return turn.asked is None or any(knows(turn) for knows, _ in self._resumes)

    async def _resumed(self, caller: Caller, turn: Turn) -> Exchange:
        for knows, resume in self._resumes:
            if knows(turn):
                return await resume(self._exchanges, caller, turn)
        raise InvalidInput("what was asked is not kept with this turn, so that no other node can ask it again")

    async def _fail(self, tenant: str, turn: Turn, error: Exception) -> None:
        store = self._exchanges.store.tenant(tenant)
        before = (await self._exchanges.path(store, tenant, turn.parent)).totals
        fault = Fault(kind=type(error).__name__, message=str(error))
        await store.finish(finished(turn, TurnStatus.FAILED, before=before, at=time.time(), error=fault))


class _Job:
    """A turn that waits or runs, in the context of the request that began it."""

    def __init__(self, exchange: Exchange, then: Callable[[], None] | None) -> None:
        self.exchange = exchange
        self.then = then
        self.task: asyncio.Task[None] | None = None
        self.context: Context = copy_context()
