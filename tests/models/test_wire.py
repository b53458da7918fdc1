"""HTTP as it comes over real sockets, whole or in bits, right or wrong: on asyncio's event loop and on uvloop's."""

import asyncio
import functools
import gzip
import inspect
import socket
import warnings
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop

from models.tls import tls_in_front
from multiturn.errors import ConnectionFailed, InvalidInput, InvalidReply, ModelNotFound, StreamCut
from multiturn.models import addresses, connections
from multiturn.models.http import HttpReply, HttpTransport
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.transport import ALONG, MIB
from multiturn.models.wire import MAX_HEADERS, PIECE_BYTES, Connection
from upstream import Upstream, hang, hang_after, raw, reply, status

ONCE = Retries(attempts=1)
BODY = b'{"messages": [{"content": "hi"}]}'
OK = b"HTTP/1.1 200 OK\r\n"


def on_both_loops(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """The test on asyncio's event loop, and on uvloop's."""

    @functools.wraps(test)
    def run(loop: Callable[[], asyncio.AbstractEventLoop], **given: object) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(test(**given))

    takes = inspect.signature(test).parameters.values()
    loop = inspect.Parameter("loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([loop, *takes])  # type: ignore[attr-defined]
    both: Callable[..., None] = LOOPS(run)
    return both


LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


async def call(transport: HttpTransport, body: bytes = BODY) -> tuple[int, bytes]:
    answer = await transport.post("/chat/completions", body)
    try:
        return answer.status, await answer.read(32 * MIB)
    finally:
        answer.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port of a server that does this with every connection, and then closes it."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.transport.abort()

    running = await asyncio.start_server(run, host, 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"content-length: 5\r\n\r\nhello", b"hello"),
        (b"Content-Length:5\r\nx-empty:\r\n\r\nhello", b"hello"),
        (b"transfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"Transfer-Encoding: Chunked\r\n\r\n5 \r\nhello\r\n0\r\nstatus: 500\r\n\r\n", b"hello"),
        (b"\r\nhello", b"hello"),
        (b"content-length: 0\r\n\r\n", b""),
        (b"connection: close\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    ],
    ids=["by length", "no spaces", "chunked", "with a trailer", "until the end", "empty", "with a farewell"],
)
@pytest.mark.parametrize("piece", [1 << 20, 1], ids=["at once", "byte by byte"])
@on_both_loops
async def test_a_body_arrives_whole_however_it_is_cut(answer: bytes, body: bytes, piece: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"hi")
        for start in range(0, len(OK + answer), piece):
            writer.write((OK + answer)[start : start + piece])
            await asyncio.sleep(0)

    async with server(serve) as port:
        got = await HttpTransport(f"http://127.0.0.1:{port}").post("/x", BODY)
        assert await got.read(MIB) == body
        assert "status" not in got.headers


@on_both_loops
async def test_an_http_1_0_server_is_understood(upstream: Upstream) -> None:
    upstream.script(raw(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello"))
    assert await call(HttpTransport(upstream.url)) == (200, b"hello")


@on_both_loops
async def test_what_comes_before_the_answer_is_passed_over(upstream: Upstream) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"
    upstream.script(raw(early + OK + b"content-length: 2\r\n\r\nok", then_close=False))
    transport = HttpTransport(upstream.url)
    got = await transport.post("/x", BODY)
    assert (got.status, await got.read(MIB), dict(got.headers)) == (200, b"ok", {"content-length": "2"})
    await call(transport)
    assert upstream.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        OK + b"".join(b"x-%d: y\r\n" % n for n in range(MAX_HEADERS + 1)) + b"\r\n",
        OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        OK + b"x: " + b"y" * 500_000,
        OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\n",
    ],
    ids=["upgrade", "too many headers", "a large head", "an endless head", "two framings", "two lengths"],
)
@on_both_loops
async def test_heads_that_no_server_should_send(upstream: Upstream, answer: bytes) -> None:
    upstream.script(raw(answer, then_close=False))
    with pytest.raises(InvalidReply, match="does not speak HTTP"):
        await call(HttpTransport(upstream.url))
    assert await upstream.until(lambda: upstream.open_connections == 0)


@on_both_loops
async def test_a_head_may_be_large(upstream: Upstream) -> None:
    upstream.script(raw(OK + b"x: " + b"y" * 60_000 + b"\r\ncontent-length: 200000\r\n\r\n" + b"z" * 200_000))
    got = await HttpTransport(upstream.url).post("/x", BODY)
    assert (len(got.headers["x"]), len(await got.read(MIB))) == (60_000, 200_000)


@on_both_loops
async def test_of_headers_that_are_alike_the_first_counts(upstream: Upstream) -> None:
    upstream.script(raw(OK + b"Retry-After: 1\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n"))
    got = await HttpTransport(upstream.url).post("/x", BODY)
    assert got.headers["retry-after"] == "1"
    got.close()


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@on_both_loops
async def test_an_answer_that_nobody_asked_for_is_never_taken_for_one(upstream: Upstream, at_once: bool) -> None:
    first, second = (OK + b"content-length: 5\r\n\r\n" + body for body in (b"first", b"stray"))
    transport = HttpTransport(upstream.url)
    if at_once:
        upstream.script(raw(first + second, then_close=False))
        assert (await call(transport))[1] == b"first"
    else:
        upstream.script(raw(first, then_close=False))
        assert (await call(transport))[1] == b"first"
        upstream._loop.call_soon_threadsafe(lambda: next(iter(upstream.connections)).transport.write(second))
    assert await upstream.until(lambda: upstream.open_connections == 0)
    upstream.script(status(200, b"asked"))
    assert (await call(transport))[1] == b"asked"


@on_both_loops
async def test_what_has_come_is_there_without_waiting(upstream: Upstream) -> None:
    upstream.script(raw(OK + b"content-length: 10\r\n\r\nhello", then_close=False))
    got = await HttpTransport(upstream.url).post("/x", BODY)
    assert await got.read_some() == b"hello"
    assert got.taken() is None
    upstream._loop.call_soon_threadsafe(lambda: next(iter(upstream.connections)).transport.write(b"again"))
    assert await got.read_some() == b"again"
    assert got.taken() == await got.read_some() == b""


@on_both_loops
async def test_what_came_before_the_connection_broke_is_read_first(upstream: Upstream) -> None:
    upstream.script(raw(OK + b"content-length: 10\r\n\r\nhello"))
    got = await HttpTransport(upstream.url).post("/x", BODY)
    assert await upstream.until(lambda: upstream.open_connections == 0)
    assert await got.read_some() == b"hello"
    with pytest.raises(StreamCut):
        await got.read_some()
    got.close()


@on_both_loops
async def test_a_slow_reader_makes_the_sender_wait(upstream: Upstream) -> None:
    upstream.script(status(200, b"x" * 20_000_000))
    got = await HttpTransport(upstream.url).post("/x", BODY)
    await asyncio.sleep(0.05)
    assert got._connection is not None
    assert 0 < got._connection._unread < MIB
    assert await got.read(32 * MIB) == b"x" * 20_000_000


@on_both_loops
async def test_a_slow_reader_is_cut_off_when_its_connection_is_let_go(upstream: Upstream) -> None:
    upstream.script(status(200, b"x" * 20_000_000))
    transport = HttpTransport(upstream.url)
    got = await transport.post("/x", BODY)
    await asyncio.sleep(0.05)
    await transport.aclose()
    assert await got.read_some()
    with pytest.raises(StreamCut):
        await got.read_some()
    got.close()


@on_both_loops
async def test_a_server_that_hangs_up_at_once_is_asked_again() -> None:
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1

    async with server(serve) as port:
        with pytest.raises(ConnectionFailed) as caught:
            await call(HttpTransport(f"http://127.0.0.1:{port}", retries=Retries(base_s=0.001)))
    assert (caught.value.code, accepted) == ("dropped", 3)


# --- compressed -----------------------------------------------------------------------------------------------------

TEXT = b"all of it, " * 300_000
_raw_deflate = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "x-gzip": gzip.compress(TEXT[:1000], mtime=0) + gzip.compress(TEXT[1000:], mtime=0),
    "deflate": zlib.compress(TEXT),
    "Deflate": _raw_deflate.compress(TEXT) + _raw_deflate.flush(),
    "identity": TEXT,
}


@pytest.mark.parametrize("encoding", PACKED)
@on_both_loops
async def test_a_body_that_comes_compressed_is_decoded_bit_by_bit(upstream: Upstream, encoding: str) -> None:
    upstream.script(status(200, PACKED[encoding], {"content-encoding": encoding}))
    got = await HttpTransport(upstream.url).post("/x", BODY)
    pieces = []
    while piece := await got.read_some():
        pieces.append(piece)
    assert b"".join(pieces) == TEXT
    assert max(map(len, pieces)) <= MIB
    assert upstream.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("encoding", "body", "says"),
    [
        ("gzip", b"plain", "incorrect header"),
        ("gzip", PACKED["gzip"][:-9], "ends too soon"),
        ("br", b"x", "it comes encoded as br, which nobody asked for"),
    ],
)
@on_both_loops
async def test_a_body_that_is_not_encoded_as_it_says(upstream: Upstream, encoding: str, body: bytes, says: str) -> None:
    upstream.script(status(200, body, {"content-encoding": encoding}))
    with pytest.raises(InvalidReply, match=rf"the answer of 127\.0\.0\.1:\d+ cannot be read: .*{says}"):
        await call(HttpTransport(upstream.url))


@on_both_loops
async def test_an_empty_body_is_empty_however_it_is_encoded(upstream: Upstream) -> None:
    upstream.script(status(200, b"", {"content-encoding": "gzip"}))
    assert await call(HttpTransport(upstream.url)) == (200, b"")


# --- requests -------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_big_body_is_sent_while_its_answer_already_comes() -> None:
    body = bytes(range(256)) * 40_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"content-length: 4\r\n\r\n")
        await asyncio.sleep(0.02)
        assert b"Content-Length: %d\r\n" % len(body) in head
        writer.write(b"same" if await reader.readexactly(len(body)) == body else b"else")
        await writer.drain()

    async with server(serve) as port:
        assert await call(HttpTransport(f"http://127.0.0.1:{port}"), body) == (200, b"same")


@on_both_loops
async def test_a_server_may_refuse_a_body_before_it_came_whole() -> None:
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await asyncio.sleep(0.1)

    async with server(serve) as port:
        transport = HttpTransport(f"http://127.0.0.1:{port}")
        assert await call(transport, b"x" * 20_000_000) == (413, b"big")
        assert await call(transport, b"x" * 20_000_000) == (413, b"big")
    assert accepted == 2  # the rest of the body would have been read as the next request


@on_both_loops
async def test_a_small_request_is_one_write(upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.read(MIB)
        writer.write(OK + b"content-length: %d\r\n\r\n%b" % (len(got), got))
        await writer.drain()

    async with server(serve) as port:
        sent = (await call(HttpTransport(f"http://127.0.0.1:{port}/v1", key="sk-1"), BODY))[1]
    assert sent.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)
    assert sent.endswith(b"\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))


@on_both_loops
async def test_headers_that_belong_to_a_trace_go_along(upstream: Upstream) -> None:
    transport = HttpTransport(upstream.url)
    token = ALONG.set({"traceparent": "00-1-2-01"})
    await call(transport)
    ALONG.reset(token)
    await call(transport)
    assert [request.headers.get("traceparent") for request in upstream.requests] == ["00-1-2-01", None]


@pytest.mark.parametrize(
    "headers",
    [{"x-a": "1\r\nx-b: 2"}, {"x-a": "1\n"}, {"x-a": "\0"}, {"x\r\ny": "1"}, {"x a": "1"}, {"": "1"}, {"x": "\udcff"}],
    ids=["two lines", "a line's end", "null", "two names", "a space", "no name", "no character"],
)
def test_a_header_cannot_begin_another(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="holds characters that a header cannot have") as caught:
        HttpTransport("http://127.0.0.1/v1", headers=headers)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_key_with_a_line_break_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        HttpTransport("http://127.0.0.1/v1", key="sk-secret\r\nx: y", key_header="x-api-key")
    assert "secret" not in str(caught.value)


@on_both_loops
async def test_a_path_is_quoted_once(upstream: Upstream) -> None:
    upstream.script(status(200, b""))
    got = await HttpTransport(upstream.url).post("/models/a b/ü%20c\r\nx: y?q=1&r=é", BODY)
    got.close()
    assert upstream.requests[0].path == "/v1/models/a%20b/%C3%BC%20c%0D%0Ax:%20y?q=1&r=%C3%A9"


@pytest.mark.parametrize("url", ["127.0.0.1:80/v1", "ftp://127.0.0.1", "http:///v1", f"http://{'ü' * 80}.example"])
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        HttpTransport(url)


# --- connections ----------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_connection_without_a_call_is_kept_for_a_while(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.05)
    transport = HttpTransport(upstream.url)
    await call(transport)
    await call(transport)
    assert (upstream.accepted, upstream.open_connections) == (1, 1)
    assert await upstream.until(lambda: upstream.open_connections == 0)
    await call(transport)
    assert upstream.accepted == 2


@on_both_loops
async def test_a_connection_that_the_server_closed_is_not_used_again(upstream: Upstream) -> None:
    transport = HttpTransport(upstream.url, retries=ONCE)
    for _ in range(3):
        upstream.script(raw(OK + b"content-length: 2\r\n\r\nok"))
        assert await call(transport) == (200, b"ok")
        assert await upstream.until(lambda: upstream.open_connections == 0)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer", [hang(), hang_after(0), hang_after(2)], ids=["no head", "no body", "half a body"])
@on_both_loops
async def test_a_call_cancelled_anywhere_hangs_up(upstream: Upstream, answer: Callable[..., Awaitable[None]]) -> None:
    upstream.script(answer)
    transport = HttpTransport(upstream.url)
    calling = asyncio.create_task(call(transport))
    assert await upstream.until(lambda: len(upstream.requests) == 1)
    await asyncio.sleep(0.02)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await upstream.until(lambda: upstream.open_connections == 0)
    assert (await call(transport))[0] == 200
    assert upstream.accepted == 2


@on_both_loops
async def test_a_call_cancelled_as_its_answer_arrives_leaves_no_connection_behind(upstream: Upstream) -> None:
    for turns in range(12):  # however far it has come by then
        calling = asyncio.create_task(call(HttpTransport(upstream.url)))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        calling.cancel()
        with suppress(asyncio.CancelledError):
            await calling
    assert (await call(HttpTransport(upstream.url)))[0] == 200
    [opened] = [each for loop, each in connections._opened.items() if loop is asyncio.get_running_loop()]
    kept = {connection for route in opened._kept.values() for connection in route}
    assert await upstream.until(lambda: opened._all == kept and upstream.open_connections == len(kept))


@LOOPS
def test_an_event_loop_ends_without_a_connection_or_a_warning(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with tls_in_front(upstream.port, tmp_path) as (port, certificate), warnings.catch_warnings():
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        warnings.simplefilter("error")

        async def main() -> None:
            await call(HttpTransport(upstream.url))
            await call(HttpTransport(f"https://127.0.0.1:{port}/v1"))
            upstream.script(hang_after(1))
            await HttpTransport(upstream.url).post("/x", b'{"stream": true, "messages": []}')
            assert upstream.open_connections == 2

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())
        assert upstream.wait(lambda: upstream.open_connections == 0)
    assert not connections._opened


@on_both_loops
async def test_a_host_may_be_an_ipv6_address() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"\r\n" + head)
        await writer.drain()

    async with server(serve, "::1") as port:
        _, head = await call(HttpTransport(f"http://[::1]:{port}/v1"))
        assert b"\r\nHost: [::1]:%d\r\n" % port in head
        with pytest.raises(ConnectionFailed, match=r"cannot connect to \[::1\]:1: Connection refused"):
            await call(HttpTransport("http://[::1]:1/v1", retries=ONCE))


# --- several addresses ----------------------------------------------------------------------------------------------


class Nobody:
    """Keeps no connection."""

    def freed(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...


async def first(*ports: int) -> int:
    """To which of these ports a connection was made; it is closed again."""
    connection = await addresses._first([("127.0.0.1", port) for port in ports], lambda: Connection(Nobody()))
    port: int = connection.transport.get_extra_info("peername")[1]
    connection.abort()
    return port


@on_both_loops
async def test_the_next_address_is_tried_at_once_when_one_refuses(upstream: Upstream) -> None:
    assert await first(1, 2, upstream.port) == upstream.port
    assert await upstream.until(lambda: upstream.accepted == 1)


@on_both_loops
async def test_the_next_address_is_tried_soon_when_one_is_silent(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "NEXT_ADDRESS_S", 0.01)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, socket.socket() as one, socket.socket() as two:
        for waiting in (one, two):  # its queue is full now
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        assert await first(deaf.getsockname()[1], upstream.port) == upstream.port
        assert await upstream.until(lambda: upstream.accepted == 1)


@on_both_loops
async def test_of_two_connections_one_is_kept(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "NEXT_ADDRESS_S", 0)
    assert await first(upstream.port, upstream.port) == upstream.port
    assert await upstream.until(lambda: (upstream.accepted, upstream.open_connections) == (2, 0))


@on_both_loops
async def test_the_last_address_tells_what_is_wrong() -> None:
    with pytest.raises(ConnectionRefusedError):
        await first(1, 2)


def test_the_families_of_addresses_take_turns() -> None:
    found = [(6, ("::1", 1)), (6, ("::1", 2)), (6, ("::1", 3)), (4, ("127.0.0.1", 4))]
    assert [port for _, port in addresses._mixed(found)] == [1, 4, 2, 3]


# --- TLS ------------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_certificate_of_ones_own_is_trusted_by_ssl_cert_file(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_in_front(upstream.port, tmp_path) as (port, certificate):
        transport = HttpTransport(f"https://127.0.0.1:{port}/v1", retries=Retries(base_s=60))
        with pytest.raises(ConnectionFailed, match=r"certificate verify failed.* goes into SSL_CERT_FILE") as caught:
            await call(transport)
        assert caught.value.code == "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert (await call(transport))[0] == 200
        assert (await call(transport, b'{"messages": [{"content": "%s"}]}' % (b"x" * 5 * PIECE_BYTES)))[0] == 200
        assert upstream.accepted == 1
        with pytest.raises(ConnectionFailed, match="certificate is not valid for 'localhost'"):
            await call(HttpTransport(f"https://localhost:{port}/v1"))


# --- proxies --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def connect_proxy(port: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A proxy's port, and the heads of what it was asked. Wherever one asks to be connected to, it is to `port`."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pumps = [asyncio.create_task(pump(*ends)) for ends in ((reader, back_writer), (back_reader, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in pumps:
                each.cancel()
            back_writer.transport.abort()

    async with server(serve) as proxy:
        yield proxy, heads


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)


@pytest.mark.parametrize("scheme", ["http", "https"])
@on_both_loops
async def test_a_proxy_leads_to_a_secure_host(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with tls_in_front(upstream.port, tmp_path) as (port, certificate):
        async with connect_proxy(port) as (proxy, heads):
            with tls_in_front(proxy, tmp_path) as (secure_proxy, _):
                monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
                place = f"127.0.0.1:{proxy if scheme == 'http' else secure_proxy}"
                monkeypatch.setattr("multiturn.models.http.proxy_for", lambda _: f"{scheme}://me:w%20rd@{place}")
                transport = HttpTransport(f"https://127.0.0.1:{port}/v1", key="sk-test")
                assert (await call(transport))[0] == 200
                assert (await call(transport))[0] == 200
                await transport.aclose()
                assert await upstream.until(lambda: upstream.open_connections == 0)
    [head] = heads
    assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (port, port))
    assert b"Proxy-Authorization: Basic bWU6dyByZA==\r\n" in head
    assert b"sk-test" not in head
    assert upstream.requests[0].path == "/v1/chat/completions"
    assert "proxy-authorization" not in upstream.requests[0].headers
    assert upstream.accepted == 1


@on_both_loops
async def test_a_name_that_is_not_ascii_is_asked_for_as_dns_has_it(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{upstream.port}")
    assert (await call(HttpTransport("http://bücher.example/v1")))[0] == 200
    assert upstream.requests[0].path == "http://xn--bcher-kva.example:80/v1/chat/completions"
    assert upstream.requests[0].headers["host"] == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("answer", "says"),
    [(raw(b""), "closed on the other side"), (raw(b"SSH-2.0\r\n"), "Expected HTTP"), (status(502), "it answers 502")],
)
@on_both_loops
async def test_a_proxy_that_is_none(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Awaitable[None]], says: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{upstream.port}")
    upstream.script(answer)
    with pytest.raises(ConnectionFailed, match=says) as caught:
        await call(HttpTransport("https://api.example/v1", retries=ONCE))
    assert caught.value.code == "proxy"
    assert await upstream.until(lambda: upstream.open_connections == 0)


@on_both_loops
async def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ConnectionFailed, match=r"the proxy 127\.0\.0\.1:1 gives no way to .*Connection refused"):
        await call(HttpTransport("https://api.example/v1", retries=ONCE))


def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:word@127.0.0.1:1080")
    with pytest.raises(InvalidInput, match=r"must be like http://host:3128, not socks5://…"):
        HttpTransport("https://api.example/v1")


# --- GET ------------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_get_has_no_body_and_follows_no_redirect(upstream: Upstream) -> None:
    transport = HttpTransport(upstream.url, timeouts=Timeouts(total_s=5))
    upstream.script(status(200, b"[]"), status(302, headers={"location": "http://elsewhere.example"}))
    got: HttpReply = await transport.get("/models?limit=2")
    assert await got.read(MIB) == b"[]"
    assert (upstream.requests[0].method, upstream.requests[0].path) == ("GET", "/v1/models?limit=2")
    assert not {"content-length", "content-type"} & upstream.requests[0].headers.keys()
    with pytest.raises(ModelNotFound, match="redirects to"):
        await transport.get("/models")
    upstream.script(reply())
