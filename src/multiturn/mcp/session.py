"""`Session`: one connection to an MCP server, held open by a task of its own.

The SDK opens and closes a connection in one and the same task; so that is what this task does, and nothing else.
Requests are made by whichever tasks of the same loop need an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcp import Client, MCPError
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, Implementation, ListToolsResult, Tool

from multiturn import __version__
from multiturn.errors import MCPFailed
from multiturn.mcp.failures import reason_of
from multiturn.mcp.ways import Seen, Way

T = TypeVar("T")

CLOSE_S = 10.0
"""How long a connection may take to close. A process gets 2 s after the end of its stdin, and 2 s more after SIGTERM,
before it is killed: that is the SDK's doing."""


class Forgotten(MCPFailed):
    """The server does not know the session any more, and has not done what it was asked for."""


class Session:
    """Made by `open`, and not used after `close`."""

    def __init__(self, way: Way, *, mode: str = "auto") -> None:
        self.label = way.label
        self.instructions: str | None = None
        self._seen = Seen()
        self._client = Client(
            way.transport(self._seen),
            client_info=Implementation(name="multiturn", version=__version__),
            mode=mode,
            cache=None,
        )
        self._leave = asyncio.Event()
        self._opened = asyncio.Event()
        self._task = asyncio.create_task(self._hold())
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())  # so that nobody misses it

    @classmethod
    async def open(cls, way: Way) -> Session:
        """A session that is open. Raises `MCPFailed`."""
        session = await cls(way)._begun()
        if session.ended and not session._why() and not way.returns:
            # Programs of before 2026 may end at a first request that is not `initialize`, as those made with rmcp do.
            session = await cls(way, mode="legacy")._begun()
        if session.ended:
            raise MCPFailed(f"there is no connection to the MCP server {way.label}{session._why()}")
        return session

    async def _begun(self) -> Session:
        opened = asyncio.ensure_future(self._opened.wait())
        try:
            await asyncio.wait({self._task, opened}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            opened.cancel()
        return self

    async def _hold(self) -> None:
        async with self._client:
            if self._client.server_info is not None:
                self.label = repr(self._client.server_info.name)
            self.instructions = self._client.instructions
            self._seen.refused = None
            self._opened.set()
            await self._leave.wait()

    @property
    def ended(self) -> bool:
        return self._leave.is_set() or self._task.done()

    def _why(self) -> str:
        """`: ` and why it ended, if anything is known of that."""
        error = None if not self._task.done() or self._task.cancelled() else self._task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if error is None or (isinstance(error, MCPError) and error.code == CONNECTION_CLOSED):
            return ""
        return f": {self.said(error) if isinstance(error, MCPError) else reason_of(error)}"

    def said(self, error: MCPError) -> str:
        """The words of an error of the server's, with the HTTP status where those are the SDK's own."""
        status = self._seen.refused if error.code == INTERNAL_ERROR else None
        return f"{error.message} (HTTP status {status})" if status else error.message

    async def close(self) -> None:
        """End the connection, and the process with it. One that does not end in time is broken off."""
        self._leave.set()
        if not self._opened.is_set():
            self._task.cancel()
        _, late = await asyncio.wait({self._task}, timeout=CLOSE_S)
        if late:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CLOSE_S)

    # --- asking -------------------------------------------------------------------------------------------------

    async def tools(self) -> list[Tool]:
        """The server's tools, all pages of them. Raises as `ask`."""
        if self._client.server_capabilities.tools is None:
            return []
        found: list[Tool] = []
        seen: set[str] = set()
        cursor: str | None = None
        while True:
            page = await self.ask(_page(cursor))
            found += page.tools
            cursor = page.next_cursor
            if cursor is None or cursor in seen:  # a server may go in circles
                return found
            seen.add(cursor)

    async def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        """What the server answers. Raises `MCPFailed` where the connection is lost, before that or meanwhile, and
        `MCPError` for an error of the server's own. Cancelling it tells the server."""
        during, forgotten = not self.ended, False
        if during:
            try:
                return await question(self._client)
            except MCPError as error:
                # Of the connection as a whole; the same code with other words is about one request.
                lost = error.code == CONNECTION_CLOSED and error.message == "Connection closed"
                forgotten = self._seen.session_over and not lost
                if not (lost or forgotten):
                    raise
        await self.close()
        kind = Forgotten if forgotten else MCPFailed
        raise kind(f"the MCP server {self.label} {'ended before it answered' if during else 'has ended'}{self._why()}")


def _page(cursor: str | None) -> Callable[[Client], Awaitable[ListToolsResult]]:
    return lambda client: client.list_tools(cursor=cursor)
