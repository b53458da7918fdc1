"""Starting the servers of the tests, and calling their tools as a model does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Unpack

from multiturn.mcp import MCPServer
from multiturn.mcp.server import Options
from multiturn.messages import ToolResult
from tools.asking import ask

HERE = Path(__file__).parent
TESTER = str(HERE / "tester.py")


class Log:
    """What the servers of one test have noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {"MCP_TEST_LOG": str(path)}

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    @property
    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self.lines if line.startswith("started ")]

    @property
    def running(self) -> list[int]:
        return [pid for pid in self.pids if is_running(pid)]

    def forget(self) -> None:
        """Forget all but which processes there were."""
        self.path.write_text("".join(f"started {pid}\n" for pid in self.pids))

    async def has(self, line: str, *, within_s: float = 3.0) -> bool:
        """Whether the line is there, now or before long."""
        until = time.monotonic() + within_s
        while line not in self.lines and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return line in self.lines


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that has ended and waits to be looked at counts too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stdio(log: Log, *args: str, **options: Unpack[Options]) -> MCPServer:
    return MCPServer.stdio(sys.executable, TESTER, "stdio", *args, env=log.env, **options)


class HttpServer:
    """A tester over HTTP, in a process of its own, for as long as the block is open."""

    def __init__(self, log: Log, *args: str) -> None:
        self._log = log
        self._args = args
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def sees_hang_ups(self) -> bool:
        """Whether it learns of a call's cancellation. By the protocol of 2026 that is a connection which is closed, and
        the SDK's server does not look for that while it makes a plain JSON answer."""
        return "--json" not in self._args or "--old" in self._args

    def start(self) -> None:
        """Start it, or start it again on the same port."""
        self._process = subprocess.Popen(
            [sys.executable, TESTER, "http", *self._args, "--port", str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._log.env},
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> HttpServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def called(server: MCPServer, name: str, arguments: object = None) -> ToolResult:
    """What comes of calling one of the server's tools, by the name that it has here."""
    return await ask(next(tool for tool in server.tools if tool.name == name), arguments)
