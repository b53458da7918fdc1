"""A server over streamable HTTP, in a process of its own: by both protocols, answering in streams and in plain JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from mcp_servers.serving import HttpServer, Log, called
from multiturn import InvalidInput
from multiturn.mcp import MCPFailed, MCPServer
from multiturn.messages import Image, Text
from upstream import Upstream, hang, invalid_json, status

KINDS = {"new": (), "new-json": ("--json",), "old": ("--old",), "old-json": ("--old", "--json")}


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[HttpServer, Log]]:
    log = Log(tmp_path_factory.mktemp("http") / "mcp.log")
    with HttpServer(log, *request.param) as server:
        yield server, log
    assert log.running == []


@pytest.fixture
def http(shared: tuple[HttpServer, Log]) -> HttpServer:
    return shared[0]


@pytest.fixture
def http_log(shared: tuple[HttpServer, Log]) -> Log:
    """The log, empty at the start of each test, but for the process."""
    shared[1].forget()
    return shared[1]


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def own(request: pytest.FixtureRequest, log: Log) -> Iterator[HttpServer]:
    """One that the test may stop and start."""
    with HttpServer(log, *request.param) as server:
        yield server


@pytest.fixture
def old(log: Log) -> Iterator[HttpServer]:
    """One that has sessions."""
    with HttpServer(log, "--old") as server:
        yield server


async def test_calls_errors_and_images(http: HttpServer) -> None:
    async with MCPServer.http(http.url, timeout_s=5) as server:
        assert repr(server) == "<MCPServer 'tester'>"
        assert "add" in server.hints
        assert (await called(server, "add", {"a": 1, "b": 2})).text == "3"
        assert (await called(server, "chatty", {"text": "hi"})).text == "hi"
        error = await called(server, "fail", {"reason": "sold out"})
        assert (error.is_error, error.text) == (True, "Error executing tool fail: sold out")
        caption, picture = (await called(server, "picture")).parts
        assert caption == Text("one pixel")
        assert isinstance(picture, Image)


async def test_twenty_calls_at_once_and_one_that_is_cancelled(http: HttpServer, http_log: Log) -> None:
    async with MCPServer.http(http.url) as server:
        lost = asyncio.create_task(called(server, "wait", {"seconds": 30, "name": "lost"}))
        assert await http_log.has("waiting lost")
        calls = [called(server, "wait", {"seconds": 1, "name": str(n)}) for n in range(20)]
        results = await asyncio.gather(*calls)
        lost.cancel()
        assert not http.sees_hang_ups or await http_log.has("cancelled lost")
    assert [result.text for result in results] == [f"waited {n}" for n in range(20)]
    begun = [line for line in http_log.lines if line[-1].isdigit() and line.startswith("wait")]
    assert all(line.startswith("waiting") for line in begun[:5])  # on a busy machine the last may begin late


async def test_a_call_that_takes_too_long_is_given_up_and_the_server_told(http: HttpServer, http_log: Log) -> None:
    async with MCPServer.http(http.url, timeout_s=0.5) as server:
        result = await called(server, "wait", {"seconds": 30})
        assert result.text == "wait took longer than 0.5 s and was given up"
        assert not http.sees_hang_ups or await http_log.has("cancelled")


async def test_a_server_that_was_started_again_is_found_again(own: HttpServer) -> None:
    async with MCPServer.http(own.url) as server:
        assert (await called(server, "who")).text == "tester"
        own.stop()
        own.start()
        assert (await called(server, "who")).text == "tester"  # on a new session, without an error between


async def test_a_server_that_ends_in_mid_call_is_an_error_until_it_is_back(own: HttpServer) -> None:
    async with MCPServer.http(own.url) as server:
        crash = await called(server, "crash")
        assert crash.is_error
        away = [await called(server, "who") for _ in range(3)]
        assert all(result.is_error for result in away)
        assert away[-1].text == (
            f"there is no connection to the MCP server at http://127.0.0.1:{own.port}: "
            "ConnectError: All connection attempts failed"
        )
        with pytest.raises(MCPFailed, match="ConnectError"):
            await server.arefresh()
        own.stop()
        own.start()
        assert (await called(server, "who")).text == "tester"


async def test_many_calls_on_a_session_that_is_over_begin_one_new_one(old: HttpServer) -> None:
    async with MCPServer.http(old.url) as server:
        old.stop()
        old.start()
        results = await asyncio.gather(*(called(server, "who") for _ in range(5)))
        # Those that had no answer yet when the old session was left may have been done or not: they are not repeated.
        assert any(result.text == "tester" for result in results)
        assert all(result.text == "tester" or result.is_error for result in results)
        assert (await called(server, "who")).text == "tester"


async def test_headers_go_along_with_every_call(http: HttpServer) -> None:
    async with MCPServer.http(http.url, headers={"Authorization": "Bearer sk-1"}) as server:
        assert (await called(server, "header", {"name": "authorization"})).text == "Bearer sk-1"
        assert "sk-1" not in repr(server)


# --- addresses and servers that are not right -------------------------------------------------------------------------


async def test_nobody_is_there() -> None:
    with pytest.raises(MCPFailed, match=r"no connection to the MCP server at http://127\.0\.0\.1:9: ConnectError"):
        await MCPServer.http("http://127.0.0.1:9/secret/mcp?key=sk-1").__aenter__()


async def test_no_error_holds_a_key() -> None:
    with Upstream() as upstream:
        upstream.script(status(401), status(401))
        url = upstream.url.replace("http://", "http://user:sk-2@") + "/sk-3?key=sk-4"
        with pytest.raises(MCPFailed) as caught:
            await MCPServer.http(url, headers={"X-Key": "sk-1"}).__aenter__()
        assert upstream.requests[0].headers["x-key"] == "sk-1"
    error: BaseException | None = caught.value
    port = upstream.url.rsplit(":", 1)[1].split("/")[0]
    assert str(error).startswith(f"there is no connection to the MCP server at http://127.0.0.1:{port}: ")
    assert str(error).endswith("(HTTP status 401)")
    while error is not None:
        assert "sk-" not in repr(error)
        assert not hasattr(error, "request")
        error = error.__cause__ or error.__context__


async def test_something_else_is_there() -> None:
    with Upstream() as upstream:
        upstream.script(invalid_json(), invalid_json())
        with pytest.raises(MCPFailed, match="Failed to parse JSON response"):
            await MCPServer.http(upstream.url).__aenter__()


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with Upstream() as upstream:
        upstream.script(hang())
        with pytest.raises(MCPFailed, match=r"did not answer within 0\.5 s"):
            await MCPServer.http(upstream.url, connect_timeout_s=0.5).__aenter__()


@pytest.mark.parametrize("url", ["", "host/mcp", "ftp://host/mcp", "http:///mcp", "https://"])
def test_an_address_that_cannot_be(url: str) -> None:
    with pytest.raises(InvalidInput, match="begins with http:// or https:// and has a host"):
        MCPServer.http(url)


@pytest.mark.parametrize("key", ["sk-1\n", "sk-1\r\nX: y", "sk-1\0", "sk-1…", None])
def test_a_header_that_cannot_be_is_refused_without_saying_it(key: Any) -> None:
    with pytest.raises(InvalidInput, match="header 'X-Key'") as caught:
        MCPServer.http("https://host/mcp", headers={"X-Key": key})
    assert "sk-1" not in str(caught.value)
