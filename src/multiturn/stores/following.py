"""Following a turn that runs in the background: what is alike in every store."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Literal, NamedTuple, TypeAlias

from multiturn.deltas import Draft
from multiturn.errors import InvalidInput
from multiturn.turns import Turn

START: Final = -1
"""The piece before the first."""
TAKEN_WITHIN_S = 60.0
"""How long a turn whose runner is gone, and whose model was not asked, waits to be taken."""

RunBy: TypeAlias = Literal["here", "elsewhere", "gone", "awaited"]
"""Who runs a turn: this store, another one, or nobody any more; `awaited` is one that somebody may still take."""


class Stretch(NamedTuple):
    """What a follower reads at once: the drafts behind the piece that it knew, the last piece of them, whether there
    are `more`, and the turn if it has ended and this is all of it."""

    drafts: tuple[Draft, ...]
    last: int
    more: bool
    turn: Turn | None
    run_by: RunBy


class Followers:
    """Those in this process who follow turns, by the turns' ids. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news: dict[str, list[News]] = {}

    def wake(self, turn_id: str) -> None:
        """There is news of this turn."""
        if turn_id in self._news:
            with self._lock:
                waiting = list(self._news.get(turn_id, ()))
            for news in waiting:
                news.tell()

    def wake_all(self, pieces: Iterable[tuple[str, str, bytes]]) -> None:
        """There is news of the turns of these pieces: the tenant, the turn's id, the drafts."""
        if self._news:
            for turn_id in {turn_id for _, turn_id, _ in pieces}:
                self.wake(turn_id)

    @contextmanager
    def joined(self, turn_id: str) -> Iterator[News]:
        """News of this turn, for as long as the block lasts."""
        news = News()
        with self._lock:
            self._news.setdefault(turn_id, []).append(news)
        try:
            yield news
        finally:
            with self._lock:
                self._news[turn_id].remove(news)
                if not self._news[turn_id]:
                    del self._news[turn_id]


class News:
    """Whether there is any, for the event loop on which it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._there = asyncio.Event()

    def tell(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._there.set)

    def clear(self) -> None:
        self._there.clear()

    async def wait(self, seconds: float) -> None:
        """Come back at the next news, or after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._there.wait()


async def follow(
    turn_id: str,
    followers: Followers,
    read: Callable[[int], Awaitable[Stretch]],
    close: Callable[[], Awaitable[None]],
    *,
    every_s: Mapping[RunBy, float],
    taken_within_s: float = TAKEN_WITHIN_S,
) -> AsyncGenerator[Sequence[Draft] | Turn, None]:
    """What `LiveStore.follow` gives. `read` gives what comes behind a piece, `close` ends a turn whose runner is gone,
    and `every_s` says how often to look where no news comes."""
    last, awaited_since = START, None
    with followers.joined(turn_id) as news:
        while True:
            news.clear()
            stretch = await read(last)
            last = stretch.last
            if stretch.drafts:
                yield stretch.drafts
            if stretch.turn is not None:
                yield stretch.turn
                return
            if stretch.more:
                continue
            awaited_since = (awaited_since or time.monotonic()) if stretch.run_by == "awaited" else None
            too_long = awaited_since is not None and time.monotonic() - awaited_since > taken_within_s
            if stretch.run_by == "gone" or too_long:
                await close()
            await news.wait(every_s[stretch.run_by])


def not_kept(turn_id: str) -> InvalidInput:
    return InvalidInput(f"the drafts of turn {turn_id!r} are not kept, or not any more; read the turn itself")


def not_in_background(turn_id: str) -> InvalidInput:
    return InvalidInput(f"turn {turn_id!r} does not run in the background; whoever runs it can stop it")
