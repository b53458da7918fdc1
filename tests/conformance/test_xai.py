"""xAI's gRPC service through its own SDK, sync and async: every method of `xai_api.Chat`, and its models. What else it
does, `tests/server/xai` tells."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pydantic
import pytest
from xai_sdk.chat import assistant, image, system, tool, tool_result, user

from conformance.choosing import choices
from conformance.faults import AFTER, CASES, Fault, broken
from multiturn.turns import TurnStatus
from serving import Server
from upstream import USAGE, Behaviour, Upstream, reply, stream, tool_call
from xai_clients import Door, async_client_of, client_of

WEATHER = tool("get_weather", "The weather in a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
SOON = datetime.timedelta(milliseconds=20)
NOT_FOUND = ("NOT_FOUND", "Response not found")


async def done(result: Any) -> Any:
    """What a call gives: the async client's is waited for."""
    return await result if inspect.isawaitable(result) else result


async def all_of(stream: Any) -> list[Any]:
    return [each async for each in stream] if hasattr(stream, "__aiter__") else list(stream)


async def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The status with which it ends; both clients raise gRPC's own errors."""
    with pytest.raises(grpc.RpcError) as raised:
        await ended(call)
    error: Any = raised.value
    return error.code().name, error.details()


async def ended(call: Callable[[], Any]) -> Any:
    result = call()
    return await (all_of(result) if hasattr(result, "__next__") or hasattr(result, "__anext__") else done(result))


@pytest.fixture(scope="module")
def door(server: Server) -> Iterator[Door]:
    opened = Door(server)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def relay_door(relay: Server) -> Iterator[Door]:
    opened = Door(relay)
    yield opened
    opened.close()


async def clients(door: Door, face: str) -> AsyncIterator[Any]:
    client = client_of(door.host) if face == "sync" else async_client_of(door.host)
    yield client
    await done(client.close())


@pytest.fixture
async def grok(door: Door, face: str) -> AsyncIterator[Any]:
    async for made in clients(door, face):
        yield made


@pytest.fixture
async def relayed_grok(relay_door: Door, face: str, upstream: Upstream) -> AsyncIterator[Any]:
    async for made in clients(relay_door, face):
        yield made


# --- answers --------------------------------------------------------------------------------------------------------


async def test_an_answer_comes_whole(relayed_grok: Any, upstream: Upstream) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 2}}
    upstream.script(reply("Hello", usage={**USAGE, **details}))
    response = await done(relayed_grok.chat.create(model="grok-4", messages=[user("Hi")]).sample())
    assert (response.content, response.role, response.finish_reason) == ("Hello", "ROLE_ASSISTANT", "REASON_STOP")
    used = response.usage
    assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (12, 3, 15)
    assert (used.cached_prompt_text_tokens, used.reasoning_tokens) == (8, 2)


async def test_chunks_add_up_to_the_answer(relayed_grok: Any, upstream: Upstream) -> None:
    upstream.script(stream("Hel", "lo", "!"))
    chat = relayed_grok.chat.create(model="m", messages=[user("Hi")], store_messages=True)
    told = await all_of(chat.stream())
    whole, last = told[-1]
    assert "".join(chunk.content for _, chunk in told) == whole.content == "Hello!"
    assert (whole.usage.total_tokens, last.proto.HasField("usage")) == (15, True)
    (stored,) = await done(relayed_grok.chat.get_stored_completion(whole.id))
    assert (stored.content, stored.usage, stored.finish_reason) == (whole.content, whole.usage, whole.finish_reason)


async def test_every_parameter_reaches_the_upstream_and_is_told_again(relayed_grok: Any, upstream: Upstream) -> None:
    given: dict[str, Any] = {
        "frequency_penalty": 0.5,
        "max_tokens": 64,
        "parallel_tool_calls": False,
        "presence_penalty": -0.5,
        "reasoning_effort": "high",
        "seed": 7,
        "stop": ["END"],
        "temperature": 0.25,
        "tool_choice": "required",
        "tools": [WEATHER],
        "top_p": 0.5,
        "user": "user-1",
    }
    chat = relayed_grok.chat.create(model="m", messages=[system("Be brief."), user("Hi")], **given)
    response = await done(chat.sample())
    sent, told = upstream.requests[-1].json, response.request_settings
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    for name in ("frequency_penalty", "presence_penalty", "seed", "stop", "temperature", "tool_choice", "top_p"):
        assert sent[name] == given[name]
    assert (sent["parallel_tool_calls"], sent["reasoning_effort"]) == (False, "high")
    assert 64 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    for name in ("max_tokens", "parallel_tool_calls", "temperature", "top_p", "user"):  # xAI tells no others again
        assert getattr(told, name) == given[name]
    assert list(told.tools) == [WEATHER]


async def test_thinking_is_told_apart(relayed_grok: Any, upstream: Upstream) -> None:
    upstream.script(*[reply("Four.", reasoning_content="Two and two.")] * 2)
    chat = relayed_grok.chat.create(model="m", messages=[user("2+2?")])
    whole, streamed = await done(chat.sample()), (await all_of(chat.stream()))[-1][0]
    for response in (whole, streamed):
        assert (response.reasoning_content, response.content) == ("Two and two.", "Four.")


async def test_pictures_reach_the_model(relayed_grok: Any, upstream: Upstream) -> None:
    picture = "https://pictures.example/cat.png"
    await done(relayed_grok.chat.create(model="m", messages=[user("What?", image(picture, detail="low"))]).sample())
    (_, part) = upstream.requests[-1].json["messages"][0]["content"]
    assert part == {"type": "image_url", "image_url": {"url": picture, "detail": "low"}}


class Person(pydantic.BaseModel):
    name: str
    age: int


async def test_an_answer_is_parsed_into_a_type(grok: Any) -> None:
    chat = grok.chat.create(model="m", messages=[user("Alice is 30 years old.")])
    response, person = await done(chat.parse(Person))
    assert isinstance(person, Person)
    assert Person.model_validate_json(response.content) == person


@pytest.mark.filterwarnings("ignore:chat.(sample|stream)_batch:PendingDeprecationWarning")
async def test_several_answers_come(relayed_grok: Any, upstream: Upstream) -> None:
    upstream.script(*[choices("A book", "A scarf", "A hat")] * 2)
    chat = relayed_grok.chat.create(model="m", messages=[user("A gift?")], store_messages=True)
    responses = await done(chat.sample_batch(3))
    streamed = (await all_of(chat.stream_batch(3)))[-1][0]
    stored = await done(relayed_grok.chat.get_stored_completion(responses[0].id))
    for found in (responses, streamed, stored):
        assert [response.content for response in found] == ["A book", "A scarf", "A hat"]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
async def test_tools_are_called_and_answered(relayed_grok: Any, upstream: Upstream, streams: bool) -> None:
    upstream.script(tool_call("get_weather", {"city": "Oslo"}), reply("Snow."))
    asked = {"model": "m", "tools": [WEATHER], "store_messages": True}
    chat = relayed_grok.chat.create(**asked, messages=[user("Weather?")])
    response = (await all_of(chat.stream()))[-1][0] if streams else await done(chat.sample())
    (call,) = response.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Oslo"}')
    assert response.finish_reason == "REASON_TOOL_CALLS"
    chat = relayed_grok.chat.create(**asked, previous_response_id=response.id)
    answer = await done(chat.append(tool_result("-3 degrees", tool_call_id=call.id)).sample())
    assert answer.content == "Snow."
    assert [each["role"] for each in upstream.requests[-1].json["messages"]] == ["user", "assistant", "tool"]


# --- what is stored -------------------------------------------------------------------------------------------------


async def test_a_stored_chat_is_gone_on_from_read_and_deleted(grok: Any) -> None:
    asked = {"model": "m", "store_messages": True}
    first = await done(grok.chat.create(**asked, messages=[user("My name is Alice.")]).sample())
    following = {**asked, "messages": [user("What's my name?")], "previous_response_id": first.id}
    second = await done(grok.chat.create(**following).sample())
    assert second.content == "Your name is Alice."
    (stored,) = await done(grok.chat.get_stored_completion(second.id))
    assert (stored.content, stored.request_settings.previous_response_id) == (second.content, first.id)
    assert await done(grok.chat.delete_stored_completion(first.id)) == first.id
    for call in (
        lambda: grok.chat.get_stored_completion(first.id),
        lambda: grok.chat.delete_stored_completion(first.id),
        grok.chat.create(**following).sample,
        grok.chat.create(**following).stream,
    ):
        assert await refused(call) == NOT_FOUND
    after = await done(grok.chat.create(**{**following, "previous_response_id": second.id}).sample())
    assert after.content == "Your name is Alice."


async def test_what_is_not_to_be_stored_is_not_there(grok: Any) -> None:
    response = await done(grok.chat.create(model="m", messages=[user("Hi")]).sample())
    assert await refused(lambda: grok.chat.get_stored_completion(response.id)) == NOT_FOUND


@pytest.mark.filterwarnings("ignore:chat.defer_batch:PendingDeprecationWarning")
async def test_an_answer_is_deferred(grok: Any) -> None:
    chat = grok.chat.create(model="m", messages=[user("My name is Alice.")], store_messages=True)
    response = await done(chat.defer(interval=SOON))
    assert response.content == "Nice to meet you, Alice."
    (stored,) = await done(grok.chat.get_stored_completion(response.id))
    assert stored.content == response.content
    (only,) = await done(grok.chat.create(model="m", messages=[user("My name is Bo.")]).defer_batch(1, interval=SOON))
    assert only.content == "Nice to meet you, Bo."


async def test_a_long_chat_is_compacted(relayed_grok: Any, upstream: Upstream) -> None:
    upstream.script(reply("Alice likes tea."), reply("You are Alice."))
    talk = [system("Be brief."), user("I am Alice."), assistant("Hello, Alice."), user("I like tea.")]
    chat = relayed_grok.chat.create(model="m", messages=talk, store_messages=True)
    compacted = await done(chat.compact())
    assert (compacted.dropped_message_count, compacted.usage.total_tokens) == (3, 15)
    response = await done(chat.append(user("Who am I?")).sample())
    assert response.content == "You are Alice."
    told = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert (told[0], told[-1], len(told)) == ("Be brief.", "Who am I?", 3)
    assert "Alice likes tea." in told[1]


async def test_models_are_listed_and_read(grok: Any) -> None:
    listed = await done(grok.models.list_language_models())
    assert listed
    assert await done(grok.models.get_language_model(listed[0].name)) == listed[0]


# --- what goes wrong ------------------------------------------------------------------------------------------------

CODES = {
    "AuthenticationFailed": "INTERNAL",
    "ModelNotFound": "NOT_FOUND",
    "RequestTooLarge": "INVALID_ARGUMENT",
    "RequestRejected": "INVALID_ARGUMENT",
    "ContextOverflow": "INVALID_ARGUMENT",
    "RateLimited": "RESOURCE_EXHAUSTED",
    "FirstByteTimedOut": "DEADLINE_EXCEEDED",
    "IdleTimedOut": "DEADLINE_EXCEEDED",
    "ConnectionFailed": "UNAVAILABLE",
}
"""What an error is told as; all others are `INTERNAL`."""


@pytest.mark.parametrize("face", ["async"])
@pytest.mark.parametrize(("fault", "streams"), CASES)
async def test_a_fault_before_the_first_word_is_a_status(
    relayed_grok: Any, relay: Server, upstream: Upstream, fault: Fault, streams: bool
) -> None:
    first = await done(relayed_grok.chat.create(model="m", messages=[user("one")], store_messages=True).sample())
    asked = {"model": "m", "store_messages": True, "previous_response_id": first.id}
    chat = relayed_grok.chat.create(**asked, messages=[user("lost")])
    upstream.script(fault.behaviour)
    code, details = await refused(chat.stream if streams else chat.sample)
    assert code == CODES.get(fault.kind, "INTERNAL")
    assert "127.0.0.1" not in details
    turn = broken(relay)
    assert (turn.status, turn.input[0].text, turn.output) == (TurnStatus.FAILED, "lost", ())
    assert (turn.error and turn.error.kind) == fault.kind
    assert await refused(lambda: relayed_grok.chat.get_stored_completion(turn.id.partition("_")[2])) == NOT_FOUND
    after = await done(relayed_grok.chat.create(**asked, messages=[user("two")]).sample())
    assert after.content == "You said: two"


@pytest.mark.parametrize("face", ["async"])
@pytest.mark.parametrize(("fault", "kind"), [row[1:] for row in AFTER], ids=[row[0] for row in AFTER])
async def test_a_fault_in_mid_stream_is_a_status_after_the_words_that_came(
    relayed_grok: Any, relay: Server, upstream: Upstream, fault: Behaviour, kind: str
) -> None:
    upstream.script(fault)
    came: list[str] = []
    chat = relayed_grok.chat.create(model="m", messages=[user("lost")], store_messages=True)

    async def read() -> None:
        async for _, chunk in chat.stream():
            came.append(chunk.content)

    code, _ = await refused(read)
    assert (code, "".join(came)) == (CODES.get(kind, "INTERNAL"), "one two ")
    turn = broken(relay)
    assert (turn.status, turn.text, turn.error and turn.error.kind) == (TurnStatus.FAILED, "one two ", kind)


async def test_bad_requests_are_told_with_their_place(grok: Any) -> None:
    for asked, says in (
        ({"model": "", "messages": [user("Hi")]}, "model: "),
        ({"model": "m", "messages": [user("Hi")], "logprobs": True}, "logprobs: "),
    ):
        code, details = await refused(grok.chat.create(**asked).sample)
        assert (code, details[: len(says)]) == ("INVALID_ARGUMENT", says)
