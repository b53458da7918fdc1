"""A `google.genai.Client` as the way to a model: by its async side, or in threads by its sync side."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import aiohttp
import httpx2
import pytest
from google import genai
from google.genai.types import HttpOptions, HttpRetryOptions
from google.oauth2.credentials import Credentials

from models.sdk_clients import KEY, Make, answered, asking, everything, failing, model_of
from multiturn import Conversation
from multiturn.deltas import TextDelta
from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    StreamCut,
    TimedOut,
)
from multiturn.formats import gemini as format
from multiturn.models.remote import Endpoint, RemoteModel
from upstream import Upstream, cut_after, drop, hang, hang_after, status
from upstream_gemini import base_url, checked, events, fault, generated, said

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")  # theirs, within aiohttp

Options: TypeAlias = dict[str, Any]
Side: TypeAlias = Callable[[], Options]
TOKEN = "a-token-of-the-hour"
ONE_TRY = HttpRetryOptions(attempts=1)  # without it, the SDK waits up to ten seconds after a lost connection


def a_token() -> Credentials:
    """Credentials of Google Cloud that do not expire soon."""
    made: Any = Credentials
    valid: Credentials = made(token=TOKEN, expiry=datetime.now() + timedelta(hours=1))
    return valid


def by_aiohttp() -> Options:
    return {}


def by_async_httpx() -> Options:
    return {"httpx_async_client": httpx2.AsyncClient()}


def in_threads() -> Options:
    return {"httpx_client": httpx2.Client()}


every_side = pytest.mark.parametrize("side", [by_aiohttp, by_async_httpx, in_threads])
whole_and_streamed = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[Make]:
    """Makes clients, and closes them with all that they were given."""
    made: list[genai.Client] = []

    def make(side: Side = by_aiohttp, *, vertex: bool = False, **options: Any) -> genai.Client:
        url = f"http://127.0.0.1:{upstream.port}"
        fields = {"base_url": url, "api_version": "v1beta", "retry_options": ONE_TRY, **side(), **options}
        cloud = {"vertexai": True, "project": "mine", "location": "eu", "credentials": a_token()}
        account: Any = cloud if vertex else {"api_key": KEY}
        made.append(genai.Client(**account, http_options=HttpOptions(**fields)))
        return made[-1]

    yield make
    for each in made:
        options = each._api_client._http_options
        await each.aio.aclose()
        each.close()
        if options.httpx_async_client:
            await options.httpx_async_client.aclose()
        if options.httpx_client:
            options.httpx_client.close()


# --- answers --------------------------------------------------------------------------------------------------------


@every_side
@whole_and_streamed
async def test_an_answer(upstream: Upstream, client: Make, side: Side, streams: bool) -> None:
    upstream.script(checked(said({"text": "Hel"}, {"text": "lo"})))
    deltas, message = await answered(model_of(client(side), "gemini-tiny"), asking(streams=streams))
    assert message.text == "Hello"
    assert deltas == ([TextDelta("Hel"), TextDelta("lo")] if streams else [])
    assert message.usage is not None
    assert message.usage.input_tokens == 12


@every_side
async def test_a_streamed_answer_is_shown_as_it_comes(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(said({"text": "first"}, {"text": "second"}, delay_s=1))
    async with aclosing(model_of(client(side)).answer(asking(streams=True))) as items:
        assert await anext(items) == TextDelta("first")
    assert await upstream.until(lambda: upstream.hung_up == 1 and upstream.open_connections == 0)


@every_side
@whole_and_streamed
async def test_a_tool_call(upstream: Upstream, client: Make, side: Side, streams: bool) -> None:
    upstream.script(checked(said({"functionCall": {"name": "weather", "args": {"city": "Rome"}, "id": "f1"}})))
    _, message = await answered(model_of(client(side)), everything(streams=streams))
    [call] = message.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Rome"})


@every_side
@whole_and_streamed
async def test_the_body_is_the_one_of_our_own_transport(
    upstream: Upstream, client: Make, side: Side, streams: bool
) -> None:
    model = model_of(client(side), "gemini-tiny")
    endpoint = Endpoint(provider=model.provider, base_url=base_url(upstream), key_header="x-goog-api-key")
    ours = RemoteModel("gemini-tiny", endpoint, format, format.Dialect(provider=model.provider), key=KEY)
    upstream.script(said({"text": "one"}), said({"text": "two"}))
    await answered(model, everything(streams=streams))
    await answered(ours, everything(streams=streams))
    theirs, own = upstream.requests
    assert (theirs.path, theirs.body) == (own.path, own.body)
    assert theirs.headers["x-goog-api-key"] == own.headers["x-goog-api-key"] == KEY


@every_side
async def test_the_clients_own_headers_arrive(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(said({"text": "hi"}))
    await answered(model_of(client(side, headers={"x-team": "blue"})), asking())
    assert upstream.requests[0].headers["x-team"] == "blue"
    assert "google-genai-sdk" in upstream.requests[0].headers["user-agent"]


async def test_a_clients_async_face_is_taken_too(upstream: Upstream, client: Make) -> None:
    upstream.script(said({"text": "hi"}))
    assert (await answered(model_of(client().aio), asking()))[1].text == "hi"


@pytest.mark.parametrize("option", ["httpx_client", "httpx_async_client"])
async def test_a_custom_http_client_is_the_one_that_sends(upstream: Upstream, client: Make, option: str) -> None:
    upstream.script(said({"text": "hi"}))
    kind = httpx2.Client if option == "httpx_client" else httpx2.AsyncClient
    await answered(model_of(client(**{option: kind(headers={"x-sent-by": "mine"})})), asking())
    assert upstream.requests[0].headers["x-sent-by"] == "mine"


async def test_a_custom_aiohttp_session_is_the_one_that_sends(upstream: Upstream, client: Make) -> None:
    upstream.script(said({"text": "hi"}))
    async with aiohttp.ClientSession(headers={"x-sent-by": "mine"}) as session:
        await answered(model_of(client(aiohttp_client=session)), asking())
    assert upstream.requests[0].headers["x-sent-by"] == "mine"


# --- Vertex AI ------------------------------------------------------------------------------------------------------


@whole_and_streamed
async def test_vertex_is_asked_in_its_project_with_its_token(upstream: Upstream, client: Make, streams: bool) -> None:
    upstream.script(checked(said({"text": "Hello"})), fault(401, "UNAUTHENTICATED", f"not for {TOKEN}"))
    model = model_of(client(vertex=True), "gemini-tiny")
    _, message = await answered(model, asking(streams=streams))
    [request] = upstream.requests
    call = "streamGenerateContent?alt=sse" if streams else "generateContent"
    assert request.path == f"/v1beta/projects/mine/locations/eu/publishers/google/models/gemini-tiny:{call}"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert message.origin is not None
    assert (message.text, message.origin.provider) == ("Hello", "vertex")
    error = await failing(model, asking(streams=streams))
    assert isinstance(error, AuthenticationFailed)
    assert TOKEN not in f"{error} {vars(error)}"


@pytest.mark.parametrize("name", ["gemini-tiny", "publishers/google/models/gemini-tiny"])
async def test_vertex_is_asked_where_the_sdk_itself_would(upstream: Upstream, client: Make, name: str) -> None:
    upstream.script(said({"text": "one"}), said({"text": "two"}))
    made = client(vertex=True)
    await made.aio.models.generate_content(model=name, contents="hi")
    await answered(model_of(made, name), asking())
    theirs, ours = upstream.requests
    assert ours.path == theirs.path


async def test_vertex_with_a_sync_side_alone_is_refused(client: Make) -> None:
    with pytest.raises(InvalidInput, match="async_client_args beside client_args"):
        model_of(client(in_threads, vertex=True))


# --- errors ---------------------------------------------------------------------------------------------------------

KINDS: dict[int, tuple[str, type[ModelError]]] = {
    400: ("INVALID_ARGUMENT", RequestRejected),
    401: ("UNAUTHENTICATED", AuthenticationFailed),
    403: ("PERMISSION_DENIED", AuthenticationFailed),
    404: ("NOT_FOUND", ModelNotFound),
    429: ("RESOURCE_EXHAUSTED", RateLimited),
    500: ("INTERNAL", ProviderFailed),
    503: ("UNAVAILABLE", ProviderFailed),
}


@every_side
@whole_and_streamed
@pytest.mark.parametrize("code", KINDS)
async def test_every_status_is_its_own_error(
    upstream: Upstream, client: Make, side: Side, streams: bool, code: int
) -> None:
    name, kind = KINDS[code]
    upstream.script(fault(code, name, f"no: {KEY}"))
    error = await failing(model_of(client(side)), asking(streams=streams))
    assert type(error) is kind
    assert (error.status, error.code) == (code, name)
    assert "no: [key]" in str(error)
    assert KEY not in f"{error!r} {error.body} {vars(error)} {error.__cause__!r} {error.__context__!r}"


@every_side
async def test_an_error_that_is_not_json(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(status(502, b"<html>Bad Gateway</html>", {"content-type": "text/html"}))
    error = await failing(model_of(client(side)), asking())
    assert isinstance(error, ProviderFailed)
    assert error.status == 502


@every_side
@whole_and_streamed
async def test_the_sdk_makes_its_own_retries(upstream: Upstream, client: Make, side: Side, streams: bool) -> None:
    upstream.script(fault(503, "UNAVAILABLE", "busy"), said({"text": "Hello"}))
    retries = HttpRetryOptions(attempts=2, initial_delay=0.01, jitter=0.0)
    _, message = await answered(model_of(client(side, retry_options=retries)), asking(streams=streams))
    assert message.text == "Hello"
    assert upstream.requests[0].body == upstream.requests[1].body


@every_side
async def test_nobody_else_makes_more_retries(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(fault(503, "UNAVAILABLE", "busy"))
    await failing(model_of(client(side)), asking())
    assert len(upstream.requests) == 1


@every_side
@whole_and_streamed
async def test_nobody_listens(upstream: Upstream, client: Make, side: Side, streams: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        error = await failing(model_of(client(side, base_url=url)), asking(streams=streams))
    assert isinstance(error, ConnectionFailed)
    assert error.code == "refused"
    assert KEY not in f"{vars(error)} {error.__cause__!r} {error.__context__!r}"


@every_side
async def test_a_connection_that_is_closed_without_an_answer(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(drop())
    assert isinstance(await failing(model_of(client(side)), asking()), ConnectionFailed)


@every_side
async def test_an_answer_that_does_not_begin_in_the_clients_time(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(hang())
    error = await failing(model_of(client(side, timeout=200)), asking())
    assert isinstance(error, TimedOut)
    assert await upstream.until(lambda: upstream.hung_up == 1)


@every_side
async def test_an_answer_that_falls_silent(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(hang_after(0))
    error = await failing(model_of(client(side, timeout=200)), asking(streams=True))
    assert isinstance(error, TimedOut)


@every_side
async def test_an_answer_that_is_cut(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(cut_after(0))
    assert isinstance(await failing(model_of(client(side)), asking(streams=True)), StreamCut)


@every_side
async def test_an_error_within_a_stream(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(events(generated({"text": "a"}, finish=None), {"error": {"code": 503, "status": "UNAVAILABLE"}}))
    error = await failing(model_of(client(side)), asking(streams=True))
    assert isinstance(error, ProviderFailed)


# --- the client ----------------------------------------------------------------------------------------------------


@every_side
async def test_answers_of_both_kinds_leave_the_connection_for_the_next(
    upstream: Upstream, client: Make, side: Side
) -> None:
    upstream.script(*[said({"text": "hi"})] * 4)
    model = model_of(client(side))
    for streams in (True, False, True, False):
        await answered(model, asking(streams=streams))
    assert upstream.accepted == 1


async def test_an_extra_body_is_not_lost_silently(client: Make) -> None:
    with pytest.raises(InvalidInput, match="Settings"):
        await answered(model_of(client(extra_body={"labels": {"team": "blue"}})), asking())


async def test_a_version_without_what_is_needed_is_refused(client: Make) -> None:
    class Later:
        _api_client = object()

    Later.__name__, Later.__module__ = "Client", "google.genai.client"
    with pytest.raises(InvalidInput, match="this version of google-genai has no _build_request"):
        model_of(Later())


@pytest.mark.parametrize("side", [by_aiohttp, in_threads])
def test_a_conversation_in_sync_calls(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(checked(said({"text": "Hello Ann."})), checked(said({"text": "Your name "}, {"text": "is Ann."})))
    chat = Conversation("gemini-tiny", client=client(side))
    assert chat.send("I am Ann").text == "Hello Ann."
    assert "".join(getattr(event, "text", "") for event in chat.stream("Who am I?")) == "Your name is Ann."
    assert [content["role"] for content in upstream.requests[1].json["contents"]] == ["user", "model", "user"]


@every_side
async def test_a_conversation_in_async_calls(upstream: Upstream, client: Make, side: Side) -> None:
    upstream.script(checked(said({"text": "Hello Ann."})), checked(said({"text": "Your name "}, {"text": "is Ann."})))
    chat = Conversation("gemini-tiny", client=client(side))
    assert (await chat.asend("I am Ann")).text == "Hello Ann."
    assert "".join([getattr(event, "text", "") async for event in chat.astream("Who am I?")]) == "Your name is Ann."
