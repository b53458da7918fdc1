"""Responses over a WebSocket, by OpenAI's own SDK, sync and async."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosed

from conformance.checking import Watch, event_problems, schema_problems
from conformance.conftest import openai_client
from multiturn.server.auth import new_key
from multiturn.server.settings.values import Limits
from serving import Server
from upstream import Upstream, reply, status


async def answered(connection: Any, **asked: Any) -> Any:
    """The last event of the response that is asked for; all its events are checked."""
    await connection.response.create(**asked)
    events: list[bytes] = []
    while True:
        data = await connection.recv_bytes()
        event = connection.parse_event(data)
        if event.type == "error":
            assert schema_problems(data, "WebSocketErrorEvent") == []
            return event
        events.append(data)
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            assert list(event_problems(events)) == []
            deltas = [each for each in map(json.loads, events) if each["type"] == "response.output_text.delta"]
            assert "".join(each["delta"] for each in deltas) == event.response.output_text
            return event


async def test_turns_follow_one_another_on_a_connection(client: Any) -> None:
    async with client.responses.connect() as connection:
        first = await answered(connection, model="m", input="My name is Alice.")
        assert first.response.output_text == "Nice to meet you, Alice."
        second = await answered(connection, model="m", input="What's my name?", previous_response_id=first.response.id)
        assert second.response.output_text == "Your name is Alice."
    stored = await client.responses.retrieve(second.response.id)
    assert stored.output_text == second.response.output_text
    over_http = await client.responses.create(model="m", input="And my name?", previous_response_id=stored.id)
    assert "Alice" in over_http.output_text


async def test_what_is_not_stored_is_followed_on_its_own_connection(client: Any) -> None:
    async with client.responses.connect() as connection:
        first = await answered(connection, model="m", input="My name is Alice.", store=False)
        id = first.response.id
        second = await answered(connection, model="m", input="What's my name?", previous_response_id=id, store=False)
        assert second.response.output_text == "Your name is Alice."
    async with client.responses.connect() as connection:
        error = await answered(connection, model="m", input="And?", previous_response_id=id, store=False)
        assert (error.type, error.error.code) == ("error", "previous_response_not_found")
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(id)


async def test_a_bad_request_is_an_event_and_the_connection_goes_on(client: Any) -> None:
    async with client.responses.connect() as connection:
        error = await answered(connection, model="m", input="Hi", temperature=7)
        assert (error.type, error.error.param) == ("error", "temperature")
        assert (await answered(connection, model="m", input="Hi")).type == "response.completed"


async def test_a_tool_conversation_over_one_connection(client: Any) -> None:
    tool: Any = {
        "type": "function",
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    async with client.responses.connect() as connection:
        asked = await answered(connection, model="m", input="What is the weather in Paris?", tools=[tool])
        (call,) = asked.response.output
        output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 21 degrees"}]
        last = await answered(connection, model="m", input=output, tools=[tool], previous_response_id=asked.response.id)
        assert "21" in last.response.output_text


async def test_a_fault_upstream_is_told_and_the_next_turn_works(relayed: Any, upstream: Upstream) -> None:
    async with relayed.responses.connect() as connection:
        first = await answered(connection, model="m", input="one")
        upstream.script(status(500), reply("fine"))
        failed = await answered(connection, model="m", input="lost", previous_response_id=first.response.id)
        assert (failed.type, failed.status) == ("error", 502)
        last = await answered(connection, model="m", input="two", previous_response_id=first.response.id)
        assert last.response.output_text == "fine"


async def test_what_is_prepared_is_not_generated_and_lanes_have_names(client: Any) -> None:
    async with client.responses.connect() as connection:
        prepared = await answered(connection, model="m", input="My name is Alice.", generate=False, stream_id="a")
        assert (prepared.response.output, prepared.response.status) == ([], "completed")
        id = prepared.response.id
        answer = await answered(connection, model="m", input="What's my name?", previous_response_id=id, stream_id="b")
        assert (answer.response.output_text, answer.stream_id) == ("Your name is Alice.", "b")


# --- connections that end -------------------------------------------------------------------------------------------


async def test_a_connection_that_is_too_old_is_closed_and_another_one_goes_on(
    serve: Callable[..., Server], server: Server, client: Any, face: str
) -> None:
    brief = serve(store=server.settings.store, limits=Limits(websocket_s=0.5))
    async for hasty in openai_client(brief, face, Watch()):
        async with hasty.responses.connect() as connection:
            stored = await answered(connection, model="m", input="My name is Alice.")
            kept = await answered(connection, model="m", input="My name is Bo.", store=False)
            error = connection.parse_event(await connection.recv_bytes())
            assert (error.type, error.status) == ("error", 400)
            assert error.error.code == "websocket_connection_limit_reached"
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv_bytes()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
    async with client.responses.connect() as connection:
        asked = {"model": "m", "input": "What's my name?"}
        after = await answered(connection, **asked, previous_response_id=stored.response.id)
        assert after.response.output_text == "Your name is Alice."
        lost = await answered(connection, **asked, previous_response_id=kept.response.id, store=False)
        assert lost.error.code == "previous_response_not_found"
        said = [item.to_dict(warnings=False) for item in kept.response.output]
        whole = [{"role": "user", "content": "My name is Bo."}, *said, {"role": "user", "content": asked["input"]}]
        assert (await answered(connection, model="m", input=whole)).response.output_text == "Your name is Bo."


async def test_the_sdk_comes_back_by_itself_after_a_restart(serve: Callable[..., Server], face: str) -> None:
    server, left = serve(), list[int]()
    async for client in openai_client(server, face, Watch()):
        again = {"on_reconnecting": lambda event: left.append(event.close_code), "max_retries": 50}
        async with client.responses.connect(**again, initial_delay=0.02, max_delay=0.1) as connection:
            first = await answered(connection, model="m", input="My name is Alice.")
            reading = asyncio.ensure_future(_last_of(connection))
            await asyncio.to_thread(server.restart)
            while not left:
                await asyncio.sleep(0.005)
            asked = {"model": "m", "input": "What's my name?", "previous_response_id": first.response.id}
            await connection.response.create(**asked)
            assert (await reading).response.output_text == "Your name is Alice."


async def _last_of(connection: Any) -> Any:
    async for event in connection:
        if event.type in ("response.completed", "error"):
            return event
    raise AssertionError("the connection has ended")


async def test_who_has_no_key_is_not_let_in(serve: Callable[..., Server]) -> None:
    server = serve()
    key, record = new_key("acme")
    server.run(server.service.store.create_key(record))
    server.restart()
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="mt-wrong", max_retries=0) as stranger:
        with pytest.raises(Exception, match="401"):
            async with stranger.responses.connect():
                pass
    known = openai.AsyncOpenAI(base_url=server.base_url, api_key=key, max_retries=0)
    async with known as client, client.responses.connect() as connection:
        assert (await answered(connection, model="m", input="Hi")).type == "response.completed"
