"""The seam between a model and the way to it: our own HTTP client (`http`) or the user's SDK client (`sdk`)."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Protocol

from multiturn.errors import InvalidReply, ModelError

MIB = 1 << 20

ALONG: Final[ContextVar[Mapping[str, str] | None]] = ContextVar("along", default=None)
"""Headers that go along with every request made in this context: those that tell which trace it belongs to."""


class TransportReply(ABC):
    """A reply whose status and headers are there; its body is read piece by piece, by one task at a time. Every way out
    must end in `close()`, or in `leave()` where the rest of the body is not wanted but the connection is."""

    def __init__(self, status: int, headers: Mapping[str, str], host: str) -> None:
        """`headers` are looked up whatever their case; `host` is whom errors name."""
        self.status = status
        self.headers = headers
        self.host = host

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty if none was given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @abstractmethod
    async def read_some(self) -> bytes:
        """The next bytes of the body as they came, empty at its end. Raises `StreamCut` or `TimedOut`."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises `InvalidReply` if it is larger than that, and what `read_some` raises."""
        pieces, size = [], 0
        while piece := await self.read_some():
            pieces.append(piece)
            size += len(piece)
            if size > limit_bytes:
                raise InvalidReply(f"the answer of {self.host} is larger than {limit_bytes / MIB:g} MiB")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def read_start(self, limit_bytes: int, within_s: float) -> bytes:
        """The start of the body, as much as comes in that time: enough to say what an error is about."""
        pieces, size = [], 0
        try:
            async with asyncio.timeout(within_s):
                while size < limit_bytes and (piece := await self.read_some()):
                    pieces.append(piece)
                    size += len(piece)
        except (TimeoutError, ModelError):
            pass
        return b"".join(pieces)[:limit_bytes]

    @abstractmethod
    def leave(self) -> None:
        """No more of the body is wanted; the connection may be used again."""

    @abstractmethod
    def close(self) -> None:
        """Hang up, unless the body has come to its end already. The provider sees the connection close."""


class Transport(Protocol):
    """The way to one base URL. Safe to share between tasks, threads and event loops."""

    async def post(self, path: str, body: bytes, *, stream: bool = False) -> TransportReply:
        """The reply to one POST of JSON, when its status and headers are there, whatever the status; retries have been
        made by then. Raises `ConnectionFailed`, `TimedOut` or `ModelNotFound`."""

    async def aclose(self) -> None:
        """Let go of connections that belong to the running event loop. The transport stays usable."""
