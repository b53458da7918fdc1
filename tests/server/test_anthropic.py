"""`/v1/messages` over real sockets, by the official SDK: what a model is asked, what a client is told, what is kept."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import OpenAI
from pydantic import BaseModel

import upstream_anthropic as claude
from multiturn.formats.anthropic import PING
from multiturn.models.limits import Retries
from multiturn.server import streaming
from multiturn.server.upstreams import Upstream as Place
from samples import png
from serving import Server
from upstream import Upstream, hang_after, reply, sse, sse_raw, stream, tool_call

WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def storing(serve: Callable[..., Server], upstream: Upstream) -> Server:
    """A server that stores messages."""
    server: Server = serve(upstreams=(Place(name="scripted", urls=(upstream.url,)),), store_messages=True)
    return server


@pytest.fixture
def client(relay: Server) -> Iterator[Anthropic]:
    with Anthropic(base_url=relay.url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def to_claude(serve: Callable[..., Server], upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Anthropic]:
    """A client of a server that passes on to Anthropic's API."""
    monkeypatch.setenv("CLAUDE_KEY", "k")
    place = Place(
        name="claude",
        provider="anthropic",
        urls=(claude.base_url(upstream),),
        key_variable="CLAUDE_KEY",
        retries=Retries(attempts=1),
    )
    server = serve(upstreams=(place,))
    with Anthropic(base_url=server.url, api_key="none", max_retries=0) as made:
        yield made


def ask(client: Anthropic, text: str = "hi", **fields: Any) -> Any:
    messages = fields.pop("messages", [{"role": "user", "content": text}])
    return client.messages.create(model="tiny", max_tokens=100, messages=messages, **fields)


def kinds(client: Anthropic, **fields: Any) -> list[str]:
    return [event.type for event in ask(client, stream=True, **fields)]


# --- answers --------------------------------------------------------------------------------------------------------


def test_an_answer_has_every_field_that_the_sdk_reads(client: Anthropic, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}
    upstream.script(reply("Paris.", usage=usage))
    message = ask(client, "The capital of France?")
    assert message.id.startswith("msg_")
    assert (message.type, message.role, message.model) == ("message", "assistant", "tiny")
    assert [(block.type, block.text) for block in message.content] == [("text", "Paris.")]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    told = message.usage
    assert (told.input_tokens, told.cache_read_input_tokens, told.output_tokens) == (12, 8, 5)


def test_every_answer_has_a_request_id(client: Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model="tiny", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    )
    assert raw.headers["request-id"].startswith("req_")
    assert raw.parse()._request_id == raw.headers["request-id"]


async def test_the_async_client_gets_the_same(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("Paris."), stream("Par", "is."))
    async with AsyncAnthropic(base_url=relay.url, api_key="none", max_retries=0) as client:
        asked: Any = {"model": "tiny", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        message = await client.messages.create(**asked)
        assert message.content[0].to_dict()["text"] == "Paris."
        async with client.messages.stream(**asked) as events:
            assert [text async for text in events.text_stream] == ["Par", "is."]


def test_a_stream_has_its_events_in_the_api_s_order(relay: Server, client: Anthropic, upstream: Upstream) -> None:
    upstream.script(stream("One", " two"), stream("One", " two"))
    body = {"model": "tiny", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    request = urllib.request.Request(f"{relay.url}/v1/messages", json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["request-id"].startswith("req_")
        events = [event.split(b"\n") for event in answer.read().strip().split(b"\n\n")]
    names = [lines[0].removeprefix(b"event: ").decode() for lines in events]
    assert names == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    data = [json.loads(lines[1].removeprefix(b"data: ")) for lines in events]
    assert [fields["type"] for fields in data] == names
    assert data[0]["message"]["content"] == []
    assert data[0]["message"]["stop_reason"] is None
    with client.messages.stream(model="tiny", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as told:
        final = told.get_final_message()
    assert final.content[0].to_dict()["text"] == "One two"
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 12, 3)


def test_while_the_model_is_silent_pings_are_sent(
    relay: Server, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "FIRST_WITHIN_S", 0.01)
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.02)
    upstream.script(hang_after(0))
    body = {"model": "tiny", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    request = urllib.request.Request(f"{relay.url}/v1/messages", json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        assert answer.read(80) == (PING * 3)[:80]


def test_tools_make_a_round_trip(client: Anthropic, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}), reply("It rains in Oslo."))
    history: list[Any] = [{"role": "user", "content": "The weather in Oslo?"}]
    first = ask(client, messages=history, tools=[WEATHER], tool_choice={"type": "any"})
    assert first.stop_reason == "tool_use"
    (call,) = first.content
    assert (call.type, call.name, call.input) == ("tool_use", "get_weather", {"city": "Oslo"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = ask(client, messages=history, tools=[WEATHER])
    assert second.content[0].text == "It rains in Oslo."
    assert upstream.requests[0].json["tool_choice"] == "required"
    asked = upstream.requests[1].json["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "tool"]
    assert asked[2]["content"] == "rain"


def test_a_streamed_call_comes_in_pieces_that_make_its_input(client: Anthropic, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}))
    pieces = []
    with client.messages.stream(
        model="tiny", max_tokens=9, messages=[{"role": "user", "content": "Oslo?"}], tools=[WEATHER]
    ) as events:
        pieces += [event.partial_json for event in events if event.type == "input_json"]
        final = events.get_final_message()
    assert json.loads("".join(pieces)) == {"city": "Oslo"}
    assert len(pieces) == 2
    assert final.content[0].to_dict()["input"] == {"city": "Oslo"}


def test_system_images_and_settings_reach_the_model(client: Anthropic, upstream: Upstream) -> None:
    data = base64.b64encode(png()).decode()
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    ask(
        client,
        messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}],
        system=[{"type": "text", "text": "Be brief."}],
        stop_sequences=["END"],
        extra_body={"temperature": 0.5, "top_p": 0.9},
    )
    asked = upstream.requests[-1].json
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}
    assert asked["messages"][1]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{data}"
    assert (asked["temperature"], asked["top_p"], asked["stop"]) == (0.5, 0.9, ["END"])
    assert 100 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))


class Person(BaseModel):
    name: str
    age: int


def test_a_schema_reaches_the_model_and_the_sdk_parses_the_answer(client: Anthropic, upstream: Upstream) -> None:
    upstream.script(reply('{"name": "Ann", "age": 40}'))
    message = client.messages.parse(
        model="tiny", max_tokens=9, messages=[{"role": "user", "content": "Who?"}], output_format=Person
    )
    assert message.parsed_output == Person(name="Ann", age=40)
    schema = upstream.requests[-1].json["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["name", "age"]


def test_the_thinking_of_an_open_model_is_shown_as_thinking(client: Anthropic, upstream: Upstream) -> None:
    upstream.script(reply("Yes.", reasoning_content="Let me see."), reply("Yes.", reasoning_content="Let me see."))
    message = ask(client, thinking={"type": "enabled", "budget_tokens": 50})
    assert [(block.type, getattr(block, "thinking", None)) for block in message.content] == [
        ("thinking", "Let me see."),
        ("text", None),
    ]
    with client.messages.stream(model="tiny", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as events:
        assert [block.type for block in events.get_final_message().content] == ["thinking", "text"]


def test_a_block_ends_before_the_next_one_begins(client: Anthropic, upstream: Upstream) -> None:
    def call(index: int, text: str) -> dict[str, Any]:
        head = {"id": f"call_{index}", "type": "function"} if text.startswith("{") else {}
        return {"index": index, **head, "function": {"name": "f", "arguments": text} if head else {"arguments": text}}

    calls = [call(0, '{"n"'), call(0, ": 1}"), call(1, '{"n": 2}')]
    deltas: list[Any] = [{"reasoning_content": "Hm."}, {"content": "Yes."}, *({"tool_calls": [each]} for each in calls)]
    chunks = [sse({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    upstream.script(sse_raw(*chunks, sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})))
    events = list(ask(client, stream=True))
    order = [(event.type.removeprefix("content_block_"), event.index) for event in events[1:-2]]
    assert order == [
        *(("start", 0), ("delta", 0), ("stop", 0)),
        *(("start", 1), ("delta", 1), ("stop", 1)),
        *(("start", 2), ("delta", 2), ("delta", 2), ("stop", 2)),
        *(("start", 3), ("delta", 3), ("stop", 3)),
    ]
    assert [event.type for event in (events[0], *events[-2:])] == ["message_start", "message_delta", "message_stop"]


def test_thinking_goes_to_anthropic_and_back_with_its_signature(to_claude: Anthropic, upstream: Upstream) -> None:
    answer = claude.judged(claude.reply(claude.thinking("Let me see."), "Yes."))
    upstream.script(answer, answer)
    asked: Any = {
        "model": "claude-opus-4-1",
        "max_tokens": 3000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    first = to_claude.messages.create(**asked, messages=[{"role": "user", "content": "Well?"}])
    history: list[Any] = [
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": "Sure?"},
    ]
    with to_claude.messages.stream(**asked, messages=history) as events:
        final = events.get_final_message()
    for message in (first, final):
        block = message.content[0].to_dict()
        assert (block["thinking"], block["signature"]) == ("Let me see.", claude.SIGNATURE)
    sent = upstream.requests[-1].json["messages"][1]["content"][0]
    assert (sent["type"], sent["signature"]) == ("thinking", claude.SIGNATURE)
    assert (final.usage.cache_read_input_tokens, final.usage.cache_creation_input_tokens) == (20, 5)


def test_what_only_anthropic_knows_reaches_it_alone(
    to_claude: Anthropic, client: Anthropic, upstream: Upstream
) -> None:
    fields: Any = {"extra_body": {"top_k": 5, "service_tier": "auto"}}
    upstream.script(claude.judged(claude.reply("Hello.")))
    to_claude.messages.create(
        model="claude-opus-4-1", max_tokens=9, messages=[{"role": "user", "content": "hi"}], **fields
    )
    assert upstream.requests[-1].json["top_k"] == 5
    ask(client, **fields)
    assert "top_k" not in upstream.requests[-1].json


def test_searches_of_anthropic_s_own_come_back_as_they_are(to_claude: Anthropic, upstream: Upstream) -> None:
    found = claude.web_search("weather", "https://weather.example")
    upstream.script(claude.reply(*found), claude.reply(*found))
    asked: Any = {
        "model": "claude-opus-4-1",
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    }
    whole = to_claude.messages.create(**asked)
    with to_claude.messages.stream(**asked) as events:
        streamed = events.get_final_message()
    assert upstream.requests[0].json["tools"] == asked["tools"]
    types = ["server_tool_use", "web_search_tool_result", "text"]
    assert [block.type for block in whole.content] == [block.type for block in streamed.content] == types
    assert whole.content[2].to_dict()["citations"] == streamed.content[2].to_dict()["citations"]


# --- counting and keys ----------------------------------------------------------------------------------------------


def test_tokens_are_counted_without_asking_the_model(client: Anthropic, upstream: Upstream) -> None:
    def count(text: str, **fields: Any) -> int:
        messages: Any = [{"role": "user", "content": text}]
        return client.messages.count_tokens(model="tiny", messages=messages, **fields).input_tokens

    short, long = count("hello"), count("hello " * 100)
    assert 0 < short < 20
    assert 100 <= long - short <= 200
    assert count("hello", system="Be very brief, please.") > short
    assert count("hello", tools=[WEATHER]) > short
    assert upstream.requests == []


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_key_is_taken_from_either_header(server: Server, header: str) -> None:
    from multiturn.server.auth import new_key

    key, record = new_key("acme")
    server.run(server.service.store.create_key(record))
    server.restart()

    def send(key: str) -> Any:
        value = f"Bearer {key}" if header == "authorization" else key
        headers = {header: value, "anthropic-version": "2023-06-01"}
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        request = urllib.request.Request(f"{server.url}/v1/messages", json.dumps(body).encode(), headers)
        return json.loads(urllib.request.urlopen(request).read())

    assert send(key)["type"] == "message"
    with pytest.raises(urllib.error.HTTPError) as caught:
        send("mt-wrong")
    told = json.loads(caught.value.read())
    assert (caught.value.code, told["type"], told["error"]["type"]) == (401, "error", "authentication_error")
    assert told["request_id"] == caught.value.headers["request-id"]


def test_a_wrong_key_is_an_authentication_error(server: Server) -> None:
    from multiturn.server.auth import new_key

    key, record = new_key("acme")
    server.run(server.service.store.create_key(record))
    server.restart()
    with Anthropic(base_url=server.url, api_key="mt-wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError):
            ask(client)
        assert ask(client.with_options(api_key=key)).content[0].text


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"messages": []}, "messages: there must be at least one"),
        ({"max_tokens": None}, "max_tokens: this field is required"),
        ({"model": ""}, "model: this field is required"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        ({"temperature": "hot"}, "temperature: expected"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_with_its_place(
    client: Anthropic, upstream: Upstream, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(client, extra_body=fields)
    body: Any = caught.value.body
    assert body["error"]["type"] == "invalid_request_error"
    assert problem in body["error"]["message"]
    assert body["request_id"] == caught.value.request_id
    assert upstream.requests == []


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_nothing_is_kept_by_default(relay: Server, client: Anthropic) -> None:
    ask(client)
    kinds(client)
    assert relay.run(relay.service.store.statistics()).turns == 0


def test_where_the_server_stores_messages_a_conversation_is_one_tree_and_every_door_shows_it(
    storing: Server, upstream: Upstream
) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}), stream("It", " rains."), reply("Yes."))
    history: list[Any] = [{"role": "user", "content": "The weather in Oslo?"}]
    with Anthropic(base_url=storing.url, api_key="none", max_retries=0) as client:
        first = ask(client, messages=history, tools=[WEATHER], metadata={"user_id": "ann"})
        call = first.content[0]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
        history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        with client.messages.stream(
            model="tiny", max_tokens=9, messages=history, tools=[WEATHER], system="Another one."
        ) as events:
            second = events.get_final_message()
        history += [{"role": "assistant", "content": second.content}, {"role": "user", "content": "Sure?"}]
        third = ask(client, messages=history)
    path = storing.run(storing.service.store.path(f"turn_{third.id.partition('_')[2]}"))
    assert [[message.role for message in turn.messages] for turn in path] == [
        ["user", "assistant"],
        ["tool", "assistant"],
        ["user", "assistant"],
    ]
    assert path[1].instructions == "Another one."
    (record,) = storing.run(storing.service.store.conversations())
    assert (record.kind, record.user) == ("message", "ann")
    with OpenAI(base_url=storing.base_url, api_key="none", max_retries=0) as other:
        id = third.id.partition("_")[2]
        assert other.responses.retrieve(f"resp_{id}").output_text == "Yes."
        assert other.chat.completions.retrieve(f"chatcmpl-{id}").choices[0].message.content == "Yes."
        told = other.chat.completions.messages.list(f"chatcmpl-{id}")
        assert [message.role for message in told] == ["user", "assistant", "tool", "assistant", "user"]
        going_on = other.responses.create(model="tiny", input="And now?", previous_response_id=f"resp_{id}")
    assert going_on.output_text == "You said: And now?"
