"""Servers to talk to. `server` answers by the model `offline`; `relay` passes on to `upstream`, which follows a script
(`upstream.Upstream`); `serve` starts one with settings of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from responses_wire import Wire
from serving import Server
from upstream import Upstream


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server; it ends with the test. On a store of the test's own, unless another one is given."""
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(
            Server(**{"store": f"sqlite:///{tmp_path / 'served.db'}", **settings})
        )


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """A server without an upstream."""
    return serve()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def relay(serve: Callable[..., Server], upstream: Upstream) -> Server:
    """A server that asks `upstream`, whatever the model's name. Nothing is tried twice."""
    started: Server = serve(upstreams=_once(upstream.url))
    return started


def _once(url: str) -> Any:
    from multiturn.models.limits import Retries
    from multiturn.server.upstreams import Upstream as Place

    return (Place(name="scripted", urls=(url,), retries=Retries(attempts=1)),)


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """A raw client of `server`."""
    client = Wire(server.url)
    yield client
    client.close()


@pytest.fixture
def relay_wire(relay: Server) -> Iterator[Wire]:
    """A raw client of `relay`."""
    client = Wire(relay.url)
    yield client
    client.close()
