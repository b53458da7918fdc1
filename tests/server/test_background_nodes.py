"""Responses in the background on two nodes with one store: followed, cancelled and finished on the other one, also when
the first is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openai import APIConnectionError, APIError, OpenAI

from lasting import PATIENCE_S, Node, ended, eventually, held, node
from responses_wire import Json, told
from stores.urls import ON_DISK, fresh_url
from upstream import Upstream, hang, hang_after, reply


class Nodes(NamedTuple):
    one: Node
    other: Node


@pytest.fixture(params=ON_DISK)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return fresh_url(request.param, tmp_path)


@pytest.fixture
def nodes(store: str, upstream: Upstream) -> Iterator[Nodes]:
    """Two servers on one store, which run one response in the background at a time."""
    with ExitStack() as running:
        flags: dict[str, object] = {"upstream": upstream.url, "background_concurrency": 1, "drain_s": 5}
        yield Nodes(*(running.enter_context(node(store, **flags)) for _ in range(2)))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def begun(client: OpenAI, upstream: Upstream) -> str:
    """The id of a response in the background whose model is asked."""
    before = len(upstream.requests)
    response = client.responses.create(model="m", input="hi", background=True)
    assert upstream.wait(lambda: len(upstream.requests) > before, PATIENCE_S)
    return response.id


def events(client: OpenAI, id: str, **query: Any) -> list[Json]:
    return [event.to_dict() for event in client.responses.retrieve(id, stream=True, **query)]


def test_it_is_followed_on_the_other_node_as_it_comes(nodes: Nodes, upstream: Upstream, gate: threading.Event) -> None:
    upstream.script(held(gate, *"abcdefgh"))
    id = begun(nodes.one.client, upstream)
    assert nodes.other.client.responses.retrieve(id).status == "in_progress"
    shown: list[Json] = []
    for event in nodes.other.client.responses.retrieve(id, stream=True):
        shown.append(event.to_dict())
        if event.type == "response.output_text.delta" and event.delta == "e":
            gate.set()
    assert told(shown) == "abcdefgh"
    assert shown[-1]["response"] == ended(nodes.other.client, id).to_dict()
    assert shown == events(nodes.one.client, id)


def test_it_is_cancelled_on_the_other_node(nodes: Nodes, upstream: Upstream) -> None:
    upstream.script(hang())
    id = begun(nodes.one.client, upstream)
    assert nodes.other.client.responses.cancel(id).status == "cancelled"
    assert upstream.wait(lambda: upstream.hung_up == 1, PATIENCE_S)
    assert nodes.one.client.responses.retrieve(id).status == "cancelled"


def test_the_other_node_knows_that_it_waits(nodes: Nodes, upstream: Upstream) -> None:
    upstream.script(hang(), hang())
    first = begun(nodes.one.client, upstream)
    waiting = nodes.one.client.responses.create(model="m", input="hi", background=True)
    assert waiting.status == "queued"
    assert nodes.other.client.responses.retrieve(waiting.id).status == "queued"
    assert nodes.other.client.responses.cancel(waiting.id).status == "cancelled"
    nodes.other.client.responses.cancel(first)


def test_when_its_node_is_killed_its_readers_get_every_event_once_and_an_honest_end(
    nodes: Nodes, upstream: Upstream
) -> None:
    upstream.script(hang_after(5, *"abcdefgh"))
    id = begun(nodes.one.client, upstream)
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(events, nodes.other.client, id)
        eventually(lambda: told(_so_far(nodes.one.client, id, until="d")) == "abcd")
        nodes.one.kill()
        shown = following.result(PATIENCE_S)
    assert [event["sequence_number"] for event in shown] == list(range(len(shown)))
    assert told(shown) == "abcd"
    last = shown[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "crashed"}
    assert nodes.other.client.responses.retrieve(id).to_dict() == last["response"]


def _so_far(client: OpenAI, id: str, *, until: str) -> list[Json]:
    """The events up to this delta."""
    shown: list[Json] = []
    for event in client.responses.retrieve(id, stream=True):
        shown.append(event.to_dict())
        if event.type == "response.output_text.delta" and event.delta == until:
            break
    return shown


def test_who_read_on_the_killed_node_goes_on_at_the_other(nodes: Nodes, upstream: Upstream) -> None:
    upstream.script(hang_after(5, *"abcdefgh"))
    shown: list[Json] = []

    def read() -> None:
        for event in nodes.one.client.responses.create(model="m", input="hi", background=True, stream=True):
            shown.append(event.to_dict())
            if event.type == "response.output_text.delta" and event.delta == "d":
                nodes.one.kill()

    with pytest.raises(APIConnectionError):
        read()
    id: str = shown[0]["response"]["id"]
    shown += events(nodes.other.client, id, starting_after=shown[-1]["sequence_number"])
    assert [event["sequence_number"] for event in shown] == list(range(len(shown)))
    assert told(shown) == "abcd"
    assert shown[-1]["type"] == "response.incomplete"


def test_what_waited_on_the_killed_node_is_done_by_the_other(nodes: Nodes, upstream: Upstream) -> None:
    upstream.script(hang(), reply("Done elsewhere."))
    lost = begun(nodes.one.client, upstream)
    waiting = nodes.one.client.responses.create(model="m", input="And this?", background=True)
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(events, nodes.other.client, waiting.id)
        nodes.one.kill()
        shown = following.result(PATIENCE_S)
    assert told(shown) == "Done elsewhere."
    assert shown[-1]["type"] == "response.completed"
    assert ended(nodes.other.client, waiting.id).output_text == "Done elsewhere."
    assert ended(nodes.other.client, lost).status == "incomplete"
    assert [request.last_text for request in upstream.requests] == ["hi", "And this?"]


def test_a_node_that_is_told_to_end_lets_it_end_first(nodes: Nodes, upstream: Upstream, gate: threading.Event) -> None:
    upstream.script(held(gate, *"abcdefgh"))
    id = begun(nodes.one.client, upstream)
    waiting = nodes.one.client.responses.create(model="m", input="And this?", background=True)
    upstream.script(reply("Done elsewhere."))
    os.kill(nodes.one.popen.pid, signal.SIGTERM)
    eventually(lambda: not _takes_more(nodes.one))
    gate.set()
    assert ended(nodes.other.client, id).output_text == "abcdefgh"
    assert nodes.one.popen.wait(PATIENCE_S) == 0
    assert ended(nodes.other.client, waiting.id).output_text == "Done elsewhere."


def _takes_more(node: Node) -> bool:
    try:
        node.client.models.list()
    except APIError:
        return False
    return True
