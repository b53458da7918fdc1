"""`Cancel`: a switch that stops a run from anywhere, another thread too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import TypeVar

from multiturn.errors import RunCancelled

T = TypeVar("T")


class Cancel:
    """Give one to `send`, `stream` or `run`, and call `cancel()` on it: the run stops at once, the call to the model
    is hung up, tools are told, what was said by then is kept in an incomplete turn, and `RunCancelled` is raised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._told: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Stop the run, now or as soon as it begins. Safe to call from any thread, and more than once."""
        with self._lock:
            self._cancelled, told = True, self._told
            self._told = []
        for tell in told:
            tell()

    def _tell(self, tell: Callable[[], None]) -> None:
        with self._lock:
            if not self._cancelled:
                self._told.append(tell)
                return
        tell()


async def until(cancel: Cancel | None, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """What `items` yields, until it is cancelled; raises `RunCancelled` then. Closes `items`."""
    async with aclosing(items):
        if cancel is None:
            async for item in items:
                yield item
            return
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: the run is over
                loop.call_soon_threadsafe(stop.set)

        cancel._tell(tell)
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not cancel.cancelled:
                step = asyncio.ensure_future(anext(items, _END))
                try:
                    await asyncio.wait({step, stopped}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not step.done():
                        step.cancel()
                        await asyncio.wait({step})
                if step.cancelled():
                    break
                arrived = step.result()
                if isinstance(arrived, _End):
                    return
                yield arrived
        finally:
            stopped.cancel()
        raise RunCancelled("the run was cancelled")


class _End:
    pass


_END = _End()
