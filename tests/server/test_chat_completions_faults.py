"""What a client of `/v1/chat/completions` is told when the model fails, and what is stored of it then."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from multiturn.models.limits import Retries, Timeouts
from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import Turn, TurnStatus
from serving import Server
from upstream import (
    Behaviour,
    Upstream,
    context_overflow,
    cut_after,
    drop,
    empty_answer,
    hang,
    hang_after,
    invalid_json,
    raw,
    reply,
    sse,
    sse_raw,
    status,
    stream,
)


@pytest.fixture
def hasty(serve: Callable[..., Server], upstream: Upstream) -> Server:
    """A server that soon gives up, and tries nothing twice."""
    limits = Timeouts(first_byte_s=0.3, idle_s=0.3)
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1), timeouts=limits)
    return serve(upstreams=(place,))


@pytest.fixture
def client(hasty: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=hasty.base_url, api_key="none", max_retries=0) as made:
        yield made


def ask(client: OpenAI, *, streams: bool = False) -> str:
    """The answer's text."""
    asked: Any = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "store": True}
    if not streams:
        return client.chat.completions.create(**asked).choices[0].message.content or ""
    chunks = client.chat.completions.create(**asked, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def only_turn(server: Server) -> Turn:
    store = server.service.store
    (record,) = server.run(store.conversations())
    (turn,) = server.run(store.tree(record.id))
    return turn


BEFORE: list[tuple[str, Behaviour, type[openai.APIStatusError], int, str, str]] = [
    ("a wrong key", status(401), openai.InternalServerError, 502, "upstream_error", "AuthenticationFailed"),
    ("a key that may not", status(403), openai.InternalServerError, 502, "upstream_error", "AuthenticationFailed"),
    ("no such model", status(404), openai.NotFoundError, 404, "model_not_found", "ModelNotFound"),
    ("a bad request", status(400), openai.BadRequestError, 400, "scripted", "RequestRejected"),
    ("too long", context_overflow(), openai.BadRequestError, 400, "context_length_exceeded", "ContextOverflow"),
    ("too big", status(413), openai.APIStatusError, 413, "request_too_large", "RequestTooLarge"),
    ("too often", status(429), openai.RateLimitError, 429, "scripted", "RateLimited"),
    ("a server error", status(500), openai.InternalServerError, 502, "upstream_error", "ProviderFailed"),
    ("unavailable", status(503), openai.InternalServerError, 502, "upstream_error", "ProviderFailed"),
    ("no answer", hang(), openai.InternalServerError, 504, "timeout", "FirstByteTimedOut"),
    ("a closed connection", drop(), openai.InternalServerError, 502, "upstream_error", "ConnectionFailed"),
    ("no HTTP", raw(b"hello\r\n\r\n"), openai.InternalServerError, 502, "upstream_error", "InvalidReply"),
    ("an empty answer", empty_answer(), openai.InternalServerError, 502, "upstream_error", "EmptyAnswer"),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("fault", "expected", "code", "name", "kind"), [row[1:] for row in BEFORE], ids=[row[0] for row in BEFORE]
)
def test_a_fault_before_the_answer_is_an_error_of_the_sdk_and_a_failed_turn(
    client: OpenAI,
    hasty: Server,
    upstream: Upstream,
    fault: Behaviour,
    expected: type[openai.APIStatusError],
    code: int,
    name: str,
    kind: str,
    streams: bool,
) -> None:
    upstream.script(fault)
    with pytest.raises(expected) as caught:
        ask(client, streams=streams)
    assert (caught.value.status_code, caught.value.code) == (code, name)
    assert "127.0.0.1" not in caught.value.message
    turn = only_turn(hasty)
    assert turn.status is TurnStatus.FAILED
    assert turn.error is not None
    assert turn.error.kind == kind
    assert (turn.input[0].text, turn.output) == ("hi", ())
    assert ask(client, streams=streams) == "You said: hi"


def test_json_that_is_none_is_a_bad_gateway(client: OpenAI, hasty: Server, upstream: Upstream) -> None:
    upstream.script(invalid_json())
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client)
    assert caught.value.status_code == 502
    assert only_turn(hasty).status is TurnStatus.FAILED


def test_a_retry_after_is_passed_on(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(status(429, headers={"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "7"


def test_the_sdk_s_own_retry_gets_the_answer(hasty: Server, upstream: Upstream) -> None:
    upstream.script(status(429, headers={"retry-after-ms": "1"}), reply("Hello."))
    with OpenAI(base_url=hasty.base_url, api_key="none", max_retries=2) as client:
        assert ask(client) == "Hello."


AFTER: list[tuple[str, Behaviour, str]] = [
    ("cut", cut_after(3, "one ", "two "), "StreamCut"),
    ("reset", cut_after(3, "one ", "two ", reset=True), "StreamCut"),
    ("silent", hang_after(3, "one ", "two "), "IdleTimedOut"),
    (
        "malformed",
        sse_raw(sse({"choices": [{"index": 0, "delta": {"content": "one two "}}]}), b"data: {not json}\n\n"),
        "MalformedStream",
    ),
    (
        "an error inside",
        sse_raw(
            sse({"choices": [{"index": 0, "delta": {"content": "one two "}}]}),
            sse({"error": {"message": "out of memory", "type": "server_error"}}),
        ),
        "ProviderFailed",
    ),
]


@pytest.mark.parametrize(("fault", "kind"), [row[1:] for row in AFTER], ids=[row[0] for row in AFTER])
def test_a_fault_in_mid_stream_is_an_error_after_the_words_that_came(
    client: OpenAI, hasty: Server, upstream: Upstream, fault: Behaviour, kind: str
) -> None:
    upstream.script(fault)
    chunks = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hi"}], store=True, stream=True
    )
    came: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        came.extend(chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in came) == "one two "
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "server_error"
    turn = only_turn(hasty)
    assert (turn.status, turn.text) == (TurnStatus.FAILED, "one two ")
    assert turn.error is not None
    assert turn.error.kind == kind
    assert client.chat.completions.list().data == []


def test_a_stream_that_broke_does_not_end_with_done(hasty: Server, upstream: Upstream) -> None:
    upstream.script(cut_after(2, "one "))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
    request = urllib.request.Request(f"{hasty.base_url}/chat/completions", body)
    with urllib.request.urlopen(request) as answer:
        *_, last = answer.read().strip().split(b"\n\n")
    assert "error" in json.loads(last.removeprefix(b"data: "))


def test_a_client_that_leaves_a_stream_stops_the_model_and_is_stored_as_far_as_it_came(
    client: OpenAI, hasty: Server, upstream: Upstream
) -> None:
    upstream.script(stream(*["word "] * 200, delay_s=0.02))
    chunks = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hi"}], store=True, stream=True
    )
    id = next(iter(chunks)).id
    chunks.close()
    assert upstream.wait(lambda: upstream.hung_up == 1)
    assert upstream.wait(lambda: only_turn(hasty).status is not TurnStatus.IN_PROGRESS)
    turn = only_turn(hasty)
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    assert turn.text.startswith("word")
    assert client.chat.completions.list().data == []
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(id)


def test_a_client_that_stops_waiting_stops_the_model(hasty: Server, upstream: Upstream) -> None:
    upstream.script(hang_after(0))
    with (
        OpenAI(base_url=hasty.base_url, api_key="none", max_retries=0, timeout=0.1) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        ask(client)
    assert upstream.wait(lambda: upstream.hung_up == 1)
    assert upstream.wait(lambda: only_turn(hasty).status is not TurnStatus.IN_PROGRESS)
    assert only_turn(hasty).status in (TurnStatus.INCOMPLETE, TurnStatus.FAILED)
