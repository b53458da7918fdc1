"""What takes long: answers that stop half-way until they are let go on, and servers in processes that can be killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from openai import OpenAI
from openai.types.responses import Response

from ports import free_port
from upstream import Behaviour, Exchange, chat_events

PATIENCE_S = 30.0
RUNNING = ("queued", "in_progress")


def held(gate: threading.Event, *texts: str) -> Behaviour:
    """An answer streamed in these pieces, of which the last comes once the gate is open."""

    async def run(exchange: Exchange) -> None:
        exchange.begin_stream()
        events = chat_events(exchange.request, [{"content": text} for text in texts], {})
        await exchange.events(events[: len(texts)])
        while not gate.is_set():
            await asyncio.sleep(0.005)
        await exchange.events(events[len(texts) :])
        exchange.chunk(b"")

    return run


def eventually(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def ended(client: OpenAI, id: str) -> Response:
    """The response, once it has come to its end."""
    response = client.responses.retrieve(id)

    def is_over() -> bool:
        nonlocal response
        response = client.responses.retrieve(id)
        return response.status not in RUNNING

    eventually(is_over)
    return response


class Node:
    """A server in a process of its own."""

    def __init__(self, popen: subprocess.Popen[bytes], port: int) -> None:
        self.popen = popen
        self.url = f"http://127.0.0.1:{port}"
        self.client = OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    def kill(self) -> None:
        """As a power cut would."""
        self.popen.kill()
        self.popen.wait(PATIENCE_S)


@contextmanager
def node(store: str, **settings: object) -> Iterator[Node]:
    """A server on this store, once it answers. Settings are the command line's flags."""
    port = free_port()
    flags = {"port": port, "store": store, **settings}
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "multiturn", "serve", "--no-grpc", *words]
    popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = Node(popen, port)
    try:
        eventually(lambda: _answers(started))
        yield started
    finally:
        started.client.close()
        started.kill()


def _answers(node: Node) -> bool:
    assert node.popen.poll() is None, "the server did not start"
    try:
        return httpx.get(f"{node.url}/health").status_code == 200
    except httpx.TransportError:
        return False
