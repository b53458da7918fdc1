"""The transport: one POST over HTTP, with time limits and retries, and errors of our own.

It knows no format. What comes back is an `HttpReply`, whatever its status; what does not come back is a
`ConnectionFailed` or a `TimedOut`, and what breaks off a `StreamCut`. How HTTP is spoken is in `multiturn.models.wire`.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from multiturn import __version__
from multiturn.errors import (
    ConnectionFailed,
    ConnectTimedOut,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidInput,
    InvalidReply,
    ModelError,
    ModelNotFound,
    StreamCut,
)
from multiturn.formats.retry_after import retry_after_s
from multiturn.models.connections import Connections, ProxyFailed, let_go, opened_for, route_to, why
from multiturn.models.encodings import decoded
from multiturn.models.limits import Deadline, Limit, Retries, Timeouts
from multiturn.models.proxies import basic, place, proxy_for, proxy_of
from multiturn.models.transport import ALONG, TransportReply
from multiturn.models.wire import Broken, Connection

LINGER_S = 0.5  # how long the end of a body may take after the end of the answer
USER_AGENT = f"multiturn/{__version__}"

# A conflict (409) is a lock that somebody holds; 501 and 505 will not change their mind.
RETRIED_STATUSES = frozenset({408, 409, 429, *range(500, 600)}) - {501, 505}

_URL_MARKS = "%/?:@!$&'()*+,;=[]"  # what a path and a query may hold as it is, and what is quoted already


# --- one endpoint ---------------------------------------------------------------------------------------------------


class HttpTransport:
    """The way to one base URL over HTTP, a `multiturn.models.transport.Transport`. The key goes into `key_header`, as a
    bearer token where that is `Authorization`; `headers` go along with every request.

    Raises `InvalidInput` for a base URL that is none, a key beside a user in it, a header that cannot be sent, and a
    proxy that is no HTTP proxy."""

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
        proxy = proxy_for(base_url)
        self._base = urlsplit(base_url)
        self._route = route_to(self._base, proxy_of(proxy) if proxy else None)
        self.timeouts = timeouts or Timeouts()
        self.retries = retries or Retries()
        self.host = self._route.place
        self._headers = _lines({**self._own_headers(), **(headers or {}), **self._login(key, key_header)})
        self._starts: dict[tuple[str, str], bytes] = {}

    def __repr__(self) -> str:
        return f"<Transport to {self.host}>"

    async def post(self, path: str, body: bytes, *, stream: bool = False) -> HttpReply:
        """The reply to one POST, when its status and headers are there; every status but 3xx comes back, those of
        `RETRIED_STATUSES` once trying again is no use. Close it, or `leave()` it.

        Raises `ConnectionFailed`, `TimedOut` or `ModelNotFound` (a redirect: following it would hand the key and the
        conversation to an address that nobody named)."""
        return await self._tried("POST", path, body)

    async def get(self, path: str) -> HttpReply:
        """The reply to one GET, as `post` says."""
        return await self._tried("GET", path, b"")

    async def _tried(self, method: str, path: str, body: bytes) -> HttpReply:
        deadline = Deadline(self.timeouts.total_s)
        failed = 0
        while True:
            failed += 1
            try:
                reply = await self._try(method, path, body, deadline)
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
        if reply.status not in RETRIED_STATUSES or failed >= self.retries.attempts:
            return None
        asked_s = retry_after_s(reply.headers)
        if reply.headers.get("x-should-retry") == "false" or (asked_s or 0.0) > self.retries.longest_wait_s:
            return None
        return asked_s or self.retries.pause_s(failed)

    # --- one try --------------------------------------------------------------------------------------------------

    async def _try(self, method: str, path: str, body: bytes, deadline: Deadline) -> HttpReply:
        limit = deadline.within(self.timeouts.first_byte_s, FirstByteTimedOut)
        head = self._head(method, path, len(body))
        opened = await opened_for(self)
        connection = opened.kept(self._route) or await self._connect(opened, limit, deadline)
        try:
            connection.ask(head, body)
            while not connection.has_head:
                if connection.error is not None:
                    raise self._no_answer(connection.error) from connection.error
                await connection.more(limit.at)
        except TimeoutError:
            connection.abort()
            raise limit.error(self.host) from None
        except BaseException:
            connection.abort()
            raise
        reply = HttpReply(connection, self.host, self.timeouts.idle_s, first=limit, deadline=deadline)
        if 300 <= reply.status < 400:
            reply.close()
            raise self._redirected(reply)
        return reply

    async def _connect(self, opened: Connections, limit: Limit, deadline: Deadline) -> Connection:
        soonest = min(deadline.within(self.timeouts.connect_s, ConnectTimedOut), limit, key=lambda each: each.at)
        try:
            async with soonest.clock() as clock:
                return await opened.connect(self._route)
        except (OSError, ProxyFailed) as error:
            if clock.expired():
                raise soonest.error(self.host) from None
            raise self._no_connection(error) from error

    def _no_connection(self, error: Exception) -> ConnectionFailed:
        match error:
            case ProxyFailed():
                proxy = self._route.proxy and place(self._route.proxy.host, self._route.proxy.port)
                text = f"the proxy {proxy} gives no way to {self.host}: {error}; see HTTPS_PROXY and NO_PROXY"
                return ConnectionFailed(text, code="proxy")
            case socket.gaierror():
                text = f"there is no host named {self._base.hostname!r}; check the base URL, and the network"
                return ConnectionFailed(text, code="dns")
            case ssl.SSLError():
                text = f"no secure connection to {self.host}: {why(error)}; is the base URL rightly https?"
                text += " A certificate of your own goes into SSL_CERT_FILE."
                return ConnectionFailed(text, code="tls")
            case _:
                text = f"cannot connect to {self.host}: {why(error)}; is the server running, and the port right?"
                return ConnectionFailed(text, code="refused")

    def _no_answer(self, error: Exception) -> ModelError:
        """What an error means that came after the request and before the answer."""
        if isinstance(error, OSError):
            text = f"{self.host} closed the connection without an answer; its own log may say why"
            return ConnectionFailed(text, code="dropped")
        return InvalidReply(f"what answers at {self.host} does not speak HTTP: {error}")

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

    # --- what is sent ---------------------------------------------------------------------------------------------

    def _head(self, method: str, path: str, length: int) -> bytes:
        """The head of a request. Nearly all of it is always the same."""
        start = self._starts.get((method, path))
        if start is None:
            start = f"{method} {self._target(path)} HTTP/1.1\r\n".encode() + self._headers
            start = self._starts[method, path] = start + (
                b"Content-Type: application/json\r\n" if method == "POST" else b""
            )
        along = ALONG.get()
        length_line = b"Content-Length: %d\r\n\r\n" % length if method == "POST" else b"\r\n"
        return b"%b%b%b" % (start, _lines(along) if along else b"", length_line)

    def _target(self, path: str) -> str:
        """What is asked for; a query that the base URL has stays at the end, after the path's own."""
        path, _, query = path.partition("?")
        query = "&".join(each for each in (query, self._base.query) if each)
        target = quote(self._base.path.rstrip("/") + path + (query and f"?{query}"), safe=_URL_MARKS)
        through = self._route.proxy and not self._route.is_secure  # RFC 9112, section 3.2.2
        return f"http://{self._route.place}{target}" if through else target

    def _own_headers(self) -> dict[str, str]:
        is_usual = self._route.port == (443 if self._route.is_secure else 80)
        host = self._route.place.rpartition(":")[0] if is_usual else self._route.place
        return {"Host": host, "User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}

    def _login(self, key: str | None, key_header: str) -> dict[str, str]:
        user, proxy = basic(self._base), self._route.proxy
        if key and user:
            raise InvalidInput(f"{self.host} can take a key or a user in its base URL, not both")
        login = {"Authorization": user} if user else {}
        if key:
            login[key_header] = f"Bearer {key}" if key_header == "Authorization" else key
        if proxy and proxy.authorization and not self._route.is_secure:
            login["Proxy-Authorization"] = proxy.authorization
        return login

    async def aclose(self) -> None:
        """Let go of this event loop's connections, unless other models use them too. Answers that are still being
        read are cut."""
        await let_go(self)


def _lines(headers: Mapping[str, str]) -> bytes:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not value.isprintable():  # or it could end the line, and begin others
            raise InvalidInput(f"the header {name!r} holds characters that a header cannot have")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


# --- the reply ------------------------------------------------------------------------------------------------------


class HttpReply(TransportReply):
    """A reply on a connection of ours."""

    def __init__(
        self, connection: Connection, host: str, idle_s: float | None, *, first: Limit, deadline: Deadline
    ) -> None:
        super().__init__(connection.status, connection.headers, host)
        self._connection: Connection | None = connection
        encoding = connection.headers.get("content-encoding")
        self._take = decoded(connection.take, encoding) if encoding else connection.take
        self._idle_s = idle_s
        self._first: Limit | None = first
        self._deadline = deadline

    async def read_some(self) -> bytes:
        """The next bytes of the body as they came, empty at its end. Raises `StreamCut` or `TimedOut`."""
        while (piece := self.taken()) is None:
            assert self._connection is not None
            limit = self._first or self._deadline.within(self._idle_s, IdleTimedOut)
            try:
                await self._connection.more(limit.at)
            except TimeoutError:
                raise limit.error(self.host) from None
        return piece

    def taken(self) -> bytes | None:
        """What has come of the body, without waiting: nothing at its end, None where one has to wait. Raises
        `StreamCut`, and `InvalidReply` where it is not encoded as it says."""
        if self._connection is None:
            return b""
        try:
            piece = self._take()
        except Broken as error:
            raise StreamCut(f"the connection to {self.host} broke in the middle of the answer") from error
        except zlib.error as error:
            raise InvalidReply(f"the answer of {self.host} cannot be read: {error}") from error
        if piece:
            self._first = None
        elif piece is not None:
            self.close()
        return piece

    def leave(self) -> None:
        """No more of the body is wanted. Its end is often a packet behind the last event: if it comes soon, the
        connection goes back to be used again, and nobody waits for it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave(LINGER_S)

    def close(self) -> None:
        """Hang up, unless the body has come to its end already. The provider sees the connection close."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
