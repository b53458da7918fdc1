"""A conversation and a provider that fails, in every way there is, over a real socket.

Each fault raises its own error; the history is as it was; `retry` then works; nothing is left running.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from multiturn import Conversation, Retries, Timeouts
from multiturn import errors as e
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
    sse_raw,
    status,
)

PATIENCE = Timeouts(connect_s=2, first_byte_s=0.3, idle_s=0.3, total_s=5)
ONCE = Retries(attempts=1)

FAULTS = [
    (status(401), e.AuthenticationFailed, "any"),
    (status(403), e.AuthenticationFailed, "any"),
    (status(404), e.ModelNotFound, "any"),
    (status(413), e.RequestTooLarge, "any"),
    (status(422), e.RequestRejected, "any"),
    (status(429, headers={"retry-after": "7"}), e.RateLimited, "any"),
    (status(500), e.ProviderFailed, "any"),
    (status(503, b"<html>busy</html>"), e.ProviderFailed, "any"),
    (context_overflow(), e.ContextOverflow, "any"),
    (hang(), e.FirstByteTimedOut, "any"),
    (drop(), e.ConnectionFailed, "any"),
    (empty_answer(), e.EmptyAnswer, "any"),
    (invalid_json(), e.InvalidReply, "whole"),
    (hang_after(2, "so ", "far ", "and "), e.IdleTimedOut, "streamed"),
    (cut_after(2, "so ", "far ", "and "), e.StreamCut, "streamed"),
    (cut_after(2, "so ", "far ", "and ", reset=True), e.StreamCut, "streamed"),
    (sse_raw(b"data: {not json}\n\n"), e.MalformedStream, "streamed"),
    (sse_raw(b"<html>this is no stream</html>"), e.MalformedStream, "streamed"),
    (raw(b"this is not HTTP at all\r\n\r\n"), e.ModelError, "any"),
]
CASES = [
    pytest.param(fault, error, streamed, id=f"{n}-{error.__name__}-{'streamed' if streamed else 'whole'}")
    for n, (fault, error, which) in enumerate(FAULTS)
    for streamed in (False, True)
    if which in ("any", "streamed" if streamed else "whole")
]


def conversation(upstream: Upstream, tmp_path: Path) -> Conversation:
    return Conversation(
        "tiny",
        base_url=upstream.url,
        api_key="sk-very-secret",
        store=f"sqlite:///{tmp_path}/chats.db",
        timeouts=PATIENCE,
        retries=ONCE,
    )


@pytest.mark.parametrize(("fault", "error", "streamed"), CASES)
def test_a_fault_has_its_own_error_and_changes_nothing(
    fault: Behaviour, error: type[e.ModelError], streamed: bool, tmp_path: Path
) -> None:
    with Upstream() as upstream:
        chat = conversation(upstream, tmp_path)
        upstream.script(reply("Nice to meet you."), fault, reply("Yes."))
        chat.send("I am Alice.")
        before = chat.history
        with pytest.raises(e.ModelError) as caught:
            list(chat.stream("Still there?")) if streamed else chat.send("Still there?")
        assert type(caught.value) is error or error is e.ModelError
        assert "sk-very-secret" not in f"{caught.value!r} {caught.value.body} {vars(caught.value)}"
        assert chat.history == before
        failed = chat.latest
        assert failed is not None
        assert failed.id == caught.value.turn_id
        assert (failed.status, failed.input[0].text) == ("failed", "Still there?")
        assert failed.error is not None
        assert failed.error.kind == type(caught.value).__name__
        assert chat.retry().text == "Yes."
        assert [message.text for message in chat.history[2:]] == ["Still there?", "Yes."]
        assert [item["role"] for item in upstream.requests[-1].json["messages"]] == ["user", "assistant", "user"]
        assert upstream.wait(lambda: upstream.open_connections <= 1)  # at most the one that is kept for the next turn


def test_what_arrived_before_a_cut_is_kept_in_the_failed_turn(tmp_path: Path) -> None:
    with Upstream() as upstream:
        chat = conversation(upstream, tmp_path)
        upstream.script(cut_after(2, "so ", "far ", "and "))
        with pytest.raises(e.StreamCut):
            list(chat.stream("Go on"))
        assert chat.latest is not None
        assert "so far and ".startswith(chat.latest.text)
        assert chat.latest.text


def test_a_refused_connection_names_the_address(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Upstream() as upstream:
        chat = conversation(upstream, tmp_path)
        chat.send("hello")
    gone = Conversation("tiny", base_url=f"http://127.0.0.1:{port}/v1", store=chat.store, id=chat.id, retries=ONCE)
    with pytest.raises(e.ConnectionFailed, match=f"127.0.0.1:{port}"):
        gone.send("still there?")
    assert [message.text for message in gone.history] == [message.text for message in chat.history]
    with Upstream(port=port) as upstream:
        upstream.script(reply("Back again."))
        assert gone.retry().text == "Back again."


def test_a_busy_provider_is_asked_again_as_it_wishes(tmp_path: Path) -> None:
    with Upstream() as upstream:
        upstream.script(status(429, headers={"retry-after": "0.1"}), status(500), reply("Now."))
        chat = Conversation("tiny", base_url=upstream.url, retries=Retries(attempts=3, base_s=0.01))
        assert chat.send("hello").text == "Now."
        assert len(upstream.requests) == 3


def test_leaving_a_stream_closes_the_connection(tmp_path: Path) -> None:
    with Upstream() as upstream:
        chat = conversation(upstream, tmp_path)
        upstream.script(hang_after(2, "so ", "far "))
        for event in chat.stream("Go on"):
            if event.text:
                break
        assert upstream.wait(lambda: upstream.open_connections == 0)
        assert chat.latest is not None
        assert (chat.latest.status, chat.latest.reason) == ("incomplete", "interrupted")


def test_each_turn_is_put_on_the_wire_as_it_was_said(tmp_path: Path) -> None:
    with Upstream() as upstream:
        chat = conversation(upstream, tmp_path)
        chat.instructions = "Be brief."
        for words in ("one", "two", "three"):
            chat.send(words)
        messages = upstream.requests[-1].json["messages"]
        assert [item["role"] for item in messages] == ["system", *["user", "assistant"] * 2, "user"]
        assert messages[0]["content"] == "Be brief."
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-very-secret"
