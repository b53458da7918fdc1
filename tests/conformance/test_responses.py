"""The Responses API through OpenAI's own SDK: every endpoint, every parameter, every event."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest

from upstream import USAGE, Upstream, context_overflow, reply, stream, tool_call

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


async def events_of(stream: Any) -> list[Any]:
    return [event async for event in stream]


def told(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


# --- create ---------------------------------------------------------------------------------------------------------


async def test_a_response_tells_how_it_was_asked_for(client: Any) -> None:
    response = await client.responses.create(
        model="gpt-5-mini",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "My name is Alice."}]}],
        instructions="Be brief.",
        max_output_tokens=200,
        max_tool_calls=3,
        metadata={"topic": "names"},
        parallel_tool_calls=False,
        prompt_cache_key="alice",
        reasoning={"effort": "low"},
        safety_identifier="user-1",
        service_tier="default",
        temperature=0.5,
        text={"verbosity": "low"},
        tool_choice="none",
        tools=[WEATHER],
        top_p=0.9,
        truncation="auto",
        include=["reasoning.encrypted_content"],
    )
    assert (response.status, response.output_text) == ("completed", "Nice to meet you, Alice.")
    assert (response.instructions, response.max_output_tokens, response.max_tool_calls) == ("Be brief.", 200, 3)
    assert (response.metadata, response.parallel_tool_calls) == ({"topic": "names"}, False)
    assert (response.prompt_cache_key, response.safety_identifier) == ("alice", "user-1")
    assert (response.service_tier, response.temperature, response.top_p) == ("default", 0.5, 0.9)
    assert (response.tool_choice, response.tools[0].name, response.truncation) == ("none", "get_weather", "auto")
    assert (response.reasoning.effort, response.text.verbosity) == ("low", "low")
    assert (response.error, response.incomplete_details, response.previous_response_id) == (None, None, None)
    assert (await client.responses.retrieve(response.id)).to_dict() == response.to_dict()


async def test_usage_is_what_the_upstream_counted(relayed: Any, upstream: Upstream) -> None:
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    upstream.script(reply("Hello", usage=usage), reply("Hello", usage=usage))
    whole = await relayed.responses.create(model="m", input="Hi")
    *_, last = await events_of(await relayed.responses.create(model="m", input="Hi", stream=True))
    for used in (whole.usage, last.response.usage):
        assert (used.input_tokens, used.output_tokens, used.total_tokens) == (12, 3, 15)
        assert used.input_tokens_details.cached_tokens == 8
        assert used.output_tokens_details.reasoning_tokens == 2


async def test_every_event_of_a_stream_comes_in_order(relayed: Any, upstream: Upstream) -> None:
    upstream.script(stream("Hel", "lo", "!"))
    events = await events_of(await relayed.responses.create(model="m", input="Hi", stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * 3,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1].response
    assert told(events) == events[-4].text == events[-3].part.text == last.output_text == "Hello!"
    assert events[0].response.id == last.id
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {last.output[0].id}
    assert (await relayed.responses.retrieve(last.id)).to_dict() == last.to_dict()


async def test_the_arguments_of_a_call_are_streamed(relayed: Any, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Paris"}))
    events = await events_of(await relayed.responses.create(model="m", input="Hi", tools=[WEATHER], stream=True))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    (call,) = events[-1].response.output
    assert "".join(pieces) == done.arguments == call.arguments
    assert len(pieces) == 2
    assert json.loads(call.arguments) == {"city": "Paris"}
    assert (call.call_id, call.status) == ("call_1", "completed")


async def test_thinking_is_streamed_as_an_item_of_its_own(relayed: Any, upstream: Upstream) -> None:
    upstream.script(reply("Four.", reasoning_content="Two and two."))
    events = await events_of(await relayed.responses.create(model="m", input="2+2?", stream=True))
    thought, answer = events[-1].response.output
    assert (thought.type, thought.content[0].text, answer.content[0].text) == ("reasoning", "Two and two.", "Four.")


async def test_a_refusal_is_a_content_of_its_own(relayed: Any, upstream: Upstream) -> None:
    upstream.script(reply("", refusal="I will not."))
    response = await relayed.responses.create(model="m", input="Do it")
    (content,) = response.output[0].content
    assert (content.type, content.refusal) == ("refusal", "I will not.")


async def test_the_stream_helper_gives_the_final_response(client: Any) -> None:
    async with client.responses.stream(model="m", input="My name is Bo.") as events:
        seen = [event async for event in events]
        final = await events.get_final_response()
    assert final.output_text == "Nice to meet you, Bo."
    assert seen[-1].type == "response.completed"


async def test_an_answer_is_parsed_into_a_type(client: Any) -> None:
    class Person(pydantic.BaseModel):
        name: str
        age: int

    parsed = await client.responses.parse(model="m", input="Alice is 30 years old.", text_format=Person)
    assert isinstance(parsed.output_parsed, Person)
    async with client.responses.stream(model="m", input="Alice is 30 years old.", text_format=Person) as events:
        async for _ in events:
            pass
        assert isinstance((await events.get_final_response()).output_parsed, Person)


async def test_pictures_and_files_reach_the_model(relayed: Any, upstream: Upstream) -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    response = await relayed.responses.create(
        model="m",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": picture, "detail": "low"},
                    {"type": "input_image", "image_url": "https://pictures.example/cat.png", "detail": "auto"},
                ],
            }
        ],
    )
    sent = upstream.requests[-1].json["messages"][0]["content"]
    assert [part["image_url"]["url"] for part in sent[1:]] == [picture, "https://pictures.example/cat.png"]
    (item,) = [item async for item in relayed.responses.input_items.list(response.id)]
    assert [content.type for content in item.content] == ["input_text", "input_image", "input_image"]


# --- a chain --------------------------------------------------------------------------------------------------------


async def test_a_tool_conversation_goes_on_by_its_id(client: Any) -> None:
    tools = [WEATHER]
    asked = await client.responses.create(model="m", input="What is the weather in Paris and London?", tools=tools)
    assert [call.name for call in asked.output] == ["get_weather"] * 2
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{place} is sunny"}
        for call, place in zip(asked.output, ("Paris", "London"), strict=True)
    ]
    told = await client.responses.create(model="m", input=results, tools=tools, previous_response_id=asked.id)
    assert "Paris is sunny" in told.output_text
    assert "London is sunny" in told.output_text
    assert told.previous_response_id == asked.id
    items = [item.type async for item in client.responses.input_items.list(told.id, order="asc")]
    assert items == ["message", *["function_call"] * 2, *["function_call_output"] * 2]


async def test_instructions_are_not_inherited(relayed: Any, upstream: Upstream) -> None:
    first = await relayed.responses.create(model="m", input="one", instructions="Be brief.")
    second = await relayed.responses.create(model="m", input="two", previous_response_id=first.id)
    assert second.instructions is None
    assert [message["role"] for message in upstream.requests[-1].json["messages"]] == ["user", "assistant", "user"]


async def test_what_is_not_stored_is_not_there(client: Any) -> None:
    response = await client.responses.create(model="m", input="Hi", store=False)
    assert response.store is False
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError) as raised:
        await client.responses.create(model="m", input="Hi", previous_response_id=response.id)
    assert raised.value.code == "previous_response_not_found"
    assert raised.value.param == "previous_response_id"


async def test_an_idempotency_key_gives_the_same_response(client: Any) -> None:
    headers = {"Idempotency-Key": f"key-{id(client)}"}
    first = await client.responses.create(model="m", input="Hi", extra_headers=headers)
    again = await client.responses.create(model="m", input="Hi", extra_headers=headers)
    assert again.to_dict() == first.to_dict()


# --- what is stored -------------------------------------------------------------------------------------------------


async def test_input_items_come_in_pages(client: Any) -> None:
    said = [{"role": "user", "content": f"number {n}"} for n in range(5)]
    response = await client.responses.create(model="m", input=said)
    for order, expected in (("asc", range(5)), ("desc", range(4, -1, -1))):
        items = [item async for item in client.responses.input_items.list(response.id, limit=2, order=order)]
        assert [item.content[0].text for item in items] == [f"number {n}" for n in expected]
    page = await client.responses.input_items.list(response.id, limit=2, order="asc", after=items[-1].id)
    assert [item.content[0].text for item in page.data] == ["number 1", "number 2"]
    assert page.has_more


async def test_a_deleted_response_is_gone(client: Any) -> None:
    response = await client.responses.create(model="m", input="Hi")
    assert await client.responses.delete(response.id) is None
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            await call(response.id)


async def test_only_what_runs_in_the_background_can_be_cancelled(client: Any) -> None:
    response = await client.responses.create(model="m", input="Hi")
    with pytest.raises(openai.BadRequestError):
        await client.responses.cancel(response.id)


async def test_a_long_history_is_compacted(client: Any) -> None:
    first = await client.responses.create(model="m", input="My name is Alice.")
    second = await client.responses.create(model="m", input="I live in Paris.", previous_response_id=first.id)
    compacted = await client.responses.compact(model="m", previous_response_id=second.id)
    assert compacted.object == "response.compaction"
    *said, last = compacted.output
    assert [item.type for item in said] == ["message"] * 2
    assert last.type == "compaction"
    assert compacted.usage.total_tokens > 0
    items = [item.to_dict(warnings=False) for item in compacted.output]
    question = {"role": "user", "content": "What's my name?"}
    answer = await client.responses.create(model="m", input=[*items, question])
    assert "Alice" in answer.output_text
    after = await client.responses.create(model="m", input=[question], previous_response_id=compacted.id)
    assert "Alice" in after.output_text


async def test_input_tokens_are_counted_of_all_that_the_model_would_read(client: Any) -> None:
    async def count(**more: Any) -> int:
        found = await client.responses.input_tokens.count(model="m", input="How are you today?", **more)
        assert found.object == "response.input_tokens"
        return int(found.input_tokens)

    first = await client.responses.create(model="m", input="My name is Alice.")
    made = await client.conversations.create(items=[{"role": "user", "content": "My name is Alice."}])
    alone = await count()
    assert alone > 0
    chained = await count(previous_response_id=first.id)
    for more in (
        chained,
        await count(conversation=made.id),
        await count(instructions="Be very brief."),
        await count(tools=[WEATHER]),
    ):
        assert more > alone
    assert await count(previous_response_id=first.id, truncation="auto", reasoning={"effort": "low"}) == chained


async def test_a_history_that_is_too_long_is_an_error_unless_it_may_be_cut(relayed: Any, upstream: Upstream) -> None:
    first = await relayed.responses.create(model="m", input="one")
    second = await relayed.responses.create(model="m", input="two", previous_response_id=first.id)
    asked = {"model": "m", "input": "three", "previous_response_id": second.id}
    for more in ({}, {"truncation": "disabled"}):
        upstream.script(context_overflow())
        with pytest.raises(openai.BadRequestError) as raised:
            await relayed.responses.create(**asked, **more)
        assert raised.value.code == "context_length_exceeded"
    upstream.script(context_overflow())
    cut = await relayed.responses.create(**asked, truncation="auto")
    assert (cut.status, cut.truncation) == ("completed", "auto")
    told = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert told[-1] == "three"
    assert len(told) < 5


async def test_what_a_limit_cuts_short_is_incomplete_and_says_why(relayed: Any, upstream: Upstream) -> None:
    upstream.script(*[reply("one two", finish_reason="length")] * 2)
    whole = await relayed.responses.create(model="m", input="Count.", max_output_tokens=16)
    events = await events_of(await relayed.responses.create(model="m", input="Count.", stream=True))
    assert events[-1].type == "response.incomplete"
    for response in (whole, events[-1].response, await relayed.responses.retrieve(whole.id)):
        assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert response.output_text == "one two"
    after = await relayed.responses.create(model="m", input="Go on", previous_response_id=whole.id)
    assert after.status == "completed"


async def test_every_parameter_reaches_a_model_of_another_api(relayed: Any, upstream: Upstream) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await relayed.responses.create(
        model="m",
        input="Hi",
        instructions="Be brief.",
        max_output_tokens=200,
        parallel_tool_calls=False,
        prompt_cache_key="alice",
        reasoning={"effort": "low"},
        safety_identifier="user-1",
        service_tier="flex",
        temperature=0.5,
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}},
        tool_choice={"type": "function", "name": "get_weather"},
        tools=[WEATHER],
        top_p=0.9,
    )
    sent = upstream.requests[-1].json
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert (sent["parallel_tool_calls"], sent["reasoning_effort"]) == (False, "low")
    assert (sent["temperature"], sent["top_p"]) == (0.5, 0.9)
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert sent["tools"][0]["function"]["name"] == "get_weather"
    assert 200 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


# --- what goes wrong ------------------------------------------------------------------------------------------------


async def test_bad_requests_name_the_parameter(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.responses.create(model="m", input="Hi", temperature=7)
    assert raised.value.param == "temperature"
    assert raised.value.type == "invalid_request_error"
    for id in ("resp_nothing", "nonsense", "resp_" + "0" * 26):
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(id)
