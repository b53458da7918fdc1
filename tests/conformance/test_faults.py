"""Whatever an upstream does, through every door: the status, the shape and the SDK's own exception are right, and so is
what is stored. The next turn goes on as if nothing had been."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from conformance.checking import Watch
from conformance.conftest import ONCE, anthropic_client, openai_client
from conformance.faults import AFTER, CASES, STREAMED, Fault, broken
from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import TurnStatus
from serving import Server
from upstream import Behaviour, Upstream


@pytest.fixture
def face() -> str:
    return "async"


async def read(stream: Any, into: list[Any]) -> None:
    async for each in stream:
        into.append(each)


# --- Responses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "stream"), CASES)
async def test_a_response_fails_as_openais_would(
    relayed: Any, relay: Server, upstream: Upstream, fault: Fault, stream: bool
) -> None:
    first = await relayed.responses.create(model="m", input="one")
    upstream.script(fault.behaviour)
    with pytest.raises(openai.APIStatusError) as raised:
        await relayed.responses.create(model="m", input="lost", previous_response_id=first.id, stream=stream)
    check_openai(raised.value, fault)
    turn = broken(relay)
    assert (turn.status, turn.input[0].text, turn.output) == (TurnStatus.FAILED, "lost", ())
    assert turn.error is not None
    assert turn.error.kind == fault.kind
    stored = await relayed.responses.retrieve(turn.id.replace("turn_", "resp_"))
    assert (stored.status, stored.output, stored.usage) == ("failed", [], None)
    assert stored.error.code == fault.stored
    after = await relayed.responses.create(model="m", input="two", previous_response_id=first.id)
    assert after.status == "completed"
    told = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert told == ["one", "You said: one", "two"]


@pytest.mark.parametrize(("name", "fault", "kind"), AFTER, ids=[row[0] for row in AFTER])
async def test_a_streamed_response_that_breaks_is_failed_with_what_came(
    relayed: Any, relay: Server, upstream: Upstream, name: str, fault: Behaviour, kind: str
) -> None:
    first = await relayed.responses.create(model="m", input="one")
    upstream.script(fault)
    events = [
        event
        async for event in await relayed.responses.create(
            model="m", input="lost", previous_response_id=first.id, stream=True
        )
    ]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "one two "
    failed = events[-1].response
    assert (events[-1].type, failed.status, failed.error.code) == ("response.failed", "failed", "server_error")
    stored = await relayed.responses.retrieve(failed.id)
    assert (stored.status, stored.output_text, stored.error) == ("failed", "one two ", failed.error)
    turn = broken(relay)
    assert turn.error is not None
    assert turn.error.kind == kind
    after = await relayed.responses.create(model="m", input="two", previous_response_id=first.id)
    assert after.status == "completed"
    told = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert told == ["one", "You said: one", "two"]


@pytest.mark.parametrize("fault", STREAMED, ids=[fault.name for fault in STREAMED])
async def test_a_response_in_the_background_is_failed(relayed: Any, upstream: Upstream, fault: Fault) -> None:
    first = await relayed.responses.create(model="m", input="one")
    upstream.script(fault.behaviour)
    begun = await relayed.responses.create(
        model="m", input="lost", previous_response_id=first.id, background=True, stream=True
    )
    events = [event async for event in begun]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.failed"
    stored = await relayed.responses.retrieve(events[-1].response.id)
    assert (stored.status, stored.error.code, stored.background) == ("failed", fault.stored, True)
    assert (await relayed.responses.create(model="m", input="two", previous_response_id=first.id)).output_text


# --- the other doors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "stream"), CASES)
async def test_a_completion_fails_as_openais_would(
    relayed: Any, relay: Server, upstream: Upstream, fault: Fault, stream: bool
) -> None:
    upstream.script(fault.behaviour)
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "lost"}], "store": True, "stream": stream}
    with pytest.raises(openai.APIStatusError) as raised:
        await relayed.chat.completions.create(**asked)
    check_openai(raised.value, fault)
    turn = broken(relay)
    assert (turn.status, turn.input[0].text, turn.output) == (TurnStatus.FAILED, "lost", ())
    assert turn.error is not None
    assert turn.error.kind == fault.kind
    with pytest.raises(openai.NotFoundError):
        await relayed.chat.completions.retrieve(turn.id.replace("turn_", "chatcmpl-"))
    again = await relayed.chat.completions.create(**{**asked, "stream": False})
    assert again.choices[0].message.content == "You said: lost"


@pytest.mark.parametrize(("name", "fault", "kind"), AFTER, ids=[row[0] for row in AFTER])
async def test_a_streamed_completion_that_breaks_ends_with_the_error(
    relayed: Any, relay: Server, upstream: Upstream, name: str, fault: Behaviour, kind: str
) -> None:
    upstream.script(fault)
    chunks: list[Any] = []
    said: Any = [{"role": "user", "content": "lost"}]
    with pytest.raises(openai.APIError) as raised:
        await read(await relayed.chat.completions.create(model="m", messages=said, store=True, stream=True), chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two "
    assert raised.value.code == ("timeout" if kind == "IdleTimedOut" else "upstream_error")
    turn = broken(relay)
    assert (turn.status, turn.text) == (TurnStatus.FAILED, "one two ")


@pytest.mark.parametrize(("fault", "stream"), CASES)
async def test_a_message_fails_as_anthropics_would(
    relayed_claude: Any, upstream: Upstream, fault: Fault, stream: bool
) -> None:
    upstream.script(fault.behaviour)
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    with pytest.raises(anthropic.APIStatusError) as raised:
        await relayed_claude.messages.create(**asked)
    assert raised.value.status_code == fault.status
    assert type(raised.value) is type(_of_anthropic(fault.status))
    body: Any = raised.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == ANTHROPIC[fault.status]
    if fault.status == 429:
        assert raised.value.response.headers["retry-after"] == "7"
    again = await relayed_claude.messages.create(**{**asked, "stream": False})
    assert again.content[0].text == "You said: hi"


@pytest.mark.parametrize(("name", "fault", "kind"), AFTER, ids=[row[0] for row in AFTER])
async def test_a_streamed_message_that_breaks_ends_with_the_error(
    relayed_claude: Any, upstream: Upstream, name: str, fault: Behaviour, kind: str
) -> None:
    upstream.script(fault)
    events: list[Any] = []
    said: Any = [{"role": "user", "content": "hi"}]
    with pytest.raises(anthropic.APIStatusError) as raised:
        await read(await relayed_claude.messages.create(model="m", max_tokens=9, messages=said, stream=True), events)
    assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == "one two "
    body: Any = raised.value.body
    assert body["error"]["type"] == ("timeout_error" if kind == "IdleTimedOut" else "api_error")


# --- nobody there ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nowhere(serve: Callable[..., Server]) -> Server:
    """A server whose upstream does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return serve(upstreams=(Place(name="scripted", urls=(f"http://127.0.0.1:{port}/v1",), retries=ONCE),))


@pytest.fixture
async def refused(nowhere: Server, face: str, watch: Watch) -> AsyncIterator[Any]:
    async for made in openai_client(nowhere, face, watch):
        yield made


@pytest.fixture
async def refused_claude(nowhere: Server, face: str, watch: Watch) -> AsyncIterator[Any]:
    async for made in anthropic_client(nowhere, face, watch):
        yield made


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_connection_is_a_bad_gateway_that_tells_no_address(
    refused: Any, refused_claude: Any, nowhere: Server, stream: bool
) -> None:
    said: Any = [{"role": "user", "content": "hi"}]
    for call in (
        refused.responses.create(model="m", input="hi", stream=stream),
        refused.chat.completions.create(model="m", messages=said, stream=stream),
        refused_claude.messages.create(model="m", max_tokens=9, messages=said, stream=stream),
    ):
        with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)) as raised:
            await call
        error: Any = raised.value
        assert error.status_code == 502
        assert "127.0.0.1" not in str(error.body)
    turn = broken(nowhere)
    assert (turn.status, turn.error and turn.error.kind) == (TurnStatus.FAILED, "ConnectionFailed")


# --- what an SDK makes of a status ----------------------------------------------------------------------------------

ANTHROPIC = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    504: "timeout_error",
}


def check_openai(error: openai.APIStatusError, fault: Fault) -> None:
    kinds: dict[int, type[openai.APIStatusError]] = {
        400: openai.BadRequestError,
        404: openai.NotFoundError,
        413: openai.APIStatusError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    assert type(error) is kinds.get(fault.status, openai.InternalServerError)
    assert (error.status_code, error.code) == (fault.status, fault.code)
    assert "127.0.0.1" not in error.message
    if fault.status == 429:
        assert error.response.headers["retry-after"] == "7"


def _of_anthropic(status: int) -> anthropic.APIStatusError:
    """The exception that the SDK has for it."""
    response = httpx2.Response(status, request=httpx2.Request("POST", "http://x"))
    with anthropic.Anthropic(api_key="none") as client:
        return client._make_status_error("", body=None, response=response)
