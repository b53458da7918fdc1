"""`Cancel`: a switch that stops a run from anywhere, another thread too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from contextvars import copy_context
from functools import partial
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

    def _forget(self, tell: Callable[[], None]) -> None:
        with self._lock, suppress(ValueError):
            self._told.remove(tell)

    def _tell(self, tell: Callable[[], None]) -> None:
        with self._lock:
            if not self._cancelled:
                self._told.append(tell)
                return
        tell()


def until(cancel: Cancel | None, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """What `items` yields, until it is cancelled; raises `RunCancelled` then. Closes `items`."""
    return items if cancel is None else _until(cancel, items)


async def _until(cancel: Cancel, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    async with aclosing(items):
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: the run is over
                loop.call_soon_threadsafe(stop.set)

        cancel._tell(tell)
        context = copy_context()  # one for all steps, or what one step sets the next could not reset
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not cancel.cancelled:
                step = asyncio.create_task(_next(items), context=context)
                try:
                    await asyncio.wait({step, stopped}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not step.done():
                        step.cancel()
                        with suppress(asyncio.CancelledError):  # ours, which is on its way already, or the step's
                            await to_the_end(step)
                if step.cancelled():
                    break
                arrived = step.result()
                if isinstance(arrived, _End):
                    return
                yield arrived
        finally:
            stopped.cancel()
            cancel._forget(tell)
        raise RunCancelled("the run was cancelled")


async def to_the_end(work: Awaitable[T]) -> T:
    """The result of work that is not left half-done: cancellations, be they many, wait for it and are raised then.
    Anyio, and so Starlette, cancels again and again until a task has ended."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        done = asyncio.get_running_loop().create_future()  # a tenth of what `asyncio.wait` costs
        task.add_done_callback(partial(_tell, done))
        try:
            await done
        except asyncio.CancelledError as error:
            cancelled = error  # anyio knows its own by what is in it
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # looked at, so that nobody is warned of it
        raise cancelled
    return task.result()


def _tell(done: asyncio.Future[None], _: object) -> None:
    if not done.done():
        done.set_result(None)


async def _next(items: AsyncGenerator[T, None]) -> T | _End:
    return await anext(items, _END)


class _End:
    pass


_END = _End()
