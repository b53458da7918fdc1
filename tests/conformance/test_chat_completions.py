"""Chat Completions, and models, through OpenAI's own SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest

from conformance.choosing import choices
from upstream import USAGE, Upstream, reply, stream, tool_call

ASKED: list[Any] = [{"role": "user", "content": "My name is Alice."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def test_an_answer_comes_whole(client: Any) -> None:
    answer = await client.chat.completions.create(model="gpt-5-mini", messages=ASKED)
    (choice,) = answer.choices
    assert (answer.object, answer.model) == ("chat.completion", "gpt-5-mini")
    assert (choice.index, choice.finish_reason, choice.message.content) == (0, "stop", "Nice to meet you, Alice.")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


async def test_every_parameter_reaches_the_upstream(relayed: Any, upstream: Upstream) -> None:
    asked = {
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "logit_bias": {"50256": -100},
        "max_completion_tokens": 64,
        "n": 2,
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "seed": 7,
        "service_tier": "default",
        "stop": ["END"],
        "temperature": 0.1,
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "tools": [WEATHER],
        "top_p": 0.3,
        "user": "user-1",
        "prompt_cache_key": "k",
    }
    await relayed.chat.completions.create(model="m", messages=ASKED, **asked)
    sent = upstream.requests[-1].json
    taken = {name: value for name, value in sent.items() if name in asked}
    taken["max_completion_tokens"] = sent.get("max_completion_tokens", sent.get("max_tokens"))
    taken.setdefault("user", "user-1")
    assert taken == asked


async def test_chunks_add_up_to_the_answer(relayed: Any, upstream: Upstream) -> None:
    upstream.script(stream("Hel", "lo", "!"))
    chunks = [
        chunk
        async for chunk in await relayed.chat.completions.create(
            model="m", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    ]
    *said, last = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in said) == "Hello!"
    assert [chunk.choices[0].finish_reason for chunk in said][-1] == "stop"
    assert said[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (12, 3, 15)


async def test_usage_is_what_the_upstream_counted(relayed: Any, upstream: Upstream) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 2}}
    upstream.script(reply("Hi", usage={**USAGE, **details}))
    used = (await relayed.chat.completions.create(model="m", messages=ASKED)).usage
    assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (12, 3, 15)
    assert (used.prompt_tokens_details.cached_tokens, used.completion_tokens_details.reasoning_tokens) == (8, 2)


async def test_tools_are_called_and_answered(client: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked = await client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    (call,) = asked.choices[0].message.tool_calls
    assert (asked.choices[0].finish_reason, call.function.name) == ("tool_calls", "get_weather")
    messages.append(asked.choices[0].message.to_dict())
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees"})
    answer = await client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    assert "21" in answer.choices[0].message.content


async def test_a_call_is_streamed(relayed: Any, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Paris"}))
    calls = [
        call
        async for chunk in await relayed.chat.completions.create(
            model="m", messages=ASKED, tools=[WEATHER], stream=True
        )
        for call in chunk.choices[0].delta.tool_calls or ()
    ]
    assert (calls[0].id, calls[0].function.name) == ("call_1", "get_weather")
    assert json.loads("".join(call.function.arguments or "" for call in calls)) == {"city": "Paris"}


async def test_several_choices_come(relayed: Any, upstream: Upstream) -> None:
    asked: Any = {"model": "m", "messages": ASKED, "n": 3}
    upstream.script(choices("A book", "A scarf", "A hat"), choices("A book", "A scarf", "A hat"))
    whole = await relayed.chat.completions.create(**asked, store=True)
    assert upstream.requests[-1].json["n"] == 3
    streamed: dict[int, str] = {}
    async for chunk in await relayed.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] = streamed.get(choice.index, "") + (choice.delta.content or "")
    stored = await relayed.chat.completions.retrieve(whole.id)
    for answer in (whole, stored):
        told = {choice.index: choice.message.content for choice in answer.choices}
        assert told == streamed == {0: "A book", 1: "A scarf", 2: "A hat"}


async def test_an_answer_is_parsed_into_a_type(client: Any) -> None:
    class Person(pydantic.BaseModel):
        name: str
        age: int

    said: Any = [{"role": "user", "content": "Alice is 30 years old."}]
    parsed = await client.chat.completions.parse(model="m", messages=said, response_format=Person)
    assert isinstance(parsed.choices[0].message.parsed, Person)


async def test_the_stream_helper_gives_the_final_completion(client: Any) -> None:
    async with client.chat.completions.stream(model="m", messages=ASKED) as events:
        kinds = {event.type async for event in events}
        final = await events.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == "Nice to meet you, Alice."


async def test_pictures_reach_the_model(relayed: Any, upstream: Upstream) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png", "detail": "low"}},
    ]
    await relayed.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
    assert upstream.requests[-1].json["messages"][0]["content"] == content


# --- stored ones ----------------------------------------------------------------------------------------------------


async def test_a_stored_completion_is_listed_read_changed_and_deleted(client: Any, face: str) -> None:
    model = f"stored-{face}"
    made = [
        await client.chat.completions.create(
            model=model, messages=ASKED, store=True, metadata={"n": str(n % 2)}, temperature=0.5, seed=3
        )
        for n in range(3)
    ]
    listed = [each async for each in client.chat.completions.list(model=model, limit=2)]
    assert [each.id for each in listed] == [each.id for each in made]
    newest = await client.chat.completions.list(model=model, order="desc", limit=1)
    assert ([each.id for each in newest.data], newest.has_more) == ([made[-1].id], True)
    some = await client.chat.completions.list(model=model, metadata={"n": "1"})
    assert [each.id for each in some.data] == [made[1].id]
    read = await client.chat.completions.retrieve(made[0].id)
    assert read.choices[0].message.content == made[0].choices[0].message.content
    assert (read.metadata, read.to_dict()["temperature"], read.to_dict()["seed"]) == ({"n": "0"}, 0.5, 3)
    changed = await client.chat.completions.update(made[0].id, metadata={"n": "new"})
    assert changed.metadata == {"n": "new"}
    said = [message async for message in client.chat.completions.messages.list(made[0].id)]
    assert [(message.role, message.content) for message in said] == [("user", "My name is Alice.")]
    deleted = await client.chat.completions.delete(made[0].id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made[0].id, True, "chat.completion.deleted")
    assert [each.id async for each in client.chat.completions.list(model=model)] == [each.id for each in made[1:]]
    for call in (client.chat.completions.retrieve, client.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            await call(made[0].id)


async def test_the_messages_of_a_stored_completion_come_in_pages(client: Any) -> None:
    said: Any = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"number {n}"} for n in range(5)]
    made = await client.chat.completions.create(model="m", messages=said, store=True)
    for order, expected in (("asc", range(5)), ("desc", range(4, -1, -1))):
        listed = [each async for each in client.chat.completions.messages.list(made.id, limit=2, order=order)]
        assert [each.content for each in listed] == [f"number {n}" for n in expected]
    page = await client.chat.completions.messages.list(made.id, after=listed[1].id, limit=2, order="desc")
    assert ([each.content for each in page.data], page.has_more) == (["number 2", "number 1"], True)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.messages.list(made.id, after="nonsense")
    assert [each.content async for each in client.chat.completions.messages.list(made.id)][-1] == "number 4"


async def test_stored_completions_come_in_pages_of_any_order(client: Any, face: str) -> None:
    model = f"paged-{face}"
    made = [await client.chat.completions.create(model=model, messages=ASKED, store=True) for _ in range(3)]
    ids = [each.id for each in made]
    assert [each.id async for each in client.chat.completions.list(model=model, limit=1, order="desc")] == ids[::-1]
    page = await client.chat.completions.list(model=model, after=ids[0], limit=1)
    assert ([each.id for each in page.data], page.has_more) == ([ids[1]], True)
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.list(limit=1000)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.update("chatcmpl-" + "0" * 26, metadata={})


async def test_what_is_not_stored_is_not_there(client: Any) -> None:
    made = await client.chat.completions.create(model="m", messages=ASKED)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.retrieve(made.id)


async def test_a_turn_made_here_is_readable_as_a_response_and_the_reverse(client: Any) -> None:
    chat = await client.chat.completions.create(model="m", messages=ASKED, store=True)
    response = await client.responses.retrieve(chat.id.replace("chatcmpl-", "resp_"))
    assert response.output_text == chat.choices[0].message.content
    answer = await client.responses.create(model="m", input="What's my name?", previous_response_id=response.id)
    assert answer.output_text == "Your name is Alice."
    shown = await client.chat.completions.retrieve(answer.id.replace("resp_", "chatcmpl-"))
    assert shown.choices[0].message.content == answer.output_text


# --- models ---------------------------------------------------------------------------------------------------------


async def test_models_are_listed_and_read(client: Any) -> None:
    listed = [model async for model in client.models.list()]
    assert listed
    one = await client.models.retrieve(listed[0].id)
    assert one.to_dict() == listed[0].to_dict()
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("no-such/model")


# --- what goes wrong ------------------------------------------------------------------------------------------------


async def test_bad_requests_name_the_parameter(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(model="m", messages=[{"role": "user", "content": [{"type": "smell"}]}])
    assert raised.value.param == "messages[0].content[0].type"
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(model="m", messages=[])
    assert (raised.value.param, raised.value.type) == ("messages", "invalid_request_error")
    for id in ("chatcmpl-" + "0" * 26, "nonsense"):
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.retrieve(id)
