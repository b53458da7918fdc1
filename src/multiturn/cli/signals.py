"""Signals, delivered to the work at hand, which ends in an orderly way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Those that end the program, once it has put away what it was at. SIGINT (Ctrl-C) ends only an answer."""


class Stopped(Exception):
    """A signal has stopped the work."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.strsignal(signum))
        self.signum = signum


class Signals:
    """`with Signals() as signals:` catches SIGINT and those of `ENDING` on the running event loop. SIGINT has no effect
    but on work that it may stop; one that ends the program is remembered until there is work to stop."""

    def __init__(self) -> None:
        self._work: asyncio.Future[Any] | None = None
        self._by_interrupt = False
        self._received: int | None = None

    def __enter__(self) -> Signals:
        with suppress(NotImplementedError):  # Windows: there Ctrl-C is a KeyboardInterrupt
            for signum in (signal.SIGINT, *ENDING):
                asyncio.get_running_loop().add_signal_handler(signum, self._receive, signum)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(NotImplementedError):
            for signum in (signal.SIGINT, *ENDING):
                asyncio.get_running_loop().remove_signal_handler(signum)

    def _receive(self, signum: int) -> None:
        if signum in ENDING or (self._work and self._by_interrupt):
            self._received = signum
            if self._work:
                self._work.cancel()

    async def run(self, work: Coroutine[Any, Any, T], *, by_interrupt: bool = False) -> T:
        """The work's result. A signal cancels it, SIGINT only if `by_interrupt`; when it has put its things away,
        raises `Stopped`."""
        self._work, self._by_interrupt = asyncio.ensure_future(work), by_interrupt
        if self._received in ENDING:
            self._work.cancel()
        else:
            self._received = None
        try:
            result: T = await self._work
            return result
        except asyncio.CancelledError:
            if self._received is None:
                raise
            raise Stopped(self._received) from None
        finally:
            self._work = None
