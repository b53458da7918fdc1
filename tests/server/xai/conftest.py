"""xAI's gRPC door: `door` is that of a server which answers by the model `offline`, `relayed` of one that asks
`upstream` and tries nothing twice, `hasty` of one that also soon gives up on it. `client`, `relayed_client` and
`hasty_client` are official clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from multiturn.models.limits import Retries, Timeouts
from multiturn.server.upstreams import Upstream as Place
from serving import Server
from upstream import Upstream
from xai_clients import Door, client_of


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Servers that open no door by themselves."""
    return lambda **settings: serve(**{"grpc": False, "grpc_port": 0, **settings})


@pytest.fixture
def open_door(serve: Callable[..., Server]) -> Iterator[Callable[..., Door]]:
    """Opens the door of a new server; it closes with the test."""
    doors: list[Door] = []

    def opened(**settings: Any) -> Door:
        doors.append(Door(serve(**settings)))
        return doors[-1]

    yield opened
    for door in doors:
        door.close()


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()


@pytest.fixture
def client(door: Door) -> Iterator[Any]:
    client = client_of(door.host)
    yield client
    client.close()


@pytest.fixture
def relayed(open_door: Callable[..., Door], upstream: Upstream) -> Door:
    return open_door(upstreams=(_place(upstream),))


@pytest.fixture
def relayed_client(relayed: Door) -> Iterator[Any]:
    client = client_of(relayed.host)
    yield client
    client.close()


@pytest.fixture
def hasty(open_door: Callable[..., Door], upstream: Upstream) -> Door:
    return open_door(upstreams=(_place(upstream, timeouts=Timeouts(first_byte_s=1.0, idle_s=1.0)),))


@pytest.fixture
def hasty_client(hasty: Door) -> Iterator[Any]:
    client = client_of(hasty.host)
    yield client
    client.close()


def _place(upstream: Upstream, **more: Any) -> Place:
    return Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1), **more)
