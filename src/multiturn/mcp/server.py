"""`MCPServer`: a server's tools, for as long as it is open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias, TypedDict, TypeVar, Unpack

from multiturn import sync
from multiturn.errors import InvalidInput, MCPFailed
from multiturn.mcp.hints import Hints, hints_of
from multiturn.mcp.names import names_for
from multiturn.mcp.ways import Stdio, Way, http
from multiturn.schemas.mismatch import there_are
from multiturn.sync import on_our_loop
from multiturn.tools import Tool, ToolFailed
from multiturn.tools.results import ResultPart
from multiturn.tools.tool import MAX_RESULT_BYTES

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult
    from mcp_types import Tool as ServerTool

    from multiturn.mcp.session import Session

T = TypeVar("T")
Approval: TypeAlias = bool | Callable[[Hints, dict[str, Any]], bool]

CONNECT_TIMEOUT_S = 30.0
NEEDED = 'MCP servers need the package mcp, 2.3 or newer: pip install "multiturn[mcp]"'


class Options(TypedDict, total=False):
    """What may be said of a server; `MCPServer` says what each means."""

    prefix: str
    allow: Collection[str] | None
    approval: Approval
    timeout_s: float | None
    connect_timeout_s: float
    max_result_bytes: int


class MCPServer:
    """A server whose `tools` a model may call, open inside a `with` or an `async with` block. Made by `stdio` or
    `http`; cheap to make, connects when the block is entered, and may be opened again after it.

    - `prefix`: goes before the tools' names, against clashes with those of another server.
    - `allow`: the only tools to offer, by their names at the server; None for all.
    - `approval`: whether somebody must agree to calls first, or a function of a tool's `Hints` and the arguments.
    - `timeout_s`: seconds for one call, then the model is told that it took too long, and the server to stop.
    - `connect_timeout_s`: seconds for starting or reaching the server, and for reading what tools it has.
    - `max_result_bytes`: of text; what is beyond is cut.

    The tools may be called from any event loop and thread: the connection lives on multiturn's own loop, so that a
    blocking `send` inside of `async with` does not wait for itself. Sampling, elicitation and roots are not offered to
    servers; their progress and log messages are ignored.
    """

    def __init__(
        self,
        way: Way,
        *,
        prefix: str = "",
        allow: Collection[str] | None = None,
        approval: Approval = False,
        timeout_s: float | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        max_result_bytes: int = MAX_RESULT_BYTES,
    ) -> None:
        try:  # here, for it takes a second, which the loop that runs everybody's turns does not have
            import multiturn.mcp.session  # noqa: F401
        except ImportError as error:
            raise InvalidInput(f"{NEEDED} ({error})") from error
        self._way = way
        self._prefix = prefix
        self._allow = allow
        self._approval = approval
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._max_result_bytes = max_result_bytes
        self._is_open = False
        self._session: Session | None = None
        self._connecting = asyncio.Lock()
        self._tools: list[Tool[..., Any]] = []
        self._hints: dict[str, Hints] = {}

    @classmethod
    def stdio(
        cls,
        command: str | os.PathLike[str],
        *args: str | os.PathLike[str],
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stderr: int | TextIO | None = None,
        **options: Unpack[Options],
    ) -> MCPServer:
        """A server that is a program, started when the block is entered and ended with it.

        Of our environment it sees no more than `PATH`, `HOME` and the like, and what `env` adds. What it writes to
        stderr goes to our own; `stderr` is an open file, or `subprocess.DEVNULL`, to have it elsewhere."""
        if unset := [name for name, value in (env or {}).items() if not isinstance(value, str)]:
            raise InvalidInput(f"`env` must have text for {unset[0]!r}; is it set in your own environment?")
        way = Stdio(
            os.fspath(command),
            tuple(os.fspath(each) for each in args),
            dict(env or {}),
            None if cwd is None else Path(cwd),
            stderr,
        )
        return cls(way, **options)

    @classmethod
    def http(cls, url: str, *, headers: Mapping[str, str] | None = None, **options: Unpack[Options]) -> MCPServer:
        """A server that is reached over streamable HTTP, at `https://host/mcp` for example; `headers` go along with
        every request and are the place for a key. A connection that was lost is made anew by the next call."""
        return cls(http(url, headers or {}, options.get("timeout_s")), **options)

    def __repr__(self) -> str:
        return f"<MCPServer {self._label}>"

    # --- what it has --------------------------------------------------------------------------------------------

    @property
    def tools(self) -> list[Tool[..., Any]]:
        """Its tools, as they were when it was opened or last refreshed."""
        self._opened()
        return list(self._tools)

    @property
    def hints(self) -> dict[str, Hints]:
        """What the server says of its tools, by the names that they have here."""
        self._opened()
        return dict(self._hints)

    @property
    def instructions(self) -> str | None:
        """What the server would have a model know of it, if anything; put it into a conversation's own if you like."""
        return self._opened().instructions

    def _opened(self) -> Session:
        if self._session is None:
            raise InvalidInput(f"the MCP server {self._label} is not open; use it inside `with server:`")
        return self._session

    @property
    def _label(self) -> str:
        return self._way.label if self._session is None else self._session.label

    async def arefresh(self) -> list[Tool[..., Any]]:
        """The tools as the server has them now, connected or started again if it was gone. Tools that were handed out
        before stay what they were. Raises `MCPFailed`."""
        self._opened()
        await on_our_loop(self._in_time(self._read()))
        return self.tools

    def refresh(self) -> list[Tool[..., Any]]:
        """As `arefresh`."""
        return sync.run(self.arefresh())

    # --- opening and closing ------------------------------------------------------------------------------------

    async def __aenter__(self) -> MCPServer:
        await on_our_loop(self._open())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await on_our_loop(self._close())

    def __enter__(self) -> MCPServer:
        sync.run(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sync.run(self._close())

    async def _open(self) -> None:
        if self._is_open:
            raise InvalidInput(f"the MCP server {self._label} is open already")
        self._is_open = True
        try:
            await self._in_time(self._read())
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        self._is_open = False
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _connect(self) -> Session:
        """The session, a new one if it was lost. Raises `MCPFailed`."""
        from multiturn.mcp.session import Session

        async with self._connecting:
            if self._session is None or self._session.ended:
                session = await Session.open(self._way)
                if not self._is_open:  # left meanwhile
                    await session.close()
                    raise MCPFailed(f"the MCP server {self._label} is closed")
                self._session = session
            return self._session

    async def _read(self) -> None:
        """Connect, unless we are, and read what tools there are."""
        from mcp import MCPError

        session = await self._connect()
        try:
            offered = await session.tools()
        except (MCPError, ValueError, RuntimeError) as error:
            raise MCPFailed(f"the MCP server {self._label} does not say what tools it has: {error}") from error
        names = names_for((each.name for each in offered), self._prefix)
        allowed = {names[each.name]: each for each in self._allowed(offered)}
        hints = {name: hints_of(each) for name, each in allowed.items()}
        self._tools = [self._tool(name, each, hints[name]) for name, each in allowed.items()]
        self._hints = hints

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await work
        except TimeoutError:
            pass
        raise MCPFailed(f"the MCP server {self._label} did not answer within {self._connect_timeout_s:g} s")

    # --- its tools ----------------------------------------------------------------------------------------------

    def _allowed(self, offered: Sequence[ServerTool]) -> list[ServerTool]:
        if self._allow is None:
            return list(offered)
        names = [each.name for each in offered]
        if missing := [name for name in self._allow if name not in names]:
            raise InvalidInput(f"the MCP server {self._label} has no tool {missing[0]!r} to allow; {there_are(names)}")
        return [each for each in offered if each.name in self._allow]

    def _tool(self, name: str, seen: ServerTool, hints: Hints) -> Tool[..., Any]:
        async def call(**arguments: Any) -> object:
            return await on_our_loop(self._call(seen.name, arguments)) or ""

        approval = self._approval
        return Tool(
            name,
            seen.description or hints.title or "",
            seen.input_schema,
            call,
            approval=(lambda arguments: approval(hints, arguments)) if callable(approval) else approval,
            repeatable=hints.idempotent,
            timeout_s=self._timeout_s,
            max_result_bytes=self._max_result_bytes,
        )

    async def _call(self, name: str, arguments: dict[str, Any]) -> tuple[ResultPart, ...]:
        """What the tool gives back. Raises `ToolFailed`; a call that the server did not take, because it has forgotten
        the session, is made again on a new one."""
        from mcp import MCPError

        from multiturn.mcp.results import parts_of
        from multiturn.mcp.session import Forgotten

        def question(client: Client) -> Awaitable[CallToolResult]:
            return client.call_tool(name, arguments)

        session = self._opened()
        try:
            if session.ended and self._way.returns:
                session = await self._in_time(self._connect())
            try:
                return parts_of(await session.ask(question))
            except Forgotten:
                session = await self._in_time(self._connect())
                return parts_of(await session.ask(question))
        except MCPError as error:
            raise ToolFailed(session.said(error)) from error
        except MCPFailed as error:
            raise ToolFailed(str(error)) from error
