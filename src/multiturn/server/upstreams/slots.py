"""`Slots`: how many calls a replica is given at once, and who waits."""

from __future__ import annotations

import asyncio
from collections import deque

LONGEST_HINT_S = 60.0


class NoSlot(Exception):
    """The queue is full, or was too slow."""


class TurnedAway(Exception):
    """What was waited for is gone; wait elsewhere."""


class Slots:
    """At most `limit` calls at once (None: any number), and at most `queue` more that wait; first come, first served.
    A slot goes from hand to hand, so that whoever waits is never overtaken. For one event loop."""

    def __init__(self, limit: int | None, queue: int) -> None:
        self.in_use = 0
        self._limit = limit
        self._queue = queue
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._call_s = 1.0  # how long a call took, of late

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_free(self) -> bool:
        """Whether a call need not wait."""
        return self._limit is None or self.in_use < self._limit

    async def take(self, within_s: float) -> None:
        """Returns with a slot, which `leave` gives back. Raises `NoSlot` where none is to be had in that time, or
        `TurnedAway`, and holds nothing then, nor where it is cancelled."""
        if self.is_free:
            self.in_use += 1
            return
        if self.waiting >= self._queue or within_s <= 0:
            raise NoSlot
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(within_s):
                await future
        except BaseException as error:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.leave()  # it was handed over just as the wait was given up
            elif future in self._waiting:
                self._waiting.remove(future)
            if isinstance(error, TimeoutError):
                raise NoSlot from None
            raise

    def leave(self, after_s: float | None = None) -> None:
        """Give a slot back, to who has waited longest; `after_s` is how long its call took."""
        if after_s is not None:
            self._call_s += 0.2 * (after_s - self._call_s)
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.in_use -= 1

    def turn_away(self) -> None:
        """Send all who wait elsewhere."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(TurnedAway())

    @property
    def hint_s(self) -> float:
        """In how many seconds a slot may be free for one who comes now."""
        wait_s = self._call_s * (self.waiting + 1) / (self._limit or 1)
        return min(LONGEST_HINT_S, max(1.0, wait_s))
