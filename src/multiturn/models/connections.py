"""The connections of an event loop: those in use, and those that wait for the next request to the same place."""

from __future__ import annotations

import asyncio
import functools
import math
import os
import ssl
import weakref
from collections.abc import AsyncGenerator
from typing import NamedTuple
from urllib.parse import SplitResult

from multiturn.errors import InvalidInput
from multiturn.models.addresses import connected
from multiturn.models.proxies import Proxy, place
from multiturn.models.wire import Broken, Connection

KEEP_ALIVE_S = 60.0  # how long a connection without a call is kept; servers commonly keep theirs for 5 to 75 s


class Route(NamedTuple):
    """Where a connection leads, and by which way."""

    host: str
    port: int
    is_secure: bool
    proxy: Proxy | None

    @property
    def place(self) -> str:
        return place(self.host, self.port)


def route_to(url: SplitResult, proxy: Proxy | None) -> Route:
    """The route to an `http` or `https` URL. Raises `InvalidInput` for any other."""
    if url.scheme not in ("http", "https") or not url.hostname:
        raise InvalidInput("the base URL must be like https://host/v1")
    is_secure = url.scheme == "https"
    try:
        host = url.hostname if url.hostname.isascii() else url.hostname.encode("idna").decode()
    except UnicodeError as error:
        raise InvalidInput(f"no host can have the name {url.hostname!r}") from error
    return Route(host, url.port or (443 if is_secure else 80), is_secure, proxy)


class ProxyFailed(Exception):
    """The proxy is not there, or does not let one through. The text says why."""


class Connections:
    """One event loop's connections, and who uses them. A `multiturn.models.wire.Keeper`."""

    def __init__(self) -> None:
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        self.closing = self._until_closed()
        self._loop = asyncio.get_running_loop()
        self._all: set[Connection] = set()
        self._kept: dict[object, list[Connection]] = {}  # by route

    def kept(self, route: Route) -> Connection | None:
        """A connection that was used before, the latest of all."""
        waiting = self._kept.get(route)
        while waiting:
            connection = waiting.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, route: Route) -> Connection:
        """A new connection. Raises `ProxyFailed`; `socket.gaierror` for a host that is not known, `ssl.SSLError`, or
        another `OSError`."""
        if route.proxy is None:
            connection = await self._open(route, route.host, route.port)
        else:
            connection = await self._open_by(route.proxy, route)
        return await self._secured(connection, route.host) if route.is_secure else connection

    async def _open_by(self, proxy: Proxy, route: Route) -> Connection:
        """A connection to the proxy, and on to where the route leads if TLS is to be spoken from here to there."""
        try:
            connection = await self._open(route, proxy.host, proxy.port)
            if proxy.is_secure:
                connection = await self._secured(connection, proxy.host)
            if route.is_secure:
                await self._ask_through(connection, route, proxy)
        except Broken as error:
            raise ProxyFailed(why(error)) from error
        return connection

    async def _open(self, route: Route, host: str, port: int) -> Connection:
        connection = await connected(host, port, lambda: Connection(self, route))
        return self._added(connection)

    def _added(self, connection: Connection) -> Connection:
        self._all.add(connection)
        if _opened.get(self._loop) is not self:
            connection.abort()
            raise ConnectionAbortedError("let go of in the meantime")
        return connection

    async def _ask_through(self, connection: Connection, route: Route, proxy: Proxy) -> None:
        """Have the proxy connect to where the route leads (RFC 9110, section 9.3.6)."""
        login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        head = f"CONNECT {route.place} HTTP/1.1\r\nHost: {route.place}\r\n{login}\r\n"
        try:
            connection.ask(head.encode(), b"")
            while not connection.has_head:
                if connection.error is not None:
                    raise connection.error
                await connection.more(math.inf)
            if connection.status >= 300:
                raise ConnectionRefusedError(f"it answers {connection.status}")
        except BaseException:
            connection.abort()
            raise

    async def _secured(self, connection: Connection, host: str) -> Connection:
        """A connection that speaks TLS on the one that there is, of which nothing is heard from now on."""
        secured = Connection(self, connection.route)
        try:
            name = host.rstrip(".")
            transport = await self._loop.start_tls(connection.transport, secured, _tls(), server_hostname=name)
            if transport is None:
                raise ConnectionResetError("closed in the middle of the handshake")
        except BaseException:
            connection.abort()
            raise
        self._all.discard(connection)
        secured.connection_made(transport)
        return self._added(secured)

    # --- what becomes of a connection -----------------------------------------------------------------------------

    def freed(self, connection: Connection) -> None:
        self._kept.setdefault(connection.route, []).append(connection)
        connection.hang_up_at(self._loop.time() + KEEP_ALIVE_S)

    def closed(self, connection: Connection) -> None:
        self._all.discard(connection)
        waiting = self._kept.get(connection.route)
        if waiting and connection in waiting:
            waiting.remove(connection)

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        """Nothing, then the end of all connections when this is closed. It is a generator because an event loop tells
        nobody of its end but its open generators: `asyncio.run`, `asyncio.Runner` and uvloop close them last of all
        (`loop.shutdown_asyncgens`)."""
        try:
            yield
        finally:
            _opened.pop(self._loop, None)
            for connection in list(self._all):
                connection.abort()
            await asyncio.sleep(0)  # until the loop has closed their sockets


_opened: dict[asyncio.AbstractEventLoop, Connections] = {}


async def opened_for(user: object) -> Connections:
    """The connections that all models share on the running event loop."""
    loop = asyncio.get_running_loop()
    opened = _opened.get(loop)
    if opened is None:
        for ended in [other for other in list(_opened) if other.is_closed()]:
            _opened.pop(ended, None)  # it ended without closing its generators, and cannot any more
        opened = _opened[loop] = Connections()
        await anext(opened.closing)
    opened.users.add(user)
    return opened


async def let_go(user: object) -> None:
    """Close the running event loop's connections, unless somebody else uses them too."""
    opened = _opened.get(asyncio.get_running_loop())
    if opened is not None:
        opened.users.discard(user)
        if not opened.users:
            await opened.closing.aclose()


def why(error: Exception) -> str:
    """What the system says of an error."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)  # asyncio says "Connect call failed" for all of them
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _tls() -> ssl.SSLContext:
    return _tls_with(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)
def _tls_with(*_: str | None) -> ssl.SSLContext:
    """OpenSSL reads the two variables itself, and all of the certificates that it trusts: some 10 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
