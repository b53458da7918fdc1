"""xAI's gRPC door: `door` is that of `server`, which answers by the model `offline`; `relayed` that of a server that
asks `upstream`, soon gives up on it, and tries nothing twice. `client` and `relayed_client` are official clients."""

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
    limits = Timeouts(first_byte_s=0.5, idle_s=0.5)
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1), timeouts=limits)
    return open_door(upstreams=(place,))


@pytest.fixture
def relayed_client(relayed: Door) -> Iterator[Any]:
    client = client_of(relayed.host)
    yield client
    client.close()
