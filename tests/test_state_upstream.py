"""The provider keeps the state: what is sent stays as small as what is new, and a loss costs one full resend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import upstream_responses
import upstream_xai
from multiturn import Conversation
from upstream import Upstream, reply

TURNS = 100


@pytest.fixture
def provider() -> upstream_responses.Provider:
    return upstream_responses.Provider()


@pytest.fixture
def upstream(provider: upstream_responses.Provider) -> Iterator[Upstream]:
    with upstream_responses.ResponsesUpstream(provider) as upstream:
        yield upstream


def notices(chat: Conversation) -> list[tuple[int, str]]:
    return [(n, notice.code) for n, turn in enumerate(chat.turns) for notice in turn.notices]


def test_over_responses_a_hundred_turns_send_the_same_few_bytes(
    provider: upstream_responses.Provider, upstream: Upstream, tmp_path: Path
) -> None:
    chat = Conversation("openai:gpt-5-mini", api="responses", base_url=upstream.url, store=f"sqlite:///{tmp_path}/c.db")
    for n in range(TURNS):
        if n == TURNS // 2:
            provider.forget()
        chat.send(f"This is turn {n:03}.")
    assert notices(chat) == [(TURNS // 2, "resent")]
    assert len(upstream.requests) == TURNS + 1
    sizes = [len(request.body) for request in upstream.requests]
    lost, resent = sizes[TURNS // 2], sizes[TURNS // 2 + 1]
    usual = [*sizes[1 : TURNS // 2 + 1], *sizes[TURNS // 2 + 2 :]]
    assert max(usual) - min(usual) < 20  # ids grow by a digit
    assert max(usual) < 600
    assert lost == usual[TURNS // 2 - 1]
    assert resent > 20 * max(usual)
    assert len(provider.contexts[-1]) == 2 * TURNS - 1  # the model has read everything all the same


def test_over_grpc_a_hundred_turns_send_the_same_few_bytes(tmp_path: Path) -> None:
    with upstream_xai.XaiUpstream() as xai:
        url = f"http://{xai.host}"
        chat = Conversation(
            "xai:grok-4-1-fast", api="grpc", base_url=url, api_key=upstream_xai.KEY, store=f"sqlite:///{tmp_path}/c.db"
        )
        for n in range(TURNS):
            if n == TURNS // 2:
                xai.forget()
            chat.send(f"This is turn {n:03}.")
        assert notices(chat) == [(TURNS // 2, "resent")]
        sizes = sorted(request.size for request in xai.requests)
        assert len(sizes) == TURNS + 1
        assert sizes[-1] > 10 * sizes[-2]
        assert sizes[-2] - sizes[1] < 20


def test_the_mode_changes_in_the_middle_and_every_turn_stays(
    provider: upstream_responses.Provider, upstream: Upstream
) -> None:
    """The guides' `ConversationSession(client, mode=…)`: send, summary, reset, and another mode on the way."""
    with Upstream() as other:
        chat = Conversation("openai:gpt-5-mini", api="responses", base_url=upstream.url)
        chat.send("one")
        chat.send("two")
        assert upstream.requests[-1].json["previous_response_id"]
        whole = Conversation("openai:gpt-5-mini", api="chat", base_url=other.url, store=chat.store, id=chat.id)
        other.script(reply("by chat"))
        whole.send("three")
        assert [message["content"] for message in other.requests[0].json["messages"]] == [
            "one",
            "You said: one",
            "two",
            "You said: two",
            "three",
        ]
        chat.send("four")  # the last answer was given over another API, so all is sent
        assert "previous_response_id" not in upstream.requests[-1].json
        chat.send("five")
        assert "previous_response_id" in upstream.requests[-1].json
        assert len(chat.turns) == 5
        assert chat.summary(turns=1) == "user: five\nassistant: You said: five"
        chat.reset()
        chat.send("anew")
        assert [item["content"] for item in upstream.requests[-1].json["input"]] == ["anew"]


def test_a_stopped_answer_is_not_gone_on_from(provider: upstream_responses.Provider, upstream: Upstream) -> None:
    chat = Conversation("openai:gpt-5-mini", api="responses", base_url=upstream.url)
    chat.send("one")
    provider.says(upstream_responses.message("so many words " * 5_000))  # it is not through when the reader leaves
    for event in chat.stream("tell me much"):
        if event.text:
            break
    chat.send("three")
    assert "previous_response_id" not in upstream.requests[-1].json
    assert len(upstream.requests[-1].json["input"]) == 5
