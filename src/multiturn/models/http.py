"""The transport: one POST over HTTP, with time limits and retries, and errors of our own.

It knows no format. What comes back is an `HttpReply`, whatever its status; what does not come back is a
`ConnectionFailed` or a `TimedOut`, and what breaks off a `StreamCut`. aiohttp takes a fifth of a second to import, so
nothing imports this module before the first request.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import urllib.request
import weakref
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from multiturn import __version__
from multiturn.errors import (
    ConnectionFailed,
    ConnectTimedOut,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidReply,
    ModelError,
    ModelNotFound,
    StreamCut,
)
from multiturn.formats.retry_after import retry_after_s
from multiturn.models.limits import Deadline, Limit, Retries, Timeouts, timed_out
from multiturn.models.transport import ALONG, MIB, TransportReply

KEEP_ALIVE_S = 60.0  # how long a connection without a call is kept; servers commonly keep theirs for 5 to 75 s
LINGER_S = 0.5  # how long the end of a body may take after the end of the answer
PIECE_BYTES = MIB // 4  # what a big request body is written in; larger ones cost the system fresh memory each time
USER_AGENT = f"multiturn/{__version__}"

# A conflict (409) is a lock that somebody holds; 501 and 505 will not change their mind.
RETRIED_STATUSES = frozenset({408, 409, 429, *range(500, 600)}) - {501, 505}


# --- one endpoint ---------------------------------------------------------------------------------------------------


class HttpTransport:
    """The way to one base URL over aiohttp, a `multiturn.models.transport.Transport`. The key goes into `key_header`,
    as a bearer token where that is `Authorization`; `headers` go along with every request."""

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        key_header: str = "Authorization",
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
    ) -> None:
        self._base = urlsplit(base_url)
        self.timeouts = timeouts or Timeouts()
        self.retries = retries or Retries()
        self.host = f"{self._base.hostname}:{self._base.port or (443 if self._base.scheme == 'https' else 80)}"
        self._headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **(headers or {})}
        if key:
            self._headers[key_header] = f"Bearer {key}" if key_header == "Authorization" else key
        self._proxy = proxy_for(base_url)
        self._connect = aiohttp.ClientTimeout(total=None, connect=self.timeouts.connect_s)

    def __repr__(self) -> str:
        return f"<Transport to {self.host}>"

    def url(self, path: str) -> URL:
        """The address of `path`; a query that the base URL has stays at the end, after the path's own."""
        path, _, query = path.partition("?")
        query = "&".join(each for each in (query, self._base.query) if each)
        return URL(self._base._replace(path=self._base.path.rstrip("/") + path, query=query).geturl())

    async def post(self, path: str, body: bytes, *, stream: bool = False) -> HttpReply:
        """The reply to one POST, when its status and headers are there; every status but 3xx comes back, those of
        `RETRIED_STATUSES` once trying again is no use. Close it, or `leave()` it.

        Raises `ConnectionFailed`, `TimedOut` or `ModelNotFound` (a redirect: following it would hand the key and the
        conversation to an address that nobody named)."""
        url, deadline = self.url(path), Deadline(self.timeouts.total_s)
        failed = 0
        while True:
            failed += 1
            try:
                reply = await self._post_once(url, body, stream, deadline)
            except (ConnectionFailed, ConnectTimedOut) as error:
                pause_s = self._pause_after_failure(error, failed)
                if pause_s is None or not deadline.allows(pause_s):
                    raise
            else:
                pause_s = self._pause_after_reply(reply, failed)
                if pause_s is None or not deadline.allows(pause_s):
                    return reply
                reply.leave()
            await asyncio.sleep(pause_s)

    def _pause_after_failure(self, error: ModelError, failed: int) -> float | None:
        """How long to wait before the same is worth trying again; None if it is not."""
        if failed >= self.retries.attempts or error.code == "tls":
            return None
        if error.code == "dropped" and failed == 1:
            return 0.0  # most likely a kept connection that the server had closed meanwhile
        return self.retries.pause_s(failed)

    def _pause_after_reply(self, reply: HttpReply, failed: int) -> float | None:
        if failed >= self.retries.attempts or reply.status not in RETRIED_STATUSES:
            return None
        asked_s = retry_after_s(reply.headers)
        if reply.headers.get("x-should-retry") == "false" or (asked_s or 0.0) > self.retries.longest_wait_s:
            return None
        return asked_s or self.retries.pause_s(failed)

    async def _post_once(self, url: URL, body: bytes, stream: bool, deadline: Deadline) -> HttpReply:
        limit = deadline.within(self.timeouts.first_byte_s, FirstByteTimedOut)
        headers = {**self._headers, "Accept-Encoding": "identity"} if stream else self._headers
        if along := ALONG.get():
            headers = {**headers, **along}
        opened = await _opened_for(self)
        try:
            async with limit.clock():
                response = await opened.session.post(
                    url,
                    data=_Body(body),
                    headers=headers,
                    proxy=self._proxy,
                    timeout=self._connect,
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, OSError) as error:
            failure = self._no_answer(error, limit)
        else:
            reply = HttpReply(response, self.host, self.timeouts.idle_s, first=limit, deadline=deadline)
            opened.replies.add(reply)
            if not 300 <= reply.status < 400:
                return reply
            reply.close()
            failure = self._redirected(reply)
        raise failure  # not inside `except`: some of aiohttp's errors hold the request's headers, and so the key

    def _no_answer(self, error: Exception, limit: Limit) -> ModelError:
        """What an error means that came before the answer's first byte."""
        failure = self._failure(error, limit)
        if not isinstance(error, aiohttp.ClientResponseError):
            failure.__cause__ = _root(error)
        return failure

    def _failure(self, error: Exception, limit: Limit) -> ModelError:
        match error:
            case aiohttp.ConnectionTimeoutError():
                return timed_out(ConnectTimedOut, self.timeouts.connect_s, self.host)
            case TimeoutError():
                return limit.error(self.host)
            case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
                proxy = self._proxy and f"{self._proxy.host}:{self._proxy.port}"
                text = f"the proxy {proxy} gives no way to {self.host}: {_why(error)}; see HTTPS_PROXY and NO_PROXY"
                return ConnectionFailed(text, code="proxy")
            case aiohttp.ClientConnectorDNSError():
                text = f"there is no host named {self._base.hostname!r}; check the base URL, and the network"
                return ConnectionFailed(text, code="dns")
            case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError():
                text = f"no secure connection to {self.host}: {_why(error)}; is the base URL rightly https?"
                text += " A certificate of your own goes into SSL_CERT_FILE."
                return ConnectionFailed(text, code="tls")
            case aiohttp.ClientConnectorError():
                text = f"cannot connect to {self.host}: {_why(error)}; is the server running, and the port right?"
                return ConnectionFailed(text, code="refused")
            case aiohttp.ClientResponseError():
                return InvalidReply(f"what answers at {self.host} does not speak HTTP: {error.message.strip()}")
            case _:
                text = f"{self.host} closed the connection without an answer; its own log may say why"
                return ConnectionFailed(text, code="dropped")

    def _redirected(self, reply: HttpReply) -> ModelError:
        try:
            to = urlsplit(reply.headers.get("location", ""))
        except ValueError:  # half an IPv6 address
            to = urlsplit("")
        where = to._replace(netloc=to.netloc.rpartition("@")[2], query="", fragment="").geturl() or "nowhere"
        return ModelNotFound(
            f"{self.host} redirects to {where}, and redirects are not followed, for the key would go along; "
            f"if you trust that address, make it the base URL",
            status=reply.status,
        )

    async def aclose(self) -> None:
        """Let go of this event loop's connections, unless other models use them too. Answers that are still being
        read are cut."""
        opened = _opened.get(asyncio.get_running_loop())
        if opened is not None:
            opened.users.discard(self)
            if not opened.users:
                await opened.closing.aclose()


def _why(error: Exception) -> str:
    """What the system says, without aiohttp's description of the connection."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{error.status} {error.message}"
    root = _root(error)
    if isinstance(root, OSError) and not isinstance(root, ssl.SSLError) and (root.errno or 0) > 0:
        return os.strerror(root.errno or 0)  # asyncio says "Connect call failed" for all of them
    return getattr(root, "strerror", None) or str(root) or type(root).__name__


def _root(error: Exception) -> Exception:
    """The system's own error within aiohttp's, which also describes the connection, proxy and password included."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error


class _Body(aiohttp.Payload):
    """A request's body, written in pieces. aiohttp's own payload for bytes warns from 1 MiB on, and rightly: written
    whole, a big body is copied whole, and what the socket does not take moves in memory with every piece it takes."""

    _value: bytes
    _autoclose = True  # nothing to close

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        view = memoryview(self._value)
        for start in range(0, len(view), PIECE_BYTES):
            await writer.write(view[start : start + PIECE_BYTES])


# --- the reply ------------------------------------------------------------------------------------------------------


class HttpReply(TransportReply):
    """A reply over aiohttp."""

    def __init__(
        self, response: aiohttp.ClientResponse, host: str, idle_s: float | None, *, first: Limit, deadline: Deadline
    ) -> None:
        super().__init__(response.status, response.headers, host)
        self._response = response
        self._idle_s = idle_s
        self._first: Limit | None = first
        self._deadline = deadline

    async def read_some(self) -> bytes:
        """The next bytes of the body as they came, empty at its end. Raises `StreamCut` or `TimedOut`."""
        limit = self._first or self._deadline.within(self._idle_s, IdleTimedOut)
        try:
            async with limit.clock():
                piece = await self._response.content.readany()
        except TimeoutError:
            raise limit.error(self.host) from None
        except (aiohttp.ClientError, OSError, RuntimeError) as error:  # RuntimeError: the session was closed meanwhile
            text = f"the connection to {self.host} broke in the middle of the answer"
            raise StreamCut(text) from error
        self._first = None
        return piece

    def leave(self) -> None:
        """No more of the body is wanted. Its end is often a packet behind the last event: if it comes soon, the
        connection goes back to be used again, which aiohttp does by itself, and nobody waits for it."""
        if not self._response.closed:
            hang_up = asyncio.get_running_loop().call_later(LINGER_S, self.close)
            self._response.content.on_eof(hang_up.cancel)

    def close(self) -> None:
        """Hang up, unless the body has come to its end already. The provider sees the connection close."""
        self._response.close()


# --- proxies --------------------------------------------------------------------------------------------------------


def proxy_for(base_url: str) -> URL | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (or the system's settings) name for this URL;
    never one for this machine itself, which no proxy can reach. Looked up once an endpoint: aiohttp's `trust_env`
    does it for every request, in a thread, and so makes a request three times as expensive."""
    url = urlsplit(base_url)
    host = url.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    proxies = urllib.request.getproxies()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named or urllib.request.proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return URL(named if "://" in named else f"http://{named}")


# --- one session an event loop --------------------------------------------------------------------------------------


class _Opened:
    """One event loop's session, who uses it, and what is being read from it."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        self.session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self.users: weakref.WeakSet[HttpTransport] = weakref.WeakSet()
        self.replies: weakref.WeakSet[HttpReply] = weakref.WeakSet()
        self.closing = self._until_closed()

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        """Nothing, then the end of the session when this is closed. It is a generator because an event loop tells
        nobody of its end but its open generators: `asyncio.run`, `asyncio.Runner` and uvloop close them last of all
        (`loop.shutdown_asyncgens`)."""
        try:
            yield
        finally:
            _opened.pop(asyncio.get_running_loop(), None)
            for reply in list(self.replies):
                reply.close()  # or a task that reads from it would wait on
            await self.session.close()


_opened: dict[asyncio.AbstractEventLoop, _Opened] = {}


async def _opened_for(user: HttpTransport) -> _Opened:
    """The session that all models share on the running event loop."""
    loop = asyncio.get_running_loop()
    opened = _opened.get(loop)
    if opened is None:
        for ended in [other for other in list(_opened) if other.is_closed()]:
            _opened.pop(ended, None)  # it ended without closing its generators, and cannot any more
        opened = _opened[loop] = _Opened()
        await anext(opened.closing)
    opened.users.add(user)
    return opened
