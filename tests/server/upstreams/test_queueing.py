"""More calls than a replica takes at once, over real sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from multiturn.errors import ProviderFailed, RateLimited
from multiturn.messages import Message
from multiturn.server.upstreams import Upstreams
from multiturn.server.upstreams.slots import Slots
from upstream import Behaviour, Exchange, hang_after, reply, status
from upstream import Upstream as Server
from upstream_calls import answered, asking, behind, gpu


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


class Gate:
    """A behaviour that answers once it is open, and counts who is inside."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.is_open = False

    def __call__(self, then: Behaviour) -> Behaviour:
        async def run(exchange: Exchange) -> None:
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                while not self.is_open:
                    await asyncio.sleep(0.002)
            finally:
                self.inside -= 1
            await then(exchange)

        return run


def load(upstreams: Upstreams) -> list[tuple[int, int]]:
    """In flight and waiting, of each replica."""
    return [(state.in_flight, state.waiting) for state in upstreams.states()]


def is_idle(server: Server) -> bool:
    """Whether it is at work on no answer: whoever was cancelled has hung up."""
    return all(connection.running is None or connection.running.done() for connection in server.connections)


async def until(upstreams: Upstreams, *loads: tuple[int, int]) -> None:
    while load(upstreams) != list(loads):
        await asyncio.sleep(0.002)


@pytest.fixture
async def tasks() -> AsyncIterator[list[asyncio.Task[Message]]]:
    """Calls that are made meanwhile; none outlives its test."""
    running: list[asyncio.Task[Message]] = []
    yield running
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_no_replica_is_given_more_at_once_than_it_takes(server: Server) -> None:
    gate = Gate()
    server.script(*[gate(reply("Yes."))] * 12)
    upstreams = behind(gpu(server.url, concurrency=3))
    calls = asyncio.gather(*(answered(upstreams.model("tiny")) for _ in range(12)))
    await until(upstreams, (3, 9))
    assert await server.until(lambda: gate.inside == 3)
    gate.is_open = True
    assert [message.text for message in await calls] == ["Yes."] * 12
    assert gate.most == 3
    assert load(upstreams) == [(0, 0)]


async def test_past_the_queue_the_caller_is_told_when_to_come_again(
    server: Server, tasks: list[asyncio.Task[Message]]
) -> None:
    gate = Gate()
    server.script(*[gate(reply("Yes."))] * 3)
    upstreams = behind(gpu(server.url, concurrency=1, queue=2))
    tasks += [asyncio.create_task(answered(upstreams.model("tiny"))) for _ in range(3)]
    await until(upstreams, (1, 2))
    with pytest.raises(RateLimited, match="gpu is busy, and 2 calls wait already; try again in 3 s") as caught:
        await answered(upstreams.model("tiny"))
    assert (caught.value.retry_after_s, caught.value.provider, caught.value.model) == (3.0, "gpu", "tiny")
    assert upstreams.states()[0].refused == 1
    assert await server.until(lambda: len(server.requests) == 1)
    gate.is_open = True
    assert [message.text for message in await asyncio.gather(*tasks)] == ["Yes."] * 3


async def test_a_wait_that_is_too_long_is_told_like_a_full_queue(
    server: Server, tasks: list[asyncio.Task[Message]]
) -> None:
    server.script(hang_after(2))
    upstreams = behind(gpu(server.url, concurrency=1, queue_s=0.05))
    tasks.append(asyncio.create_task(answered(upstreams.model("tiny"))))
    await until(upstreams, (1, 0))
    with pytest.raises(RateLimited, match="gpu is busy"):
        await answered(upstreams.model("tiny"))
    assert load(upstreams) == [(1, 0)]


async def test_past_one_queue_another_replica_is_asked_and_all_waiting_is_one_wait(
    server: Server, tasks: list[asyncio.Task[Message]]
) -> None:
    with Server() as other:
        upstreams = behind(gpu(server.url, other.url, concurrency=1, queue=1, queue_s=1.0))
        full = upstreams._replicas["gpu"].ordered("tree")[0]
        at_home, elsewhere = (server, other) if full.number == 0 else (other, server)
        at_home.script(hang_after(2))
        for _ in range(2):  # one holds the slot, one waits
            tasks.append(asyncio.create_task(answered(upstreams.model("tiny", affinity="tree"))))
        assert await at_home.until(lambda: (full.slots.in_use, full.slots.waiting) == (1, 1))
        assert (await answered(upstreams.model("tiny", affinity="tree"))).text == "You said: hi"
        assert len(elsewhere.requests) == 1
        assert (await tasks[1]).text == "You said: hi"  # it has waited long enough, and there is room elsewhere
        assert len(elsewhere.requests) == 2


async def test_who_has_waited_at_one_replica_does_not_wait_at_the_next(
    server: Server, tasks: list[asyncio.Task[Message]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server() as other:
        server.script(hang_after(2))
        other.script(hang_after(2))
        upstreams = behind(gpu(server.url, other.url, concurrency=1, queue_s=0.1))
        tasks += [asyncio.create_task(answered(upstreams.model("tiny"))) for _ in range(2)]
        await until(upstreams, (1, 0), (1, 0))
        asked, take = list[float](), Slots.take

        async def taking(slots: Slots, within_s: float) -> None:
            asked.append(within_s)
            await take(slots, within_s)

        monkeypatch.setattr(Slots, "take", taking)
        with pytest.raises(RateLimited, match="gpu is busy"):
            await answered(upstreams.model("tiny"))
        first, second = asked
        assert first > 0 >= second


async def test_who_waits_for_a_replica_that_dies_goes_elsewhere(server: Server) -> None:
    with Server() as other:
        upstreams = behind(gpu(server.url, other.url, concurrency=1))
        home = upstreams._replicas["gpu"].ordered("tree")[0]
        at_home, elsewhere = (server, other) if home.number == 0 else (other, server)
        gate = Gate()
        at_home.script(gate(status(500)))
        calls = asyncio.gather(*(answered(upstreams.model("tiny", affinity="tree")) for _ in range(5)))
        assert await at_home.until(lambda: gate.inside == 1 and home.slots.waiting == 4)
        gate.is_open = True
        assert [message.text for message in await calls] == ["You said: hi"] * 5
        assert (len(at_home.requests), len(elsewhere.requests)) == (1, 5)
        assert load(upstreams) == [(0, 0), (0, 0)]


async def test_where_there_is_no_other_replica_who_waits_waits_on(server: Server) -> None:
    upstreams = behind(gpu(server.url, concurrency=1))
    gate = Gate()
    server.script(gate(status(500)))
    first, *others = (asyncio.create_task(answered(upstreams.model("tiny"))) for _ in range(4))
    await until(upstreams, (1, 3))
    gate.is_open = True
    with pytest.raises(ProviderFailed):
        await first
    assert [(await task).text for task in others] == ["You said: hi"] * 3


async def test_whoever_is_cancelled_leaves_no_slot_taken_and_no_place_in_the_queue(server: Server) -> None:
    """Calls that are cancelled at any moment: in the queue, at the hand-over, on the way, in mid-stream, at the end."""
    chance = random.Random(7)
    with Server() as other:
        upstreams = behind(gpu(server.url, other.url, concurrency=2, queue=8))
        for each in (server, other):
            faults = [status(500), status(429, headers={"retry-after": "0.01"}), reply("One two three.", delay_s=0.004)]
            each.script(*(chance.choice([*faults, reply("Yes.")]) for _ in range(300)))

        async def call(number: int) -> Message:
            await asyncio.sleep(chance.uniform(0, 0.3))
            affinity = chance.choice([None, f"turn_{number % 5}"])
            return await answered(upstreams.model("tiny", affinity=affinity), asking(streams=chance.random() < 0.7))

        calls = [asyncio.create_task(call(number)) for number in range(200)]
        for task in chance.sample(calls, 120):
            asyncio.get_running_loop().call_later(chance.uniform(0, 0.4), task.cancel)
        came_to = await asyncio.gather(*calls, return_exceptions=True)
        kinds = {type(each) for each in came_to}
        assert {asyncio.CancelledError, Message} <= kinds
        assert kinds <= {asyncio.CancelledError, Message, RateLimited, ProviderFailed}
        assert load(upstreams) == [(0, 0), (0, 0)]
        for each in (server, other):
            each._script.clear()
            assert await each.until(partial(is_idle, each))
        answers = await asyncio.gather(*(answered(upstreams.model("tiny")) for _ in range(8)))
        assert [message.text for message in answers] == ["You said: hi"] * 8
        await upstreams.aclose()
