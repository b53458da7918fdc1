"""Stored chat with the official `xai-sdk`, unmodified: what is answered, stored, gone on from and deleted."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from openai import OpenAI
from pydantic import BaseModel
from xai_sdk.chat import image, required_tool, system, tool, tool_result, user
from xai_sdk.tools import web_search

from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import TurnStatus
from upstream import Upstream, reply, tool_call
from upstream_xai import KEY, XaiUpstream, searching, thinking
from xai_clients import Door, async_client_of, client_of, refused, refused_async

WEATHER = tool("get_weather", "The weather in a city.", {"type": "object", "properties": {"city": {"type": "string"}}})


class City(BaseModel):
    name: str
    people: int


# --- what is answered -----------------------------------------------------------------------------------------------


def test_the_sdk_gets_an_answer(client: Any) -> None:
    chat = client.chat.create(model="grok-4", messages=[system("Be brief.")], store_messages=True)
    response = chat.append(user("My name is Alice.")).sample()
    assert (response.content, response.finish_reason) == ("Nice to meet you, Alice.", "REASON_STOP")
    assert (response.role, response.proto.model) == ("ROLE_ASSISTANT", "grok-4")
    assert len(response.id) == 26
    assert response.created.year > 2024
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens > 0


async def test_the_async_sdk_gets_a_stream_whose_pieces_are_the_text(door: Door) -> None:
    async with async_client_of(door.host) as client:
        chat = client.chat.create(model="m", messages=[user("count to 30")], store_messages=True)
        pieces = []
        async for whole, chunk in chat.stream():
            assert chunk.proto.id == whole.id
            pieces.append(chunk.content)
        assert len(pieces) > 1
        assert whole.content == "".join(pieces)
        (stored,) = await client.chat.get_stored_completion(whole.id)
        assert (stored.content, stored.usage) == (whole.content, whole.usage)
        assert (stored.finish_reason, stored.created) == (whole.finish_reason, whole.created)


def test_a_stream_ends_with_why_it_ended_and_what_it_took(relayed_client: Any, upstream: Upstream) -> None:
    upstream.script(reply("one two three four", streams=True, delay_s=0.03))
    chunks = [chunk for _, chunk in relayed_client.chat.create(model="m", messages=[user("Count.")]).stream()]
    assert [chunk.content for chunk in chunks] == ["one ", "two ", "three ", "four", ""]
    assert [chunk.proto.HasField("usage") for chunk in chunks] == [False] * 4 + [True]
    assert [output.finish_reason for chunk in chunks for output in chunk.proto.outputs] == [0, 0, 0, 0, 3]
    assert len({(chunk.proto.id, chunk.created, chunk.proto.model) for chunk in chunks}) == 1


def test_what_comes_at_once_may_be_told_at_once_and_is_the_same(relayed_client: Any, upstream: Upstream) -> None:
    words = " ".join(f"w{n}" for n in range(3000))
    upstream.script(reply(words, streams=True))
    told = list(relayed_client.chat.create(model="m", messages=[user("Talk.")]).stream())
    whole, _ = told[-1]
    assert whole.content == "".join(chunk.content for _, chunk in told) == words
    assert (whole.finish_reason, whole.usage.total_tokens) == ("REASON_STOP", 15)


async def test_typed_answers_are_parsed(door: Door, client: Any) -> None:
    _, city = client.chat.create(model="m", messages=[user("A city.")]).parse(City)
    assert isinstance(city, City)
    async with async_client_of(door.host) as waiting:
        response, city = await waiting.chat.create(model="m", messages=[user("A city.")]).parse(City)
    assert City.model_validate_json(response.content) == city


@pytest.mark.parametrize("streams", [False, True])
def test_tools_of_the_client_are_called_and_their_results_read(
    relayed_client: Any, relayed: Door, upstream: Upstream, streams: bool
) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}), reply("Snow."))
    asked = {"model": "m", "tools": [WEATHER], "store_messages": True}
    chat = relayed_client.chat.create(**asked, messages=[user("Weather?")], tool_choice=required_tool("get_weather"))
    response = list(chat.stream())[-1][0] if streams else chat.sample()
    (call,) = response.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Oslo"}')
    assert response.finish_reason == "REASON_TOOL_CALLS"
    assert upstream.requests[0].json["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}

    chat = relayed_client.chat.create(**asked, previous_response_id=response.id)
    assert chat.append(tool_result("-3 degrees", tool_call_id=call.id)).sample().content == "Snow."
    roles = [message["role"] for message in upstream.requests[1].json["messages"]]
    assert roles == ["user", "assistant", "tool"]
    assert [len(turn.messages) for turn in relayed.turns()] == [2, 2]


def test_results_that_do_not_name_their_calls_answer_those_that_wait(relayed_client: Any, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}, call_id="call_9"), reply("Snow."))
    asked = {"model": "m", "tools": [WEATHER], "store_messages": True}
    response = relayed_client.chat.create(**asked, messages=[user("Weather?")]).sample()
    following = relayed_client.chat.create(**asked, previous_response_id=response.id)
    assert following.append(tool_result("-3 degrees")).sample().content == "Snow."
    assert upstream.requests[1].json["messages"][2]["tool_call_id"] == "call_9"
    again = relayed_client.chat.create(**asked, previous_response_id=response.id)
    two = again.append(tool_result("-3 degrees")).append(tool_result("-4 degrees"))
    code, details = refused(two.sample)
    assert (code, details.partition(":")[0]) == ("INVALID_ARGUMENT", "messages[1].tool_call_id")


def test_an_image_is_seen_and_stored(client: Any, door: Door) -> None:
    asked = user("What is this?", image(f"data:image/png;base64,{base64.b64encode(png(7, 5)).decode()}", detail="high"))
    response = client.chat.create(model="m", messages=[asked], store_messages=True).sample()
    assert "7" in response.content
    assert "5" in response.content
    assert [part for part in door.turns()[0].input[0].parts if getattr(part, "detail", None) == "high"]


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff\0\0" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_thinking_and_effort_pass_through(relayed_client: Any, upstream: Upstream) -> None:
    upstream.script(*[reply("Four.", reasoning_content="Two and two.")] * 2)
    chat = relayed_client.chat.create(model="m", messages=[user("2+2?")], reasoning_effort="low", store_messages=True)
    whole = chat.sample()
    *_, (streamed, _) = chat.stream()
    for response in (whole, streamed, relayed_client.chat.get_stored_completion(whole.id)[0]):
        assert (response.reasoning_content, response.content) == ("Two and two.", "Four.")
        assert response.usage.total_tokens == 15
    assert upstream.requests[0].json["reasoning_effort"] == "low"


def test_a_length_limit_is_told(relayed_client: Any, upstream: Upstream) -> None:
    upstream.script(reply("Once upon", finish_reason="length"))
    chat = relayed_client.chat.create(model="m", messages=[user("A tale.")], max_tokens=2, store_messages=True)
    response = chat.sample()
    assert response.finish_reason == "REASON_MAX_LEN"
    assert relayed_client.chat.get_stored_completion(response.id)[0].finish_reason == "REASON_MAX_LEN"


def test_the_settings_are_echoed_now_and_later(client: Any) -> None:
    chat = client.chat.create(
        model="m",
        messages=[user("hi")],
        store_messages=True,
        temperature=0.7,
        top_p=0.9,
        max_tokens=99,
        tools=[WEATHER],
        tool_choice="auto",
        reasoning_effort="high",
        user="ann",
    )
    first = chat.sample()
    settings = first.request_settings
    assert (settings.store_messages, settings.max_tokens, settings.user) == (True, 99, "ann")
    assert settings.temperature == pytest.approx(0.7)
    assert list(settings.tools) == [WEATHER]
    second = client.chat.create(
        model="m", messages=[user("more")], store_messages=True, previous_response_id=first.id
    ).sample()
    assert second.request_settings.previous_response_id == first.id
    for response in (first, second):
        assert client.chat.get_stored_completion(response.id)[0].request_settings == response.request_settings


# --- several answers ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:chat.(sample|stream)_batch:PendingDeprecationWarning")
def test_of_a_batch_every_answer_is_stored_and_the_first_one_is_gone_on_from(
    relayed_client: Any, upstream: Upstream
) -> None:
    upstream.script(three(), reply("Fine."), three())
    asked = {"model": "m", "messages": [user("A gift?")], "store_messages": True}
    responses = relayed_client.chat.create(**asked).sample_batch(3)
    assert [response.content for response in responses] == ["A book", "A scarf", "A hat"]
    assert upstream.requests[0].json["n"] == 3
    stored = relayed_client.chat.get_stored_completion(responses[0].id)
    assert [response.content for response in stored] == ["A book", "A scarf", "A hat"]
    assert {response.id for response in (*responses, *stored)} == {responses[0].id}

    following = {**asked, "messages": [user("Why?")], "previous_response_id": responses[2].id}
    relayed_client.chat.create(**following).sample()
    assert [message["content"] for message in upstream.requests[1].json["messages"]] == ["A gift?", "A book", "Why?"]
    assert "n" not in upstream.requests[1].json

    *_, (streamed, _) = relayed_client.chat.create(**asked).stream_batch(3)
    assert [response.content for response in streamed] == ["A book", "A scarf", "A hat"]


def three() -> Any:
    """An answer of three choices, whole or streamed."""
    texts = ["A book", "A scarf", "A hat"]

    async def run(exchange: Any) -> None:
        head = {"id": "chatcmpl-1", "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 6}}
        if not exchange.request.streams:
            choices = [
                {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                for n, text in enumerate(texts)
            ]
            exchange.whole(200, msgspec.json.encode({**head, "choices": choices}))
            return
        exchange.begin_stream()
        for n, text in reversed(list(enumerate(texts))):
            choice = {"index": n, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            exchange.chunk(b"data: " + msgspec.json.encode({**head, "choices": [choice]}) + b"\n\n")
        exchange.chunk(b"data: [DONE]\n\n")
        exchange.chunk(b"")

    return run


# --- going on -------------------------------------------------------------------------------------------------------


def test_a_chain_remembers_and_branches_also_after_a_restart(door: Door) -> None:
    def ask(text: str, previous: str | None = None) -> Any:
        asked = {"model": "m", "messages": [user(text)], "store_messages": True, "previous_response_id": previous}
        return client.chat.create(**asked).sample()

    client = client_of(door.host)
    first = ask("My name is Alice.")
    red, blue = ask("My favourite colour is red.", first.id), ask("My favourite colour is blue.", first.id)
    client.close()
    door.close()
    door.server.restart()
    again = Door(door.server)
    client = client_of(again.host)
    assert ask("What's my favourite colour?", red.id).content == "Your favourite colour is red."
    assert ask("What's my favourite colour?", blue.id).content == "Your favourite colour is blue."
    assert ask("What's my name?", blue.id).content == "Your name is Alice."
    client.close()
    again.close()


def test_what_is_not_to_be_stored_leaves_nothing(client: Any, door: Door) -> None:
    response = client.chat.create(model="m", messages=[user("My name is Alice.")]).sample()
    assert door.turns() == []
    assert refused(lambda: client.chat.get_stored_completion(response.id)) == ("NOT_FOUND", "Response not found")
    following = {"model": "m", "messages": [user("What's my name?")], "previous_response_id": response.id}
    for stores in (False, True):
        chat = client.chat.create(**following, store_messages=stores)
        assert refused(chat.sample) == ("NOT_FOUND", "Response not found")
    assert door.turns() == []


def test_what_is_not_to_be_stored_can_follow_what_is(client: Any, door: Door) -> None:
    stored = client.chat.create(model="m", messages=[user("My name is Alice.")], store_messages=True).sample()
    following = {"model": "m", "messages": [user("What's my name?")], "previous_response_id": stored.id}
    assert client.chat.create(**following).sample().content == "Your name is Alice."
    assert len(door.turns()) == 1
    client.chat.delete_stored_completion(stored.id)
    assert refused(client.chat.create(**following).sample) == ("NOT_FOUND", "Response not found")


def test_a_history_that_the_client_keeps_is_stored_once(client: Any, door: Door) -> None:
    chat = client.chat.create(model="m", messages=[system("Be brief.")], store_messages=True)
    for text in ("My name is Alice.", "I live in Oslo.", "What's my name?"):
        chat.append(user(text))
        chat.append(response := chat.sample())
    assert response.content == "Your name is Alice."
    first, second, third = door.turns()
    assert [len(turn.input) for turn in (first, second, third)] == [2, 1, 1]
    assert (second.parent, third.parent) == (first.id, second.id)


def test_what_is_both_chained_and_said_again_is_stored_once(client: Any, door: Door) -> None:
    chat = client.chat.create(model="m", messages=[user("My name is Alice.")], store_messages=True)
    first = chat.sample()
    again = client.chat.create(model="m", store_messages=True, previous_response_id=first.id)
    for message in chat.append(first).append(user("What's my name?")).messages:
        again.append(message)
    assert again.sample().content == "Your name is Alice."
    assert [len(turn.input) for turn in door.turns()] == [1, 1]


def test_a_deleted_response_is_gone_and_what_follows_it_stays(client: Any) -> None:
    asked = {"model": "m", "store_messages": True}
    first = client.chat.create(**asked, messages=[user("My name is Alice.")]).sample()
    second = client.chat.create(**asked, messages=[user("I am 30.")], previous_response_id=first.id).sample()
    assert client.chat.delete_stored_completion(first.id) == first.id
    gone = [
        lambda: client.chat.get_stored_completion(first.id),
        lambda: client.chat.delete_stored_completion(first.id),
        client.chat.create(**asked, messages=[user("hi")], previous_response_id=first.id).sample,
    ]
    assert [refused(ask) for ask in gone] == [("NOT_FOUND", "Response not found")] * 3
    third = client.chat.create(**asked, messages=[user("What's my name?")], previous_response_id=second.id)
    assert third.sample().content == "Your name is Alice."


async def test_stored_responses_are_read_and_deleted_by_the_async_sdk(door: Door) -> None:
    async with async_client_of(door.host) as client:
        response = await client.chat.create(model="m", messages=[user("hi")], store_messages=True).sample()
        assert (await client.chat.get_stored_completion(response.id))[0].content == response.content
        assert await client.chat.delete_stored_completion(response.id) == response.id
        gone = await refused_async(client.chat.get_stored_completion(response.id))
        assert gone == ("NOT_FOUND", "Response not found")


def test_a_turn_is_the_same_through_every_door(client: Any, door: Door) -> None:
    stored = client.chat.create(model="m", messages=[user("My name is Alice.")], store_messages=True).sample()
    with OpenAI(base_url=door.server.base_url, api_key="none", max_retries=0) as other:
        assert other.responses.retrieve(f"resp_{stored.id}").output_text == stored.content
        assert other.chat.completions.retrieve(f"chatcmpl-{stored.id}").choices[0].message.content == stored.content
        second = other.responses.create(model="m", input="I live in Oslo.", previous_response_id=f"resp_{stored.id}")
        chat = client.chat.create(model="m", store_messages=True, previous_response_id=second.id.removeprefix("resp_"))
        third = chat.append(user("Where do I live?")).sample()
        assert "Oslo" in third.content
        fourth = other.responses.create(model="m", input="What's my name?", previous_response_id=f"resp_{third.id}")
        assert fourth.output_text == "Your name is Alice."
        (read,) = client.chat.get_stored_completion(fourth.id.removeprefix("resp_"))
        assert (read.content, read.request_settings.previous_response_id) == (fourth.output_text, third.id)


# --- in front of xAI itself -----------------------------------------------------------------------------------------


@pytest.fixture
def xai(open_door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch) -> Any:
    """xAI's service, and a client of the door in front of it."""
    monkeypatch.setenv("THE_KEY", KEY)
    with XaiUpstream() as running:
        url = f"http://{running.host}/v1"
        place = Place(name="x", urls=(url,), provider="xai", api="grpc", key_variable="THE_KEY")
        client = client_of(open_door(upstreams=(place,)).host)
        yield running, client
        client.close()


@pytest.mark.parametrize("streams", [False, True])
def test_encrypted_thinking_is_shown_to_who_asks_for_it_and_goes_back(xai: Any, streams: bool) -> None:
    upstream, client = xai
    upstream.script(thinking("Hm.", "Four."), thinking("Hm.", "Four."))
    chat = client.chat.create(model="grok-4", messages=[user("2+2?")], use_encrypted_content=True)
    response = list(chat.stream())[-1][0] if streams else chat.sample()
    assert (response.content, response.encrypted_content) == ("Four.", "gAAA-sealed")
    chat.append(response).append(user("Why?")).sample()
    assert upstream.requests[1].proto.messages[1].encrypted_content == "gAAA-sealed"
    plain = client.chat.create(model="grok-4", messages=[user("2+2?")])
    upstream.script(thinking("Hm.", "Four."))
    assert not (list(plain.stream())[-1][0] if streams else plain.sample()).encrypted_content


def test_tools_that_run_at_xai_run_there(xai: Any) -> None:
    upstream, client = xai
    upstream.script(searching("cats", "found", "Cats."))
    chat = client.chat.create(model="grok-4", messages=[user("Cats?")], tools=[web_search()], store_messages=True)
    response = chat.sample()
    assert upstream.requests[0].proto.tools[0].HasField("web_search")
    assert (response.content, len(response.tool_outputs)) == ("Cats.", 1)
    assert list(response.citations) == ["https://example.com/a", "https://example.com/b"]
    assert list(response.request_settings.tools) == [web_search()]


# --- what was cut ---------------------------------------------------------------------------------------------------


def test_a_client_that_leaves_a_stream_stops_the_model_and_finds_what_was_said(
    relayed_client: Any, relayed: Door, upstream: Upstream
) -> None:
    upstream.script(reply("word " * 200, streams=True, delay_s=0.02))
    chunks = relayed_client.chat.create(model="m", messages=[user("Talk.")], store_messages=True).stream()
    id = next(chunks)[0].id
    chunks.close()
    assert upstream.wait(lambda: upstream.hung_up == 1)
    assert upstream.wait(lambda: relayed.turns()[0].status is not TurnStatus.IN_PROGRESS)
    (turn,) = relayed.turns()
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    (stored,) = relayed_client.chat.get_stored_completion(id)
    assert (stored.content, stored.finish_reason) == (turn.text, "REASON_INVALID")
    assert stored.content.startswith("word")


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_stops_waiting_stops_the_model(relayed: Door, upstream: Upstream, streams: bool) -> None:
    from upstream import hang

    upstream.script(hang())
    client = client_of(relayed.host, timeout=0.2)
    chat = client.chat.create(model="m", messages=[user("hi")], store_messages=True)
    assert refused(lambda: list(chat.stream()) if streams else chat.sample())[0] == "DEADLINE_EXCEEDED"
    assert upstream.wait(lambda: upstream.hung_up == 1)
    assert upstream.wait(lambda: relayed.turns()[0].status is not TurnStatus.IN_PROGRESS)
    assert relayed.turns()[0].status in (TurnStatus.INCOMPLETE, TurnStatus.FAILED)
    client.close()
