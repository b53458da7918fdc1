"""Who is let in, who waits, and that nobody who gives up keeps a place."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn.server.upstreams.slots import LONGEST_HINT_S, NoSlot, Slots, TurnedAway

LONG_S = 60.0


async def settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_without_a_limit_nobody_waits() -> None:
    slots = Slots(None, 0)
    for _ in range(1000):
        await slots.take(0)
    assert (slots.in_use, slots.waiting, slots.is_free) == (1000, 0, True)


async def test_who_comes_first_is_served_first() -> None:
    slots, served = Slots(1, 10), []

    async def call(number: int) -> None:
        await slots.take(LONG_S)
        served.append(number)
        await asyncio.sleep(0)
        slots.leave()

    await asyncio.gather(*(call(number) for number in range(5)))
    assert served == [0, 1, 2, 3, 4]
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_a_slot_is_handed_over_so_that_nobody_overtakes() -> None:
    slots = Slots(1, 10)
    await slots.take(LONG_S)
    waiting = asyncio.create_task(slots.take(LONG_S))
    await settled()
    slots.leave()
    assert not slots.is_free  # though who waits has not run yet
    with pytest.raises(NoSlot):
        await slots.take(0)
    await waiting


async def test_a_full_queue_takes_nobody() -> None:
    slots = Slots(1, 2)
    await slots.take(LONG_S)
    waiting = [asyncio.create_task(slots.take(LONG_S)) for _ in range(2)]
    await settled()
    with pytest.raises(NoSlot):
        await slots.take(LONG_S)
    assert slots.waiting == 2
    waiting[0].cancel()
    await settled()
    assert slots.waiting == 1  # there is room for another one
    slots.leave()
    await waiting[1]
    assert (slots.in_use, slots.waiting) == (1, 0)


async def test_a_wait_that_is_too_long_ends_and_leaves_nothing() -> None:
    slots = Slots(1, 2)
    await slots.take(LONG_S)
    with pytest.raises(NoSlot):
        await slots.take(0.01)
    assert (slots.in_use, slots.waiting) == (1, 0)
    slots.leave()
    assert slots.is_free


async def test_who_is_cancelled_just_as_the_slot_comes_hands_it_on() -> None:
    slots = Slots(1, 2)
    await slots.take(LONG_S)
    first, second = (asyncio.create_task(slots.take(LONG_S)) for _ in range(2))
    await settled()
    slots.leave()
    first.cancel()  # it has the slot, and does not know yet
    await settled()
    assert first.cancelled()
    assert second.done()
    slots.leave()
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_who_is_cancelled_just_before_the_slot_comes_is_passed_over() -> None:
    slots = Slots(1, 2)
    await slots.take(LONG_S)
    first, second = (asyncio.create_task(slots.take(LONG_S)) for _ in range(2))
    await settled()
    first.cancel()
    slots.leave()  # it has not left the queue yet
    await settled()
    assert first.cancelled()
    assert second.done()
    slots.leave()
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_who_is_turned_away_is_told_and_holds_nothing() -> None:
    slots = Slots(1, 2)
    await slots.take(LONG_S)
    waiting = [asyncio.create_task(slots.take(LONG_S)) for _ in range(2)]
    await settled()
    slots.turn_away()
    waiting[0].cancel()
    await settled()
    assert waiting[0].cancelled()
    with pytest.raises(TurnedAway):
        await waiting[1]
    assert (slots.in_use, slots.waiting) == (1, 0)


async def test_the_hint_grows_with_the_queue_and_the_length_of_calls() -> None:
    slots = Slots(2, 100)
    for _ in range(2):
        await slots.take(LONG_S)
    assert slots.hint_s == 1.0
    for _ in range(50):
        slots.in_use += 1
        slots.leave(10.0)
    alone = slots.hint_s
    assert 4.5 < alone <= 5.0  # ten seconds a call, two at once
    waiting = [asyncio.create_task(slots.take(LONG_S)) for _ in range(3)]
    await settled()
    assert slots.hint_s == pytest.approx(4 * alone)
    for _ in range(50):
        slots.in_use += 1
        slots._call_s = 1e9
    assert slots.hint_s == LONGEST_HINT_S
    for task in waiting:
        task.cancel()


# --- anything in any order ------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "end", "cancel", "run", "turn away"]), st.integers(0, 20)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(limit=st.integers(1, 3), queue=st.integers(0, 4), steps=STEPS)
def test_whatever_is_cancelled_whenever_no_slot_is_lost(limit: int, queue: int, steps: list[tuple[str, int]]) -> None:
    asyncio.run(_any_order(limit, queue, steps))


async def _any_order(limit: int, queue: int, steps: list[tuple[str, int]]) -> None:
    slots, ends, tasks = Slots(limit, queue), list[asyncio.Event](), list[asyncio.Task[None]]()
    inside, came, served = set[int](), list[int](), list[int]()

    async def call(number: int, end: asyncio.Event) -> None:
        came.append(number)
        try:
            await slots.take(LONG_S)
        except (NoSlot, TurnedAway):
            return
        served.append(number)
        inside.add(number)
        try:
            await end.wait()
        finally:
            inside.remove(number)
            slots.leave()

    def come(_: int) -> None:
        ends.append(asyncio.Event())
        tasks.append(asyncio.create_task(call(len(tasks), ends[-1])))

    def cancel(n: int) -> None:
        if tasks:
            tasks[n % len(tasks)].cancel()

    async def run(_: int) -> None:
        await asyncio.sleep(0)

    does: dict[str, Callable[[int], Awaitable[None] | None]] = {
        "come": come,
        "end": lambda n: ends[n % len(ends)].set() if ends else None,
        "cancel": cancel,
        "run": run,
        "turn away": lambda n: slots.turn_away(),
    }
    for what, number in steps:
        if waits := does[what](number):
            await waits
        assert len(inside) <= slots.in_use <= limit
        assert slots.waiting <= queue
    for end in ends:
        end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (slots.in_use, slots.waiting, slots.is_free) == (0, 0, True)
    assert served == [number for number in came if number in served]  # first come, first served
