"""The sync face: coroutines and async generators of the one async core, driven from ordinary code.

They run on one event loop in one background thread of the process, started at first use. So sync calls work from any
thread and inside a notebook whose own loop is running, and connections are kept from call to call.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import queue
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing, suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result. Ctrl-C, or whatever else interrupts the wait, cancels it and waits until it has ended;
    so what it does on cancellation is done."""
    task: _Task[T] | None = None
    try:
        task = _Task(_loop(), work)
        return task.result()
    except BaseException:
        if task is not None:
            task.end()
        else:
            with suppress(ValueError):  # it was begun after all
                work.close()
        raise


def iterate(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """What the generator yields. It runs on by itself, not at the reader's pace; leaving the loop early closes it, and
    waits until it has closed."""
    arrived: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    task = _Task(_loop(), _pump(items, arrived))
    try:
        while not isinstance(item := arrived.get(), _End):
            yield item
        task.result()
    finally:
        task.end()


class _End:
    """The mark after the last item."""


async def _pump(items: AsyncGenerator[T, None], arrived: queue.SimpleQueue[T | _End]) -> None:
    try:
        async with aclosing(items):
            async for item in items:
                arrived.put(item)
    finally:
        arrived.put(_End())


class _Task(Generic[T]):
    """A task on the background loop, seen from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        if threading.current_thread() is _thread:
            work.close()
            raise RuntimeError(
                "a sync call from inside multiturn's own event loop would wait for itself; await instead"
            )
        self._loop = loop
        self._ended = threading.Event()
        self._outcome: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._start, work)

    def _start(self, work: Coroutine[Any, Any, T]) -> None:
        self._outcome = self._loop.create_task(work)
        self._outcome.add_done_callback(lambda _: self._ended.set())

    def result(self) -> T:
        self._ended.wait()
        assert self._outcome is not None
        return self._outcome.result()

    def end(self) -> None:
        """Cancel the task if it still runs, and wait for its end."""
        if not self._ended.is_set():
            self._loop.call_soon_threadsafe(lambda: self._outcome and self._outcome.cancel())
            self._ended.wait()


async def on_our_loop(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that runs on multiturn's own loop. Cancelling this cancels it, and waits until it has
    ended; so what it does on cancellation is done."""
    loop = _loop()
    if loop is asyncio.get_running_loop():
        return await work
    tasks: list[asyncio.Task[T]] = []
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    def start() -> None:
        tasks.append(loop.create_task(work))
        tasks[0].add_done_callback(lambda task: _settle(outcome, task))

    loop.call_soon_threadsafe(start)
    ended = asyncio.wrap_future(outcome)
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        loop.call_soon_threadsafe(lambda: tasks[0].cancel())  # after `start`, for it was asked for later
        await asyncio.wait({ended})
        raise


def _settle(outcome: concurrent.futures.Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        outcome.cancel()
    elif error := task.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


_lock = threading.Lock()
_thread: threading.Thread | None = None
_running: tuple[int, asyncio.AbstractEventLoop] | None = None


def _loop() -> asyncio.AbstractEventLoop:
    """The background loop of this process; a forked child gets its own."""
    global _thread, _running
    with _lock:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_serve, args=(loop,), name="multiturn-loop", daemon=True)
            _running = (os.getpid(), loop)
            _thread.start()
            atexit.register(_stop, loop, _thread)
        return _running[1]


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
            break
        except (SystemExit, KeyboardInterrupt):  # of a task, such as a tool that exits: its caller gets it there
            continue
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """At the interpreter's exit: end what still runs, so that it closes its turns and connections."""
    if thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5.0)
