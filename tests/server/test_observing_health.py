"""`/health` and `/ready`: what a load balancer asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from multiturn.errors import StoreError
from multiturn.server.auth import new_key
from multiturn.server.observing import health
from multiturn.server.observing.health import _StoreProbe
from multiturn.server.upstreams import Upstream as Place
from observed import ask
from serving import Server


def ready(server: Server) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{server.url}/ready")
    return answer.status_code, answer.json()


def test_a_server_that_is_well_says_so(server: Server) -> None:
    answer = httpx.get(f"{server.url}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert ready(server) == (200, {"ready": True, "problems": {}})


def test_nobody_needs_a_key_to_ask(server: Server) -> None:
    server.run(server.service.store.create_key(new_key("acme")[1]))
    server.restart()
    assert ask(server).status_code == 401
    assert httpx.get(f"{server.url}/health").status_code == 200
    assert ready(server)[0] == 200


def test_one_that_goes_down_wants_no_more(server: Server) -> None:
    server.service.draining.set()
    assert ready(server) == (503, {"ready": False, "problems": {"server": "is going down"}})
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_without_an_upstream_that_answers_it_is_not_ready(serve: Callable[..., Server]) -> None:
    server = serve(upstreams=(Place(name="gone", urls=("http://127.0.0.1:9/v1",)),))
    assert ready(server)[0] == 200, "until it has been asked, it is thought to answer"
    ask(server)
    assert ready(server) == (503, {"ready": False, "problems": {"upstreams": "does not answer"}})


def test_one_replica_that_answers_is_enough(serve: Callable[..., Server], upstream: Any) -> None:
    server = serve(upstreams=(Place(name="two", urls=("http://127.0.0.1:9/v1", upstream.url)),))
    for _ in range(4):
        assert ask(server).status_code == 200
    assert ready(server)[0] == 200


def test_a_store_that_is_gone_is_told(server: Server) -> None:
    server.run(server.service.store.aclose())
    code, told = ready(server)
    assert (code, set(told["problems"])) == (503, {"store"})


class _Slow:
    """A store that counts who asks, and answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.failing = False
        self.may = asyncio.Event()

    async def key(self, digest: bytes) -> None:
        self.asked += 1
        await self.may.wait()
        if self.failing:
            raise StoreError("the password for db:5432 is wrong")


async def test_a_store_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STORE_WITHIN_S", 0.01)
    store: Any = _Slow()
    assert await _StoreProbe(store).problem() == "has not answered within 0.01 s"


async def test_the_store_is_asked_once_by_many() -> None:
    store: Any = _Slow()
    probe = _StoreProbe(store)
    asking = [asyncio.ensure_future(probe.problem()) for _ in range(50)]
    await asyncio.sleep(0)
    store.may.set()
    assert await asyncio.gather(*asking) == [None] * 50
    assert store.asked == 1


async def test_what_a_store_says_of_its_place_is_not_told() -> None:
    store: Any = _Slow()
    store.failing = True
    store.may.set()
    assert await _StoreProbe(store).problem() == "StoreError"
