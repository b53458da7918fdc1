"""The official clients, each sync and async, in front of our server. `client` and `claude` talk to a server whose model
is `offline`, `relayed` and `relayed_claude` to one that asks `upstream`, which follows a script. Whatever they are
answered is held against the OpenAPI document when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from conformance.checking import Watch
from conformance.clients import Waited
from conformance.tenants import Owned, Tenants, everything, two_tenants
from multiturn.models.limits import Retries, Timeouts
from multiturn.server.upstreams import Upstream as Place
from serving import Server
from upstream import Upstream

ONCE = Retries(attempts=1)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts a server, on a store of its own, that ends with the module."""
    with ExitStack() as running:

        def start(**settings: Any) -> Server:
            path: Path = tmp_path_factory.mktemp("store") / "served.db"
            return running.enter_context(Server(**{"store": f"sqlite:///{path}", **settings}))

        yield start


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    """A server without an upstream."""
    return serve()


@pytest.fixture(scope="module")
def one_upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def relay(serve: Callable[..., Server], one_upstream: Upstream) -> Server:
    """A server that asks the upstream, whatever the model's name, once and not for long."""
    timeouts = Timeouts(first_byte_s=0.6, idle_s=0.6)
    return serve(upstreams=(Place(name="scripted", urls=(one_upstream.url,), retries=ONCE, timeouts=timeouts),))


@pytest.fixture(scope="module")
def tenants(serve: Callable[..., Server], one_upstream: Upstream) -> Iterator[Tenants]:
    with two_tenants(serve(upstreams=(Place(name="scripted", urls=(one_upstream.url,), retries=ONCE),))) as both:
        yield both


@pytest.fixture(scope="module")
def owned(tenants: Tenants, one_upstream: Upstream) -> Owned:
    return everything(tenants, one_upstream)


@pytest.fixture
def upstream(one_upstream: Upstream) -> Upstream:
    """The upstream, which has not been asked anything."""
    one_upstream.requests.clear()
    return one_upstream


@pytest.fixture
def watch() -> Iterator[Watch]:
    watching = Watch()
    yield watching
    assert watching.problems() == []


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> str:
    """Which of its two clients an SDK is tested with."""
    return str(request.param)


@pytest.fixture
async def client(server: Server, face: str, watch: Watch) -> AsyncIterator[Any]:
    async for made in openai_client(server, face, watch):
        yield made


@pytest.fixture
async def relayed(relay: Server, face: str, watch: Watch) -> AsyncIterator[Any]:
    async for made in openai_client(relay, face, watch):
        yield made


@pytest.fixture
async def claude(server: Server, face: str, watch: Watch) -> AsyncIterator[Any]:
    async for made in anthropic_client(server, face, watch):
        yield made


@pytest.fixture
async def relayed_claude(relay: Server, face: str, watch: Watch) -> AsyncIterator[Any]:
    async for made in anthropic_client(relay, face, watch):
        yield made


async def openai_client(server: Server, face: str, watch: Watch, key: str = "none") -> AsyncIterator[Any]:
    if face == "async":
        through = openai.DefaultAsyncHttpxClient(transport=watch.async_transport())
        async with openai.AsyncOpenAI(
            base_url=server.base_url, api_key=key, max_retries=0, timeout=20, http_client=through
        ) as client:
            yield client
        return
    with openai.OpenAI(
        base_url=server.base_url,
        api_key=key,
        max_retries=0,
        timeout=20,
        http_client=openai.DefaultHttpxClient(transport=watch.transport()),
    ) as sync:
        yield Waited(sync)


async def anthropic_client(server: Server, face: str, watch: Watch, key: str = "none") -> AsyncIterator[Any]:
    if face == "async":
        through = anthropic.DefaultAsyncHttpxClient(transport=watch.async_transport())
        async with anthropic.AsyncAnthropic(
            base_url=server.url, api_key=key, max_retries=0, timeout=20, http_client=through
        ) as client:
            yield client
        return
    with anthropic.Anthropic(
        base_url=server.url,
        api_key=key,
        max_retries=0,
        timeout=20,
        http_client=anthropic.DefaultHttpxClient(transport=watch.transport()),
    ) as sync:
        yield Waited(sync)
