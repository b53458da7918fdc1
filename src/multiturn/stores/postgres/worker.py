"""One thread with one event loop, on which all connections of a store live; so the store works from any thread and from
any event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from multiturn.errors import StoreError

T = TypeVar("T")

_PATIENCE_S = 15.0  # how long closing waits for what was submitted


class Worker:
    """Runs coroutines on its own loop. The thread starts at first use."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def closed(self) -> bool:
        return self._closed

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """The future of a coroutine's result."""
        with self._lock:
            if self._closed:
                work.close()
                future: Future[T] = Future()
                future.set_exception(StoreError("the store is closed"))
                return future
            return asyncio.run_coroutine_threadsafe(work, self._running())

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Finish what was submitted, run `last`, end the thread. Closing twice is fine."""
        with self._lock:
            if self._closed or self._loop is None or self._thread is None:
                self._closed = True
                last.close()
                return
            self._closed = True
            ending = asyncio.run_coroutine_threadsafe(_end(last), self._loop)
        ending.add_done_callback(lambda _: self._loop and self._loop.call_soon_threadsafe(self._loop.stop))
        if threading.current_thread() is not self._thread:
            self._thread.join()


async def _end(last: Coroutine[Any, Any, None]) -> None:
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    if waiting:
        await asyncio.wait(waiting, timeout=_PATIENCE_S)
    await last


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
