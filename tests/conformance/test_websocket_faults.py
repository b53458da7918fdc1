"""Whatever an upstream does, over a WebSocket: the event, what is stored, and the next turn on the same connection."""

from __future__ import annotations

import socket as sockets
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from conformance.faults import AFTER, STREAMED, Fault, broken
from multiturn.models.limits import Retries
from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import TurnStatus
from responses_wire import Json, said, told
from serving import Server
from upstream import Behaviour, Upstream, drop, reply
from websocket_wire import Socket

TYPES = {429: "rate_limit_error", 502: "server_error", 504: "server_error"}


@pytest.fixture(scope="module")
def connected(relay: Server) -> Iterator[Socket]:
    """One connection, for all that goes wrong here."""
    with Socket(relay.url) as socket:
        yield socket


@pytest.fixture
def socket(connected: Socket, upstream: Upstream) -> Socket:
    return connected


def lines(upstream: Upstream) -> list[str]:
    """What the model was shown last."""
    return [message["content"] for message in upstream.requests[-1].json["messages"]]


def stored(server: Server, id: str) -> Json:
    response: Json = httpx2.get(f"{server.base_url}/responses/{id}").json()
    return response


def count(server: Server) -> int:
    return len(server.run(server.service.store.conversations(limit=10_000)))


@pytest.mark.parametrize("fault", STREAMED, ids=[fault.name for fault in STREAMED])
def test_a_fault_before_the_first_word_is_an_error_event(
    relay: Server, upstream: Upstream, socket: Socket, fault: Fault
) -> None:
    first = socket.ask(input="one")
    upstream.script(fault.behaviour)
    socket.create(input="lost", previous_response_id=first["id"], stream_id="a")
    check(socket.receive(), fault, "a")
    turn = broken(relay)
    assert (turn.status, turn.input[0].text, turn.output) == (TurnStatus.FAILED, "lost", ())
    assert turn.error is not None
    assert turn.error.kind == fault.kind
    kept = stored(relay, turn.id.replace("turn_", "resp_"))
    assert (kept["status"], kept["error"]["code"], kept["output"]) == ("failed", fault.stored, [])
    after = socket.ask(input="two", previous_response_id=first["id"], stream_id="a")
    assert (after["status"], lines(upstream)) == ("completed", ["one", "You said: one", "two"])


@pytest.mark.parametrize("fault", STREAMED, ids=[fault.name for fault in STREAMED])
def test_what_is_not_stored_begins_anew_after_a_fault(
    relay: Server, upstream: Upstream, socket: Socket, fault: Fault
) -> None:
    before = count(relay)
    first = socket.ask(input="one", store=False)
    upstream.script(fault.behaviour)
    socket.create(input="lost", previous_response_id=first["id"], store=False)
    check(socket.receive(), fault, None)
    recover(socket, upstream, first)
    assert count(relay) == before


def check(event: Json, fault: Fault, lane: str | None) -> None:
    error = event["error"]
    assert (event["type"], event["status"], error["code"]) == ("error", fault.status, fault.code)
    assert event.get("stream_id") == lane
    assert error["type"] == TYPES.get(fault.status, "invalid_request_error")
    assert "127.0.0.1" not in error["message"]
    assert error.get("headers") == ({"retry-after": "7"} if fault.status == 429 else None)


def recover(socket: Socket, upstream: Upstream, first: Json) -> None:
    """After a failure, the lane has forgotten what was not stored; the client tells it again."""
    socket.create(input="two", previous_response_id=first["id"], store=False)
    assert socket.refused()["code"] == "previous_response_not_found"
    history = [{"role": "user", "content": "one"}, *first["output"], {"role": "user", "content": "two"}]
    whole = socket.ask(input=history, store=False)
    assert (whole["status"], lines(upstream)) == ("completed", ["one", "You said: one", "two"])


@pytest.mark.parametrize("store", [True, False], ids=["stored", "unstored"])
@pytest.mark.parametrize(("fault", "kind"), [row[1:] for row in AFTER], ids=[row[0] for row in AFTER])
def test_a_response_that_breaks_is_failed_with_what_came(
    relay: Server, upstream: Upstream, socket: Socket, fault: Behaviour, kind: str, store: bool
) -> None:
    before, first = count(relay), socket.ask(input="one", store=store)
    upstream.script(fault)
    socket.create(input="lost", previous_response_id=first["id"], store=store)
    events = socket.told()
    failed: Any = events[-1]["response"]
    assert (events[-1]["type"], failed["status"]) == ("response.failed", "failed")
    assert failed["error"]["code"] == "server_error"
    assert told(events) == said(failed) == "one two "
    if not store:
        recover(socket, upstream, first)
        assert count(relay) == before
        return
    turn = broken(relay)
    assert (turn.status, turn.text, turn.error and turn.error.kind) == (TurnStatus.FAILED, "one two ", kind)
    kept = stored(relay, failed["id"])
    assert (kept["status"], kept["error"], said(kept)) == ("failed", failed["error"], "one two ")
    after = socket.ask(input="two", previous_response_id=first["id"])
    assert (after["status"], lines(upstream)) == ("completed", ["one", "You said: one", "two"])


def test_a_fault_in_a_conversation_leaves_it_as_it_was(relay: Server, upstream: Upstream, socket: Socket) -> None:
    made = httpx2.post(f"{relay.base_url}/conversations", json={}).json()["id"]
    socket.ask(input="one", conversation=made)
    upstream.script(drop())
    socket.create(input="lost", conversation=made)
    assert socket.refused()["status"] == 502
    assert socket.ask(input="two", conversation=made)["status"] == "completed"
    assert lines(upstream) == ["one", "You said: one", "two"]


def test_a_fault_in_one_lane_is_none_in_another(upstream: Upstream, socket: Socket) -> None:
    kept = {"store": False, "stream_id": "other"}
    first = socket.ask(input="one", **kept)
    upstream.script(drop())
    socket.create(input="lost", store=False, stream_id="mine", previous_response_id=first["id"])
    assert socket.refused()["status"] == 502
    assert said(socket.ask(input="two", previous_response_id=first["id"], **kept)) == "You said: two"


@pytest.mark.parametrize("store", [True, False], ids=["stored", "unstored"])
def test_what_fails_over_before_the_first_byte_is_no_fault(
    serve: Callable[..., Server], upstream: Upstream, store: bool
) -> None:
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=2, base_s=0.01))
    with Socket(serve(upstreams=(place,)).url) as socket:
        upstream.script(drop(), reply("Here."))
        assert said(socket.ask(input="hi", store=store)) == "Here."


def test_a_refused_connection_is_a_bad_gateway_that_tells_no_address(serve: Callable[..., Server]) -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    server = serve(upstreams=(Place(name="scripted", urls=(url,), retries=Retries(attempts=1)),))
    with Socket(server.url) as socket:
        for store in (True, False):
            socket.create(input="hi", store=store)
            error = socket.refused()
            assert (error["status"], error["type"]) == (502, "server_error")
            assert "127.0.0.1" not in error["message"]
    turn = broken(server)
    assert (turn.status, turn.error and turn.error.kind) == (TurnStatus.FAILED, "ConnectionFailed")
    assert count(server) == 1
