"""The Responses API over real sockets: the official SDK as the client of our server's side, and `RemoteModel` as the
client of a provider that keeps its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseInputMessageItem, ResponseReasoningItem

from multiturn.deltas import Answer, Delta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, each, fold
from multiturn.errors import ModelError, ProviderFailed, RateLimited, StateLost, StreamCut
from multiturn.formats import responses
from multiturn.formats.responses import Dialect
from multiturn.messages import Message, Opaque, Origin, Reasoning, Text, ToolCall, Usage, tool_result, user
from multiturn.models.limits import Retries
from multiturn.models.remote import Endpoint, RemoteModel
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request, Settings, ToolSpec
from multiturn.turns import Turn, TurnStatus
from upstream import Upstream, cut_after, drop, raw, sse_raw, status
from upstream_responses import (
    Provider,
    ResponsesUpstream,
    Server,
    call,
    events_of,
    message,
    reasoning,
    replies,
    response,
    search,
    sse,
)

# --- the official SDK and our server --------------------------------------------------------------------------------


def remembering(messages: list[Message]) -> list[Delta]:
    """A model that thinks, tells how much it has read, calls a tool that it is asked for, and declines on request."""
    last = messages[-1].text
    if last.startswith("call "):
        return [ToolCallDelta(0, "call_1", last[5:], '{"city": '), ToolCallDelta(0, arguments='"Rome"}')]
    if messages[-1].tool_results:
        return [TextDelta(f"It says {messages[-1].tool_results[0].text}.")]
    if last == "decline":
        return [RefusalDelta("No, "), RefusalDelta("thanks.")]
    said = ", ".join(message.text for message in messages if message.role == "user")
    return [ReasoningDelta("Let me "), ReasoningDelta("see."), TextDelta("You said: "), TextDelta(said)]


@pytest.fixture
def server() -> Server:
    return Server(remembering)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with ResponsesUpstream(server) as upstream, openai.OpenAI(base_url=upstream.url, api_key="x", max_retries=0) as sdk:
        yield sdk


@pytest.fixture
async def async_client(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    with ResponsesUpstream(server) as upstream:
        async with openai.AsyncOpenAI(base_url=upstream.url, api_key="x", max_retries=0) as sdk:
            yield sdk


def test_the_sdk_reads_a_whole_response(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="tiny", input="hi", instructions="Be brief.", metadata={"k": "v"})
    assert answer.output_text == "You said: hi"
    assert isinstance(answer.output[0], ResponseReasoningItem)
    assert answer.output[0].content is not None
    assert answer.output[0].content[0].text == "Let me see."
    assert (answer.status, answer.instructions, answer.metadata) == ("completed", "Be brief.", {"k": "v"})
    assert answer.usage is not None
    assert (answer.usage.total_tokens, answer.usage.input_tokens_details.cached_tokens) == (15, 4)


def test_the_sdk_follows_a_stream(client: openai.OpenAI) -> None:
    text, types = "", []
    with client.responses.stream(model="tiny", input="hi") as stream:
        for event in stream:
            types.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
                assert event.snapshot == text
        final = stream.get_final_response()
    assert (text, final.output_text) == ("You said: hi", "You said: hi")
    assert types[0] == "response.created"
    assert types[-1] == "response.completed"
    assert "response.reasoning_text.delta" in types


def test_the_sdk_reads_raw_events_and_their_numbers(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="tiny", input="hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "You said: hi"


@pytest.mark.parametrize("streams", [False, True])
def test_the_sdk_goes_on_from_an_answer(client: openai.OpenAI, server: Server, streams: bool) -> None:
    def ask(text: str, previous: str | None) -> Any:
        if not streams:
            return client.responses.create(model="tiny", input=text, previous_response_id=previous)
        with client.responses.stream(model="tiny", input=text, previous_response_id=previous) as stream:
            return stream.get_final_response()

    first = client.responses.create(model="tiny", input="one")
    second = ask("two", first.id)
    assert second.output_text == "You said: one, two"
    assert ask("other", first.id).output_text == "You said: one, other"  # two answers may go on from the same one
    assert ask("three", second.id).output_text == "You said: one, two, three"
    server.forget()
    with pytest.raises(openai.BadRequestError) as caught:
        ask("four", second.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_the_sdk_sends_the_items_back_itself(client: openai.OpenAI) -> None:
    first = client.responses.create(model="tiny", input="one", store=False)
    items: list[Any] = [{"role": "user", "content": "one"}, *first.output, {"role": "user", "content": "two"}]
    assert client.responses.create(model="tiny", input=items, store=False).output_text == "You said: one, two"
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="tiny", input="three", previous_response_id=first.id)


@pytest.mark.parametrize("streams", [False, True])
def test_the_sdk_runs_a_tool(client: openai.OpenAI, streams: bool) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
    if streams:
        with client.responses.stream(model="tiny", input="call weather", tools=[tool]) as stream:
            asked: Any = stream.get_final_response()
    else:
        asked = client.responses.create(model="tiny", input="call weather", tools=[tool])
    (called,) = asked.output
    assert isinstance(called, ResponseFunctionToolCall)
    assert (called.name, json.loads(called.arguments), called.status) == ("weather", {"city": "Rome"}, "completed")
    result: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
    answer = client.responses.create(model="tiny", input=[result], previous_response_id=asked.id)
    assert answer.output_text == "It says sunny."


def test_the_sdk_reads_a_refusal(client: openai.OpenAI) -> None:
    with client.responses.stream(model="tiny", input="decline") as stream:
        deltas = [event.delta for event in stream if event.type == "response.refusal.delta"]
        (item,) = stream.get_final_response().output
    assert deltas == ["No, ", "thanks."]
    assert item.type == "message"
    assert item.content[0].type == "refusal"
    assert item.content[0].refusal == "No, thanks."


def test_the_sdk_fetches_a_response_and_its_input(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="tiny", input="hi")
    again = client.responses.retrieve(answer.id)
    assert [item.id for item in again.output] == [item.id for item in answer.output]
    (item,) = client.responses.input_items.list(answer.id).data
    assert isinstance(item, ResponseInputMessageItem)
    assert item.content[0].type == "input_text"
    assert item.content[0].text == "hi"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_of_nobody")


def test_the_sdk_is_told_which_field_is_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="tiny", input=[{"role": "robot", "content": "a"}])  # type: ignore[list-item, misc]
    assert caught.value.param == "input[0].role"


async def test_the_async_sdk_reads_answers_and_streams(async_client: openai.AsyncOpenAI) -> None:
    first = await async_client.responses.create(model="tiny", input="one")
    assert first.output_text == "You said: one"
    async with async_client.responses.stream(model="tiny", input="two", previous_response_id=first.id) as stream:
        texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(texts) == final.output_text == "You said: one, two"
    with pytest.raises(openai.BadRequestError):
        await async_client.responses.create(model="tiny", input="three", previous_response_id="resp_of_nobody")


# --- RemoteModel and a provider -------------------------------------------------------------------------------------

DIALECT = Dialect(provider="tests", key_variable="TESTS_API_KEY")


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def upstream(provider: Provider) -> Iterator[Upstream]:
    with ResponsesUpstream(provider) as up:
        yield up


def model_at(upstream: Upstream, dialect: Dialect = DIALECT) -> RemoteModel[Dialect]:
    endpoint = Endpoint(provider="tests", base_url=upstream.url)
    return RemoteModel("tiny", endpoint, responses, dialect, key="sk-x", retries=Retries(attempts=1))


class Chat:
    """A conversation with a model: what was said is the path of the next request."""

    def __init__(self, model: RemoteModel[Dialect], *, streams: bool, **asked: Any) -> None:
        self.model = model
        self.path = Path()
        self.notices: list[str] = []
        self.deltas: list[Delta] = []
        self._streams = streams
        self._asked = asked

    async def send(self, *said: str | Message) -> Message:
        input = tuple(user(each) if isinstance(each, str) else each for each in said)
        request = Request(path=self.path, input=input, stream=self._streams, **self._asked)
        items = [item async for item in self.model.answer(request)]
        assert isinstance(items[-1], Answer)
        self.notices = [item.code for item in items if isinstance(item, Notice)]
        self.deltas = [delta for item in items[:-1] if not isinstance(item, Answer | Notice) for delta in each(item)]
        answer = items[-1].message
        id = f"turn_{len(self.path.turns)}"
        turn = Turn(id=id, conversation="c", status=TurnStatus.COMPLETED, input=input, output=(answer,))
        self.path = self.path.followed_by(turn)
        return answer


def texts(context: Sequence[dict[str, Any]]) -> list[str]:
    """What the model read, in short."""
    said = []
    for item in context:
        content = item.get("content") or item.get("output") or item.get("arguments") or ""
        said.append(content if isinstance(content, str) else "".join(part.get("text", "") for part in content))
    return said


@pytest.mark.parametrize("streams", [False, True])
async def test_only_what_is_new_is_sent_to_a_provider_that_keeps_its_answers(
    upstream: Upstream, provider: Provider, streams: bool
) -> None:
    chat = Chat(model_at(upstream), streams=streams)
    for text in ("one", "two", "three"):
        answer = await chat.send(text)
        assert answer.text == f"You said: {text}"
    assert [len(request.json["input"]) for request in upstream.requests] == [1, 1, 1]
    assert [request.json.get("previous_response_id") for request in upstream.requests] == [
        None,
        chat.path.turns[0].output[0].id,
        chat.path.turns[1].output[0].id,
    ]
    assert texts(provider.contexts[-1]) == ["one", "You said: one", "two", "You said: two", "three"]
    assert answer.origin == Origin("tests", "tiny", "responses")
    assert answer.usage == Usage(input_tokens=12, output_tokens=3, cached_tokens=4, reasoning_tokens=1)
    if streams:
        assert fold(chat.deltas).text == answer.text


@pytest.mark.parametrize("streams", [False, True])
async def test_everything_is_sent_again_when_the_provider_has_lost_it(
    upstream: Upstream, provider: Provider, streams: bool
) -> None:
    chat = Chat(model_at(upstream), streams=streams)
    hosted = search()
    first = [reasoning("Hm.", encrypted="e1"), hosted, message("Hello.", phase="final_answer")]
    provider.says(*first)
    await chat.send("one")
    second = [reasoning(encrypted="e2"), call("weather", {"city": "Rome"}, namespace="crm")]
    provider.says(*second)
    await chat.send("two")
    provider.forget()
    answer = await chat.send(tool_result("call_1", "sunny"))
    assert (answer.text, chat.notices) == ("You said: sunny", ["resent"])
    assert len(upstream.requests) == 4
    resent = upstream.requests[-1].json
    assert "previous_response_id" not in resent
    assert [_comparable(item) for item in resent["input"]] == [
        {"type": "message", "role": "user", "content": "one"},
        *map(_comparable, first),
        {"type": "message", "role": "user", "content": "two"},
        *map(_comparable, second),
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]
    assert json.dumps(hosted).encode() in upstream.requests[-1].body  # byte for byte
    await chat.send("four")
    assert (chat.notices, len(upstream.requests[-1].json["input"])) == ([], 1)  # and from there on it is as before


def _comparable(item: dict[str, Any]) -> dict[str, Any]:
    """An item without what a client need not send back: the status of calls, empty log probabilities."""
    made = {name: value for name, value in item.items() if name != "status" or item["type"] == "message"}
    if isinstance(made.get("content"), list):
        content = [{name: value for name, value in part.items() if name != "logprobs"} for part in made["content"]]
        made["content"] = content
    return made


async def test_what_must_not_be_stored_is_sent_whole_each_time(upstream: Upstream, provider: Provider) -> None:
    chat = Chat(model_at(upstream), streams=False, settings=Settings(store=False))
    provider.says(reasoning(encrypted="e", id="rs_1"), message("Hello.", id="msg_1"))
    await chat.send("one")
    await chat.send("two")
    asked = upstream.requests[-1].json
    assert (asked["store"], asked["include"]) == (False, ["reasoning.encrypted_content"])
    assert [item.get("id") for item in asked["input"]] == [None, "rs_1", "msg_1", None]
    assert "previous_response_id" not in asked


async def test_a_server_that_keeps_nothing_is_sent_everything(upstream: Upstream, provider: Provider) -> None:
    dialect = Dialect(provider="tests", keeps_answers=False, encrypted_reasoning=False, reasoning_text=True)
    chat = Chat(model_at(upstream, dialect), streams=True)
    provider.says(reasoning(text="hm", id="rs_1"), message("Hello."))
    first = await chat.send("one")
    assert first.parts[0] == Reasoning("hm", id="rs_1")
    await chat.send("two")
    assert texts(upstream.requests[-1].json["input"]) == ["one", "hm", "Hello.", "two"]
    assert "include" not in upstream.requests[-1].json


async def test_a_provider_that_loses_every_answer_is_soon_sent_everything_at_once(
    upstream: Upstream, provider: Provider
) -> None:
    chat = Chat(model_at(upstream), streams=False)
    resent = []
    for text in ("one", "two", "three", "four"):
        await chat.send(text)
        resent.append(chat.notices == ["resent"])
        provider.forget()
    assert resent == [False, True, True, False]
    assert texts(provider.contexts[-1])[::2] == ["one", "two", "three", "four"]


async def test_a_loss_told_in_the_stream_is_a_loss_too(upstream: Upstream, provider: Provider) -> None:
    chat = Chat(model_at(upstream), streams=True)
    await chat.send("one")
    gone = {"type": "error", "code": "previous_response_not_found", "message": "Gone.", "param": None}
    upstream.script(sse_raw(sse(gone)))
    assert (await chat.send("two")).text == "You said: two"
    assert chat.notices == ["resent"]
    assert texts(provider.contexts[-1]) == ["one", "You said: one", "two"]


async def test_the_loss_of_what_nobody_went_on_from_is_an_error(upstream: Upstream) -> None:
    error = {"message": "Previous response with id 'resp_0' not found.", "code": "previous_response_not_found"}
    upstream.script(status(400, {"error": error}))
    with pytest.raises(StateLost):
        await Chat(model_at(upstream), streams=False).send("one")


@pytest.mark.parametrize("streams", [False, True])
async def test_a_whole_answer_over_the_wire(upstream: Upstream, provider: Provider, streams: bool) -> None:
    hosted = search()
    provider.says(reasoning("Hm.", encrypted="e", id="rs_1"), hosted, message("Hi.", id="msg_1"), call("f", {"x": 1}))
    chat = Chat(model_at(upstream), streams=streams, instructions="Be brief.", tools=(ToolSpec("f"),))
    answer = await chat.send("hi")
    thought, opaque, text, called = answer.parts
    assert (thought, text) == (Reasoning(summary=("Hm.",), id="rs_1", encrypted="e"), Text("Hi.", id="msg_1"))
    assert isinstance(opaque, Opaque)
    assert json.loads(bytes(opaque.data)) == hosted
    assert isinstance(called, ToolCall)
    assert (answer.finish_reason, called.arguments) == ("tool_calls", '{"x": 1}')
    assert upstream.requests[0].json["instructions"] == "Be brief."
    if streams:
        folded = fold(chat.deltas)
        assert (folded.text, folded.reasoning) == (answer.text, answer.reasoning)
        assert [each.arguments for each in folded.tool_calls] == [called.arguments]


async def test_a_stream_that_breaks_is_an_error(upstream: Upstream) -> None:
    events = [sse(event) for event in events_of(response([message("Hello there.")]))]
    for fault in (cut_after(0), drop(), sse_raw(*events[:-1])):
        upstream.script(fault)
        with pytest.raises(ModelError):
            await Chat(model_at(upstream), streams=True).send("hi")
    upstream.script(sse_raw(*events[:-1]))
    with pytest.raises(StreamCut):
        await Chat(model_at(upstream), streams=True).send("hi")


async def test_what_breaks_after_the_final_response_has_lost_nothing(upstream: Upstream) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    upstream.script(raw(head + b"".join(map(sse, events_of(response([message("Hello.")]))))))
    assert (await Chat(model_at(upstream), streams=True).send("hi")).text == "Hello."


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "server_error", "message": "Boom"}, ProviderFailed),
        ({"code": "rate_limit_exceeded", "message": "Slow"}, RateLimited),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_failed_response_is_an_error(
    upstream: Upstream, streams: bool, error: dict[str, Any], kind: type[ModelError]
) -> None:
    upstream.script(replies(response([message("Hel")], status="failed", error=error)))
    with pytest.raises(kind) as caught:
        await Chat(model_at(upstream), streams=streams).send("hi")
    assert (caught.value.provider, caught.value.model, caught.value.code) == ("tests", "tiny", error["code"])


async def test_our_client_goes_on_at_our_own_server() -> None:
    server = Server(remembering)
    with ResponsesUpstream(server) as upstream:
        chat = Chat(model_at(upstream), streams=True)
        await chat.send("one")
        assert (await chat.send("two")).text == "You said: one, two"
        server.forget()
        assert (await chat.send("three")).text == "You said: one, two, three"
        assert chat.notices == ["resent"]
