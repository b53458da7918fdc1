"""The part of following that every store shares, with stretches that are made up."""

from __future__ import annotations

import asyncio
import threading

from multiturn.deltas import TextDelta
from multiturn.stores.following import START, Followers, RunBy, Stretch, follow
from multiturn.turns import Turn, TurnStatus

EVERY_S: dict[RunBy, float] = {"here": 60.0, "elsewhere": 0.001, "gone": 0.001, "awaited": 0.001}
ENDED = Turn(id="t", status=TurnStatus.COMPLETED)


class Written:
    """A turn as a store has it: its pieces, who runs it, and how often it was read and closed."""

    def __init__(self, run_by: RunBy = "here") -> None:
        self.pieces: list[str] = []
        self.run_by: RunBy = run_by
        self.ended: Turn | None = None
        self.followers = Followers()
        self.reads = self.closings = 0

    async def read(self, last: int) -> Stretch:
        self.reads += 1
        new = tuple(TextDelta(piece) for piece in self.pieces[last + 1 :][:2])
        more = len(self.pieces) > last + 1 + len(new)
        return Stretch(new, last + len(new), more, None if more else self.ended, self.run_by)

    async def close(self) -> None:
        self.closings += 1
        self.ended = ENDED

    async def followed(self, *, taken_within_s: float = 60.0) -> list[object]:
        items = follow("t", self.followers, self.read, self.close, every_s=EVERY_S, taken_within_s=taken_within_s)
        return [item async for item in items]


async def test_what_there_is_comes_batch_by_batch_from_the_first_piece() -> None:
    written = Written()
    written.pieces, written.ended = ["a", "b", "c"], ENDED
    assert START == -1
    assert await written.followed() == [(TextDelta("a"), TextDelta("b")), (TextDelta("c"),), ENDED]
    assert written.reads == 2


async def test_news_wakes_those_who_wait_for_it_and_nobody_else() -> None:
    written = Written()
    followers = [asyncio.create_task(written.followed()) for _ in range(3)]
    while written.reads < 3:
        await asyncio.sleep(0)
    written.followers.wake("another")
    await asyncio.sleep(0.02)
    assert written.reads == 3
    written.pieces.append("a")
    threading.Thread(target=written.followers.wake, args=["t"]).start()
    while written.reads < 6:
        await asyncio.sleep(0)
    written.ended = ENDED
    written.followers.wake("t")
    assert [await follower for follower in followers] == [[(TextDelta("a"),), ENDED]] * 3
    written.followers.wake("t")  # nobody is there any more


async def test_news_that_comes_while_a_follower_reads_is_not_missed() -> None:
    written = Written()
    read = written.read

    async def overtaken(last: int) -> Stretch:
        stretch = await read(last)
        if not written.ended:
            written.pieces, written.ended = ["late"], ENDED
            written.followers.wake("t")
            await asyncio.sleep(0.01)
        return stretch

    written.read = overtaken  # type: ignore[method-assign]
    assert await written.followed() == [(TextDelta("late"),), ENDED]


async def test_a_turn_whose_runner_is_gone_is_closed_by_who_follows_it() -> None:
    written = Written("gone")
    written.pieces = ["a"]
    assert await written.followed() == [(TextDelta("a"),), ENDED]
    assert written.closings == 1


async def test_a_turn_that_may_be_taken_is_waited_for_and_closed_if_nobody_comes() -> None:
    written = Written("awaited")
    follower = asyncio.create_task(written.followed())
    while written.reads < 5:
        await asyncio.sleep(0.001)
    written.run_by, written.pieces = "elsewhere", ["a"]
    while written.reads < 10:
        await asyncio.sleep(0.001)
    assert written.closings == 0
    written.ended = ENDED
    assert await follower == [(TextDelta("a"),), ENDED]
    alone = Written("awaited")
    assert await alone.followed(taken_within_s=0.01) == [ENDED]
    assert alone.closings == 1
