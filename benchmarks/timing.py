"""The calls on a store that the benchmarks time: a turn appended, a path loaded."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from time import perf_counter

import replies
from multiturn import open_store
from multiturn.ids import new_id
from multiturn.stores.base import Store
from multiturn.turns import Totals, Turn, TurnStatus, finished


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = open_store(url)
    try:
        yield store
    finally:
        await store.aclose()


async def append(store: Store, conversation: str, number: int = 1) -> float:
    """Seconds of `begin` and `finish`, both durable, of one turn."""
    said, answered = replies.exchange(number)
    start = perf_counter()
    turn = Turn(
        id=new_id("turn"), conversation=conversation, input=(said,), model=replies.MODEL, created_at=time.time()
    )
    turn = await store.begin(turn)
    await store.finish(finished(turn, TurnStatus.COMPLETED, before=Totals(), at=time.time(), output=(answered,)))
    return perf_counter() - start


async def load(url: str, conversation: str, turns: int) -> tuple[float, float]:
    """Seconds of loading the path of a conversation of at least so many turns, by a store that has only read its head,
    and of that with the opening of the store."""
    start = perf_counter()
    async with opened(url) as store:
        head = (await store.conversation(conversation)).head
        assert head is not None
        ready = perf_counter()
        path = await store.path(head)
        end = perf_counter()
    if len(path) < turns:
        raise SystemExit(f"{conversation} has {len(path)} turns, not {turns}: not the same work")
    return end - ready, end - start


async def timed(work: Awaitable[object]) -> float:
    start = perf_counter()
    await work
    return perf_counter() - start


async def in_turns(
    count: int, one: Callable[[], Awaitable[float]], other: Callable[[], Awaitable[float]]
) -> tuple[float, float]:
    """The medians of what two measurements give, made one after the other `count` times, so that both meet the same
    disturbances; a tenth as many before that are not counted."""
    pairs = [(await one(), await other()) for _ in range(count + count // 10)][count // 10 :]
    ones, others = zip(*pairs, strict=True)
    return median(ones), median(others)
