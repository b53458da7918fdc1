"""Sync functions off the event loop: each in a thread of its own, and a thread that is idle is used again.

Not asyncio's default executor, which has as many threads as the machine has processors and four more: a few tools that
hang would fill it for everyone, and the interpreter waits for its threads at exit. There is no limit here, and a thread
that never returns keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias, TypeVar

T = TypeVar("T")
_Tell: TypeAlias = Callable[[], None]
_Job: TypeAlias = Callable[[], _Tell]

IDLE_S = 10.0
"""How long a thread waits for its next call before it ends."""


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises, run in a thread with a copy of this task's context variables. Cancelling the wait
    ends it at once and leaves the thread to itself; what comes of it is dropped."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def job() -> _Tell:
        try:
            done: tuple[T | None, BaseException | None] = (context.run(work), None)
        except BaseException as error:  # also KeyboardInterrupt and SystemExit: they are the waiting task's affair
            done = (None, error)
        return lambda: _tell(loop, outcome, done)

    _worker().jobs.put(job)
    value, error = await outcome
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def _tell(loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T], done: T) -> None:
    with suppress(RuntimeError):  # of a loop that has closed: nobody waits
        loop.call_soon_threadsafe(_settle, outcome, done)


def _settle(outcome: asyncio.Future[T], done: T) -> None:
    if not outcome.done():
        outcome.set_result(done)


class _Worker:
    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        threading.Thread(target=self._serve, name="multiturn-tool", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=IDLE_S)
            except Empty:
                if self._retired():
                    return
                continue
            tell = job()
            _idle.append(self)  # before it is told, so that the next call finds this thread
            tell()
            del job, tell  # they hold the call's arguments and its result

    def _retired(self) -> bool:
        try:
            _idle.remove(self)
        except ValueError:  # somebody has just taken this worker: a job is on its way
            return False
        return True


_idle: list[_Worker] = []  # the last to become idle is the first to be used, so that the others can retire
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


def _worker() -> _Worker:
    try:
        return _idle.pop()
    except IndexError:
        return _Worker()
