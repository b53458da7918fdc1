"""Anthropic's clients as the way to a model. What they share with OpenAI's is tested there (`test_sdk_openai`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
from anthropic import AnthropicFoundry, APIRequest, CallNext

from models.sdk_clients import (
    ANTHROPIC,
    KEY,
    Make,
    answered,
    anthropic,
    asking,
    everything,
    failing,
    model_of,
)
from multiturn import Conversation
from multiturn.deltas import TextDelta
from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContextOverflow,
    IdleTimedOut,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
)
from multiturn.formats import anthropic as format
from multiturn.messages import Reasoning
from multiturn.models.remote import Endpoint, RemoteModel
from upstream import Upstream, drop, hang_after, status
from upstream_anthropic import base_url, failure, judged, reply, thinking, tool_use

every_client = pytest.mark.parametrize("client", ANTHROPIC)
whole_and_streamed = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


@every_client
@whole_and_streamed
async def test_an_answer(upstream: Upstream, client: Make, streams: bool) -> None:
    upstream.script(judged(reply(thinking("Let me see."), "Hello there.")))
    deltas, message = await answered(model_of(client(upstream)), asking(streams=streams))
    assert (message.text, message.finish_reason) == ("Hello there.", "stop")
    assert [part.text for part in message.parts if isinstance(part, Reasoning)] == ["Let me see."]
    assert bool([delta for delta in deltas if isinstance(delta, TextDelta)]) is streams


@every_client
@whole_and_streamed
async def test_a_tool_call(upstream: Upstream, client: Make, streams: bool) -> None:
    upstream.script(judged(reply(tool_use("weather", {"city": "Rome"}))))
    _, message = await answered(model_of(client(upstream)), everything(streams=streams))
    [call] = message.tool_calls
    assert (call.call_id, call.name) == ("toolu_1", "weather")
    assert upstream.requests[0].json["tools"][0]["name"] == "weather"


@every_client
@whole_and_streamed
async def test_the_body_is_the_one_of_our_own_transport(upstream: Upstream, client: Make, streams: bool) -> None:
    model = model_of(client(upstream))
    endpoint = Endpoint(provider=model.provider, base_url=base_url(upstream))
    dialect = format.Dialect(provider=model.provider)
    ours = RemoteModel("tiny", endpoint, format, dialect, key=KEY)
    upstream.script(reply("one"), reply("two"))
    await answered(model, everything(streams=streams))
    await answered(ours, everything(streams=streams))
    theirs, own = upstream.requests
    assert (theirs.path, theirs.body) == (own.path, own.body)
    assert theirs.path == "/v1/messages"


@every_client
async def test_the_clients_own_headers_arrive(upstream: Upstream, client: Make) -> None:
    upstream.script(reply("hi"))
    made = client(upstream, default_headers={"anthropic-beta": "context-1m-2025-08-07", "x-team": "blue"})
    await answered(model_of(made), asking())
    headers = upstream.requests[0].headers
    assert KEY in {headers.get("x-api-key"), headers.get("authorization", "").removeprefix("Bearer ")}
    assert headers["anthropic-version"]
    assert (headers["anthropic-beta"], headers["x-team"]) == ("context-1m-2025-08-07", "blue")
    assert "Anthropic/Python" in headers["user-agent"]


async def test_a_custom_http_client_is_the_one_that_sends(upstream: Upstream) -> None:
    seen: list[bytes] = []
    upstream.script(reply("hi"))
    with httpx2.Client(event_hooks={"request": [lambda request: seen.append(request.content)]}) as http:
        await answered(model_of(anthropic(upstream, http_client=http)), asking(streams=True))
    assert seen == [upstream.requests[0].body]


@whole_and_streamed
async def test_the_clients_middleware_runs(upstream: Upstream, streams: bool) -> None:
    seen: list[int] = []

    def watch(request: APIRequest, call_next: CallNext) -> Any:
        response = call_next(request)
        seen.append(response.status_code)
        return response

    upstream.script(status(500, headers={"retry-after-ms": "1"}), reply("Hello."))
    made = anthropic(upstream, middleware=[watch], max_retries=1)
    assert (await answered(model_of(made), asking(streams=streams)))[1].text == "Hello."
    assert seen == [500, 200]


@whole_and_streamed
async def test_a_client_of_a_cloud_that_speaks_the_same(upstream: Upstream, streams: bool) -> None:
    upstream.script(reply("Hello."))
    made = AnthropicFoundry(base_url=f"{base_url(upstream)}/anthropic", api_key=KEY)
    assert (await answered(model_of(made), asking(streams=streams)))[1].text == "Hello."
    [request] = upstream.requests
    assert (request.path, request.headers["x-api-key"]) == ("/anthropic/v1/messages", KEY)
    made.close()


KINDS: dict[int, tuple[str, type[ModelError]]] = {
    400: ("invalid_request_error", RequestRejected),
    401: ("authentication_error", AuthenticationFailed),
    403: ("permission_error", AuthenticationFailed),
    404: ("not_found_error", ModelNotFound),
    413: ("request_too_large", RequestTooLarge),
    429: ("rate_limit_error", RateLimited),
    500: ("api_error", ProviderFailed),
    529: ("overloaded_error", ProviderFailed),
}


@every_client
@whole_and_streamed
@pytest.mark.parametrize("code", KINDS)
async def test_every_status_is_its_own_error(upstream: Upstream, client: Make, streams: bool, code: int) -> None:
    name, kind = KINDS[code]
    upstream.script(failure(code, name, f"no: {KEY}", {"request-id": "req_9"}))
    error = await failing(model_of(client(upstream)), asking(streams=streams))
    assert type(error) is kind
    assert (error.status, error.request_id) == (code, "req_9")
    assert "no: [key]" in str(error)
    assert KEY not in f"{error!r} {error.body} {vars(error)} {error.__cause__!r} {error.__context__!r}"


@every_client
async def test_a_context_overflow(upstream: Upstream, client: Make) -> None:
    upstream.script(failure(400, "invalid_request_error", "prompt is too long: 200001 tokens > 200000 maximum"))
    assert isinstance(await failing(model_of(client(upstream)), asking()), ContextOverflow)


@every_client
@whole_and_streamed
async def test_the_sdk_makes_its_own_retries(upstream: Upstream, client: Make, streams: bool) -> None:
    upstream.script(failure(529, "overloaded_error", headers={"retry-after-ms": "1"}), reply("Hello."))
    _, message = await answered(model_of(client(upstream, max_retries=1)), asking(streams=streams))
    assert message.text == "Hello."
    assert [request.headers["x-stainless-retry-count"] for request in upstream.requests] == ["0", "1"]


@every_client
@whole_and_streamed
async def test_a_connection_that_is_closed_without_an_answer(upstream: Upstream, client: Make, streams: bool) -> None:
    upstream.script(drop())
    error = await failing(model_of(client(upstream)), asking(streams=streams))
    assert isinstance(error, ConnectionFailed)
    assert KEY not in f"{vars(error)} {error.__cause__!r} {vars(error.__cause__ or error)}"


@every_client
async def test_an_answer_that_falls_silent(upstream: Upstream, client: Make) -> None:
    upstream.script(hang_after(0))
    error = await failing(model_of(client(upstream, timeout=0.2)), asking(streams=True))
    assert isinstance(error, IdleTimedOut)
    assert error.limit_s == 0.2


@every_client
async def test_leaving_in_mid_stream_hangs_up_at_once(upstream: Upstream, client: Make) -> None:
    upstream.script(reply("one two three", delay_s=1))
    async with aclosing(model_of(client(upstream)).answer(asking(streams=True))) as items:
        await anext(items)
    assert await upstream.until(lambda: upstream.hung_up == 1 and upstream.open_connections == 0)


@every_client
def test_a_conversation_in_sync_calls(upstream: Upstream, client: Make) -> None:
    upstream.script(judged(reply("Hello Ann.")), judged(reply("Your name is Ann.")))
    chat = Conversation("tiny", client=client(upstream))
    assert chat.send("I am Ann").text == "Hello Ann."
    assert "".join(getattr(event, "text", "") for event in chat.stream("Who am I?")) == "Your name is Ann."
    assert upstream.requests[1].json["messages"][1]["content"] == "Hello Ann."


@every_client
async def test_a_conversation_in_async_calls(upstream: Upstream, client: Make) -> None:
    upstream.script(judged(reply("Hello Ann.")), judged(reply("Your name is Ann.")))
    chat = Conversation("tiny", client=client(upstream))
    assert (await chat.asend("I am Ann")).text == "Hello Ann."
    assert "".join([getattr(event, "text", "") async for event in chat.astream("Who am I?")]) == "Your name is Ann."
