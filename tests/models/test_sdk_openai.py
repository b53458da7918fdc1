"""OpenAI's clients as the way to a model: what they add, what they are asked, and what comes back through them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI

from models.sdk_clients import (
    AZURE,
    KEY,
    OPENAI,
    Make,
    answered,
    asking,
    async_azure,
    async_openai,
    azure,
    everything,
    failing,
    model_of,
    openai,
)
from models.tls import tls_in_front
from multiturn import Conversation
from multiturn.deltas import TextDelta
from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectTimedOut,
    ContextOverflow,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidInput,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    StreamCut,
    TimedOut,
)
from multiturn.formats import chat_completions
from multiturn.formats.chat_completions import Dialect
from multiturn.messages import Usage
from multiturn.models.remote import Endpoint, RemoteModel
from multiturn.turns import TurnStatus
from upstream import (
    Behaviour,
    Upstream,
    context_overflow,
    cut_after,
    drop,
    hang,
    hang_after,
    reply,
    sse_raw,
    status,
    stream,
    tool_call,
)

every_client = pytest.mark.parametrize("client", OPENAI + AZURE)
both = pytest.mark.parametrize("client", OPENAI)
whole_and_streamed = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


# --- answers --------------------------------------------------------------------------------------------------------


@every_client
async def test_an_answer_that_comes_whole(upstream: Upstream, client: Make) -> None:
    upstream.script(reply("Hello."))
    deltas, message = await answered(model_of(client(upstream)), asking())
    assert (deltas, message.text, message.finish_reason) == ([], "Hello.", "stop")
    assert message.usage == Usage(input_tokens=12, output_tokens=3)


@every_client
async def test_an_answer_that_is_streamed(upstream: Upstream, client: Make) -> None:
    upstream.script(stream("Hel", "lo", delay_s=0.01))
    deltas, message = await answered(model_of(client(upstream)), asking(streams=True))
    assert (deltas, message.text) == ([TextDelta("Hel"), TextDelta("lo")], "Hello")
    assert message.usage == Usage(input_tokens=12, output_tokens=3)


@every_client
async def test_a_streamed_answer_is_shown_as_it_comes(upstream: Upstream, client: Make) -> None:
    upstream.script(hang_after(3, "first", "second"))
    async with aclosing(model_of(client(upstream)).answer(asking(streams=True))) as items:
        assert await anext(items) == TextDelta("first")


@both
@whole_and_streamed
async def test_a_tool_call(upstream: Upstream, client: Make, streams: bool) -> None:
    upstream.script(tool_call("weather", {"city": "Rome"}))
    _, message = await answered(model_of(client(upstream)), asking(streams=streams))
    [call] = message.tool_calls
    assert (call.name, call.arguments) == ("weather", '{"city": "Rome"}')


@both
async def test_a_server_that_ignores_stream_is_streamed_all_the_same(upstream: Upstream, client: Make) -> None:
    upstream.script(reply("All at once.", streams=False))
    assert (await answered(model_of(client(upstream)), asking(streams=True)))[0] == [TextDelta("All at once.")]


@both
async def test_a_server_that_always_streams_is_read_to_its_end(upstream: Upstream, client: Make) -> None:
    upstream.script(stream("One", " two"))
    assert (await answered(model_of(client(upstream)), asking()))[1].text == "One two"


# --- what goes out --------------------------------------------------------------------------------------------------


@every_client
@whole_and_streamed
async def test_the_body_is_the_one_of_our_own_transport(upstream: Upstream, client: Make, streams: bool) -> None:
    model = model_of(client(upstream))
    assert isinstance(model, RemoteModel)
    endpoint = Endpoint(provider="tests", base_url=upstream.url)
    ours = RemoteModel(
        "tiny", endpoint, chat_completions, Dialect() if client in (azure, async_azure) else model._dialect
    )
    await answered(model, everything(streams=streams))
    await answered(ours, everything(streams=streams))
    theirs, own = upstream.requests
    assert theirs.body == own.body
    assert theirs.headers["content-type"] == "application/json"
    assert theirs.json["tools"][0]["function"]["name"] == "weather"


@both
async def test_the_clients_own_headers_and_query_arrive(upstream: Upstream, client: Make) -> None:
    made = client(
        upstream,
        organization="org-1",
        project="proj-1",
        default_headers={"x-team": "blue"},
        default_query={"route": "eu"},
    )
    await answered(model_of(made), asking())
    [request] = upstream.requests
    assert request.path == "/v1/chat/completions?route=eu"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.headers["openai-organization"], request.headers["openai-project"]) == ("org-1", "proj-1")
    assert request.headers["x-team"] == "blue"
    assert "OpenAI/Python" in request.headers["user-agent"]


async def test_a_key_that_is_fetched_for_each_request_arrives(upstream: Upstream) -> None:
    keys = iter(["first-token", "second-token"])
    model = model_of(openai(upstream, api_key=lambda: next(keys)))
    await answered(model, asking())
    await answered(model, asking())
    assert [request.headers["authorization"] for request in upstream.requests] == [
        "Bearer first-token",
        "Bearer second-token",
    ]


@both
async def test_a_key_that_is_changed_on_the_client_is_the_one_sent(upstream: Upstream, client: Make) -> None:
    made = client(upstream)
    model = model_of(made)
    await answered(model, asking())
    made.api_key = "another"
    await answered(model, asking())
    assert upstream.requests[1].headers["authorization"] == "Bearer another"


async def test_a_custom_http_client_is_the_one_that_sends(upstream: Upstream) -> None:
    seen: list[bytes] = []

    class Watching(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            seen.append(request.content)
            return super().handle_request(request)

    with httpx2.Client(transport=Watching()) as http:
        await answered(model_of(openai(upstream, http_client=http)), asking(streams=True))
    assert seen == [upstream.requests[0].body]


async def test_a_custom_async_http_client_is_the_one_that_sends(upstream: Upstream) -> None:
    seen: list[bytes] = []

    async def watch(request: httpx2.Request) -> None:
        seen.append(request.content)

    async with httpx2.AsyncClient(event_hooks={"request": [watch]}) as http:
        await answered(model_of(async_openai(upstream, http_client=http)), asking(streams=True))
    assert seen == [upstream.requests[0].body]


async def test_the_clients_proxy_is_used(upstream: Upstream) -> None:
    with httpx2.Client(proxy=upstream.url.removesuffix("/v1")) as http:
        made = openai(upstream, base_url="http://model.example/v1", http_client=http)
        await answered(model_of(made), asking())
    assert upstream.requests[0].path == "http://model.example/v1/chat/completions"


@pytest.mark.parametrize("streams", [False, True])
async def test_a_sync_client_is_called_under_the_callers_context(upstream: Upstream, streams: bool) -> None:
    span = contextvars.ContextVar("span", default="none")
    seen: list[str] = []
    with httpx2.Client(event_hooks={"request": [lambda _: seen.append(span.get())]}) as http:
        model = model_of(openai(upstream, http_client=http))
        span.set("the caller's")
        await answered(model, asking(streams=streams))
    assert seen == ["the caller's"]


# --- Azure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", AZURE)
async def test_azure_names_the_model_as_its_deployment(upstream: Upstream, client: Make) -> None:
    model = model_of(client(upstream), "my model/2")
    _, message = await answered(model, asking())
    [request] = upstream.requests
    assert request.path == "/openai/deployments/my%20model%2F2/chat/completions?api-version=2025-04-01"
    assert request.headers["api-key"] == KEY
    assert request.json["model"] == "my model/2"
    assert message.origin is not None
    assert (model.provider, message.origin.provider) == ("azure", "azure")


@pytest.mark.parametrize("client", AZURE)
async def test_azure_with_a_deployment_of_its_own_keeps_it(upstream: Upstream, client: Make) -> None:
    await answered(model_of(client(upstream, azure_deployment="mine")), asking())
    assert upstream.requests[0].path == "/openai/deployments/mine/chat/completions?api-version=2025-04-01"


async def test_azure_asks_where_the_sdk_itself_would(upstream: Upstream) -> None:
    made = azure(upstream)
    made.chat.completions.create(model="gpt 5/mini", messages=[{"role": "user", "content": "hi"}])
    await answered(model_of(made, "gpt 5/mini"), asking())
    theirs, ours = upstream.requests
    assert ours.path == theirs.path
    assert ours.json == theirs.json


async def test_azure_with_a_token_of_active_directory(upstream: Upstream) -> None:
    made = azure(upstream, api_key=None, azure_ad_token_provider=lambda: "a-token-of-the-hour")
    upstream.script(reply(), status(401, {"error": {"message": "not for a-token-of-the-hour"}}))
    await answered(model_of(made), asking())
    assert upstream.requests[0].headers["authorization"] == "Bearer a-token-of-the-hour"
    error = await failing(model_of(made), asking())
    assert "AZURE_OPENAI_API_KEY" in str(error)
    assert "a-token-of-the-hour" not in f"{error} {error.body} {vars(error)}"


# --- errors ---------------------------------------------------------------------------------------------------------

KINDS: dict[int, type[ModelError]] = {
    400: RequestRejected,
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    404: ModelNotFound,
    409: RequestRejected,
    413: RequestTooLarge,
    422: RequestRejected,
    429: RateLimited,
    500: ProviderFailed,
    503: ProviderFailed,
}


@every_client
@whole_and_streamed
@pytest.mark.parametrize("code", KINDS)
async def test_every_status_is_its_own_error(upstream: Upstream, client: Make, streams: bool, code: int) -> None:
    upstream.script(status(code, headers={"x-request-id": "req_7", "retry-after": "3"}))
    error = await failing(model_of(client(upstream)), asking(streams=streams))
    assert type(error) is KINDS[code]
    assert (error.status, error.request_id, error.retry_after_s) == (code, "req_7", 3.0)
    assert f"the script says {code}" in str(error)
    assert len(upstream.requests) == 1


@both
async def test_a_context_overflow(upstream: Upstream, client: Make) -> None:
    upstream.script(context_overflow())
    assert isinstance(await failing(model_of(client(upstream)), asking()), ContextOverflow)


@every_client
@whole_and_streamed
async def test_the_sdk_makes_its_own_retries(upstream: Upstream, client: Make, streams: bool) -> None:
    upstream.script(status(500, headers={"retry-after-ms": "1"}), reply("Hello."))
    _, message = await answered(model_of(client(upstream, max_retries=1)), asking(streams=streams))
    assert message.text == "Hello."
    assert [request.headers["x-stainless-retry-count"] for request in upstream.requests] == ["0", "1"]
    assert upstream.requests[0].body == upstream.requests[1].body


@both
async def test_nobody_else_makes_more_retries(upstream: Upstream, client: Make) -> None:
    upstream.script(*[status(500, headers={"retry-after-ms": "1"})] * 3)
    await failing(model_of(client(upstream, max_retries=1)), asking())
    assert len(upstream.requests) == 2


@every_client
@whole_and_streamed
async def test_nobody_listens(upstream: Upstream, client: Make, streams: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        upstream.port, kept = port, upstream.port
        made = client(upstream)
        upstream.port = kept
        error = await failing(model_of(made), asking(streams=streams))
    assert isinstance(error, ConnectionFailed)
    assert f"no answer from 127.0.0.1:{port}" in str(error)
    assert KEY not in f"{error.__cause__!r} {vars(error.__cause__)} {error.__context__!r}"


@both
async def test_an_unknown_host(upstream: Upstream, client: Make) -> None:
    error = await failing(model_of(client(upstream, base_url="http://nowhere.invalid/v1")), asking())
    assert isinstance(error, ConnectionFailed)
    assert error.code == "dns"


@both
async def test_a_connection_that_is_closed_without_an_answer(upstream: Upstream, client: Make) -> None:
    upstream.script(drop())
    error = await failing(model_of(client(upstream)), asking())
    assert isinstance(error, ConnectionFailed)
    assert error.code == "dropped"


@both
@whole_and_streamed
async def test_an_answer_that_does_not_begin_in_the_clients_time(
    upstream: Upstream, client: Make, streams: bool
) -> None:
    upstream.script(hang())
    error = await failing(model_of(client(upstream, timeout=0.1)), asking(streams=streams))
    assert isinstance(error, FirstByteTimedOut)
    assert error.limit_s == 0.1
    assert await upstream.until(lambda: upstream.hung_up == 1)


@both
async def test_no_connection_in_the_clients_time(upstream: Upstream, client: Make) -> None:
    with socket.socket() as full, socket.socket() as other:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        other.connect(full.getsockname())  # takes the only place in its queue
        with socket.socket() as third:
            third.setblocking(False)
            third.connect_ex(full.getsockname())
            made = client(upstream, base_url=f"http://127.0.0.1:{full.getsockname()[1]}/v1", timeout=0.2)
            error = await failing(model_of(made), asking())
    assert isinstance(error, ConnectTimedOut)
    assert error.limit_s == 0.2


@both
async def test_an_answer_that_falls_silent(upstream: Upstream, client: Make) -> None:
    upstream.script(hang_after(3))
    error = await failing(model_of(client(upstream, timeout=0.2)), asking(streams=True))
    assert isinstance(error, IdleTimedOut)
    assert error.limit_s == 0.2
    assert isinstance(error, TimedOut)
    assert await upstream.until(lambda: upstream.hung_up == 1)


@both
@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_is_cut(upstream: Upstream, client: Make, reset: bool) -> None:
    upstream.script(cut_after(3, "a", "b", "c", reset=reset))
    error = await failing(model_of(client(upstream)), asking(streams=True))
    assert isinstance(error, StreamCut)


@both
@pytest.mark.parametrize("fault", [cut_after(4, "a", "b"), hang_after(4, "a", "b")])
async def test_what_breaks_after_the_last_word_has_lost_nothing(
    upstream: Upstream, client: Make, fault: Behaviour
) -> None:
    upstream.script(fault)
    _, message = await answered(model_of(client(upstream, timeout=0.1)), asking(streams=True))
    assert message.text == "ab"


@both
@whole_and_streamed
@pytest.mark.parametrize(
    "echo",
    [
        status(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
        status(400, f"<html>Bearer {KEY}</html>".encode()),
        status(200, {"error": {"message": KEY, "code": KEY}}),
        status(200, KEY.encode()),
        sse_raw(b'data: {"error": {"message": "no: ' + KEY.encode() + b'"}}\n\n'),
    ],
)
async def test_a_provider_that_repeats_the_key_does_not_make_us_repeat_it(
    upstream: Upstream, client: Make, streams: bool, echo: Behaviour
) -> None:
    upstream.script(echo)
    error = await failing(model_of(client(upstream)), asking(streams=streams))
    assert KEY not in f"{error} {error!r} {error.body} {error.code} {vars(error)}"


async def test_what_the_users_own_code_raises_is_named(upstream: Upstream) -> None:
    def token() -> str:
        raise LookupError("no token in the vault")

    error = await failing(model_of(openai(upstream, api_key=token)), asking())
    assert "LookupError: no token in the vault" in str(error)
    assert isinstance(error.__cause__, LookupError)


@both
async def test_a_client_that_was_closed_says_so(upstream: Upstream, client: Make) -> None:
    made = client(upstream)
    await answered(model_of(made), asking())
    if (closing := made.close()) is not None:
        await closing
    assert "client has been closed" in str(await failing(model_of(made), asking()))


# --- connections ----------------------------------------------------------------------------------------------------


@every_client
async def test_answers_of_both_kinds_leave_the_connection_for_the_next(upstream: Upstream, client: Make) -> None:
    model = model_of(client(upstream))
    for streams in (True, False, True, False):
        await answered(model, asking(streams=streams))
        await asyncio.sleep(0.05)  # the end of a stream's body comes after the end of the answer
    assert upstream.accepted == 1


@both
async def test_an_end_that_does_not_come_is_not_waited_for(upstream: Upstream, client: Make) -> None:
    done = b'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'

    async def never_ends(exchange: object) -> None:
        await sse_raw(done, delay_s=30)(exchange)  # type: ignore[arg-type]

    upstream.script(never_ends)
    assert (await answered(model_of(client(upstream)), asking(streams=True)))[1].text == "hi"
    assert await upstream.until(lambda: upstream.hung_up == 1)


@both
@pytest.mark.parametrize("way", ["close", "cancel"])
async def test_leaving_in_mid_stream_hangs_up_at_once(upstream: Upstream, client: Make, way: str) -> None:
    upstream.script(hang_after(2))
    model = model_of(client(upstream))

    async def reading() -> None:
        async with aclosing(model.answer(asking(streams=True))) as items:
            async for _ in items:
                if way == "close":
                    return

    task = asyncio.create_task(reading())
    if way == "cancel":
        assert await upstream.until(lambda: len(upstream.requests) == 1)
        await asyncio.sleep(0.05)
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() is (way == "cancel")
    assert await upstream.until(lambda: upstream.hung_up == 1 and upstream.open_connections == 0)


async def test_an_async_client_hangs_up_before_the_answer_too(upstream: Upstream) -> None:
    upstream.script(hang())
    task = asyncio.create_task(answered(model_of(async_openai(upstream)), asking()))
    assert await upstream.until(lambda: len(upstream.requests) == 1)
    task.cancel()
    await asyncio.wait([task])
    assert await upstream.until(lambda: upstream.hung_up == 1)


@whole_and_streamed
async def test_a_sync_client_that_is_given_up_before_the_answer_is_let_go(upstream: Upstream, streams: bool) -> None:
    upstream.script(reply("too late", delay_s=0.2), reply("in time"))
    model = model_of(openai(upstream))
    task = asyncio.create_task(answered(model, asking(streams=streams)))
    assert await upstream.until(lambda: len(upstream.requests) == 1)
    task.cancel()
    await asyncio.wait([task], timeout=0.1)
    assert task.cancelled()
    assert (await answered(model, asking()))[1].text == "in time"


async def test_many_calls_at_once_do_not_wait_for_one_another(upstream: Upstream) -> None:
    upstream.script(*[reply("slow", delay_s=0.3)] * 24)
    model = model_of(openai(upstream))
    async with asyncio.timeout(2.5):  # one after the other would take 7 s
        await asyncio.gather(*(answered(model, asking()) for _ in range(24)))


@both
@pytest.mark.parametrize("fault", [hang(), hang_after(2)], ids=["before the answer", "within it"])
def test_an_event_loop_that_ends_lets_go(upstream: Upstream, client: Make, fault: Behaviour) -> None:
    async def main() -> None:
        started = asyncio.create_task(answered(model_of(made), asking(streams=True)))
        await upstream.until(lambda: len(upstream.requests) == 1)
        await asyncio.sleep(0.05)
        assert not started.done()

    upstream.script(fault)
    made = client(upstream, timeout=1)
    asyncio.run(main())
    gc.collect()  # what was left open would warn now, and warnings are errors here
    assert upstream.wait(lambda: upstream.hung_up == 1)


@both
def test_an_answer_left_half_read_is_hung_up_when_the_loop_ends(upstream: Upstream, client: Make) -> None:
    async def main() -> None:
        async for _ in model_of(made).answer(asking(streams=True)):
            break

    upstream.script(hang_after(2))
    made = client(upstream)
    asyncio.run(main())
    gc.collect()
    assert upstream.wait(lambda: upstream.hung_up == 1)


def test_an_event_loop_that_ends_just_after_an_answer_leaves_nothing(upstream: Upstream) -> None:
    done = b'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    upstream.script(*[sse_raw(done, delay_s=0.1)] * 2)  # the end of the body is still to come
    made = async_openai(upstream)
    asyncio.run(answered(model_of(made), asking(streams=True)))
    gc.collect()
    assert upstream.wait(lambda: upstream.open_connections == 0)


def test_a_thread_ends_though_the_event_loop_does_before_it(upstream: Upstream) -> None:
    done = b'data: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    upstream.script(sse_raw(done, delay_s=0.1), reply("on the same connection"))
    made = openai(upstream)
    asyncio.run(answered(model_of(made), asking(streams=True)))
    assert upstream.wait(lambda: not [thread for thread in threading.enumerate() if thread.name == "multiturn-sdk"])
    asyncio.run(answered(model_of(made), asking()))
    assert upstream.accepted == 1


@both
def test_a_stream_over_tls_that_is_left_is_hung_up(
    upstream: Upstream, client: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.script(hang_after(3, "one", "two"))
    with tls_in_front(upstream.port, tmp_path) as (port, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        chat = Conversation("tiny", client=client(upstream, base_url=f"https://127.0.0.1:{port}/v1"))
        for event in chat.stream("count"):
            if event.text == "two":
                break
        assert upstream.wait(lambda: upstream.hung_up == 1)


@both
async def test_a_certificate_that_is_not_trusted(upstream: Upstream, client: Make, tmp_path: Path) -> None:
    with tls_in_front(upstream.port, tmp_path) as (port, _):
        error = await failing(model_of(client(upstream, base_url=f"https://127.0.0.1:{port}/v1")), asking())
    assert isinstance(error, ConnectionFailed)
    assert error.code == "tls"


# --- one async client, several event loops --------------------------------------------------------------------------


def test_an_async_client_serves_its_user_and_the_sync_face_alike(upstream: Upstream) -> None:
    client = async_openai(upstream)
    chat = Conversation("tiny", client=client)

    async def theirs() -> None:
        completion = await client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "hi"}])
        assert completion.choices[0].message.content
        assert await asyncio.to_thread(lambda: chat.send("between").text)
        assert (await chat.asend("on this loop")).text
        await client.close()

    assert chat.send("before").text
    asyncio.run(theirs())
    assert len(chat.turns) == 3


def test_an_async_client_serves_one_event_loop_after_another(upstream: Upstream) -> None:
    model = model_of(async_openai(upstream))
    for _ in range(3):
        asyncio.run(answered(model, asking()))
    gc.collect()
    assert upstream.wait(lambda: upstream.open_connections == 0)
    assert len(upstream.requests) == 3


def test_the_conversations_of_one_async_client_share_its_connections(upstream: Upstream) -> None:
    client = async_openai(upstream)
    for _ in range(3):
        Conversation("tiny", client=client).send("hi")
    assert upstream.accepted == 1


def test_the_connections_end_with_an_async_client_that_nobody_has_any_more(upstream: Upstream) -> None:
    Conversation("tiny", client=async_openai(upstream)).send("hi")
    gc.collect()
    assert upstream.wait(lambda: upstream.open_connections == 0)


async def test_letting_go_leaves_the_client_usable(upstream: Upstream) -> None:
    model = model_of(async_openai(upstream))
    await answered(model, asking())
    await model.aclose()
    await answered(model, asking())
    assert upstream.accepted == 1


async def test_an_http_client_of_ones_own_serves_one_loop_and_says_so(upstream: Upstream) -> None:
    async with httpx2.AsyncClient() as http:
        model = model_of(async_openai(upstream, http_client=http))
        await answered(model, asking())
        with pytest.raises(InvalidInput, match="belong to another event loop"):
            await asyncio.to_thread(asyncio.run, answered(model, asking()))
        await answered(model, asking())


async def test_a_client_of_a_class_that_cannot_be_copied_is_used_itself(upstream: Upstream) -> None:
    class Ours(AsyncOpenAI):
        def __init__(self, team: str) -> None:
            super().__init__(base_url=upstream.url, api_key=KEY, default_headers={"x-team": team})

    async with Ours("blue") as client:
        await answered(model_of(client), asking())
    assert upstream.requests[0].headers["x-team"] == "blue"


# --- a conversation -------------------------------------------------------------------------------------------------


@every_client
def test_a_conversation_in_sync_calls(upstream: Upstream, client: Make) -> None:
    made = client(upstream)
    upstream.script(reply("Hello Ann."), stream("Your name ", "is Ann."))
    chat = Conversation("tiny", client=made)
    assert chat.send("I am Ann").text == "Hello Ann."
    events = list(chat.stream("Who am I?"))
    assert [getattr(event, "text", None) for event in events][1:-1] == ["Your name ", "is Ann."]
    assert [message["content"] for message in upstream.requests[1].json["messages"]] == [
        "I am Ann",
        "Hello Ann.",
        "Who am I?",
    ]
    assert chat.turns[-1].status is TurnStatus.COMPLETED


@every_client
async def test_a_conversation_in_async_calls(upstream: Upstream, client: Make) -> None:
    upstream.script(reply("Hello Ann."), stream("Your name ", "is Ann."))
    chat = Conversation("tiny", client=client(upstream))
    assert (await chat.asend("I am Ann")).text == "Hello Ann."
    texts = [getattr(event, "text", None) async for event in chat.astream("Who am I?")]
    assert texts[1:-1] == ["Your name ", "is Ann."]


@both
def test_leaving_a_streamed_turn_keeps_its_words_and_hangs_up(upstream: Upstream, client: Make) -> None:
    upstream.script(hang_after(3, "one ", "two "))
    chat = Conversation("tiny", client=client(upstream))
    for event in chat.stream("count"):
        if getattr(event, "text", None) == "two ":
            break
    assert upstream.wait(lambda: upstream.hung_up == 1)
    [turn] = chat.turns
    assert (turn.status, turn.output[0].text) == (TurnStatus.INCOMPLETE, "one two ")


@both
def test_a_turn_that_fails_is_kept_as_failed(upstream: Upstream, client: Make) -> None:
    upstream.script(status(401))
    chat = Conversation("tiny", client=client(upstream))
    with pytest.raises(AuthenticationFailed) as caught:
        chat.send("hello")
    latest = chat.latest
    assert latest is not None
    assert (latest.status, caught.value.turn_id) == (TurnStatus.FAILED, latest.id)
