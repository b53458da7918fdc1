"""Responses in the background: answered at once, run on without their caller, followed, stopped, taken over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from lasting import RUNNING, ended, eventually, held
from multiturn.models.limits import Retries
from multiturn.server.settings.values import Background, Limits
from multiturn.server.upstreams import Route
from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import Turn
from openresponses import problems
from responses_wire import EVENTS, Json, Wire, checked, said, told
from serving import Server
from upstream import Upstream, cut_after, hang, hang_after, reply, status, stream, tool_call
from upstream_responses import Provider, ResponsesUpstream, message, reasoning

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
OPENING = ["response.created", "response.queued", "response.in_progress"]


def sdk(server: Server) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="none", max_retries=0)


@pytest.fixture
def client(relay: Server) -> Iterator[OpenAI]:
    with sdk(relay) as client:
        yield client


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Lets what is `held` go on; at the latest when the test ends."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def alone(serve: Callable[..., Server], upstream: Upstream) -> Server:
    """A server that runs one response in the background at a time."""
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1))
    server: Server = serve(upstreams=(place,), background=Background(concurrency=1))
    return server


def events(client: OpenAI, id: str, **query: Any) -> list[Json]:
    """What `GET …?stream=true` tells, each event checked."""
    shown = [event.to_dict() for event in client.responses.retrieve(id, stream=True, **query)]
    for event in shown:
        if (name := EVENTS.get(str(event["type"]))) and "response" not in event:
            assert problems(event, name) == []
    return shown


# --- begun ----------------------------------------------------------------------------------------------------------


def test_it_is_answered_before_the_model_has_answered(
    client: OpenAI, upstream: Upstream, gate: threading.Event
) -> None:
    upstream.script(held(gate, "Hel", "lo."))
    begun = client.responses.create(model="m", input="hi", background=True, metadata={"a": "b"}, instructions="Brief.")
    assert begun.status in RUNNING
    assert (begun.background, begun.output, begun.usage, begun.completed_at) == (True, [], None, None)
    assert (begun.metadata, begun.instructions) == ({"a": "b"}, "Brief.")
    eventually(lambda: client.responses.retrieve(begun.id).status == "in_progress")
    gate.set()
    response = ended(client, begun.id)
    assert response.status == "completed"
    assert response.output_text == "Hello."
    assert response.usage is not None
    assert response.completed_at is not None


def test_what_is_shown_while_it_runs_is_a_whole_response(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(hang())
    begun = checked(relay_wire.post("/responses", model="m", input="hi", background=True, tools=[WEATHER]))
    assert begun["tools"][0]["name"] == "get_weather"
    assert upstream.wait(lambda: len(upstream.requests) == 1)
    checked(relay_wire.get(f"/responses/{begun['id']}"))
    checked(relay_wire.post(f"/responses/{begun['id']}/cancel"))


def test_it_runs_on_when_its_caller_hangs_up(relay: Server, upstream: Upstream, gate: threading.Event) -> None:
    upstream.script(held(gate, "one ", "two"))
    with sdk(relay) as client:
        stream = client.responses.create(model="m", input="count", background=True, stream=True)
        first = next(iter(stream))
        assert first.type == "response.created"
        eventually(lambda: upstream.requests != [])
        stream.close()
        gate.set()
        assert ended(client, first.response.id).output_text == "one two"
    assert upstream.hung_up == 0


def test_its_model_is_asked_as_for_any_other(client: OpenAI, upstream: Upstream) -> None:
    asked: Any = {
        "model": "m",
        "input": "hi",
        "instructions": "Brief.",
        "tools": [WEATHER],
        "temperature": 0.3,
        "max_output_tokens": 99,
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
    }
    client.responses.create(**asked, stream=True).close()
    ended(client, client.responses.create(**asked, background=True).id)
    assert upstream.requests[0].json == upstream.requests[1].json


def test_it_goes_on_from_others_and_others_from_it(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(reply("I am Bo."), tool_call("get_weather", {"city": "Rome"}), reply("Warm."))
    first = client.responses.create(model="m", input="Who are you?")
    second = client.responses.create(
        model="m", input="And the weather?", tools=[WEATHER], previous_response_id=first.id, background=True
    )
    call = ended(client, second.id).output[0]
    assert call.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "30 C"}
    third = client.responses.create(model="m", input=[result], previous_response_id=second.id)
    assert third.output_text == "Warm."
    assert [message["role"] for message in upstream.requests[-1].json["messages"]] == [
        *("user", "assistant", "user", "assistant", "tool")
    ]


def test_a_failing_model_is_told_in_the_response(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(status(429), cut_after(3, "one ", "two"))
    limited = ended(client, client.responses.create(model="m", input="hi", background=True).id)
    assert limited.status == "failed"
    assert limited.error is not None
    assert limited.error.code == "rate_limit_exceeded"
    cut = ended(client, client.responses.create(model="m", input="hi", background=True).id)
    assert cut.status == "failed"
    assert cut.error is not None
    assert cut.error.code == "server_error"
    assert cut.output_text == "one two"


def test_what_is_not_to_be_stored_cannot_run_in_the_background(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="has to be stored"):
        client.responses.create(model="m", input="hi", background=True, store=False)


def test_an_answer_that_takes_too_long_is_ended(serve: Callable[..., Server], upstream: Upstream) -> None:
    upstream.script(hang_after(3, "one ", "two "))
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1))
    with sdk(serve(upstreams=(place,), limits=Limits(stream_s=0.3))) as client:
        response = ended(client, client.responses.create(model="m", input="hi", background=True).id)
    assert response.status == "failed"
    assert response.error is not None
    assert "longer than 0.3 s" in response.error.message
    assert response.output_text == "one two "
    assert upstream.wait(lambda: upstream.hung_up == 1)


# --- in order -------------------------------------------------------------------------------------------------------


def test_what_there_is_no_room_for_waits_in_order(alone: Server, upstream: Upstream) -> None:
    upstream.script(hang(), reply("Second."), reply("Third."))
    with sdk(alone) as client:
        first, second, third = (
            client.responses.create(model="m", input=f"This is {n}.", background=True) for n in range(3)
        )
        assert upstream.wait(lambda: len(upstream.requests) == 1)
        assert [first.status, second.status, third.status] == ["in_progress", "queued", "queued"]
        assert client.responses.retrieve(second.id).status == "queued"
        assert alone.service.background.queued == 2
        client.responses.cancel(first.id)
        assert ended(client, second.id).output_text == "Second."
        assert ended(client, third.id).output_text == "Third."
        assert [request.last_text for request in upstream.requests] == ["This is 0.", "This is 1.", "This is 2."]


def test_who_follows_one_that_waits_sees_it_wait(alone: Server, upstream: Upstream) -> None:
    upstream.script(hang(), reply("Second."))
    with sdk(alone) as client:
        first = client.responses.create(model="m", input="hi", background=True)
        stream = iter(client.responses.create(model="m", input="hi", background=True, stream=True))
        seen = [next(stream), next(stream)]
        assert [event.type for event in seen] == OPENING[:2]
        assert seen[1].to_dict()["response"]["status"] == "queued"  # type: ignore[index]
        client.responses.cancel(first.id)
        rest = [event.type for event in stream]
        assert (rest[0], rest[-1]) == (OPENING[2], "response.completed")


# --- followed -------------------------------------------------------------------------------------------------------


def test_the_events_are_in_order_and_end_with_the_response_as_it_is_stored(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(stream(*"abcdefg"))
    shown = [event.to_dict() for event in client.responses.create(model="m", input="x", background=True, stream=True)]
    assert [event["sequence_number"] for event in shown] == list(range(len(shown)))
    assert [event["type"] for event in shown[:3]] == OPENING
    last: Any = shown[-1]
    assert last["type"] == "response.completed"
    assert told(shown) == said(last["response"]) == "abcdefg"
    assert client.responses.retrieve(last["response"]["id"]).to_dict() == last["response"]


def test_every_reader_is_told_the_same_now_or_later(client: OpenAI, upstream: Upstream, gate: threading.Event) -> None:
    upstream.script(held(gate, *"abcdefgh"))
    begun = client.responses.create(model="m", input="x", background=True)
    eventually(lambda: client.responses.retrieve(begun.id).status == "in_progress")
    with ThreadPoolExecutor(4) as readers:
        live = [readers.submit(events, client, begun.id) for _ in range(4)]
        time.sleep(0.1)
        gate.set()
        whole, *others = [reader.result(20) for reader in live]
    assert all(shown == whole for shown in others)
    assert told(whole) == "abcdefgh"
    assert events(client, begun.id) == whole
    for number in range(len(whole) + 1):
        assert events(client, begun.id, starting_after=number) == whole[number + 1 :]


def test_a_stream_that_broke_is_picked_up_where_it_broke(
    client: OpenAI, upstream: Upstream, gate: threading.Event
) -> None:
    upstream.script(held(gate, *"abcdefgh"))
    first: list[Json] = []
    broken = client.responses.create(model="m", input="x", background=True, stream=True)
    for event in broken:
        first.append(event.to_dict())
        if event.type == "response.output_text.delta" and event.delta == "d":
            break
    broken.close()
    gate.set()
    id: str = first[0]["response"]["id"]
    rest = events(client, id, starting_after=first[-1]["sequence_number"])
    assert first + rest == events(client, id)
    assert told(first + rest) == "abcdefgh"


async def test_the_async_sdk_follows_as_well(server: Server) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
        begun = await client.responses.create(model="m", input="count to 20", background=True)
        shown = [event async for event in await client.responses.retrieve(begun.id, stream=True)]
    assert shown[-1].type == "response.completed"
    assert shown[-1].response.output_text.startswith("1, 2, 3")


def test_the_sdks_stream_helper_goes_on_from_a_response(server: Server) -> None:
    with sdk(server) as client:
        begun = client.responses.create(model="m", input="My name is Bo.", background=True)
        with client.responses.stream(response_id=begun.id) as stream:
            stream.until_done()
            assert stream.get_final_response().output_text == "Nice to meet you, Bo."


def test_encrypted_thinking_is_shown_to_every_reader_where_the_request_wants_it(
    serve: Callable[..., Server],
) -> None:
    with ResponsesUpstream(provider := Provider()) as upstream:
        for _ in range(2):
            provider.says(reasoning("Hm.", encrypted="gAAA"), message("Hello."))
        place = Place(name="scripted", urls=(upstream.url,), api="responses", retries=Retries(attempts=1))
        with sdk(serve(upstreams=(place,))) as client:
            include: Any = ["reasoning.encrypted_content"]
            plain = client.responses.create(model="m", input="x", background=True)
            ended(client, plain.id)
            asked = client.responses.create(model="m", input="x", background=True, include=include)
            for id, shows in ((plain.id, False), (asked.id, True)):
                ended(client, id)
                shown = events(client, id)
                assert ("gAAA" in str(shown)) is shows
                assert shown == events(client, id, include=include)


def test_only_what_ran_in_the_background_can_be_followed(client: OpenAI) -> None:
    response = client.responses.create(model="m", input="hi")
    with pytest.raises(BadRequestError, match="only the events of a response that ran in the background"):
        client.responses.retrieve(response.id, stream=True)
    with pytest.raises(NotFoundError):
        client.responses.retrieve("resp_nobody", stream=True)


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 30, "\u0663"])
def test_a_place_in_the_stream_is_a_number(client: OpenAI, relay_wire: Wire, number: str) -> None:
    response = ended(client, client.responses.create(model="m", input="hi", background=True).id)
    query = {"stream": "true", "starting_after": number}
    error = relay_wire.refused(400, "GET", f"/responses/{response.id}", params=query)
    assert error["param"] == "starting_after"


def test_events_that_are_not_kept_any_more_are_missed_clearly(relay: Server, client: OpenAI) -> None:
    response = ended(client, client.responses.create(model="m", input="hi", background=True).id)
    relay.run(relay.service.store.forget_drafts(time.time() + 1))
    with pytest.raises(BadRequestError, match="not kept any more; retrieve it without stream=true"):
        client.responses.retrieve(response.id, stream=True)
    assert client.responses.retrieve(response.id).output_text == response.output_text


# --- stopped --------------------------------------------------------------------------------------------------------


def test_a_running_one_is_cancelled_at_once_and_its_readers_are_told(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(hang_after(4, "one ", "two ", "three"))
    stream = client.responses.create(model="m", input="count", background=True, stream=True)
    shown: list[Json] = []
    for event in stream:
        shown.append(event.to_dict())
        if event.type == "response.output_text.delta" and event.delta == "three":
            cancelled = client.responses.cancel(shown[0]["response"]["id"])
            assert cancelled.status == "cancelled"
            assert cancelled.output_text == "one two three"
    assert shown[-1]["type"] == "response.incomplete"
    assert shown[-1]["response"] == cancelled.to_dict()
    assert upstream.wait(lambda: upstream.hung_up == 1)
    assert client.responses.cancel(cancelled.id).to_dict() == cancelled.to_dict()


def test_one_that_waits_is_cancelled_without_its_model_being_asked(alone: Server, upstream: Upstream) -> None:
    upstream.script(hang())
    with sdk(alone) as client:
        first, second = (client.responses.create(model="m", input="hi", background=True) for _ in range(2))
        assert client.responses.cancel(second.id).status == "cancelled"
        assert upstream.wait(lambda: len(upstream.requests) == 1)
        client.responses.cancel(first.id)
    assert len(upstream.requests) == 1


def test_one_that_has_ended_stays_as_it_is(client: OpenAI) -> None:
    response = ended(client, client.responses.create(model="m", input="hi", background=True).id)
    assert client.responses.cancel(response.id).to_dict() == response.to_dict()


def test_only_what_runs_in_the_background_can_be_cancelled(client: OpenAI) -> None:
    response = client.responses.create(model="m", input="hi")
    with pytest.raises(BadRequestError, match="only a response that runs in the background"):
        client.responses.cancel(response.id)


# --- a server that goes, and comes again ----------------------------------------------------------------------------


def test_what_ran_when_its_server_was_stopped_has_failed_and_says_so(
    relay: Server, client: OpenAI, upstream: Upstream
) -> None:
    upstream.script(hang_after(3, "one ", "two "))
    begun = client.responses.create(model="m", input="count", background=True)
    assert upstream.wait(lambda: len(upstream.requests) == 1)
    eventually(lambda: "two" in str(_drafts(relay, begun.id)))
    relay.restart()
    response = client.responses.retrieve(begun.id)
    assert response.status == "failed"
    assert response.error is not None
    assert "the server is going down" in response.error.message
    assert response.output_text == "one two "
    assert events(client, begun.id)[-1]["type"] == "response.failed"


def _drafts(server: Server, id: str) -> list[Any]:
    async def read() -> list[Any]:
        async for stretch in server.service.store.follow(f"turn_{id.removeprefix('resp_')}"):
            return list(stretch) if not isinstance(stretch, Turn) else []
        return []

    return server.run(read())


def test_what_waited_when_its_server_was_stopped_runs_as_it_was_asked(alone: Server, upstream: Upstream) -> None:
    asked: Any = {
        "model": "m",
        "input": [{"role": "user", "content": "Look."}],
        "instructions": "Brief.",
        "tools": [WEATHER, {"type": "custom", "name": "run_sql", "description": "Runs a query."}],
        "tool_choice": {"type": "custom", "name": "run_sql"},
        "parallel_tool_calls": False,
        "temperature": 0.3,
        "top_p": 0.9,
        "max_output_tokens": 99,
        "truncation": "auto",
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}, "verbosity": "low"},
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "user": "u",
        "prompt_cache_key": "k",
        "stream": False,
    }
    query = tool_call("run_sql", {"input": "SELECT 1"})
    upstream.script(query, hang(), query)
    with sdk(alone) as client:
        first = client.responses.create(model="m", input="Hello.")
        hanging = client.responses.create(model="m", input="hi", background=True)
        waiting = client.responses.create(**asked, previous_response_id=first.id, background=True)
        assert waiting.status == "queued"
        assert upstream.wait(lambda: len(upstream.requests) == 2)
        alone.restart()
        response = ended(client, waiting.id)
        assert ended(client, hanging.id).status == "failed"
        whole = {**msgspec.to_builtins(waiting.to_dict()), **_of_end(response.to_dict())}
        assert whole == response.to_dict()
        assert response.output[0].type == "custom_tool_call"
        assert response.output[0].input == "SELECT 1"
        upstream.script(query)
        client.responses.create(**{**asked, "stream": True}, previous_response_id=first.id).close()
    assert upstream.requests[2].json == upstream.requests[3].json
    assert upstream.requests[2].json["messages"][1]["content"] == "Hello."


def _of_end(response: Json) -> Json:
    return {name: response[name] for name in ("status", "output", "usage", "completed_at")}


def test_what_cannot_be_asked_again_has_failed_and_says_why(serve: Callable[..., Server], upstream: Upstream) -> None:
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1))
    upstream.script(hang())
    server = serve(upstreams=(place,), background=Background(concurrency=1))
    with sdk(server) as client:
        client.responses.create(model="m", input="hi", background=True)
        waiting = client.responses.create(model="m", input="hi", background=True)
        server.settings = msgspec.structs.replace(server.settings, routes=(Route(match="other", to="scripted"),))
        server.restart()
        response = ended(client, waiting.id)
    assert response.status == "failed"
    assert response.error is not None
    assert "'m'" in response.error.message
