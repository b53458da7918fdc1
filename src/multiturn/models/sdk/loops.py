"""One async client of the openai or the anthropic SDK on any number of event loops.

A connection belongs to the loop that opened it, and such a client has one pool of them. So each loop gets a pool of its
own, made as the SDK makes it, and the client as the SDK itself copies it (`with_options`). A client that was given an
HTTP client of the user's own cannot be copied so: it serves the loop that first asks through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, finalize

from multiturn.models.sdk.failures import another_loop
from multiturn.models.sdk.replies import in_background


async def on_this_loop(client: Any) -> Any:
    """The client, or a copy of it, to be used for one call on the running loop. Raises `InvalidInput` if there can be
    none."""
    if client.is_closed():
        return client  # which says so itself
    if not _has_usual_connections(client):
        return _on_its_one_loop(client)
    loop, pools = asyncio.get_running_loop(), _pools_of(client)
    pool = pools.get(loop)
    if pool is None:
        for ended in [other for other in list(pools) if other.is_closed()]:
            pools.pop(ended, None)
        pool = pools[loop] = _Pool(client)
        await anext(pool.closing)
    try:
        return client.with_options(http_client=pool.http)
    except TypeError:  # a subclass with a constructor of its own
        return _on_its_one_loop(client)


def _has_usual_connections(client: Any) -> bool:
    """Whether the client's HTTP client is the one that its SDK makes by itself."""
    return type(getattr(client, "_client", None)).__name__ == "AsyncHttpxClientWrapper"


def _on_its_one_loop(client: Any) -> Any:
    loops = _only.setdefault(client, WeakSet())
    if any(loop is not asyncio.get_running_loop() and not loop.is_closed() for loop in loops):
        raise another_loop(type(client).__name__)
    loops.add(asyncio.get_running_loop())
    return client


class _Pool:
    """Connections of one loop, set up like the client's own."""

    def __init__(self, client: Any) -> None:
        self.http = type(client._client)(base_url=client.base_url, timeout=client.timeout)
        self.closing = self._until_closed()

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        """Nothing, then the end of the connections. A generator, for that is what a loop closes last of all when it
        ends; see `multiturn.models.connections`."""
        try:
            yield
        finally:
            await self.http.aclose()


_pools: WeakKeyDictionary[Any, dict[asyncio.AbstractEventLoop, _Pool]] = WeakKeyDictionary()
"""By client, for as long as it lives; not a pool holds its client."""

_only: WeakKeyDictionary[Any, WeakSet[asyncio.AbstractEventLoop]] = WeakKeyDictionary()
"""The loop of a client that cannot have several."""


def _pools_of(client: Any) -> dict[asyncio.AbstractEventLoop, _Pool]:
    if client not in _pools:
        finalize(client, _let_go, _pools.setdefault(client, {})).atexit = False
    return _pools[client]


def _let_go(pools: dict[asyncio.AbstractEventLoop, _Pool]) -> None:
    """Close the pools of a client that nobody has any more, each on its loop."""
    for loop, pool in pools.items():
        with suppress(RuntimeError):  # the loop is closed, and its connections with it
            loop.call_soon_threadsafe(in_background, pool.closing.aclose())
