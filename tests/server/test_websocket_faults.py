"""What goes wrong on a WebSocket: bad events, failing models, clients and servers that go away, and who may come in."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from lasting import PATIENCE_S, eventually, node
from multiturn.server import auth
from multiturn.server.auth import new_key
from multiturn.server.settings.values import Limits
from multiturn.server.upstreams import Route
from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import Turn
from responses_wire import said
from serving import Server
from upstream import Upstream, hang_after
from websocket_wire import Socket


async def turns(server: Server, tenant: str = "") -> list[Turn]:
    store = server.service.store.tenant(tenant)
    return [turn for record in await store.conversations() for turn in await store.tree(record.id)]


# --- bad events -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "place"),
    [
        ("{", None),
        ("", None),
        ("[1]", None),
        ('"response.create"', None),
        ({"model": "m", "input": "hi"}, "type"),
        ({"type": "response.cancel"}, "type"),
        ({"type": 7}, "type"),
        ({"type": "response.create", "input": "hi"}, "model"),
        ({"type": "response.create", "model": "m"}, "input"),
        ({"type": "response.create", "model": "m", "input": [{"role": "nobody"}]}, "input[0]"),
        ({"type": "response.create", "model": "m", "input": "hi", "temperature": "warm"}, "temperature"),
        ({"type": "response.create", "model": "m", "input": "hi", "generate": "no"}, "generate"),
        ({"type": "response.create", "model": "m", "input": "hi", "no_such_thing": 1}, "no_such_thing"),
    ],
    ids=str,
)
def test_a_bad_event_is_refused_and_the_connection_goes_on(server: Server, event: Any, place: str | None) -> None:
    with Socket(server.url) as socket:
        socket.send(event)
        error = socket.refused()
        assert (error["status"], error["type"], error["param"]) == (400, "invalid_request_error", place)
        assert said(socket.ask(input="My name is Bo.")) == "Nice to meet you, Bo."


def test_a_binary_event_is_as_good_as_text(server: Server) -> None:
    with Socket(server.url) as socket:
        socket.send(json.dumps({"type": "response.create", "model": "m", "input": "My name is Bo."}).encode())
        assert said(socket.told()[-1]["response"]) == "Nice to meet you, Bo."


def test_an_event_that_is_too_long_or_too_deep_is_refused(serve: Callable[..., Server]) -> None:
    with Socket(serve(limits=Limits(body_bytes=2000, depth=20, items=3)).url) as socket:
        socket.create(input="x" * 2000)
        assert socket.refused()["status"] == 413
        deep: Any = 1
        for _ in range(30):
            deep = [deep]
        socket.create(input="hi", metadata=deep)
        assert "nested more than 20 deep" in socket.refused()["message"]
        socket.create(input=[{"role": "user", "content": "hi"}] * 4)
        assert "may hold 3" in socket.refused()["message"]
        assert socket.ask(input="hi")["status"] == "completed"


def test_an_unknown_model_is_told_as_over_http(serve: Callable[..., Server], upstream: Upstream) -> None:
    place = Place(name="scripted", urls=(upstream.url,))
    with Socket(serve(upstreams=(place,), routes=(Route(match="m", to="scripted"),)).url) as socket:
        socket.send({"type": "response.create", "model": "other", "input": "hi"})
        assert (socket.refused())["code"] == "model_not_found"
        assert socket.ask(input="hi")["status"] == "completed"


# --- who goes away --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closed", "cut"])
@pytest.mark.parametrize("store", [True, False])
def test_when_the_client_goes_away_the_model_is_hung_up_and_the_turn_is_incomplete(
    relay: Server, upstream: Upstream, how: str, store: bool
) -> None:
    upstream.script(hang_after(3, "one ", "two "), hang_after(None))
    with Socket(relay.url) as socket:
        socket.create(input="hi", store=store)
        socket.create(input="This waits.", store=store)
        while socket.receive().get("delta") != "two ":
            pass
        if how == "cut":
            socket.wire.socket.shutdown(2)
    assert upstream.wait(lambda: upstream.hung_up == 1, PATIENCE_S)
    eventually(lambda: relay.service.busy == 0 and not relay.service.exchanges.running)
    assert len(upstream.requests) == 1
    if store:
        (turn,) = relay.run(turns(relay))
        assert (turn.status.value, turn.reason, turn.text) == ("incomplete", "interrupted", "one two ")


def test_a_server_that_goes_down_lets_a_response_end_and_closes_the_others(tmp_path: Any, upstream: Upstream) -> None:
    upstream.script(hang_after(3, "one ", "two "))
    with node(f"sqlite:///{tmp_path}/x.db", upstream=upstream.url, drain_s=1) as server:
        with Socket(server.url) as idle, Socket(server.url) as busy:
            busy.create(input="hi")
            while busy.receive().get("delta") != "two ":
                pass
            os.kill(server.popen.pid, signal.SIGTERM)
            assert idle.until_closed() == []
            assert idle.wire.close_code == 1001
            busy.create(input="more", stream_id="late")
            *_, refused, last = busy.until_closed()
            assert (refused["status"], refused["stream_id"]) == (503, "late")
            assert last["type"] == "response.failed"
            assert busy.wire.close_code == 1001
        assert server.popen.wait(PATIENCE_S) == 0


# --- who may come in ------------------------------------------------------------------------------------------------


def test_without_a_key_nobody_comes_in_where_one_is_needed(server: Server) -> None:
    key, record = new_key("acme")
    server.run(server.service.store.create_key(record))
    server.restart()
    for headers in ({}, {"Authorization": "Bearer mt-wrong"}):
        with pytest.raises(InvalidStatus) as refused, Socket(server.url, **headers):
            pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
    with Socket(server.url, Authorization=f"Bearer {key}") as socket:
        assert socket.ask(input="hi")["status"] == "completed"
    assert len(server.run(turns(server, "acme"))) == 1
    assert server.run(turns(server)) == []


def test_what_belongs_to_another_tenant_is_not_there(server: Server) -> None:
    keys = []
    for tenant in ("acme", "globex"):
        key, record = new_key(tenant)
        server.run(server.service.store.create_key(record))
        keys.append(key)
    server.restart()
    with Socket(server.url, Authorization=f"Bearer {keys[0]}") as socket:
        first = socket.ask(input="My name is Alice.")
    with Socket(server.url, Authorization=f"Bearer {keys[1]}") as socket:
        for store in (True, False):
            socket.create(input="What is my name?", previous_response_id=first["id"], store=store)
            assert socket.refused()["code"] == "previous_response_not_found"


def test_a_key_that_is_revoked_is_good_for_no_further_turn(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_FRESH_S", 0.0)
    key, record = new_key("acme")
    server.run(server.service.store.create_key(record))
    server.restart()
    with Socket(server.url, Authorization=f"Bearer {key}") as socket:
        assert socket.ask(input="hi")["status"] == "completed"
        server.run(server.service.store.revoke_key(record.id))
        socket.create(input="hi")
        assert socket.refused()["status"] == 401


def test_a_web_page_from_elsewhere_does_not_come_in(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused, Socket(server.url, Origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 401
