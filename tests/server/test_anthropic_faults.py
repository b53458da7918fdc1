"""What a client of `/v1/messages` is told when the model fails, in Anthropic's words, and what is stored of it then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

import upstream_anthropic as claude
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
    sse,
    sse_raw,
    status,
    stream,
)


@pytest.fixture
def hasty(serve: Callable[..., Server], upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that soon gives up, and tries nothing twice. It asks Anthropic's API for names that begin with `claude`,
    chat completions for others."""
    monkeypatch.setenv("CLAUDE_KEY", "k")
    limits: Any = {"retries": Retries(attempts=1), "timeouts": Timeouts(first_byte_s=0.3, idle_s=0.3)}
    return serve(
        store_messages=True,
        upstreams=(
            Place(name="scripted", urls=(upstream.url,), models=("tiny",), **limits),
            Place(
                name="claude",
                provider="anthropic",
                urls=(claude.base_url(upstream),),
                key_variable="CLAUDE_KEY",
                models=("claude-opus-4-1",),
                **limits,
            ),
        ),
    )


@pytest.fixture
def client(hasty: Server) -> Iterator[Anthropic]:
    with Anthropic(base_url=hasty.url, api_key="none", max_retries=0) as made:
        yield made


def ask(client: Anthropic, *, streams: bool = False, model: str = "tiny") -> str:
    asked: Any = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    if not streams:
        return client.messages.create(**asked).content[0].to_dict()["text"]  # type: ignore[no-any-return]
    with client.messages.stream(**asked) as events:
        return events.get_final_text()


def only_turn(server: Server) -> Turn:
    store = server.service.store
    (record,) = server.run(store.conversations())
    (turn,) = server.run(store.tree(record.id))
    return turn


BEFORE: list[tuple[str, Behaviour, type[anthropic.APIStatusError], int, str, str]] = [
    ("a wrong key", status(401), anthropic.InternalServerError, 502, "api_error", "AuthenticationFailed"),
    ("no such model", status(404), anthropic.NotFoundError, 404, "not_found_error", "ModelNotFound"),
    ("a bad request", status(400), anthropic.BadRequestError, 400, "invalid_request_error", "RequestRejected"),
    ("too long", context_overflow(), anthropic.BadRequestError, 400, "invalid_request_error", "ContextOverflow"),
    ("too big", status(413), anthropic.RequestTooLargeError, 413, "request_too_large", "RequestTooLarge"),
    ("too often", status(429), anthropic.RateLimitError, 429, "rate_limit_error", "RateLimited"),
    ("a server error", status(500), anthropic.InternalServerError, 502, "api_error", "ProviderFailed"),
    ("overloaded", status(529), anthropic.OverloadedError, 529, "overloaded_error", "ProviderFailed"),
    ("no answer", hang(), anthropic.DeadlineExceededError, 504, "timeout_error", "FirstByteTimedOut"),
    ("a closed connection", drop(), anthropic.InternalServerError, 502, "api_error", "ConnectionFailed"),
    ("an empty answer", empty_answer(), anthropic.InternalServerError, 502, "api_error", "EmptyAnswer"),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("fault", "expected", "code", "name", "kind"), [row[1:] for row in BEFORE], ids=[row[0] for row in BEFORE]
)
def test_a_fault_before_the_answer_is_an_error_of_the_sdk_and_a_failed_turn(
    client: Anthropic,
    hasty: Server,
    upstream: Upstream,
    fault: Behaviour,
    expected: type[anthropic.APIStatusError],
    code: int,
    name: str,
    kind: str,
    streams: bool,
) -> None:
    upstream.script(fault)
    with pytest.raises(expected) as caught:
        ask(client, streams=streams)
    body: Any = caught.value.body
    assert (caught.value.status_code, body["type"], body["error"]["type"]) == (code, "error", name)
    assert body["request_id"] == caught.value.request_id
    assert "127.0.0.1" not in body["error"]["message"]
    turn = only_turn(hasty)
    assert turn.status is TurnStatus.FAILED
    assert turn.error is not None
    assert turn.error.kind == kind
    assert (turn.input[0].text, turn.output) == ("hi", ())
    assert ask(client, streams=streams) == "You said: hi"


def test_json_that_is_none_is_an_api_error(client: Anthropic, upstream: Upstream) -> None:
    upstream.script(invalid_json())
    with pytest.raises(anthropic.InternalServerError):
        ask(client)


def test_a_conversation_that_is_too_long_is_told_in_the_words_that_clients_look_for(
    client: Anthropic, upstream: Upstream
) -> None:
    upstream.script(context_overflow())
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        ask(client)


@pytest.mark.parametrize("streams", [False, True])
def test_anthropic_s_own_overload_is_passed_on_as_such(client: Anthropic, upstream: Upstream, streams: bool) -> None:
    upstream.script(claude.failure(529, "overloaded_error"))
    with pytest.raises(anthropic.OverloadedError) as caught:
        ask(client, streams=streams, model="claude-opus-4-1")
    assert caught.value.status_code == 529


def test_a_retry_after_is_passed_on(client: Anthropic, upstream: Upstream) -> None:
    upstream.script(status(429, headers={"retry-after": "7"}))
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "7"


AFTER: list[tuple[str, Behaviour, str]] = [
    ("cut", cut_after(3, "one ", "two "), "StreamCut"),
    ("reset", cut_after(3, "one ", "two ", reset=True), "StreamCut"),
    ("silent", hang_after(3, "one ", "two "), "IdleTimedOut"),
    (
        "malformed",
        sse_raw(sse({"choices": [{"index": 0, "delta": {"content": "one two "}}]}), b"data: {not json}\n\n"),
        "MalformedStream",
    ),
]


@pytest.mark.parametrize(("fault", "kind"), [row[1:] for row in AFTER], ids=[row[0] for row in AFTER])
def test_a_fault_in_mid_stream_is_an_error_event_after_the_words_that_came(
    client: Anthropic, hasty: Server, upstream: Upstream, fault: Behaviour, kind: str
) -> None:
    upstream.script(fault)
    events = client.messages.create(
        model="tiny", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    came: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        came.extend(events)
    assert "".join(event.delta.text for event in came if event.type == "content_block_delta") == "one two "
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] in ("api_error", "timeout_error")
    turn = only_turn(hasty)
    assert (turn.status, turn.text) == (TurnStatus.FAILED, "one two ")
    assert turn.error is not None
    assert turn.error.kind == kind


def test_a_client_that_leaves_a_stream_stops_the_model(client: Anthropic, hasty: Server, upstream: Upstream) -> None:
    upstream.script(stream(*["word "] * 200, delay_s=0.02))
    with client.messages.stream(model="tiny", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as events:
        next(iter(events.text_stream))
    assert upstream.wait(lambda: upstream.hung_up == 1)
    assert upstream.wait(lambda: only_turn(hasty).status is not TurnStatus.IN_PROGRESS)
    turn = only_turn(hasty)
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    assert turn.text.startswith("word")
