"""A model of xAI's over gRPC: what it asks, what it makes of every kind of answer, and whom it hangs up on."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import pytest
import xai_sdk
from xai_sdk import chat as sdk
from xai_sdk.proto import chat_pb2

from multiturn import Conversation, sync
from multiturn.deltas import Answer, Delta, TextDelta, ToolCallDelta, each, fold
from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectTimedOut,
    ContextOverflow,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidInput,
    InvalidReply,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    StateLost,
    StreamCut,
    TotalTimedOut,
)
from multiturn.messages import (
    Audio,
    Inline,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    assistant,
    tool_result,
    user,
)
from multiturn.models.base import Model
from multiturn.models.channels import _opened
from multiturn.models.history import MAX_LOSSES
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.xai import XaiModel, from_kept_answer
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request, Settings, ToolSpec
from multiturn.turns import Turn
from ports import free_port
from upstream_xai import (
    KEY,
    Behaviour,
    XaiUpstream,
    choices,
    fail,
    hang,
    piece,
    reply,
    searching,
    stream,
    thinking,
    tool_call,
)

_is_a_model: type[Model] = XaiModel  # mypy checks it
USAGE = Usage(input_tokens=12, output_tokens=8, cached_tokens=4, reasoning_tokens=5, cost_usd=0.0025)
HOME = Origin("xai", "grok-4", "xai")


@pytest.fixture
def upstream() -> Iterator[XaiUpstream]:
    with XaiUpstream() as up:
        yield up


def model_at(upstream: XaiUpstream | str, **settings: Any) -> XaiModel:
    host = upstream if isinstance(upstream, str) else upstream.host
    return XaiModel("grok-4", **{"key": KEY, "host": host, "retries": Retries(base_s=0.01), **settings})


def asking(text: str = "hi", *, streams: bool = False, path: Path | None = None, **asked: Any) -> Request:
    return Request(path=path or Path(), input=(user(text),), stream=streams, **asked)


async def answered(model: XaiModel, request: Request) -> tuple[list[Delta], Answer]:
    """The deltas and the answer; there is exactly one, and it comes last."""
    items = [item async for item in model.answer(request)]
    deltas = [delta for item in items[:-1] if not isinstance(item, Answer | Notice) for delta in each(item)]
    assert isinstance(items[-1], Answer)
    return deltas, items[-1]


async def failing(model: XaiModel, request: Request) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await answered(model, request)
    assert (caught.value.provider, caught.value.model) == ("xai", "grok-4")
    return caught.value


# --- asking, in every way there is ----------------------------------------------------------------------------------


@asynccontextmanager
async def asked_by(way: str, upstream: XaiUpstream) -> AsyncGenerator[XaiModel, None]:
    """The model on a channel of our own, or through either of the official clients."""
    if way == "sync client":
        with xai_sdk.Client(api_key=KEY, api_host=upstream.host) as client:
            yield XaiModel.through(client, "grok-4")
    elif way == "async client":
        async with xai_sdk.AsyncClient(api_key=KEY, api_host=upstream.host) as client:
            yield XaiModel.through(client, "grok-4")
    else:
        model = model_at(upstream)
        yield model
        await model.aclose()


every_way = pytest.mark.parametrize("way", ["our own", "sync client", "async client"])


@every_way
async def test_an_answer_that_comes_whole(upstream: XaiUpstream, way: str) -> None:
    upstream.script(reply("Hello you."))
    async with asked_by(way, upstream) as model:
        deltas, answer = await answered(model, asking())
    assert deltas == []
    assert answer.message == Message(
        "assistant", (Text("Hello you."),), id="resp_1", origin=HOME, usage=USAGE, finish_reason="stop"
    )
    assert upstream.requests[0].method == "GetCompletion"


@every_way
async def test_an_answer_that_is_streamed(upstream: XaiUpstream, way: str) -> None:
    upstream.script(reply("Hello to you."))
    async with asked_by(way, upstream) as model:
        deltas, answer = await answered(model, asking(streams=True))
    assert deltas == [TextDelta("Hello "), TextDelta("to "), TextDelta("you.")]
    assert (answer.message.text, answer.message.usage) == ("Hello to you.", USAGE)
    assert upstream.requests[0].method == "GetCompletionChunk"


@every_way
async def test_deltas_come_while_the_model_still_speaks(upstream: XaiUpstream, way: str) -> None:
    upstream.script(hang("Hel"))
    async with asked_by(way, upstream) as model, aclosing(model.answer(asking(streams=True))) as items:
        assert await anext(items) == TextDelta("Hel")
        assert upstream.hung_up == 0
    assert await upstream.until(lambda: upstream.hung_up == 1)


@every_way
@pytest.mark.parametrize("streams", [False, True])
async def test_a_tool_call(upstream: XaiUpstream, way: str, streams: bool) -> None:
    upstream.script(tool_call("weather", '{"city": "Rome"}'))
    async with asked_by(way, upstream) as model:
        deltas, answer = await answered(model, asking(streams=streams, tools=(ToolSpec("weather"),)))
    assert answer.message.parts == (ToolCall("call_1", "weather", '{"city": "Rome"}'),)
    assert answer.message.finish_reason == "tool_calls"
    assert deltas == ([ToolCallDelta(0, "call_1", "weather", '{"city": "Rome"}')] if streams else [])


@every_way
async def test_errors_are_alike(upstream: XaiUpstream, way: str) -> None:
    async with asked_by(way, upstream) as model:
        for streams in (False, True):
            upstream.script(fail("RESOURCE_EXHAUSTED", "Slow down", retry_after="70", x_request_id="req_1"))
            error = await failing(model, asking(streams=streams))
            assert isinstance(error, RateLimited)
            assert (error.retry_after_s, error.request_id) == (70.0, "req_1")


async def test_several_answers_at_once(upstream: XaiUpstream) -> None:
    for streams in (False, True):
        upstream.script(choices("a", "b"))
        request = asking(streams=streams, settings=Settings(choices=2))
        deltas, answer = await answered(model_at(upstream), request)
        assert [each.text for each in (answer.message, *answer.alternatives)] == ["a", "b"]
        assert answer.message.id is None
        assert fold(deltas).text == ("a" if streams else "")


async def test_the_key_goes_along_and_says_who_asks(upstream: XaiUpstream) -> None:
    await answered(model_at(upstream), asking())
    metadata = upstream.requests[0].metadata
    assert metadata["authorization"] == f"Bearer {KEY}"
    assert metadata["user-agent"].startswith("multiturn/")


async def test_what_was_said_is_encoded_once(upstream: XaiUpstream) -> None:
    path = Path([turn("one", user("one"), assistant("1"))])
    for _ in range(2):
        await answered(model_at(upstream), asking("two", path=path))
    [kept] = path._kept.values()
    longer = path.followed_by(turn("two", user("two"), assistant("2")))
    await answered(model_at(upstream), asking("three", path=longer))
    [grown] = longer._kept.values()
    assert (len(grown), grown[0] is kept[0]) == (2, True)
    assert upstream.requests[2].said == [
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "three"),
    ]


def turn(id: str, said: Message, *output: Message, instructions: str | None = None) -> Turn:
    return Turn(id=id, conversation="conv", input=(said,), output=output, instructions=instructions)


# --- answers that xAI keeps -----------------------------------------------------------------------------------------


class Chat:
    """A conversation by hand: each turn's answer goes onto the path."""

    def __init__(self, model: XaiModel, *, instructions: str | None = None, settings: Settings | None = None) -> None:
        self.model = model
        self.instructions = instructions
        self.settings = settings or Settings()
        self.path = Path()
        self.notices: list[str] = []

    async def say(self, text: str) -> Message:
        request = asking(text, path=self.path, instructions=self.instructions, settings=self.settings, streams=True)
        items = [item async for item in self.model.answer(request)]
        self.notices = [item.code for item in items if isinstance(item, Notice)]
        assert isinstance(items[-1], Answer)
        said = turn(text, user(text), items[-1].message, instructions=self.instructions)
        self.path = self.path.followed_by(said)
        return items[-1].message


async def test_only_what_is_new_is_sent_however_long_the_conversation(upstream: XaiUpstream) -> None:
    chat = Chat(model_at(upstream), instructions="Be brief.")
    for n in range(100):
        answer = await chat.say(f"word {n:04}")
    assert answer.text == "You said: word 0099. That is message 200."  # with the instructions: it was all there
    first, *later = upstream.requests
    assert first.said == [("system", "Be brief."), ("user", "word 0000")]
    assert {tuple(each.said) for each in later} == {(("user", f"word {n:04}"),) for n in range(1, 100)}
    sizes = [each.size for each in later]
    assert max(sizes) - min(sizes) <= len("resp_99") - len("resp_1")  # the id alone grows
    assert max(sizes) < 70


async def test_an_answer_that_is_gone_costs_one_whole_request(upstream: XaiUpstream) -> None:
    chat = Chat(model_at(upstream))
    await chat.say("one")
    upstream.forget()
    answer = await chat.say("two")
    assert answer.text == "You said: two. That is message 3."
    assert chat.notices == ["resent"]
    assert [len(each.said) for each in upstream.requests] == [1, 1, 3]
    await chat.say("three")
    assert (chat.notices, upstream.requests[-1].said) == ([], [("user", "three")])


async def test_a_provider_that_never_keeps_anything_is_sent_all_of_it_at_once(upstream: XaiUpstream) -> None:
    chat = Chat(model_at(upstream))
    for n in range(MAX_LOSSES + 2):
        await chat.say(str(n))
        upstream.forget()
    assert len(upstream.requests) == MAX_LOSSES + 2 + MAX_LOSSES
    assert chat.notices == []


async def test_with_store_false_nothing_is_kept_and_thinking_comes_encrypted(upstream: XaiUpstream) -> None:
    upstream.script(thinking("Let me think.", "Yes."))
    chat = Chat(model_at(upstream), settings=Settings(store=False))
    answer = await chat.say("one")
    assert answer.parts == (Reasoning("Letmethink.", encrypted="gAAA-sealed"), Text("Yes."))
    await chat.say("two")
    assert upstream.kept == {}
    _, replayed, _ = upstream.requests[1].proto.messages
    assert (replayed.reasoning_content, replayed.encrypted_content) == ("Letmethink.", "gAAA-sealed")


async def test_within_a_run_with_tools_only_the_results_are_sent(upstream: XaiUpstream) -> None:
    upstream.script(tool_call("f", "{}"))
    model = model_at(upstream)
    request = asking(instructions="Be brief.", tools=(ToolSpec("f"),))
    _, first = await answered(model, request)
    later = Request(
        path=Path(),
        input=(user("hi"), first.message, tool_result("call_1", "42")),
        instructions="Be brief.",
        tools=(ToolSpec("f"),),
    )
    _, second = await answered(model, later)
    assert upstream.requests[1].said == [("tool", "42")]
    assert second.message.text == "You said: 42. That is message 4."


async def test_new_instructions_are_sent_with_everything(upstream: XaiUpstream) -> None:
    chat = Chat(model_at(upstream), instructions="Be brief.")
    await chat.say("one")
    chat.instructions = "Be verbose."
    await chat.say("two")
    assert upstream.requests[1].said[0] == ("system", "Be verbose.")
    assert len(upstream.requests[1].said) == 4
    await chat.say("three")
    assert upstream.requests[2].said == [("user", "three")]
    assert chat.notices == []


ANSWER = Message("assistant", (Text("1"),), id="resp_1", origin=HOME)
BARE = Message("assistant", (Text("1"),), origin=HOME)
ELSEWHERE = Message("assistant", (Text("1"),), id="msg_1", origin=Origin("anthropic", "claude", "anthropic"))
CONTINUES: list[tuple[list[Turn], dict[str, Any], bool]] = [
    ([turn("1", user("a"), ANSWER)], {}, True),
    ([turn("1", user("a"), ANSWER, instructions="i")], {"instructions": "i"}, True),
    ([turn("1", user("a"), ANSWER, instructions="")], {"instructions": None}, True),
    ([turn("1", user("a"), ANSWER)], {"instructions": "i"}, False),
    ([turn("1", user("a"), ANSWER, instructions="i")], {}, False),
    # a turn without an answer between changes nothing
    ([turn("1", user("a"), ANSWER, instructions="i"), turn("2", user("b"))], {"instructions": "i"}, True),
    # no answer, one that was stopped, another provider's, and one that is not to be kept
    ([], {}, False),
    ([turn("1", user("a"), BARE)], {}, False),
    ([turn("1", user("a"), ANSWER), turn("2", user("b"), ELSEWHERE)], {}, False),
    ([turn("1", user("a"), ANSWER)], {"settings": Settings(store=False)}, False),
]


@pytest.mark.parametrize(("turns", "asked", "continues"), CONTINUES)
def test_where_a_request_goes_on_from(turns: list[Turn], asked: dict[str, Any], continues: bool) -> None:
    shorter = from_kept_answer(asking("new", path=Path(turns), **asked), XaiModel("m", key="x")._dialect)
    assert (shorter is not None) is continues
    if shorter is not None:
        assert (shorter.previous_answer, shorter.instructions, shorter.input[-1]) == ("resp_1", None, user("new"))


async def test_another_provider_s_words_are_translated_and_noted(upstream: XaiUpstream) -> None:
    thought = Message("assistant", (Reasoning("hm", signature="s"), Text("1")), origin=ELSEWHERE.origin)
    request = asking("two", path=Path([turn("1", user("one"), thought)]))
    items = [item async for item in model_at(upstream).answer(request)]
    assert [item.code for item in items if isinstance(item, Notice)] == ["translated", "translated"]
    assert upstream.requests[0].said == [("user", "one"), ("assistant", "1"), ("user", "two")]
    assert not upstream.requests[0].proto.messages[1].reasoning_content


async def test_an_answer_that_is_lost_for_good_is_an_error(upstream: XaiUpstream) -> None:
    request = Request(path=Path(), input=(user("hi"),), previous_answer="resp_99")
    assert isinstance(await failing(model_at(upstream), request), StateLost)


def test_a_conversation_over_the_sync_face(upstream: XaiUpstream) -> None:
    chat = Conversation(model_at(upstream), instructions="Be brief.")
    assert chat.send("one").text == "You said: one. That is message 2."
    assert "".join(event.text for event in chat.stream("two")) == "You said: two. That is message 4."
    upstream.forget()
    assert [notice.code for notice in chat.send("three").turn.notices] == ["resent"]
    with xai_sdk.Client(api_key=KEY, api_host=upstream.host) as client:
        other = Conversation(XaiModel.through(client, "grok-4"))
        assert other.send("one").text == "You said: one. That is message 1."
    named = Conversation("xai:grok-4", api="grpc", base_url=upstream.host, api_key=KEY)
    assert named.send("one").text == "You said: one. That is message 1."


# --- as the official client does ------------------------------------------------------------------------------------

SCRIPTS: list[tuple[Behaviour, dict[str, Any]]] = [
    (reply("Hello to you."), {}),
    (thinking("Let me think.", "Yes."), {"use_encrypted_content": True}),
    (tool_call("f", '{"x":1}'), {}),
    (searching("x", "found", "It is x."), {}),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("behaviour", "settings"), SCRIPTS, ids=["text", "thinking", "call", "search"])
async def test_the_official_client_and_ours_hold_the_same_conversation(
    upstream: XaiUpstream, behaviour: Behaviour, settings: dict[str, Any], streams: bool
) -> None:
    """Both ask, get the same answer, and go on from it with all that was said."""
    upstream.script(behaviour, reply("Fine."), behaviour, reply("Fine."))
    with xai_sdk.Client(api_key=KEY, api_host=upstream.host) as client:
        chat = client.chat.create("grok-4", messages=[sdk.system("Be brief.")], **settings)
        chat.append(sdk.user("hi"))
        response = [each for each, _ in chat.stream()][-1] if streams else chat.sample()
        chat.append(response)
        results = [sdk.tool_result("42", "call_1")] if response.finish_reason == "REASON_TOOL_CALLS" else []
        for message in results or [sdk.user("And?")]:
            chat.append(message)
        chat.sample()

    asked = asking(instructions="Be brief.", streams=streams, settings=Settings(extra=settings))
    deltas, answer = await answered(model_at(upstream), asked)
    path = Path([turn("1", user("hi"), answer.message, instructions="Be brief.")])
    said = tool_result("call_1", "42") if results else user("And?")
    again = Request(path=path, input=(said,), instructions="Be brief.", settings=Settings(store=False, extra=settings))
    await answered(model_at(upstream), again)

    message = answer.message
    assert message.text == response.content
    assert message.reasoning == response.reasoning_content or response.tool_outputs
    assert [call.arguments for call in message.tool_calls] == [
        call.function.arguments for call in response.tool_calls if call.type == 1
    ]
    assert message.usage == USAGE
    assert message.usage.cost_usd == response.cost_usd
    if streams:
        assert fold(deltas).text == message.text
    theirs, ours = [_plain(each.proto) for each in upstream.requests[:2]], upstream.requests[2:]
    assert [_plain(each.proto) for each in ours] == theirs


def _plain(request: Any) -> Any:
    """The request without what says nothing (the SDK's `n=1` and empty thinking), and without whether it is kept."""
    made = chat_pb2.GetCompletionsRequest.FromString(request.SerializeToString())
    for name in ("n", "store_messages", "use_encrypted_content"):
        made.ClearField(name)
    for message in made.messages:
        if not message.reasoning_content:
            message.ClearField("reasoning_content")
    return made


async def test_the_official_client_goes_on_from_an_answer_that_we_had_kept(upstream: XaiUpstream) -> None:
    _, answer = await answered(model_at(upstream), asking("My name is Ann."))
    async with xai_sdk.AsyncClient(api_key=KEY, api_host=upstream.host) as client:
        chat = client.chat.create("grok-4", previous_response_id=answer.message.id, messages=[sdk.user("Who am I?")])
        assert (await chat.sample()).content == "You said: Who am I?. That is message 3."


async def test_a_search_that_xai_ran_goes_back_as_it_came(upstream: XaiUpstream) -> None:
    upstream.script(searching("x", "found", "It is x."))
    chat = Chat(model_at(upstream), settings=Settings(store=False, extra={"tools": [{"web_search": {}}]}))
    answer = await chat.say("one")
    assert [part.kind for part in answer.parts if isinstance(part, Opaque)] == ["web_search", "tool_output"]
    await chat.say("two")
    roles = [role for role, _ in upstream.requests[1].said]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


# --- errors ---------------------------------------------------------------------------------------------------------

FAULTS: list[tuple[Behaviour, type[ModelError]]] = [
    (
        fail("INVALID_ARGUMENT", "[input_too_large] Current message (9 tokens) exceeds budget (8 tokens)"),
        ContextOverflow,
    ),
    (fail("NOT_FOUND", "The model grok-4 does not exist"), ModelNotFound),
    (fail("INTERNAL", "boom"), ProviderFailed),
    (stream(), InvalidReply),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_a_fault_as_an_error(
    upstream: XaiUpstream, fault: Behaviour, kind: type[ModelError], streams: bool
) -> None:
    upstream.script(fault)
    assert type(await failing(model_at(upstream), asking(streams=streams))) is kind
    assert len(upstream.requests) == 1


async def test_an_error_in_mid_answer_comes_after_what_was_said(upstream: XaiUpstream) -> None:
    upstream.script(fail("INTERNAL", "boom", after=2))
    items = model_at(upstream).answer(asking(streams=True))
    assert [await anext(items), await anext(items)] == [TextDelta("word0 "), TextDelta("word1 ")]
    with pytest.raises(ProviderFailed, match="ended the answer with INTERNAL: boom"):
        await anext(items)


async def test_a_server_that_dies_in_mid_answer_cuts_the_stream(upstream: XaiUpstream) -> None:
    upstream.script(hang("Hel"))
    async with aclosing(model_at(upstream).answer(asking(streams=True))) as items:
        assert await anext(items) == TextDelta("Hel")
        threading.Thread(target=upstream.stop).start()
        with pytest.raises(StreamCut) as caught:
            await anext(items)
    assert (caught.value.provider, caught.value.model) == ("xai", "grok-4")


async def test_what_breaks_after_the_last_word_has_lost_nothing(upstream: XaiUpstream) -> None:
    upstream.script(hang("Hello.", finish="REASON_STOP"))
    model = model_at(upstream, timeouts=Timeouts(idle_s=0.05))
    deltas, answer = await answered(model, asking(streams=True))
    assert (fold(deltas).text, answer.message.text) == ("Hello.", "Hello.")


@pytest.mark.parametrize("streams", [False, True])
async def test_a_wrong_key_is_named_by_its_variable_and_never_shown(
    upstream: XaiUpstream, streams: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = await failing(model_at(upstream, key="not-the-right-one"), asking(streams=streams))
    assert isinstance(error, AuthenticationFailed)
    assert "XAI_API_KEY" in str(error)
    assert "Incorrect API key provided: [key]." in str(error)
    chain = f"{error} {error!r} {vars(error)} {error.__cause__!r} {error.__context__!r} {caplog.text}"
    assert "not-the-right-one" not in chain


def test_the_key_is_in_no_description() -> None:
    model = XaiModel("grok-4", key=KEY, host="[::1]")
    assert repr(model) == "<xai:grok-4 at [::1]:443>"
    assert KEY not in f"{model!r} {vars(model)['_way']!r}"


async def test_new_input_that_xai_cannot_read_is_refused_before_anything_is_asked(upstream: XaiUpstream) -> None:
    request = Request(path=Path(), input=(user(Audio(Inline(b"OggS", "audio/ogg"))),))
    with pytest.raises(InvalidInput, match="grok-4 cannot read audio input"):
        await answered(model_at(upstream), request)
    assert upstream.requests == []


@pytest.mark.parametrize("host", ["", "https://api.x.ai/v1", "api.x.ai/v1", "host:port", "a b", "[::1", "me@host"])
def test_a_host_must_be_one(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"must be like api\.x\.ai"):
        XaiModel("grok-4", key=KEY, host=host)


@pytest.mark.parametrize("key", ["two\nlines", "clé", "nul\0"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidInput, match="the key for xai") as caught:
        XaiModel("grok-4", key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_dead_server_is_no_connection(name: str) -> None:
    error = await failing(model_at(f"{name}:{free_port()}"), asking())
    assert isinstance(error, ConnectionFailed)
    assert "Connection refused" in str(error)


async def test_a_server_without_tls_is_no_connection_where_tls_is_wanted(upstream: XaiUpstream) -> None:
    error = await failing(model_at(f"127.0.1.1:{upstream.port}", retries=Retries(attempts=1)), asking())
    assert isinstance(error, ConnectionFailed)


def test_without_the_extra_there_is_a_clear_error() -> None:
    for module in ("xai_sdk", "grpc"):
        code = (
            f"import sys; sys.modules[{module!r}] = None\n"
            "import multiturn.formats.xai\n"
            "try: from multiturn.models.xai import XaiModel\n"
            "except ValueError as error: print(type(error).__name__, error)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert 'InvalidInput xAI over gRPC needs its SDK: pip install "multiturn[xai]"' in done.stdout


def test_only_who_asks_xai_imports_its_sdk() -> None:
    code = "import sys, multiturn.formats.xai, multiturn.conversation; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"grpc", "xai_sdk", "google.protobuf"} & set(done.stdout.split())


# --- retries and limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
@pytest.mark.parametrize("streams", [False, True])
async def test_what_fails_before_the_answer_is_tried_again(upstream: XaiUpstream, code: str, streams: bool) -> None:
    upstream.script(fail(code), fail(code), reply("Hello."))
    _, answer = await answered(model_at(upstream), asking("x" * 1_000_000, streams=streams))
    assert (answer.message.text, len(upstream.requests)) == ("Hello.", 3)


async def test_tries_are_counted(upstream: XaiUpstream) -> None:
    upstream.script(*[fail("UNAVAILABLE", "The model is overloaded")] * 9)
    for attempts in (1, 3):
        before = len(upstream.requests)
        model = model_at(upstream, retries=Retries(attempts=attempts, base_s=0.001))
        assert isinstance(await failing(model, asking()), ProviderFailed)
        assert len(upstream.requests) - before == attempts


async def test_a_provider_says_when_to_come_again(upstream: XaiUpstream) -> None:
    upstream.script(fail("RESOURCE_EXHAUSTED", retry_after="0.2"), reply("Hello."))
    began = time.monotonic()
    await answered(model_at(upstream), asking())
    assert time.monotonic() - began >= 0.2
    upstream.script(fail("RESOURCE_EXHAUSTED", retry_after="61"))
    assert (await failing(model_at(upstream), asking())).retry_after_s == 61.0
    upstream.script(fail("RESOURCE_EXHAUSTED", retry_after="1"))
    model = model_at(upstream, timeouts=Timeouts(total_s=0.5))
    assert isinstance(await failing(model, asking()), RateLimited)


async def test_a_server_that_comes_back_is_found_again() -> None:
    port = free_port()
    model = model_at(f"localhost:{port}", retries=Retries(attempts=5, base_s=0.1))
    assert isinstance(await failing(model_at(f"localhost:{port}", retries=Retries(attempts=1)), asking()), ModelError)
    asked = asyncio.create_task(answered(model, asking()))
    await asyncio.sleep(0.05)
    with XaiUpstream(port=port):
        assert (await asked)[1].message.text == "You said: hi. That is message 1."


async def test_an_answer_that_has_begun_is_not_tried_again(upstream: XaiUpstream) -> None:
    upstream.script(fail("UNAVAILABLE", "gone", after=1))
    assert isinstance(await failing(model_at(upstream), asking(streams=True)), StreamCut)
    assert len(upstream.requests) == 1


LIMITS: list[tuple[Behaviour, Timeouts, type[ModelError]]] = [
    (hang(), Timeouts(first_byte_s=0.05), FirstByteTimedOut),
    (hang("Hel"), Timeouts(idle_s=0.05), IdleTimedOut),
    (reply("one two three four five six", delay_s=0.05), Timeouts(total_s=0.1), TotalTimedOut),
]


@pytest.mark.parametrize(("fault", "timeouts", "kind"), LIMITS)
async def test_a_limit_that_passes_ends_the_call(
    upstream: XaiUpstream, fault: Behaviour, timeouts: Timeouts, kind: type[ModelError]
) -> None:
    upstream.script(fault)
    error = await failing(model_at(upstream, timeouts=timeouts), asking(streams=True))
    assert type(error) is kind
    assert upstream.host in str(error)
    assert await upstream.until(lambda: upstream.hung_up == 1)


async def test_a_server_that_does_not_speak_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        model = model_at(host, timeouts=Timeouts(connect_s=0.1), retries=Retries(attempts=1))
        assert isinstance(await failing(model, asking()), ConnectTimedOut)


async def test_an_answer_without_end_is_given_up(upstream: XaiUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiturn.models.xai.MAX_REPLY_BYTES", 1 << 20)
    upstream.script(stream(*[piece(content="x" * 300_000)] * 9))
    error = await failing(model_at(upstream), asking(streams=True))
    assert isinstance(error, InvalidReply)
    assert await upstream.until(lambda: upstream.hung_up == 1)


async def test_the_time_limit_of_a_client_is_a_limit(upstream: XaiUpstream) -> None:
    upstream.script(hang())
    async with xai_sdk.AsyncClient(api_key=KEY, api_host=upstream.host, timeout=0.1) as client:
        assert isinstance(await failing(XaiModel.through(client, "grok-4"), asking(streams=True)), TotalTimedOut)


# --- hanging up -----------------------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("how", ["close", "cancel"])
@pytest.mark.parametrize("streams", [False, True])
async def test_leaving_in_mid_answer_ends_the_call_at_the_server(
    upstream: XaiUpstream, way: str, how: str, streams: bool
) -> None:
    upstream.script(hang("Hel"))

    async def reading(model: XaiModel) -> None:
        async with aclosing(model.answer(asking(streams=streams))) as items:
            async for _ in items:
                if how == "close":
                    return

    async with asked_by(way, upstream) as model:
        task = asyncio.create_task(reading(model))
        assert await upstream.until(lambda: len(upstream.requests) == 1)
        await asyncio.sleep(0.02)
        cancelled = how == "cancel" or not streams  # a whole answer gives nothing at which to leave
        if cancelled:
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is cancelled
        assert await upstream.until(lambda: upstream.hung_up == 1)


async def test_a_sync_client_s_threads_end_with_their_calls(upstream: XaiUpstream) -> None:
    def threads() -> int:
        return sum(thread.name == "multiturn-xai" for thread in threading.enumerate())

    with xai_sdk.Client(api_key=KEY, api_host=upstream.host) as client:
        model = XaiModel.through(client, "grok-4")
        upstream.script(*[hang("Hel")] * 3)
        calls = [model.answer(asking(streams=True)) for _ in range(3)]
        for each in calls:
            await anext(each)
        assert threads() == 3
        for each in calls:
            await each.aclose()
        assert await upstream.until(lambda: threads() == 0 and upstream.hung_up == 3)


def test_an_event_loop_that_ends_hangs_up(upstream: XaiUpstream) -> None:
    async def main() -> None:
        asyncio.create_task(answered(model_at(upstream), asking(streams=True)))  # noqa: RUF006  # left alone
        await upstream.until(lambda: len(upstream.requests) == 1)
        async for _ in model_at(upstream).answer(asking(streams=True)):
            break

    upstream.script(hang("Hel"), hang("Hel"))
    asyncio.run(main())
    gc.collect()  # what was left open would warn now, and warnings are errors here
    assert asyncio.run(upstream.until(lambda: upstream.hung_up == 2))
    assert opened_at(upstream) == []


def opened_at(upstream: XaiUpstream) -> list[object]:
    return [opened for (_, host, _), opened in _opened.items() if host == upstream.host]


async def test_models_at_one_host_share_a_channel_and_let_go_of_it_together(upstream: XaiUpstream) -> None:
    one, two = model_at(upstream), model_at(upstream, key="another")
    await one.aclose()  # nothing is open yet
    await answered(one, asking())
    await failing(two, asking())
    [opened] = opened_at(upstream)
    await one.aclose()
    assert opened_at(upstream) == [opened]
    await two.aclose()
    assert opened_at(upstream) == []
    await answered(one, asking())
    await one.aclose()


async def test_a_channel_that_is_closed_under_an_answer_cuts_it(upstream: XaiUpstream) -> None:
    upstream.script(hang("Hel"))
    model = model_at(upstream)
    async with aclosing(model.answer(asking(streams=True))) as items:
        await anext(items)
        closing = asyncio.create_task(model.aclose())
        with pytest.raises(StreamCut, match="closed"):
            await anext(items)
        await closing


def test_one_model_serves_several_event_loops(upstream: XaiUpstream) -> None:
    model = model_at(upstream)
    texts = []

    def run(word: str) -> None:
        for _ in range(3):
            texts.append(asyncio.run(answered(model, asking(word)))[1].message.text)

    threads = [threading.Thread(target=run, args=(word,)) for word in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    texts.append(sync.run(answered(model, asking("d")))[1].message.text)
    for thread in threads:
        thread.join()
    assert sorted(texts) == sorted(f"You said: {word}. That is message 1." for word in "aaabbbcccd")
    sync.run(model.aclose())


# --- clients --------------------------------------------------------------------------------------------------------


async def test_a_client_that_is_closed_cannot_be_asked(upstream: XaiUpstream) -> None:
    sync_client = xai_sdk.Client(api_key=KEY, api_host=upstream.host)
    async_client = xai_sdk.AsyncClient(api_key=KEY, api_host=upstream.host)
    sync_client.close()
    await async_client.close()
    for client in (sync_client, async_client):
        for streams in (False, True):
            error = await failing(XaiModel.through(client, "grok-4"), asking(streams=streams))
            assert isinstance(error, ConnectionFailed)
            assert str(error) == "the client is closed, and cannot be asked any more"


@pytest.mark.parametrize("kind", [xai_sdk.Client, xai_sdk.AsyncClient])
async def test_a_client_s_key_that_cannot_be_sent_is_not_shown(upstream: XaiUpstream, kind: Any) -> None:
    client = kind(api_key="two\nlines", api_host=upstream.host, use_insecure_channel=True)
    error = await failing(XaiModel.through(client, "grok-4"), asking(streams=True))
    assert isinstance(error, AuthenticationFailed)
    shown = "".join(traceback.format_exception(error))
    assert "two" not in shown
    closing = client.close()
    if closing is not None:
        await closing


async def test_a_client_stays_open_when_the_model_lets_go(upstream: XaiUpstream) -> None:
    async with xai_sdk.AsyncClient(api_key=KEY, api_host=upstream.host) as client:
        model = XaiModel.through(client, "grok-4")
        await answered(model, asking())
        await model.aclose()
        await answered(model, asking())
    assert repr(model) == "<xai:grok-4 at the client Client>"


def test_an_async_client_of_another_event_loop_is_refused_with_a_reason(upstream: XaiUpstream) -> None:
    async def main() -> Any:
        return xai_sdk.AsyncClient(api_key=KEY, api_host=upstream.host)

    client = asyncio.run(main())
    with pytest.raises(InvalidInput, match="made for another event loop"):
        asyncio.run(answered(XaiModel.through(client, "grok-4"), asking()))


def test_what_is_no_client_is_refused() -> None:
    for client in (object(), "client", grpc):
        with pytest.raises(InvalidInput, match=r"give an xai_sdk.Client or an xai_sdk.AsyncClient"):
            XaiModel.through(client, "grok-4")
