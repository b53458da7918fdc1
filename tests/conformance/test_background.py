"""Responses that run in the background: begun and left, read again from any event, cancelled, by OpenAI's own SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from serving import Server
from upstream import Upstream, hang_after, stream


async def ended(client: Any, id: str) -> Any:
    """The response, once it has ended."""
    while True:
        response = await client.responses.retrieve(id)
        if response.status not in ("queued", "in_progress"):
            return response
        await asyncio.sleep(0.02)


async def test_a_response_runs_on_without_its_caller(client: Any) -> None:
    begun = await client.responses.create(model="m", input="My name is Alice.", background=True)
    assert begun.status in ("queued", "in_progress", "completed")
    assert begun.background is True
    response = await ended(client, begun.id)
    assert (response.status, response.output_text) == ("completed", "Nice to meet you, Alice.")
    after = await client.responses.create(model="m", input="What's my name?", previous_response_id=begun.id)
    assert after.output_text == "Your name is Alice."


async def test_its_events_can_be_had_again_from_any_place(relayed: Any, upstream: Upstream) -> None:
    upstream.script(stream(*(f"word{n} " for n in range(10))))
    live = [
        event async for event in await relayed.responses.create(model="m", input="Hi", background=True, stream=True)
    ]
    id = live[-1].response.id
    assert [event.type for event in live[:3]] == ["response.created", "response.queued", "response.in_progress"]
    again = [event async for event in await relayed.responses.retrieve(id, stream=True)]
    assert [event.to_dict() for event in again] == [event.to_dict() for event in live]
    for after in (0, 5, len(live) - 2):
        rest = [event async for event in await relayed.responses.retrieve(id, stream=True, starting_after=after)]
        assert [event.to_dict() for event in rest] == [event.to_dict() for event in live[after + 1 :]]


async def test_a_stream_that_was_left_is_picked_up_while_it_runs(relayed: Any, upstream: Upstream) -> None:
    upstream.script(stream(*(f"word{n} " for n in range(20)), delay_s=0.02))
    begun = await relayed.responses.create(model="m", input="Hi", background=True, stream=True)
    seen: list[Any] = []
    async for event in begun:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await begun.close()
    last = seen[-1].sequence_number
    rest = await relayed.responses.retrieve(seen[0].response.id, stream=True, starting_after=last)
    seen += [event async for event in rest]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    text = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert text == seen[-1].response.output_text == "".join(f"word{n} " for n in range(20))


async def test_one_that_runs_can_be_cancelled(relayed: Any, upstream: Upstream) -> None:
    upstream.script(hang_after(2, "one "))
    begun = await relayed.responses.create(model="m", input="Hi", background=True)
    assert await upstream.until(lambda: len(upstream.requests) == 1)
    cancelled = await relayed.responses.cancel(begun.id)
    assert (cancelled.id, cancelled.status) == (begun.id, "cancelled")
    assert (await relayed.responses.retrieve(begun.id)).status == "cancelled"
    assert (await relayed.responses.cancel(begun.id)).status == "cancelled"
    events = [event async for event in await relayed.responses.retrieve(begun.id, stream=True)]
    assert events[-1].response.status == "cancelled"


async def test_one_that_has_ended_is_not_changed_by_cancelling(client: Any) -> None:
    begun = await client.responses.create(model="m", input="Hi", background=True)
    response = await ended(client, begun.id)
    assert (await client.responses.cancel(begun.id)).to_dict() == response.to_dict()
    assert await client.responses.delete(begun.id) is None
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(begun.id, stream=True)


async def test_what_runs_in_the_background_has_to_be_stored(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="background"):
        await client.responses.create(model="m", input="Hi", background=True, store=False)
    response = await client.responses.create(model="m", input="Hi")
    with pytest.raises(openai.BadRequestError, match="stream"):
        await client.responses.retrieve(response.id, stream=True)


async def test_its_events_outlive_a_restart(client: Any, server: Server) -> None:
    begun = await client.responses.create(model="m", input="My name is Alice.", background=True, stream=True)
    live = [event async for event in begun]
    await asyncio.to_thread(server.restart)
    again = [event async for event in await client.responses.retrieve(live[-1].response.id, stream=True)]
    assert [event.to_dict() for event in again] == [event.to_dict() for event in live]
