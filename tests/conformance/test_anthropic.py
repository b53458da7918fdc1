"""The Messages API through Anthropic's own SDK."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from upstream import USAGE, Upstream, reply, stream, tool_call

ASKED: list[Any] = [{"role": "user", "content": "My name is Alice."}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


async def test_an_answer_comes_whole(claude: Any) -> None:
    answer = await claude.messages.create(model="claude-x", max_tokens=100, messages=ASKED)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "claude-x")
    assert [block.text for block in answer.content] == ["Nice to meet you, Alice."]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.usage.input_tokens > 0 < answer.usage.output_tokens
    assert answer._request_id.startswith("req_")


async def test_every_parameter_reaches_the_upstream(relayed_claude: Any, upstream: Upstream) -> None:
    await relayed_claude.messages.create(
        model="m",
        max_tokens=64,
        messages=ASKED,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END"],
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
        metadata={"user_id": "user-1"},
        extra_body={"temperature": 0.1, "top_p": 0.3},  # the SDK has no names for them any more
    )
    sent = upstream.requests[-1].json
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert (sent["temperature"], sent["top_p"], sent["stop"]) == (0.1, 0.3, ["END"])
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert sent["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]
    assert sent["parallel_tool_calls"] is False
    assert 64 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


async def test_every_event_of_a_stream_comes_in_order(relayed_claude: Any, upstream: Upstream) -> None:
    upstream.script(stream("Hel", "lo", "!"))
    events = [
        event
        async for event in await relayed_claude.messages.create(model="m", max_tokens=100, messages=ASKED, stream=True)
    ]
    assert [event.type for event in events if event.type != "ping"] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == "Hello!"
    (end,) = [event for event in events if event.type == "message_delta"]
    assert (end.delta.stop_reason, end.usage.input_tokens, end.usage.output_tokens) == ("end_turn", 12, 3)


async def test_the_stream_helper_gives_the_final_message(claude: Any) -> None:
    async with claude.messages.stream(model="m", max_tokens=100, messages=ASKED) as events:
        text = "".join([piece async for piece in events.text_stream])
        final = await events.get_final_message()
    assert text == final.content[0].text == "Nice to meet you, Alice."
    assert final.usage.output_tokens > 0


async def test_usage_is_what_the_upstream_counted(relayed_claude: Any, upstream: Upstream) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 2}}
    upstream.script(reply("Hi", usage={**USAGE, **details}))
    used = (await relayed_claude.messages.create(model="m", max_tokens=100, messages=ASKED)).usage
    assert (used.input_tokens, used.cache_read_input_tokens, used.output_tokens) == (4, 8, 3)


async def test_tools_are_used_and_answered(claude: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris and London?"}]
    asked = await claude.messages.create(model="m", max_tokens=100, messages=messages, tools=[WEATHER])
    assert asked.stop_reason == "tool_use"
    assert [use.input for use in asked.content if use.type == "tool_use"] == [{"city": "Paris"}, {"city": "London"}]
    results = [
        {"type": "tool_result", "tool_use_id": use.id, "content": f"{use.input['city']} is sunny"}
        for use in asked.content
        if use.type == "tool_use"
    ]
    messages += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": results}]
    answer = await claude.messages.create(model="m", max_tokens=100, messages=messages, tools=[WEATHER])
    assert "Paris is sunny" in answer.content[0].text
    assert "London is sunny" in answer.content[0].text


async def test_the_input_of_a_tool_is_streamed(relayed_claude: Any, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Paris"}))
    async with relayed_claude.messages.stream(model="m", max_tokens=100, messages=ASKED, tools=[WEATHER]) as events:
        pieces = [event.delta.partial_json async for event in events if _is_input(event)]
        final = await events.get_final_message()
    assert json.loads("".join(pieces)) == final.content[0].input == {"city": "Paris"}
    assert final.stop_reason == "tool_use"


def _is_input(event: Any) -> bool:
    return bool(event.type == "content_block_delta" and event.delta.type == "input_json_delta")


async def test_thinking_is_a_block_of_its_own(relayed_claude: Any, upstream: Upstream) -> None:
    upstream.script(*[reply("Four.", reasoning_content="Two and two.")] * 2)
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = {"model": "m", "max_tokens": 2048, "messages": ASKED, "thinking": thinking}
    whole = await relayed_claude.messages.create(**asked)
    async with relayed_claude.messages.stream(**asked) as events:
        streamed = await events.get_final_message()
    for message in (whole, streamed):
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert (message.content[0].thinking, message.content[1].text) == ("Two and two.", "Four.")


async def test_what_a_limit_cuts_short_says_so(relayed_claude: Any, upstream: Upstream) -> None:
    upstream.script(reply("one two", finish_reason="length"))
    assert (await relayed_claude.messages.create(model="m", max_tokens=2, messages=ASKED)).stop_reason == "max_tokens"


async def test_pictures_reach_the_model(relayed_claude: Any, upstream: Upstream) -> None:
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "url", "url": "https://pictures.example/cat.png"}},
        {"type": "text", "text": "What is this?"},
    ]
    await relayed_claude.messages.create(model="m", max_tokens=10, messages=[{"role": "user", "content": content}])
    sent = upstream.requests[-1].json["messages"][0]["content"]
    urls = [part["image_url"]["url"] for part in sent if part["type"] == "image_url"]
    assert urls == ["data:image/png;base64,iVBORw0KGgo=", "https://pictures.example/cat.png"]


async def test_tokens_are_counted(claude: Any) -> None:
    short = await claude.messages.count_tokens(model="m", messages=ASKED)
    long = await claude.messages.count_tokens(
        model="m", messages=ASKED * 9, system="Be brief.", tools=[WEATHER], tool_choice={"type": "auto"}
    )
    assert 0 < short.input_tokens < long.input_tokens


async def test_models_are_listed_and_read(claude: Any) -> None:
    listed = [model async for model in claude.models.list(limit=1)]
    assert listed
    one = await claude.models.retrieve(listed[0].id)
    assert (one.type, one.to_dict()) == ("model", listed[0].to_dict())
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("no-such-model")


async def test_bad_requests_are_told_in_anthropics_shape(claude: Any) -> None:
    with pytest.raises(anthropic.BadRequestError) as raised:
        await claude.messages.create(model="m", max_tokens=10, messages=[])
    body: Any = raised.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert body["request_id"] == raised.value.request_id
    assert body["error"]["message"].startswith("messages: ")
