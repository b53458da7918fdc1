"""The ways to an MCP server: a process of our own, or HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast
from urllib.parse import urlsplit

import msgspec

from multiturn.errors import InvalidInput

if TYPE_CHECKING:
    from mcp.client import Transport

SILENCE_S = 300.0
"""How long an answer over HTTP may be silent, where a tool has no more time than that."""


class Seen:
    """What was seen of an HTTP connection that the SDK does not tell."""

    refused: int | None = None
    """The status of the last request that was refused."""
    session_over = False
    """Whether the server no longer knows the session, and a new one has to begin: it answers 404.
    https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management"""


class Way(Protocol):
    @property
    def label(self) -> str:
        """What the server is called before it has said its name."""

    @property
    def returns(self) -> bool:
        """Whether to connect again by ourselves once a connection has been lost."""

    def transport(self, seen: Seen) -> Transport: ...


class Stdio(msgspec.Struct, frozen=True):
    """A process that speaks over its stdin and stdout. What it knew is gone with it, so it is not started again
    unasked. `stderr` is as `subprocess` has it."""

    command: str
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: Path | None
    stderr: int | TextIO | None

    returns = False

    def __repr__(self) -> str:
        return f"<Stdio {self.label}>"  # there may be keys in what it holds

    @property
    def label(self) -> str:
        return repr(Path(self.command).name)

    def transport(self, seen: Seen) -> Transport:
        from mcp.client.stdio import StdioServerParameters, stdio_client

        process = StdioServerParameters(command=self.command, args=list(self.args), env=self.env, cwd=self.cwd)
        return stdio_client(process, cast("TextIO", self.stderr))  # given to `subprocess` as it is


class Http(msgspec.Struct, frozen=True):
    """Streamable HTTP."""

    url: str
    headers: dict[str, str]
    silence_s: float

    returns = True

    def __repr__(self) -> str:
        return f"<Http {self.label}>"

    @property
    def label(self) -> str:
        parts = urlsplit(self.url)
        return f"at {parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @asynccontextmanager
    async def _connected(self, seen: Seen) -> AsyncGenerator[Any, None]:
        import httpx2
        from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client

        async def look(response: httpx2.Response) -> None:
            if response.status_code >= 400 and response.request.method == "POST":
                seen.refused = response.status_code
                seen.session_over |= response.status_code == 404 and MCP_SESSION_ID in response.request.headers

        async with (
            httpx2.AsyncClient(
                headers=self.headers,
                timeout=httpx2.Timeout(30.0, read=self.silence_s),
                event_hooks={"response": [look]},
            ) as http,
            streamable_http_client(self.url, http_client=http) as streams,
        ):
            yield streams

    def transport(self, seen: Seen) -> Transport:
        return self._connected(seen)


def http(url: str, headers: Mapping[str, str], timeout_s: float | None) -> Http:
    """Raises `InvalidInput` for an address or a header that cannot be, without saying what the header holds."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("the address of an MCP server begins with http:// or https:// and has a host")
    for name, value in headers.items():
        if not (isinstance(value, str) and (text := name + value).isascii() and text.isprintable()):
            raise InvalidInput(f"header {name!r} must be text, of printable ASCII characters without a line break")
    return Http(url, dict(headers), max(SILENCE_S, timeout_s or 0.0))
