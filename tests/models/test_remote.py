"""A model behind HTTP: what it asks, and what it makes of every kind of answer."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from multiturn.deltas import Answer, Delta, TextDelta, ToolCallDelta, each, fold
from multiturn.errors import (
    AuthenticationFailed,
    InvalidInput,
    InvalidReply,
    ModelError,
    ModelNotFound,
    StreamCut,
)
from multiturn.formats import chat_completions
from multiturn.formats.chat_completions import Dialect
from multiturn.messages import Message, Usage, assistant, user
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.remote import MAX_REPLY_BYTES, Endpoint, RemoteModel
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request, Settings
from multiturn.turns import Turn, TurnStatus
from upstream import (
    Behaviour,
    Upstream,
    cut_after,
    empty_answer,
    hang,
    hang_after,
    raw,
    reply,
    sse_raw,
    status,
    stream,
    tool_call,
)

KEY = "sk-very-secret"
DIALECT = Dialect(provider="tests", key_variable="TESTS_API_KEY")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def model_at(
    url: str, *, key: str | None = KEY, timeouts: Timeouts | None = None, retries: Retries | None = None
) -> RemoteModel[Dialect]:
    endpoint = Endpoint(provider="tests", base_url=url)
    retries = retries or Retries(base_s=0.001)
    return RemoteModel("tiny", endpoint, chat_completions, DIALECT, key=key, timeouts=timeouts, retries=retries)


def asking(text: str = "hi", *, streams: bool = False, path: Path | None = None) -> Request:
    return Request(path=path or Path(), input=(user(text),), stream=streams)


async def answered(model: RemoteModel[Dialect], request: Request) -> tuple[list[Delta], Message]:
    """The deltas and the message of one answer; there is exactly one, and it comes last."""
    items = [item async for item in model.answer(request)]
    deltas = [delta for item in items[:-1] if not isinstance(item, Answer | Notice) for delta in each(item)]
    assert not any(isinstance(item, Answer | Notice) for item in items[:-1])
    assert isinstance(items[-1], Answer)
    return deltas, items[-1].message


async def failing(model: RemoteModel[Dialect], request: Request) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await answered(model, request)
    assert (caught.value.provider, caught.value.model) == ("tests", "tiny")
    return caught.value


# --- asking ---------------------------------------------------------------------------------------------------------


async def test_an_answer_that_comes_whole(upstream: Upstream) -> None:
    upstream.script(reply("Hello."))
    deltas, message = await answered(model_at(upstream.url), asking())
    assert deltas == []
    assert (message.text, message.finish_reason) == ("Hello.", "stop")
    assert message.origin is not None
    assert (message.origin.provider, message.origin.model) == ("tests", "tiny")
    assert message.usage == Usage(input_tokens=12, output_tokens=3)


async def test_an_answer_that_is_streamed(upstream: Upstream) -> None:
    upstream.script(stream("Hel", "lo", ", you."))
    deltas, message = await answered(model_at(upstream.url), asking(streams=True))
    assert deltas == [TextDelta("Hel"), TextDelta("lo"), TextDelta(", you.")]
    assert message.text == "Hello, you."
    assert message.usage == Usage(input_tokens=12, output_tokens=3)
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("streams", [False, True])
async def test_a_tool_call(upstream: Upstream, streams: bool) -> None:
    upstream.script(tool_call("weather", {"city": "Rome"}))
    deltas, message = await answered(model_at(upstream.url), asking(streams=streams))
    [call] = message.tool_calls
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city": "Rome"}')
    assert message.finish_reason == "tool_calls"
    if streams:
        assert fold(deltas).tool_calls == message.tool_calls


@pytest.mark.parametrize("streams", [False, True])
async def test_an_empty_answer_is_an_answer_without_parts(upstream: Upstream, streams: bool) -> None:
    upstream.script(empty_answer())
    _, message = await answered(model_at(upstream.url), asking(streams=streams))
    assert message.parts == ()


async def test_the_request_says_everything_in_order(upstream: Upstream) -> None:
    path = Path([turn("one", user("My name is Alice"), assistant("Hello Alice"))])
    request = Request(
        path=path, input=(user("Who am I?"),), instructions="Be brief.", settings=Settings(temperature=0.5)
    )
    await answered(model_at(upstream.url), request)
    sent = upstream.requests[0].json
    assert (sent["model"], sent["temperature"]) == ("tiny", 0.5)
    assert [(message["role"], message["content"]) for message in sent["messages"]] == [
        ("system", "Be brief."),
        ("user", "My name is Alice"),
        ("assistant", "Hello Alice"),
        ("user", "Who am I?"),
    ]


async def test_what_was_said_is_encoded_once(upstream: Upstream) -> None:
    path = Path([turn("one", user("one"), assistant("1"))])
    model = model_at(upstream.url)
    await answered(model, asking("two", path=path))
    await answered(model_at(upstream.url), asking("two", path=path))  # another model of the same dialect
    [kept] = path._kept.values()
    assert kept == [b'{"role":"user","content":"one"},{"role":"assistant","content":"1"}']
    longer = path.followed_by(turn("two", user("two"), assistant("2")))
    await answered(model, asking("three", path=longer))
    [grown] = longer._kept.values()
    assert len(grown) == 2
    assert grown[0] is kept[0]


def turn(id: str, said: Message, answer: Message) -> Turn:
    return Turn(id=id, conversation="conv", status=TurnStatus.COMPLETED, input=(said,), output=(answer,))


# --- servers that do otherwise --------------------------------------------------------------------------------------


async def test_a_server_that_ignores_stream_is_streamed_all_the_same(upstream: Upstream) -> None:
    upstream.script(reply("All at once.", streams=False))
    deltas, message = await answered(model_at(upstream.url), asking(streams=True))
    assert deltas == [TextDelta("All at once.")]
    assert message.text == "All at once."


async def test_a_tool_call_that_comes_whole_is_streamed_all_the_same(upstream: Upstream) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    upstream.script(reply("", streams=False, content=None, tool_calls=[call], reasoning_content="Let me see."))
    deltas, message = await answered(model_at(upstream.url), asking(streams=True))
    assert fold(deltas).parts == message.parts
    assert ToolCallDelta(0, "c1", "now", "{}") in deltas


async def test_a_server_that_always_streams_is_read_to_its_end(upstream: Upstream) -> None:
    upstream.script(stream("One", " two"))
    deltas, message = await answered(model_at(upstream.url), asking())
    assert (deltas, message.text) == ([], "One two")


async def test_a_stream_without_a_content_type(upstream: Upstream) -> None:
    event = b'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    upstream.script(raw(b"HTTP/1.1 200 OK\r\n\r\n" + event))
    assert (await answered(model_at(upstream.url), asking(streams=True)))[1].text == "hi"


async def test_a_stream_that_ends_without_done(upstream: Upstream) -> None:
    upstream.script(sse_raw(b'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}'))
    with pytest.raises(StreamCut):  # without the end of its line, the event may be half of one
        await answered(model_at(upstream.url), asking(streams=True))
    upstream.script(sse_raw(b'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}\n'))
    assert (await answered(model_at(upstream.url), asking(streams=True)))[1].text == "hi"


@pytest.mark.parametrize("fault", [cut_after(4, "a", "b"), cut_after(4, "a", "b", reset=True), hang_after(4, "a", "b")])
async def test_what_breaks_after_the_last_word_has_lost_nothing(upstream: Upstream, fault: Behaviour) -> None:
    upstream.script(fault)
    model = model_at(upstream.url, timeouts=Timeouts(idle_s=0.05))
    deltas, message = await answered(model, asking(streams=True))
    assert (fold(deltas).text, message.text) == ("ab", "ab")


# --- connections ----------------------------------------------------------------------------------------------------


async def test_answers_of_both_kinds_leave_the_connection_for_the_next(upstream: Upstream) -> None:
    model = model_at(upstream.url)
    for streams in (True, False, True, False):
        await answered(model, asking(streams=streams))
        await asyncio.sleep(0.02)  # the end of a stream's body comes after the end of the answer
    assert upstream.accepted == 1


async def test_an_error_leaves_the_connection_for_the_next(upstream: Upstream) -> None:
    upstream.script(status(400), reply())
    await failing(model_at(upstream.url), asking())
    await answered(model_at(upstream.url), asking())
    assert upstream.accepted == 1


@pytest.mark.parametrize("way", ["close", "cancel"])
async def test_leaving_in_mid_stream_hangs_up_at_once(upstream: Upstream, way: str) -> None:
    upstream.script(hang_after(2))
    model = model_at(upstream.url)

    async def reading() -> None:
        async with aclosing(model.answer(asking(streams=True))) as items:
            async for _ in items:
                if way == "close":
                    return

    task = asyncio.create_task(reading())
    if way == "cancel":
        assert await upstream.until(lambda: len(upstream.requests) == 1)
        await asyncio.sleep(0.02)
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() is (way == "cancel")
    assert await upstream.until(lambda: upstream.hung_up == 1 and upstream.open_connections == 0)


@pytest.mark.parametrize("fault", [hang(), hang_after(2)], ids=["before the answer", "within it"])
def test_an_event_loop_that_ends_hangs_up(upstream: Upstream, fault: Behaviour) -> None:
    async def main() -> None:
        started = asyncio.create_task(answered(model_at(upstream.url), asking(streams=True)))
        await upstream.until(lambda: len(upstream.requests) == 1)
        assert not started.done()

    upstream.script(fault)
    asyncio.run(main())
    gc.collect()  # what was left open would warn now, and warnings are errors here
    assert upstream.wait(lambda: upstream.hung_up == 1 and upstream.open_connections == 0)


def test_an_answer_left_half_read_is_hung_up_when_the_loop_ends(upstream: Upstream) -> None:
    async def main() -> None:
        async for _ in model_at(upstream.url).answer(asking(streams=True)):
            break

    upstream.script(hang_after(2))
    asyncio.run(main())
    gc.collect()
    assert upstream.wait(lambda: upstream.hung_up == 1)


def test_an_event_loop_that_ends_just_after_an_answer_leaves_nothing(upstream: Upstream) -> None:
    done = b'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    upstream.script(sse_raw(done, delay_s=0.1))  # the end of the body is still to come
    asyncio.run(answered(model_at(upstream.url), asking(streams=True)))
    gc.collect()
    assert upstream.wait(lambda: upstream.open_connections == 0)


async def test_letting_go_leaves_the_model_usable(upstream: Upstream) -> None:
    model = model_at(upstream.url)
    await model.aclose()
    await answered(model, asking())
    await model.aclose()
    assert await upstream.until(lambda: upstream.open_connections == 0)
    await answered(model, asking())


# --- errors ---------------------------------------------------------------------------------------------------------


async def test_an_error_says_whose_it_is(upstream: Upstream) -> None:
    upstream.script(status(401, headers={"x-request-id": "req_7"}))
    error = await failing(model_at(upstream.url), asking())
    assert isinstance(error, AuthenticationFailed)
    assert (error.status, error.request_id) == (401, "req_7")
    assert "TESTS_API_KEY" in str(error)


@pytest.mark.parametrize(
    "echo",
    [
        status(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
        status(400, f"<html>Bearer {KEY}</html>".encode()),
        status(200, {"error": {"message": KEY, "code": KEY}}),
        status(200, {"key": KEY}),
        status(200, KEY.encode()),
        status(307, headers={"location": f"https://elsewhere.example/{KEY}"}),
        sse_raw(b'data: {"error": {"message": "no: ' + KEY.encode() + b'"}}\n\n'),
        sse_raw(b"data: " + KEY.encode() + b"\n\n"),
        sse_raw(KEY.encode() + b" is not allowed\n\n"),
        raw(f"{KEY} 1.1\r\n\r\n".encode()),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_provider_that_repeats_the_key_does_not_make_us_repeat_it(
    upstream: Upstream, echo: Behaviour, streams: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.script(echo)
    error = await failing(model_at(upstream.url, retries=Retries(attempts=1)), asking(streams=streams))
    said = f"{error} {error!r} {error.body} {error.code} {vars(error)} {caplog.text}"
    assert KEY not in said


def test_the_key_is_in_no_description(upstream: Upstream) -> None:
    model = model_at("http://me:word@127.0.0.1:1/v1?token=1", key=None)
    shown = f"{model!r} {model.endpoint!r} {model_at('http://127.0.0.1:1/v1')!r}"
    assert not any(secret in shown for secret in (KEY, "word", "token"))
    assert "<tests:tiny at http://127.0.0.1:1/v1>" in shown


async def test_the_password_of_a_base_url_is_kept_like_a_key(upstream: Upstream) -> None:
    upstream.script(status(403, {"error": "me:pass-word may not"}))
    error = await failing(model_at(upstream.url.replace("//", "//me:pass-word@"), key=None), asking())
    assert "me:[key] may not" in str(error)


async def test_a_base_url_without_v1_is_given_a_hint(upstream: Upstream) -> None:
    upstream.script(status(404))
    error = await failing(model_at(upstream.url.removesuffix("/v1")), asking())
    assert isinstance(error, ModelNotFound)
    assert "ends in /v1" in str(error)


async def test_an_answer_without_end_is_given_up(upstream: Upstream) -> None:
    line = b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % (b"x" * (1 << 20))
    upstream.script(sse_raw(*[line] * (MAX_REPLY_BYTES // len(line) + 2)))
    error = await failing(model_at(upstream.url), asking(streams=True))
    assert isinstance(error, InvalidReply)
    assert "larger than 64 MiB" in str(error)


@pytest.mark.parametrize(
    "url", ["", "localhost:8000/v1", "ftp://host/v1", "http://", "http://host:http/v1", "http://[::1/v1"]
)
def test_a_base_url_must_be_one(url: str) -> None:
    with pytest.raises(InvalidInput, match="must be like https://host/v1"):
        Endpoint(provider="tests", base_url=url)


@pytest.mark.parametrize("key", ["two\nlines", "clé", "nul\0"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidInput, match="the key for tests") as caught:
        model_at("http://host/v1", key=key)
    assert key not in str(caught.value)


def test_a_key_and_a_user_are_one_too_many() -> None:
    with pytest.raises(InvalidInput, match="a key or a user"):
        model_at("http://me:word@host/v1")
