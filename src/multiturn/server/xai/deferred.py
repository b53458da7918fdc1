"""Deferred completions: begun by one call, fetched by another.

One that is not to be stored (`store_messages`) is kept until it has been fetched, once, as xAI does:
https://docs.x.ai/docs/guides/deferred-chat-completions."""

from __future__ import annotations

import asyncio
import logging

from multiturn.cancel import Cancel
from multiturn.errors import MultiturnError
from multiturn.formats.xai.failures import encode_fault
from multiturn.formats.xai.served import encode_deferred, encode_started, read_deferred
from multiturn.server.histories import Histories, Replayed
from multiturn.server.service import Service
from multiturn.server.xai.asking import begun, wanted
from multiturn.server.xai.calls import Call, Failed
from multiturn.server.xai.shown import is_told_once, reply_of, turn_of
from multiturn.turns import Turn, TurnStatus, answered

_ASK_EVERY_S = 0.25  # how soon a run learns that somebody else has cancelled it
_log = logging.getLogger("multiturn.server")


class Deferred:
    """The methods."""

    def __init__(self, service: Service, histories: Histories) -> None:
        self._histories = histories
        self.runs = Runs(service)

    async def start(self, call: Call) -> bytes:
        """`StartDeferredCompletion`."""
        asked = wanted(call, stream=True, deferred=True).asked
        replayed = await begun(call, asked, self._histories)
        self.runs.run(replayed)
        return encode_started(replayed.exchange.id)

    async def fetch(self, call: Call) -> bytes:
        """`GetDeferredCompletion`. The SDK does not know that one may fail, so that is told as an error."""
        turn = await turn_of(call, read_deferred(call.body))
        if turn.status is TurnStatus.IN_PROGRESS:
            return encode_deferred(None)
        if is_told_once(turn):
            await call.store.withdraw(turn.id)
        if failed := _failure(turn):
            raise failed
        return encode_deferred(reply_of(turn))


def _failure(turn: Turn) -> Failed | None:
    if turn.status is TurnStatus.FAILED and turn.error is not None:
        return Failed(*encode_fault(turn.error.kind, turn.error.message))
    if turn.status is not TurnStatus.INCOMPLETE or answered(turn):
        return None
    if turn.reason == "crashed":
        return Failed("ABORTED", "The server went down before this answer had ended; ask again.")
    return Failed("CANCELLED", "This answer was stopped before it had ended.")


class Runs:
    """Exchanges that run on without their caller, so many at once as the settings say."""

    def __init__(self, service: Service) -> None:
        self._store = service.store
        self._slots = asyncio.Semaphore(service.settings.background.concurrency)
        self._running: dict[asyncio.Task[None], tuple[str, Cancel]] = {}
        self._watching: asyncio.Task[None] | None = None

    def run(self, replayed: Replayed) -> None:
        """Let it run, now or once there is room. It can be cancelled through the store."""
        cancel = Cancel()
        task = asyncio.create_task(self._run(replayed, cancel))
        self._running[task] = (replayed.exchange.turn.id, cancel)
        task.add_done_callback(self._running.pop)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    async def _run(self, replayed: Replayed, cancel: Cancel) -> None:
        async with self._slots:
            try:
                await replayed.exchange.ended(cancel)
                replayed.keep()
            except MultiturnError:
                pass  # the turn says it
            except Exception:
                _log.exception("a deferred completion failed")

    async def _watch(self) -> None:
        """Cancel what somebody has asked the store to cancel."""
        while self._running:
            await asyncio.sleep(_ASK_EVERY_S)
            try:
                cancelled = await self._store.cancelled()
            except MultiturnError as error:
                _log.warning("the store does not say what is cancelled: %s", error)
                continue
            for turn_id, cancel in tuple(self._running.values()):
                if turn_id in cancelled:
                    cancel.cancel()

    async def aclose(self, grace_s: float) -> None:
        """Returns once nothing runs any more. What still does after so many seconds is stopped; its turns are
        incomplete then."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in tuple(self._running):
            task.cancel()
        if self._watching is not None:
            self._watching.cancel()
        left = [*self._running, *([self._watching] if self._watching else [])]
        await asyncio.gather(*left, return_exceptions=True)
