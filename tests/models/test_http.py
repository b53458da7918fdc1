"""The transport against a real socket: limits, retries, and connections that nobody leaves behind."""

import asyncio
import email.utils
import gc
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from multiturn.errors import (
    ConnectionFailed,
    ConnectTimedOut,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidReply,
    ModelNotFound,
    StreamCut,
    TotalTimedOut,
)
from multiturn.formats.retry_after import retry_after_s
from multiturn.models import connections, http
from multiturn.models.http import HttpReply, HttpTransport
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.proxies import proxy_for
from multiturn.models.transport import MIB
from multiturn.models.wire import PIECE_BYTES
from ports import free_port
from upstream import (
    Upstream,
    cut_after,
    drop,
    hang,
    hang_after,
    raw,
    reply,
    status,
    stream,
)

BODY = b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}'
STREAMED = BODY.replace(b"{", b'{"stream": true, ', 1)
AT_ONCE = Retries(base_s=0.001)
ONCE = Retries(attempts=1)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


@asynccontextmanager
async def posted(transport: HttpTransport, body: bytes = BODY) -> AsyncIterator[HttpReply]:
    answer = await transport.post("/chat/completions", body, stream=body is STREAMED)
    try:
        yield answer
    finally:
        answer.close()


async def call(transport: HttpTransport, body: bytes = BODY) -> tuple[int, bytes]:
    async with posted(transport, body) as answer:
        return answer.status, await answer.read(MIB)


# --- what is sent, what comes back ----------------------------------------------------------------------------------


async def test_a_post_carries_the_key_and_says_who_we_are(upstream: Upstream) -> None:
    transport = HttpTransport(upstream.url + "/", key="sk-test")
    code, body = await call(transport)
    assert (code, b"You said: hi" in body) == (200, True)
    [request] = upstream.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions", BODY)
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("multiturn/0.")


async def test_without_a_key_there_is_no_authorization(upstream: Upstream) -> None:
    await call(HttpTransport(upstream.url))
    assert "authorization" not in upstream.requests[0].headers


async def test_the_query_of_a_base_url_stays_behind_the_path(upstream: Upstream) -> None:
    await call(HttpTransport(upstream.url + "?api-version=2"))
    assert upstream.requests[0].path == "/v1/chat/completions?api-version=2"


async def test_a_user_in_the_base_url_is_sent_as_basic_authorization(upstream: Upstream) -> None:
    transport = HttpTransport(upstream.url.replace("//", "//me:secret@"))
    await call(transport)
    assert upstream.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert "secret" not in repr(transport)


@pytest.mark.parametrize("size", [0, PIECE_BYTES - 40, PIECE_BYTES, 3_000_000])
async def test_bodies_of_every_size_arrive_whole(upstream: Upstream, size: int) -> None:
    body = b'{"messages": [{"content": "%s"}]}' % (b"x" * size)
    upstream.script(reply())
    await call(HttpTransport(upstream.url), body)
    assert upstream.requests[0].body == body
    assert upstream.requests[0].headers["content-length"] == str(len(body))


async def test_one_connection_serves_one_call_after_another(upstream: Upstream) -> None:
    transport, other = HttpTransport(upstream.url), HttpTransport(upstream.url)
    for user in (transport, other, transport):
        await call(user)
    assert upstream.accepted == 1


async def test_a_stream_left_at_its_last_event_gives_its_connection_back(upstream: Upstream) -> None:
    upstream.script(stream("a", "b", delay_s=0.01))
    transport = HttpTransport(upstream.url)
    async with posted(transport, STREAMED) as answer:
        while b"[DONE]" not in await answer.read_some():
            pass
        answer.leave()  # the last chunk comes 10 ms later
        await asyncio.sleep(0.05)
    await call(transport)
    assert upstream.accepted == 1


async def test_a_stream_left_that_does_not_end_is_hung_up(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LINGER_S", 0.02)
    upstream.script(hang_after(2))
    answer = await HttpTransport(upstream.url).post("/chat/completions", STREAMED, stream=True)
    await answer.read_some()
    answer.leave()
    assert await upstream.until(lambda: upstream.open_connections == 0)


async def test_a_body_larger_than_its_bound_is_refused(upstream: Upstream) -> None:
    upstream.script(reply("x" * 300_000))
    async with posted(HttpTransport(upstream.url)) as answer:
        with pytest.raises(InvalidReply, match=r"127\.0\.0\.1:\d+ is larger than 0.125 MiB"):
            await answer.read(MIB // 8)


# --- limits of time -------------------------------------------------------------------------------------------------


async def test_no_answer_in_time(upstream: Upstream) -> None:
    upstream.script(hang())
    with pytest.raises(FirstByteTimedOut, match=r"did not begin to answer within 0.05 s") as caught:
        await call(HttpTransport(upstream.url, timeouts=Timeouts(first_byte_s=0.05), retries=AT_ONCE))
    assert caught.value.limit_s == 0.05
    assert len(upstream.requests) == 1  # never tried again: the model may be at work
    assert await upstream.until(lambda: upstream.hung_up == 1)


async def test_headers_are_not_the_first_byte_of_the_answer(upstream: Upstream) -> None:
    upstream.script(hang_after(0))
    with pytest.raises(FirstByteTimedOut):
        await call(HttpTransport(upstream.url, timeouts=Timeouts(first_byte_s=0.05, idle_s=0.01)), STREAMED)


async def test_silence_in_mid_answer(upstream: Upstream) -> None:
    upstream.script(hang_after(1))
    with pytest.raises(IdleTimedOut, match=r"fell silent in the middle of the answer, for 0.05 s") as caught:
        await call(HttpTransport(upstream.url, timeouts=Timeouts(idle_s=0.05)), STREAMED)
    assert caught.value.limit_s == 0.05
    assert await upstream.until(lambda: upstream.hung_up == 1)


async def test_a_slow_reader_is_not_taken_for_a_silent_provider(upstream: Upstream) -> None:
    upstream.script(stream(*"abcdef", delay_s=0.01))
    async with posted(HttpTransport(upstream.url, timeouts=Timeouts(idle_s=0.05)), STREAMED) as answer:
        while await answer.read_some():
            await asyncio.sleep(0.06)


async def test_the_whole_takes_too_long(upstream: Upstream) -> None:
    upstream.script(stream(*"abcdefghij" * 5, delay_s=0.02))
    with pytest.raises(TotalTimedOut, match=r"longer than 0.1 s in all \(total_s\)") as caught:
        await call(HttpTransport(upstream.url, timeouts=Timeouts(total_s=0.1)), STREAMED)
    assert caught.value.limit_s == 0.1


async def test_a_pause_that_would_outlast_the_whole_is_not_begun(upstream: Upstream) -> None:
    upstream.script(status(503, headers={"retry-after": "5"}))
    assert (await call(HttpTransport(upstream.url, timeouts=Timeouts(total_s=1))))[0] == 503


async def test_a_provider_that_does_not_take_the_body_runs_out_of_time() -> None:
    with deaf() as port:
        transport = HttpTransport(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(first_byte_s=0.1), retries=ONCE)
        with pytest.raises(FirstByteTimedOut):
            await call(transport, b"x" * 20_000_000)


async def test_no_connection_in_time() -> None:
    with deaf(backlog_full=True) as port:
        transport = HttpTransport(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(connect_s=0.1), retries=ONCE)
        with pytest.raises(ConnectTimedOut, match=rf"no connection to 127\.0\.0\.1:{port} within 0.1 s") as caught:
            await call(transport)
    assert caught.value.limit_s == 0.1


class deaf:
    """A port where connections are taken by the system and nobody reads; or not even taken, once its queue is full."""

    def __init__(self, *, backlog_full: bool = False) -> None:
        self.server = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self.server.getsockname()[1]
        self.waiting = [self._connect() for _ in range(4 if backlog_full else 0)]

    def _connect(self) -> socket.socket:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", self.port))
        return client

    def __enter__(self) -> int:
        return self.port

    def __exit__(self, *_: object) -> None:
        for each in (*self.waiting, self.server):
            each.close()


# --- no connection --------------------------------------------------------------------------------------------------


async def test_a_refused_connection_names_the_address_and_asks_for_the_server() -> None:
    port = free_port()
    with pytest.raises(
        ConnectionFailed, match=rf"127\.0\.0\.1:{port}: Connection refused; is the server running"
    ) as caught:
        await call(HttpTransport(f"http://127.0.0.1:{port}/v1", retries=AT_ONCE))
    assert caught.value.code == "refused"


async def test_a_server_that_starts_between_two_tries_is_found() -> None:
    port = free_port()
    transport = HttpTransport(f"http://127.0.0.1:{port}/v1", retries=Retries(base_s=0.3))
    calling = asyncio.create_task(call(transport))
    await asyncio.sleep(0.05)
    with Upstream(port=port):
        assert (await calling)[0] == 200


async def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(ConnectionFailed, match=r"no host named 'nowhere.invalid'") as caught:
        await call(HttpTransport("http://nowhere.invalid/v1", retries=ONCE))
    assert caught.value.code == "dns"


async def test_tls_where_there_is_none_is_not_tried_again(upstream: Upstream) -> None:
    upstream.script(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(ConnectionFailed, match=r"no secure connection to 127.0.0.1") as caught:
        await call(HttpTransport(upstream.url.replace("http:", "https:"), timeouts=Timeouts(connect_s=1)))
    assert caught.value.code == "tls"
    assert upstream.accepted == 1


async def test_a_connection_dropped_without_an_answer_is_tried_again(upstream: Upstream) -> None:
    upstream.script(drop(), drop(), reply("here"))
    assert b"here" in (await call(HttpTransport(upstream.url, retries=AT_ONCE)))[1]
    upstream.script(drop(), drop(), drop())
    with pytest.raises(ConnectionFailed, match="closed the connection without an answer") as caught:
        await call(HttpTransport(upstream.url, retries=AT_ONCE))
    assert caught.value.code == "dropped"


async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_pause(upstream: Upstream) -> None:
    transport = HttpTransport(upstream.url, retries=Retries(base_s=60))
    await call(transport)
    upstream.script(drop(), reply("here"))
    assert b"here" in (await asyncio.wait_for(call(transport), 2))[1]


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=["another protocol", "no status", "a negative length", "an endless header"],
)
async def test_what_does_not_speak_http(upstream: Upstream, answer: bytes) -> None:
    upstream.script(raw(answer))
    with pytest.raises(InvalidReply, match="does not speak HTTP") as caught:
        await call(HttpTransport(upstream.url, key="sk-secret-key"))
    error: BaseException | None = caught.value
    while error is not None:
        assert "secret" not in repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__


# --- broken off -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_an_answer_that_breaks_off_is_cut_and_never_tried_again(upstream: Upstream, reset: bool) -> None:
    upstream.script(cut_after(3, reset=reset))
    with pytest.raises(StreamCut, match=r"the connection to 127\.0\.0\.1:\d+ broke in the middle"):
        await call(HttpTransport(upstream.url, retries=AT_ONCE), STREAMED)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"content-length: 100\r\n\r\nshort",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nwhat",
        b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nplain",
    ],
    ids=["too short", "a chunk of no size", "no gzip"],
)
async def test_a_body_that_is_not_as_its_headers_say(upstream: Upstream, answer: bytes) -> None:
    upstream.script(raw(b"HTTP/1.1 200 OK\r\n" + answer))
    with pytest.raises((StreamCut, InvalidReply)):
        await call(HttpTransport(upstream.url))


async def test_a_body_without_a_length_ends_with_the_connection(upstream: Upstream) -> None:
    upstream.script(raw(b"HTTP/1.1 200 OK\r\n\r\nall of it"))
    assert (await call(HttpTransport(upstream.url)))[1] == b"all of it"


# --- tried again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_what_may_pass_is_tried_again(upstream: Upstream, code: int) -> None:
    upstream.script(status(code), status(code))
    assert (await call(HttpTransport(upstream.url, retries=AT_ONCE)))[0] == 200
    assert [request.body for request in upstream.requests] == [BODY] * 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422, 501])
async def test_what_will_not_pass_is_not(upstream: Upstream, code: int) -> None:
    upstream.script(status(code))
    assert (await call(HttpTransport(upstream.url, retries=AT_ONCE)))[0] == code
    assert len(upstream.requests) == 1


async def test_after_the_last_try_the_answer_is_what_it_is(upstream: Upstream) -> None:
    upstream.script(*[status(500)] * 3)
    assert (await call(HttpTransport(upstream.url, retries=AT_ONCE)))[0] == 500
    assert len(upstream.requests) == 3


async def test_the_pause_is_the_one_that_was_asked_for(upstream: Upstream) -> None:
    upstream.script(status(429, headers={"retry-after-ms": "80", "retry-after": "9"}))
    began = time.monotonic()
    assert (await call(HttpTransport(upstream.url, retries=Retries(base_s=9))))[0] == 200
    assert 0.08 <= time.monotonic() - began < 2


@pytest.mark.parametrize("headers", [{"retry-after": "61"}, {"x-should-retry": "false"}])
async def test_asked_to_come_much_later_or_never_we_do_not_wait(upstream: Upstream, headers: dict[str, str]) -> None:
    upstream.script(status(429, headers=headers))
    assert (await call(HttpTransport(upstream.url, retries=AT_ONCE)))[0] == 429
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_what_a_provider_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_date_to_come_again_is_counted_from_now() -> None:
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert retry_after_s({"retry-after": soon}) == pytest.approx(30, abs=2)


def test_pauses_grow_up_to_their_cap_and_are_never_all_alike() -> None:
    retries = Retries(base_s=1, cap_s=8)
    for failed, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (50, 8)):
        pauses = {retries.pause_s(failed) for _ in range(50)}
        assert len(pauses) > 1
        assert all(longest / 2 <= pause <= longest for pause in pauses)


# --- redirects and proxies ------------------------------------------------------------------------------------------


async def test_a_redirect_is_not_followed(upstream: Upstream) -> None:
    elsewhere = "https://user:word@elsewhere.example/v1/chat/completions?token=1"
    upstream.script(status(307, headers={"location": elsewhere}))
    with pytest.raises(ModelNotFound, match=r"redirects to https://elsewhere.example/v1/chat/completions,") as caught:
        await call(HttpTransport(upstream.url, key="sk-secret"))
    assert caught.value.status == 307
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://api.example/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "https://api.example/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://api.example/v1", None),
        ({"ALL_PROXY": "http://proxy:3128"}, "http://api.example/v1", "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "other,.example"}, "http://api.example/v1", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://localhost:11434/v1", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://127.0.0.1:8000/v1", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://[::1]:8000/v1", None),
    ],
)
def test_which_proxy_is_used(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


async def test_a_call_through_a_proxy(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:word@127.0.0.1:{upstream.port}")
    assert (await call(HttpTransport("http://gpu.example:8000/v1", key="sk-test")))[0] == 200
    [request] = upstream.requests
    assert request.path == "http://gpu.example:8000/v1/chat/completions"
    assert request.headers["proxy-authorization"] == "Basic bWU6d29yZA=="
    assert request.headers["authorization"] == "Bearer sk-test"


async def test_a_proxy_that_refuses(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:word@127.0.0.1:{upstream.port}")
    upstream.script(status(407))
    with pytest.raises(ConnectionFailed, match=rf"the proxy 127\.0\.0\.1:{upstream.port} gives no way") as caught:
        await call(HttpTransport("https://api.example/v1", retries=ONCE))
    assert caught.value.code == "proxy"
    assert "word" not in str(caught.value)


# --- nothing is left behind -----------------------------------------------------------------------------------------


async def test_a_call_cancelled_before_the_answer_hangs_up(upstream: Upstream) -> None:
    upstream.script(hang())
    calling = asyncio.create_task(call(HttpTransport(upstream.url)))
    assert await upstream.until(lambda: len(upstream.requests) == 1)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await upstream.until(lambda: upstream.hung_up == 1 and upstream.open_connections == 0)


def test_asyncio_run_ends_without_a_connection_or_a_warning(upstream: Upstream) -> None:
    async def main() -> None:
        await call(HttpTransport(upstream.url))
        assert upstream.open_connections == 1

    asyncio.run(main())
    gc.collect()  # a session that was not closed warns when it is collected, and warnings are errors here
    assert upstream.wait(lambda: upstream.open_connections == 0)
    assert not connections._opened


def test_each_event_loop_has_a_session_of_its_own(upstream: Upstream) -> None:
    transport = HttpTransport(upstream.url)
    both, codes = threading.Barrier(2), []

    async def main() -> None:
        for _ in range(5):
            codes.append((await call(transport))[0])
            await asyncio.to_thread(both.wait, 5)

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert codes == [200] * 10
    assert upstream.accepted == 2
    assert upstream.wait(lambda: upstream.open_connections == 0)


async def test_letting_go_closes_the_connections_when_nobody_else_uses_them(upstream: Upstream) -> None:
    one, other = HttpTransport(upstream.url), HttpTransport(upstream.url)
    await call(one)
    await call(other)
    await one.aclose()
    await asyncio.sleep(0.02)
    assert upstream.open_connections == 1
    await other.aclose()
    assert await upstream.until(lambda: upstream.open_connections == 0)
    assert (await call(one))[0] == 200  # it stays usable
    await one.aclose()


async def test_letting_go_in_mid_answer_cuts_it(upstream: Upstream) -> None:
    upstream.script(hang_after(1))
    transport = HttpTransport(upstream.url)
    answer = await transport.post("/chat/completions", STREAMED, stream=True)
    await answer.read_some()
    reading = asyncio.create_task(answer.read_some())
    await asyncio.sleep(0)
    await transport.aclose()
    with pytest.raises(StreamCut):
        await reading


async def test_many_streams_at_once_share_no_limit(upstream: Upstream) -> None:
    upstream.script(*[stream("a", delay_s=0.2)] * 150)
    transport = HttpTransport(upstream.url)
    began = time.monotonic()
    codes = await asyncio.gather(*(call(transport, STREAMED) for _ in range(150)))
    assert {code for code, _ in codes} == {200}
    assert time.monotonic() - began < 3
    assert upstream.accepted == 150
