"""Several nodes of the server over one store, each a process, and a plain round-robin in front of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType

import httpx

from ports import free_port

PATIENCE_S = 40.0


class Node:
    """A process of `multiturn serve`."""

    def __init__(self, store: str, *flags: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        where = ["--port", str(self.port), "--store", store, "--log-level", "warning"]
        command = [sys.executable, "-m", "multiturn", "serve", "--no-grpc", *where, *flags]
        self._popen = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def wait(self) -> None:
        """Returns once it is ready."""
        until = time.monotonic() + PATIENCE_S
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            assert self._popen.poll() is None, self._popen.communicate()[1]
            assert time.monotonic() < until, "the node does not get ready"
            time.sleep(0.05)

    def kill(self) -> None:
        """As `kill -9` does."""
        if self._popen.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.communicate()


class RoundRobin:
    """Passes each connection on to the next node that takes it, and knows nothing of what is said."""

    def __init__(self, *nodes: Node) -> None:
        self.taken: list[int] = []
        """The port of each connection, in order."""
        self._ports = itertools.cycle([node.port for node in nodes])
        self._count = len(nodes)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RoundRobin:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # for the transports to let go of their sockets

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in itertools.islice(self._ports, self._count):
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                self.taken.append(port)
                try:
                    await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
                finally:
                    far_writer.transport.abort()
                    writer.transport.abort()
                return
        writer.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
