"""The way through a client of OpenAI's or Anthropic's SDK, sync or async: both are made by Stainless, and alike.

`client.post` is the SDK's own door for what it has no method for. Given a body that is ready, it adds the key, the
headers and the query, goes through the client's proxies, middleware and retries, and leaves the body as it is. What it
is asked for here is the raw response, as `with_raw_response` and `with_streaming_response` ask for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from multiturn.models.sdk.failures import no_reply
from multiturn.models.sdk.loops import on_this_loop
from multiturn.models.sdk.replies import AsyncReply, Reply, WholeReply, given, without_key
from multiturn.models.sdk.threads import ThreadReply, once
from multiturn.models.transport import Transport

_RAW = "X-Stainless-Raw-Response"


def transport(client: Any, place: Callable[[str], str]) -> Transport:
    """A transport that asks through this client; `place` makes the SDK's path of the format's."""
    door = _Door(client, place)
    return _AsyncTransport(door) if inspect.iscoroutinefunction(client.post) else _SyncTransport(door)


class _Door:
    """What the client's two kinds have in common."""

    def __init__(self, client: Any, place: Callable[[str], str]) -> None:
        self.client = client
        self.host = urlsplit(str(client.base_url)).netloc.rpartition("@")[2]
        self.sdk = type(client).__name__
        self._place = place
        # Before openai 2.16, ready bytes went into `body`.
        self._body = "content" if "content" in inspect.signature(client.post).parameters else "body"

    def post(self, client: Any, path: str, body: bytes, stream: bool) -> Any:
        """What `client.post` gives: a response, or an awaitable of one."""
        options = {"headers": {_RAW: "stream" if stream else "raw"}}
        return client.post(self._place(path), cast_to=object, options=options, stream=stream, **{self._body: body})

    def outcome(self, error: Exception) -> Reply | Exception:
        """What an exception of the SDK means: a reply whose status is an error, or an error of ours."""
        response = getattr(error, "response", None)
        if response is None or not hasattr(error, "status_code"):
            return no_reply(error, self.host, self.sdk)
        body = b"" if response.is_closed and not response.is_stream_consumed else response.content
        return WholeReply(response.status_code, response.headers, without_key(body, response.request.headers))


class _SyncTransport:
    """Asks in threads. A call that is given up before the status came goes on in its thread until the SDK is done."""

    def __init__(self, door: _Door) -> None:
        self._door = door

    async def post(self, path: str, body: bytes, *, stream: bool = False) -> Reply:
        door = self._door

        def ask() -> Any:
            return door.post(door.client, path, body, stream).http_response

        try:
            if stream:
                return await ThreadReply.to(ask, door.host)
            response = await once(ask)
            return WholeReply(response.status_code, response.headers, response.content)
        except Exception as error:
            outcome = door.outcome(error)
        return given(outcome)

    async def aclose(self) -> None:
        """Nothing: the connections are the user's."""


class _AsyncTransport:
    """Asks on the running event loop, over connections of that loop."""

    def __init__(self, door: _Door) -> None:
        self._door = door

    async def post(self, path: str, body: bytes, *, stream: bool = False) -> Reply:
        door = self._door
        try:
            client = await on_this_loop(door.client)
            response = (await door.post(client, path, body, stream)).http_response
            if stream:
                return AsyncReply(response, door.host)
            return WholeReply(response.status_code, response.headers, response.content)
        except Exception as error:
            outcome = door.outcome(error)
        return given(outcome)

    async def aclose(self) -> None:
        """Nothing: connections end with the client, or with their loop."""
