"""`/v1/responses` over WebSocket: turn after turn on one connection, what it keeps to itself, lanes, and limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError, OpenAI

from lasting import held
from multiturn.models.limits import Retries
from multiturn.server.responses.websocket import AT_ONCE, LANES, MOST_WAITING
from multiturn.server.settings.values import Limits
from multiturn.server.upstreams import Upstream as Place
from responses_wire import Json, Wire, said, told
from serving import Server
from upstream import Upstream, hang, reply, status, stream, tool_call
from websocket_wire import Socket

WEATHER: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def socket(server: Server) -> Iterator[Socket]:
    with Socket(server.url) as socket:
        yield socket


@pytest.fixture
def relayed(relay: Server) -> Iterator[Socket]:
    with Socket(relay.url) as socket:
        yield socket


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


# --- turns ----------------------------------------------------------------------------------------------------------


def test_one_turn_after_the_other_is_told_as_over_http(socket: Socket, wire: Wire) -> None:
    socket.create(input="My name is Alice.")
    events = socket.told()
    response = events[-1]["response"]
    assert events[-1]["type"] == "response.completed"
    assert told(events) == said(response) == "Nice to meet you, Alice."
    assert wire.response(response["id"]) == response
    kinds = [event["type"] for event in wire.events(model="m", input="My name is Alice.")]
    assert [event["type"] for event in events] == kinds
    second = socket.ask(input="What is my name?", previous_response_id=response["id"])
    assert said(second) == "Your name is Alice."
    assert second["previous_response_id"] == response["id"]


def test_tools_are_called_and_answered(relayed: Socket, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Rome"}), reply("It is warm."))
    first = relayed.ask(input="And the weather?", tools=[WEATHER], store=False)
    (call,) = first["output"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "30 C"}
    second = relayed.ask(input=[result], tools=[WEATHER], store=False, previous_response_id=first["id"])
    assert said(second) == "It is warm."
    assert [message["role"] for message in upstream.requests[-1].json["messages"]] == ["user", "assistant", "tool"]


def test_what_is_sent_while_a_response_is_made_waits_for_it(
    relayed: Socket, upstream: Upstream, gate: threading.Event
) -> None:
    upstream.script(held(gate, *"abcd"), reply("Second."), reply("Third."))
    for n in range(3):
        relayed.create(input=f"This is {n}.")
    first = [relayed.receive() for _ in range(2)]
    assert len(upstream.requests) == 1
    gate.set()
    while first[-1]["type"] != "response.completed":
        first.append(relayed.receive())
    assert told(first) == "abcd"
    assert [told(relayed.told()) for _ in range(2)] == ["Second.", "Third."]
    assert [request.last_text for request in upstream.requests] == ["This is 0.", "This is 1.", "This is 2."]


def test_the_fields_of_http_streams_are_passed_over(socket: Socket) -> None:
    response = socket.ask(input="My name is Bo.", stream=True, stream_options={"include_obfuscation": False})
    assert said(response) == "Nice to meet you, Bo."
    socket.create(input="hi", background=True)
    assert "background" in socket.refused()["message"]


def test_an_idempotency_key_of_the_handshake_is_not_every_turns(server: Server) -> None:
    with Socket(server.url, **{"Idempotency-Key": "k"}) as socket:
        first, second = (socket.ask(input=f"My name is {name}.") for name in ("Alice", "Bo"))
    assert [said(first), said(second)] == ["Nice to meet you, Alice.", "Nice to meet you, Bo."]


# --- what is not stored ---------------------------------------------------------------------------------------------


def test_what_is_not_stored_can_be_followed_on_its_own_connection(server: Server, client: OpenAI) -> None:
    with Socket(server.url) as socket:
        first = socket.ask(input="My name is Alice.", store=False)
        second = socket.ask(input="I live in Rome.", store=False, previous_response_id=first["id"])
        third = socket.ask(input="What is my name?", store=False, previous_response_id=second["id"])
        assert said(third) == "Your name is Alice."
    for response in (first, second, third):
        with pytest.raises(NotFoundError):
            client.responses.retrieve(response["id"])
    assert server.run(server.service.store.conversations()) == ()


def test_on_another_connection_it_is_not_found_and_the_whole_history_helps(server: Server) -> None:
    with Socket(server.url) as socket:
        first = socket.ask(input="My name is Alice.", store=False)
    with Socket(server.url) as socket:
        socket.create(input="What is my name?", store=False, previous_response_id=first["id"])
        error = socket.refused()
        assert (error["status"], error["code"]) == (400, "previous_response_not_found")
        assert error["param"] == "previous_response_id"
        assert first["id"] in error["message"]
        history = [{"role": "user", "content": "My name is Alice."}, *first["output"]]
        whole = [*history, {"role": "user", "content": "What is my name?"}]
        second = socket.ask(input=whole, store=False, previous_response_id=None)
        assert said(second) == "Your name is Alice."


def test_only_the_last_response_of_a_lane_is_kept(socket: Socket) -> None:
    first = socket.ask(input="My name is Alice.", store=False)
    socket.ask(input="I live in Rome.", store=False, previous_response_id=first["id"])
    socket.create(input="What is my name?", store=False, previous_response_id=first["id"])
    assert socket.refused()["code"] == "previous_response_not_found"


def test_what_is_not_stored_can_follow_what_is(socket: Socket) -> None:
    first = socket.ask(input="My name is Alice.")
    second = socket.ask(input="I live in Rome.", store=False, previous_response_id=first["id"])
    third = socket.ask(input="What is my name?", store=False, previous_response_id=second["id"])
    assert said(third) == "Your name is Alice."


def test_what_is_stored_cannot_follow_what_is_not(socket: Socket) -> None:
    first = socket.ask(input="My name is Alice.", store=False)
    socket.create(input="What is my name?", previous_response_id=first["id"])
    error = socket.refused()
    assert error["code"] == "previous_response_not_found"
    assert first["id"] in error["message"]


def test_after_a_failure_a_lane_begins_anew(relayed: Socket, upstream: Upstream) -> None:
    upstream.script(reply("One."), status(500), reply("Three."))
    first = relayed.ask(input="1", store=False)
    for _ in range(2):
        relayed.create(input="2", store=False, previous_response_id=first["id"])
    assert relayed.refused()["status"] == 502
    assert relayed.refused()["code"] == "previous_response_not_found"
    assert said(relayed.ask(input="3", store=False)) == "Three."


# --- prepared -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [True, False])
def test_a_response_that_is_not_generated_is_there_to_be_followed(
    relayed: Socket, relay_wire: Wire, upstream: Upstream, store: bool
) -> None:
    upstream.script(reply("Rex."))
    relayed.create(input="My dog is called Rex.", generate=False, store=store)
    events = relayed.told()
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.completed"]
    prepared = events[-1]["response"]
    assert (prepared["output"], prepared["usage"]) == ([], None)
    assert upstream.requests == []
    if store:
        assert relay_wire.response(prepared["id"]) == prepared
    asked = relayed.ask(input="What is he called?", store=store, previous_response_id=prepared["id"])
    assert said(asked) == "Rex."
    contents = [message["content"] for message in upstream.requests[0].json["messages"]]
    assert contents == ["My dog is called Rex.", "What is he called?"]


# --- lanes ----------------------------------------------------------------------------------------------------------


def test_lanes_run_at_once_and_tell_their_names(relayed: Socket, upstream: Upstream, gate: threading.Event) -> None:
    upstream.script(held(gate, "slow ", "one"), reply("quick"))
    relayed.create(input="1", stream_id="slow")
    first = [relayed.receive()]
    relayed.create(input="2", stream_id="quick")
    others: list[Json] = []
    while not others or others[-1]["type"] != "response.completed":
        event = relayed.receive()
        (first if event["stream_id"] == "slow" else others).append(event)
    assert told(others) == "quick"
    gate.set()
    while first[-1]["type"] != "response.completed":
        first.append(relayed.receive())
    assert told(first) == "slow one"
    assert {event["stream_id"] for event in first} == {"slow"}
    assert [event["sequence_number"] for event in others] == list(range(len(others)))


def test_a_lane_can_fork_from_another_and_its_failure_leaves_that_one_as_it_is(
    relayed: Socket, upstream: Upstream
) -> None:
    upstream.script(reply("Plan."), status(500), reply("Gaps."), reply("Rollback."))
    plan = relayed.ask(input="Plan it.", store=False, stream_id="planner")
    fork: Json = {"store": False, "stream_id": "critic", "previous_response_id": plan["id"]}
    relayed.create(input="Find gaps.", **fork)
    assert relayed.refused()["status"] == 502
    assert said(relayed.ask(input="Find gaps.", **fork)) == "Gaps."
    goes_on = relayed.ask(input="And back.", store=False, stream_id="planner", previous_response_id=plan["id"])
    assert said(goes_on) == "Rollback."
    assert [message["content"] for message in upstream.requests[-1].json["messages"]] == [
        "Plan it.",
        "Plan.",
        "And back.",
    ]


@pytest.mark.parametrize("name", ["", "with space", "x" * 257, 7, ["a"], "é"])
def test_a_lanes_name_is_a_word(socket: Socket, name: object) -> None:
    socket.create(input="hi", stream_id=name)
    error = socket.refused()
    assert (error["status"], error["code"], error["param"]) == (400, "invalid_stream_id", "stream_id")


def test_there_are_only_so_many_lanes(relayed: Socket) -> None:
    for n in range(LANES):
        relayed.ask(input="hi", stream_id=f"lane.{n}", store=False)
    relayed.create(input="hi", stream_id="one-more")
    event = relayed.receive()
    assert event["error"]["code"] == "websocket_stream_limit_reached"
    assert event["stream_id"] == "one-more"
    assert relayed.ask(input="hi")["status"] == "completed"
    assert relayed.ask(input="hi", stream_id="lane.0")["status"] == "completed"


def test_so_many_responses_are_made_at_once_and_so_many_wait(relayed: Socket, upstream: Upstream) -> None:
    upstream.script(*[hang() for _ in range(AT_ONCE)])
    for n in range(LANES):
        relayed.create(input="hi", stream_id=f"lane.{n}")
    assert upstream.wait(lambda: len(upstream.requests) == AT_ONCE, 10)
    for n in range(MOST_WAITING):  # no more than that begin to wait, whatever their lanes
        relayed.create(input="hi", stream_id=f"lane.{n % LANES}")
    error = relayed.refused()
    assert (error["status"], error["code"]) == (429, "rate_limit_exceeded")
    assert len(upstream.requests) == AT_ONCE


def test_long_requests_do_not_pile_up(serve: Callable[..., Server], upstream: Upstream) -> None:
    upstream.script(hang())
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1))
    with Socket(serve(upstreams=(place,), limits=Limits(body_bytes=2000)).url) as socket:
        socket.create(input="hi")
        assert upstream.wait(lambda: len(upstream.requests) == 1)
        for _ in range(4):
            socket.create(input="x" * 900)
        assert socket.refused()["status"] == 429


# --- the official client --------------------------------------------------------------------------------------------


def test_the_sdk_talks_over_one_connection(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        texts, previous = [], None
        for words in ("My name is Alice.", "What is my name?"):
            connection.response.create(model="m", input=words, store=False, previous_response_id=previous)
            for event in connection:
                assert event.type != "error"
                if event.type == "response.completed":
                    texts.append(event.response.output_text)
                    previous = event.response.id
                    break
    assert texts == ["Nice to meet you, Alice.", "Your name is Alice."]


async def test_the_async_sdk_reads_lanes_and_errors(server: Server) -> None:
    async with (
        AsyncOpenAI(base_url=server.base_url, api_key="none") as client,
        client.responses.connect() as connection,
    ):
        await connection.response.create(model="m", input="My name is Bo.", stream_id="a")
        async for event in connection:
            assert event.stream_id == "a"
            if event.type == "response.completed":
                break
        await connection.response.create(model="m", input="x", previous_response_id="resp_nobody", stream_id="b")
        error = await connection.recv()
        assert error.type == "error"
        assert (error.status, error.error.code, error.stream_id) == (400, "previous_response_not_found", "b")


def test_who_steers_is_given_the_input_back(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        connection.response.steer(input="Faster!", previous_response_id="resp_1")
        event = connection.recv()
    assert event.type == "response.steer.failed"
    assert event.error.code == "steering_not_supported"
    assert (event.steer.input, event.steer.previous_response_id) == ("Faster!", "resp_1")


# --- limits ---------------------------------------------------------------------------------------------------------


def test_a_connection_that_is_too_old_is_told_so_and_closed_once_nothing_runs(
    serve: Callable[..., Server], upstream: Upstream, gate: threading.Event
) -> None:
    upstream.script(held(gate, *"abcd"))
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1))
    with Socket(serve(upstreams=(place,), limits=Limits(websocket_s=0.5)).url) as socket:
        socket.create(input="hi", stream_id="a")
        time.sleep(0.7)
        socket.create(input="hi", stream_id="b")
        first = [socket.receive()]
        while first[-1]["type"] != "error":
            first.append(socket.receive())
        late = first.pop()
        assert (late["stream_id"], late["error"]["code"]) == ("b", "websocket_connection_limit_reached")
        gate.set()
        *rest, last = socket.until_closed()
        assert told(first + rest) == "abcd"
        assert rest[-1]["type"] == "response.completed"
        assert (last["status"], last["error"]["code"]) == (400, "websocket_connection_limit_reached")
        assert socket.wire.close_code == 1001


def test_an_idle_connection_is_closed_when_it_is_too_old(serve: Callable[..., Server]) -> None:
    with Socket(serve(limits=Limits(websocket_s=0.2)).url) as socket:
        assert socket.ask(input="hi")["status"] == "completed"
        (last,) = socket.until_closed()
        assert last["error"]["code"] == "websocket_connection_limit_reached"


def test_every_turn_counts_against_the_rate(serve: Callable[..., Server]) -> None:
    with Socket(serve(limits=Limits(requests_per_minute=2)).url) as socket:
        for _ in range(2):
            assert socket.ask(input="hi")["status"] == "completed"
        socket.create(input="hi", stream_id="a")
        event = socket.receive()
        assert (event["status"], event["stream_id"]) == (429, "a")
        assert event["error"]["code"] == "rate_limit_exceeded"
        assert int(event["error"]["headers"]["retry-after"]) >= 1


def test_an_answer_that_takes_too_long_is_ended(serve: Callable[..., Server], upstream: Upstream) -> None:
    upstream.script(stream(*"abcdefgh", delay_s=0.2))
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1))
    server = serve(upstreams=(place,), limits=Limits(stream_s=0.5))
    with Socket(server.url) as socket:
        socket.create(input="hi")
        last = socket.told()[-1]
        assert last["type"] == "response.failed"
        assert "longer than 0.5 s" in last["response"]["error"]["message"]
        wire = Wire(server.url)
        assert wire.response(last["response"]["id"])["error"] == last["response"]["error"]
        wire.close()
        assert socket.ask(input="hi")["status"] == "completed"
