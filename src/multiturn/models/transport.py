"""The seam between a model and the way to it: our own HTTP client (`http`) or the user's SDK client (`sdk`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class TransportReply(Protocol):
    """A reply whose status and headers are there. Every way out must end in `close()`, or in `leave()` where the rest
    of the body is not wanted but the connection is."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, looked up whatever their case."""

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty if none was given."""

    async def read_some(self) -> bytes:
        """The next bytes of the body as they came, empty at its end. Raises `StreamCut` or `TimedOut`."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises `InvalidReply` if it is larger than that, and what `read_some` raises."""

    async def read_start(self, limit_bytes: int, within_s: float) -> bytes:
        """The start of the body, as much as comes in that time: enough to say what an error is about."""

    def leave(self) -> None:
        """No more of the body is wanted; the connection may be used again."""

    def close(self) -> None:
        """Hang up, unless the body has come to its end already. The provider sees the connection close."""


class Transport(Protocol):
    """The way to one base URL. Safe to share between tasks, threads and event loops."""

    async def post(self, path: str, body: bytes, *, stream: bool = False) -> TransportReply:
        """The reply to one POST of JSON, when its status and headers are there, whatever the status; retries have been
        made by then. Raises `ConnectionFailed`, `TimedOut` or `ModelNotFound`."""

    async def aclose(self) -> None:
        """Let go of connections that belong to the running event loop. The transport stays usable."""
