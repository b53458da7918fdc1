"""Two nodes over one PostgreSQL, behind a plain round-robin: nothing that matters lives in a node."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import APIError, DefaultHttpxClient, NotFoundError, OpenAI

from nodes import PATIENCE_S, Node, RoundRobin
from stores.urls import fresh_url
from upstream import Upstream, hang_after, reply, stream

WORDS = [f"{n} " for n in range(40)]


@pytest.fixture
def nodes(tmp_path: Path, upstream: Upstream) -> Iterator[list[Node]]:
    store = fresh_url("postgres", tmp_path)
    started = [Node(store, "--upstream", upstream.url) for _ in range(2)]
    try:
        for node in started:
            node.wait()
        yield started
    finally:
        for node in started:
            node.kill()


@pytest.fixture
def front(nodes: list[Node]) -> Iterator[RoundRobin]:
    with RoundRobin(*nodes) as running:
        yield running


@pytest.fixture
def client(front: RoundRobin) -> Iterator[OpenAI]:
    """A client with a new connection, and so another node, for each request."""
    web = DefaultHttpxClient(limits=httpx2.Limits(max_keepalive_connections=0), timeout=PATIENCE_S)
    with OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0, http_client=web) as made:
        yield made


def test_a_conversation_goes_on_whichever_node_is_asked(
    client: OpenAI, front: RoundRobin, nodes: list[Node], upstream: Upstream
) -> None:
    previous = None
    for n in range(6):
        answer = client.responses.create(model="tiny", input=f"word {n}", previous_response_id=previous)
        previous = answer.id
    assert len(upstream.requests[-1].json["messages"]) == 11
    assert set(front.taken) == {node.port for node in nodes}
    for _ in nodes:
        assert client.responses.retrieve(answer.id).output_text == answer.output_text
    chat = client.conversations.create()
    for n in range(4):
        client.responses.create(model="tiny", input=f"word {n}", conversation=chat.id)
    assert len(upstream.requests[-1].json["messages"]) == 7
    assert len(client.conversations.items.list(chat.id).data) == 8


def test_what_one_node_deletes_is_gone_on_the_other(client: OpenAI, nodes: list[Node]) -> None:
    first = client.responses.create(model="tiny", input="one")
    client.responses.create(model="tiny", input="two", previous_response_id=first.id)  # now both have it at hand
    client.responses.create(model="tiny", input="three", previous_response_id=first.id)
    client.responses.delete(first.id)
    for _ in nodes:
        with pytest.raises(NotFoundError):
            client.responses.retrieve(first.id)
        with pytest.raises(Exception, match="not found"):
            client.responses.create(model="tiny", input="four", previous_response_id=first.id)


def test_any_node_can_stop_what_another_one_runs(client: OpenAI, nodes: list[Node], upstream: Upstream) -> None:
    upstream.script(hang_after(4))
    running = client.responses.create(model="tiny", input="Go on and on.", background=True)
    stopped = client.responses.cancel(running.id)
    until = time.monotonic() + PATIENCE_S
    while stopped.status in ("queued", "in_progress"):
        assert time.monotonic() < until
        time.sleep(0.05)
        stopped = client.responses.retrieve(running.id)
    assert stopped.status == "cancelled"
    assert client.responses.retrieve(running.id).status == "cancelled"


def test_a_stream_is_picked_up_at_the_other_node(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(stream(*WORDS, delay_s=0.03))
    seen: list[Any] = []
    for event in client.responses.create(model="tiny", input="Count.", background=True, stream=True):
        seen.append(event)
        if len(seen) == 12:
            break
    id = seen[0].response.id
    for upto in (20, 10_000):
        for event in client.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number):
            seen.append(event)
            if len(seen) == upto:
                break
    check_whole(seen)
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == "".join(WORDS)
    assert seen[-1].response.output_text == "".join(WORDS)


def check_whole(seen: list[Any]) -> None:
    """Every event once, in order, up to one that ends it."""
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type in ("response.completed", "response.incomplete", "response.failed")


def test_nothing_is_lost_when_a_node_is_killed(
    client: OpenAI, nodes: list[Node], upstream: Upstream, front: RoundRobin
) -> None:
    kill_under_load(client, nodes, upstream, after_s=0.8)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_however_often_a_node_is_killed(
    client: OpenAI, nodes: list[Node], upstream: Upstream, front: RoundRobin, seed: int
) -> None:
    kill_under_load(client, nodes, upstream, after_s=random.Random(seed).uniform(0.2, 2.5))


def kill_under_load(client: OpenAI, nodes: list[Node], upstream: Upstream, *, after_s: float) -> None:
    upstream.otherwise = reply("".join(WORDS), delay_s=0.03)
    acknowledged: list[tuple[str, str]] = []
    is_over = threading.Event()

    def talk() -> None:
        while not is_over.is_set():
            try:
                answer = client.responses.create(model="tiny", input="Say something.", stream=False)
                acknowledged.append((answer.id, answer.output_text))
            except Exception:  # the node that had the request is gone
                time.sleep(0.02)

    with ThreadPoolExecutor(10) as pool:
        talking = [pool.submit(talk) for _ in range(4)]
        followed = [pool.submit(followed_to_the_end, client) for _ in range(6)]
        time.sleep(after_s)
        nodes[0].kill()
        streams = [each.result(PATIENCE_S) for each in followed]
        time.sleep(0.5)
        is_over.set()
        for each in talking:
            each.result(PATIENCE_S)
    ends = []
    for seen in streams:
        check_whole(seen)
        stored = client.responses.retrieve(seen[0].response.id)
        told = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
        assert (stored.status, stored.output_text) == (seen[-1].response.status, told)
        ends.append(seen[-1].type)
    assert ends.count("response.completed") >= 1
    assert acknowledged
    for id, text in acknowledged:
        answer = client.responses.retrieve(id)
        assert (answer.status, answer.output_text) == ("completed", text)


def followed_to_the_end(client: OpenAI) -> list[Any]:
    """The events of a response in the background, whatever happens to connections and nodes."""
    seen: list[Any] = []
    until = time.monotonic() + PATIENCE_S
    while not (seen and seen[-1].type in ("response.completed", "response.incomplete", "response.failed")):
        assert time.monotonic() < until, [event.type for event in seen][-3:]
        try:
            if seen:
                id, last = seen[0].response.id, seen[-1].sequence_number
                events = client.responses.retrieve(id, stream=True, starting_after=last)
            else:
                events = client.responses.create(model="tiny", input="Count.", background=True, stream=True)
            seen.extend(events)
        except (APIError, httpx2.HTTPError, OSError):  # the node is gone
            time.sleep(0.05)
    return seen
