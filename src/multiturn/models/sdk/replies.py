"""Replies that come through a user's SDK client, each a `multiturn.models.transport.TransportReply`.

`http_response` is a response of httpx or of its fork httpx2, whose names are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from multiturn.errors import ModelError
from multiturn.models.sdk.failures import cut
from multiturn.models.transport import TransportReply

LINGER_S = 0.5  # how long the end of a body may take after the end of the answer


class Reply(TransportReply):
    """What they have in common. A subclass says how it reads on and how it hangs up."""

    def leave(self) -> None:
        """The end of the body is often a packet behind the last event. HTTP clients take a connection back when they
        have read that end, so it is read if it comes soon; nobody waits for it."""
        in_background(self._read_on()).add_done_callback(lambda _: self.close())

    async def _read_on(self) -> None:
        with suppress(TimeoutError, ModelError):
            async with asyncio.timeout(LINGER_S):
                while await self.read_some():
                    pass


class WholeReply(Reply):
    """A reply whose body the SDK has read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status, headers, "the provider")
        self._rest = body

    async def read_some(self) -> bytes:
        piece, self._rest = self._rest, b""
        return piece

    def leave(self) -> None:
        pass

    def close(self) -> None:
        pass


class AsyncReply(Reply):
    """A reply that an async client has begun to receive."""

    def __init__(self, http_response: Any, host: str) -> None:
        super().__init__(http_response.status_code, http_response.headers, host)
        self._response = http_response
        self._pieces = http_response.aiter_bytes()

    async def read_some(self) -> bytes:
        try:
            piece: bytes = await anext(self._pieces, b"")
            return piece
        except Exception as error:
            failure = cut(error, self.host)
        raise failure  # not inside `except`, see `given`

    def close(self) -> None:
        if not self._response.is_closed:
            in_background(self._hung_up())

    async def _hung_up(self) -> None:
        with suppress(Exception):  # it is broken already
            await self._response.aclose()


_KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")


def without_key(body: bytes, sent: Mapping[str, str]) -> bytes:
    """The body of an error without the key that is among the headers sent, be it only a token of the hour: some
    providers repeat it."""
    for name, value in sent.items():
        secret = value.rpartition(" ")[2]
        if secret and name.lower() in _KEY_HEADERS:
            body = body.replace(secret.encode(), b"[key]")
    return body


def given(outcome: Reply | Exception) -> Reply:
    """The reply, or the error raised. To be called outside of `except`: the error that is handled there holds the
    request's headers, and so the key."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


_running: set[asyncio.Task[None]] = set()
"""A loop holds its tasks but weakly."""


def in_background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start it on the running loop."""
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task
