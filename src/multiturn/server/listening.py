"""How connections are taken and written to: where uvicorn and uvloop cost more than they have to."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EARS = 16
_log = logging.getLogger("multiturn.server")


def often(sock: socket.socket) -> list[socket.socket]:
    """The socket, to be listened to many times.

    uvloop takes one new connection from a listening socket in each round of its loop (seen with 0.23). A round is a
    tenth of a second where a thousand streams run, and whoever comes then would wait a round for each who came
    before."""
    return [sock, *(sock.dup() for _ in range(_EARS - 1))]


class Listening(uvicorn.Server):
    """The server of one process; it says where it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        heard = [each for server in self.servers for each in server.sockets]
        host, port = heard[0].getsockname()[:2]
        _log.info("listening", extra={"host": host, "port": port, "pid": os.getpid()})
        loop, config = asyncio.get_running_loop(), self.config
        for each in (ear for sock in heard for ear in often(sock)[1:]):
            self.servers.append(await loop.create_server(self._connected, sock=each, backlog=config.backlog))

    def _connected(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn's protocol, but that the head of an answer goes out with the beginning of its body: each by itself would
    be a packet and a system call more, a twentieth of what a short answer costs."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _Joining(transport)))


class _Joining:
    """A transport that keeps a head back until more is written, or until the event loop has nothing else to do."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._transport, name)
        setattr(self, name, value)
        return value

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)
