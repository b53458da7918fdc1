"""`/v1/chat/completions` over real sockets, by the official SDK: what a model is asked and what a client is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from multiturn.server.settings import Limits
from samples import png
from serving import Server
from upstream import Upstream, chat_reply, reply, sse_raw, stream, tool_call

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def client(relay: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as made:
        yield made


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


# --- answers --------------------------------------------------------------------------------------------------------


def test_an_answer_has_every_field_that_the_sdk_reads(client: OpenAI, upstream: Upstream) -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    upstream.script(reply("Paris.", usage=usage))
    answer = client.chat.completions.create(model="tiny", messages=said("The capital of France?"))
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert answer.model == "tiny"
    assert answer.created > 1_700_000_000
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason, choice.message.content) == (0, "stop", "Paris.")
    assert choice.message.refusal is None
    assert choice.message.tool_calls is None
    assert answer.usage is not None
    assert answer.usage.to_dict() == usage


async def test_the_async_client_gets_the_same(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("Paris."), stream("Par", "is."))
    async with AsyncOpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
        answer = await client.chat.completions.create(model="tiny", messages=said("The capital of France?"))
        assert answer.choices[0].message.content == "Paris."
        chunks = await client.chat.completions.create(model="tiny", messages=said("Again?"), stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in chunks]) == "Paris."


def test_a_stream_begins_with_the_role_and_ends_with_why_and_how_much(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(stream("One", " two", " three"))
    chunks = list(
        client.chat.completions.create(
            model="tiny", messages=said("Count."), stream=True, stream_options={"include_usage": True}
        )
    )
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    *told, last = chunks
    assert told[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in told] == ["One", " two", " three", None]
    assert [chunk.choices[0].finish_reason for chunk in told] == [None, None, None, "stop"]
    assert all(chunk.usage is None for chunk in told)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 15


def test_usage_in_a_stream_is_told_only_when_asked_for(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(stream("One"))
    chunks = list(client.chat.completions.create(model="tiny", messages=said("Count."), stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_the_stream_is_sent_as_it_comes_and_ends_with_done(relay: Server, upstream: Upstream) -> None:
    upstream.script(stream("One", " two", delay_s=0.02))
    with OpenAI(base_url=relay.base_url, api_key="none") as client:
        raw = client.chat.completions.with_raw_response.create(model="tiny", messages=said("Count."), stream=True)
        lines = [line for line in raw.http_response.iter_lines() if line]
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_several_choices_are_all_told_whole_and_streamed(client: OpenAI, upstream: Upstream) -> None:
    def several(exchange: Any) -> Any:
        async def run() -> None:
            whole = chat_reply(exchange.request, {"content": "heads"}, {})
            whole["choices"].append({**whole["choices"][0], "index": 1})
            whole["choices"][1]["message"] = {"role": "assistant", "content": "tails"}
            exchange.whole(200, json.dumps(whole).encode())

        return run()

    upstream.script(several)
    answer = client.chat.completions.create(model="tiny", messages=said("Toss."), n=2)
    assert [(each.index, each.message.content) for each in answer.choices] == [(0, "heads"), (1, "tails")]
    assert upstream.requests[-1].json["n"] == 2

    def chunk(index: int, delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        return b"data: " + json.dumps({"id": "c", "model": "tiny", "choices": [choice]}).encode() + b"\n\n"

    upstream.script(
        sse_raw(
            *(chunk(0, {"content": "heads"}), chunk(1, {"content": "tails"})),
            *(chunk(0, {}, "stop"), chunk(1, {}, "stop"), b"data: [DONE]\n\n"),
        )
    )
    texts, reasons = {0: "", 1: ""}, {}
    for piece in client.chat.completions.create(model="tiny", messages=said("Toss."), n=2, stream=True):
        for choice in piece.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason
    assert (texts, reasons) == ({0: "heads", 1: "tails"}, {0: "stop", 1: "stop"})


def test_tools_make_a_round_trip(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}), reply("It rains in Oslo."))
    history: list[Any] = said("The weather in Oslo?")
    first = client.chat.completions.create(model="tiny", messages=history, tools=[WEATHER], tool_choice="required")
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.tool_calls
    (call,) = first.choices[0].message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    history += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    second = client.chat.completions.create(model="tiny", messages=history, tools=[WEATHER])
    assert second.choices[0].message.content == "It rains in Oslo."
    asked = upstream.requests[-1].json
    assert asked["tools"][0]["function"]["name"] == "get_weather"
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool"]
    assert asked["messages"][2]["content"] == "rain"
    assert upstream.requests[0].json["tool_choice"] == "required"


def test_a_streamed_call_comes_in_pieces_that_make_its_arguments(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}))
    with client.chat.completions.stream(model="tiny", messages=said("Oslo?"), tools=[WEATHER]) as events:
        kinds = [event.type for event in events]
        final = events.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    assert kinds[-1] == "tool_calls.function.arguments.done"
    assert final.choices[0].message.tool_calls is not None
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == {"city": "Oslo"}


class Person(BaseModel):
    name: str
    age: int


def test_a_schema_reaches_the_model_and_the_sdk_parses_the_answer(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(reply('{"name": "Ann", "age": 40}'))
    answer = client.chat.completions.parse(model="tiny", messages=said("Who?"), response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ann", age=40)
    wanted = upstream.requests[-1].json["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"]["required"] == ["name", "age"]


def test_images_reach_the_model_byte_for_byte(client: OpenAI, upstream: Upstream) -> None:
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    content: Any = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": content}])
    assert upstream.requests[-1].json["messages"][0]["content"] == content


def test_all_settings_reach_the_model_and_unknown_ones_too(client: OpenAI, upstream: Upstream) -> None:
    settings: Any = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 50,
        "stop": ["END"],
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "parallel_tool_calls": False,
        "logit_bias": {"50256": -100},
        "prompt_cache_key": "key",
    }
    client.chat.completions.create(
        model="tiny", messages=said("Hi."), tools=[WEATHER], **settings, extra_body={"top_k": 3}
    )
    asked = upstream.requests[-1].json
    asked["max_completion_tokens"] = asked.get("max_completion_tokens", asked.get("max_tokens"))
    assert {name: asked[name] for name in settings} == settings
    assert asked["top_k"] == 3
    assert "store" not in asked
    assert "metadata" not in asked


def test_an_answer_that_was_cut_by_the_limit_says_so(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(reply("Once upon", finish_reason="length"), reply("Once upon", finish_reason="length"))
    answer = client.chat.completions.create(model="tiny", messages=said("A tale."), max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    *_, last = client.chat.completions.create(model="tiny", messages=said("A tale."), max_tokens=2, stream=True)
    assert last.choices[0].finish_reason == "length"


def test_thinking_and_refusals_have_fields_of_their_own(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(reply("Yes.", reasoning_content="Let me see."), reply("", refusal="I will not."))
    thought = client.chat.completions.create(model="tiny", messages=said("Well?"))
    assert thought.choices[0].message.to_dict()["reasoning_content"] == "Let me see."
    refused = client.chat.completions.create(model="tiny", messages=said("Well?"))
    assert refused.choices[0].message.refusal == "I will not."
    assert refused.choices[0].message.content is None


def test_the_offline_model_answers_and_says_who_it_is(server: Server) -> None:
    with OpenAI(base_url=server.base_url, api_key="none") as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-5",
            messages=[*said("My name is Alice."), {"role": "assistant", "content": "Hello."}, *said("What's my name?")],
        )
    assert raw.headers["x-multiturn-model"] == "offline"
    assert "Alice" in (raw.parse().choices[0].message.content or "")


# --- bad requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"model": ""}, "model"),
        ({"n": 0}, "n"),
        ({"temperature": "hot"}, "temperature"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_with_its_place(
    client: OpenAI, upstream: Upstream, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=said("hi"), extra_body=fields)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert upstream.requests == []


def test_a_model_that_leads_nowhere_is_not_found(serve: Callable[..., Server], upstream: Upstream) -> None:
    from multiturn.server.upstreams import Upstream as Place

    server = serve(upstreams=(Place(name="gpu", urls=(upstream.url,), models=("llama-3",)),))
    with OpenAI(base_url=server.base_url, api_key="none") as client, pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="llama-4", messages=said("hi"))
    assert caught.value.code == "model_not_found"
    assert "llama-3" in caught.value.message


def test_a_request_may_not_be_larger_than_the_limits(serve: Callable[..., Server]) -> None:
    server = serve(limits=Limits(body_bytes=2000, items=2))
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as too_long:
            client.chat.completions.create(model="tiny", messages=said("x" * 3000))
        with pytest.raises(openai.BadRequestError, match="holds 3 items"):
            client.chat.completions.create(model="tiny", messages=said("hi") * 3)
    assert too_long.value.status_code == 413


def test_a_wrong_key_is_an_authentication_error(server: Server) -> None:
    from multiturn.server.auth import new_key

    key, record = new_key("acme")
    server.run(server.service.store.create_key(record))
    server.restart()  # that a key is wanted now shows within seconds, or at once after a restart
    with OpenAI(base_url=server.base_url, api_key="mt-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model="tiny", messages=said("hi"))
        assert caught.value.code == "invalid_api_key"
        answer = client.with_options(api_key=key).chat.completions.create(model="tiny", messages=said("hi"))
        assert answer.choices[0].message.content


def test_nothing_is_kept_unless_it_is_asked_for(relay: Server, client: OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=said("hi"))
    list(client.chat.completions.create(model="tiny", messages=said("hi"), stream=True))
    assert relay.run(relay.service.store.statistics()).turns == 0
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(answer.id)
    assert client.chat.completions.list().data == []
