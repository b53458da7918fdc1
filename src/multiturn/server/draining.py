"""Going down without dropping anybody: nothing new begins, what runs may end, and what then still runs is told."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from multiturn.server.service import Service

CUT_S = 2.0
"""How long turns that are stopped may take to be written down, and their readers to be told."""
_POLL_S = 0.02
_log = logging.getLogger("multiturn.server")


async def drain(service: Service, hurry: asyncio.Event | None = None) -> None:
    """Returns once nothing runs any more. From now on `/ready` says no, and new requests are refused (503). What runs
    has `drain_s` seconds to end, or until there is a `hurry`; then its turns are ended as incomplete, and who reads
    them is told."""
    hurry = hurry or asyncio.Event()
    service.draining.set()
    service.headers.append((b"connection", b"close"))  # clients come again by a new connection, and so elsewhere
    _log.info("going down", extra={"requests": service.busy, "turns": len(service.exchanges.running)})
    if not await _idle(service, service.settings.drain_s, hurry):
        left = {"requests": service.busy, "turns": len(service.exchanges.running)}
        _log.warning("what still runs is ended", extra=left)
        service.exchanges.stop()
        await _idle(service, CUT_S, asyncio.Event())


async def _idle(service: Service, within_s: float, hurry: asyncio.Event) -> bool:
    """Whether everything has ended in time."""
    until = time.monotonic() + within_s
    while service.busy or service.exchanges.running:
        if hurry.is_set() or time.monotonic() >= until:
            return False
        await asyncio.sleep(_POLL_S)
    return True


@contextmanager
def on_signals(service: Service) -> Iterator[None]:
    """Within it, SIGTERM and Ctrl-C drain the service first; whoever else handles SIGTERM, which is the HTTP server,
    learns of it afterwards. A second Ctrl-C does not wait. Does nothing where nobody else does, or in a thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    end = before[signal.SIGTERM]
    if not callable(end):
        yield
        return
    loop, hurry = asyncio.get_running_loop(), asyncio.Event()
    told: list[int] = []
    going: list[asyncio.Task[None]] = []

    async def go_down() -> None:
        try:
            await drain(service, hurry)
        finally:
            end(signal.SIGTERM, None)

    def tell(number: int) -> None:
        if number == signal.SIGINT and number in told:
            hurry.set()
        told.append(number)
        if not going:
            going.append(asyncio.ensure_future(go_down()))

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tell, number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
