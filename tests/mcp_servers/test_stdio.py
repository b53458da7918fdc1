"""A server over stdio: a real process, from its start to its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Unpack

import msgspec
import pytest

from mcp_servers.serving import HERE, TESTER, Log, called, stdio
from multiturn import InvalidInput
from multiturn.mcp import Hints, MCPFailed, MCPServer
from multiturn.mcp.server import Options
from multiturn.messages import Audio, File, Image, Inline, Text

# --- what it has ------------------------------------------------------------------------------------------------------


def test_the_servers_tools_are_tools(shop: MCPServer) -> None:
    assert repr(shop) == "<MCPServer 'shop'>"
    assert shop.instructions == "shop adds and echoes."
    add = shop.tools[0]
    assert add.name == "add"
    assert add.description == "The sum of two whole numbers."
    schema = msgspec.json.decode(add.spec.parameters)
    assert schema["properties"] == {
        "a": {"title": "A", "type": "integer"},
        "b": {"title": "B", "type": "integer"},
    }
    assert schema["required"] == ["a", "b"]
    assert not add.spec.strict
    assert not add.approval


def test_what_the_server_says_of_a_tool_is_at_hand(shop: MCPServer) -> None:
    hints = shop.hints
    assert hints["add"] == Hints("add", read_only=True, destructive=False, idempotent=True, open_world=False)
    assert hints["stock_up"] == Hints("stock_up", "Restock", destructive=False, idempotent=True)
    assert hints["who"] == Hints("who")
    assert hints["who"].destructive
    assert {tool.name for tool in shop.tools if tool.repeatable} == {"add", "stock_up"}


async def test_names_that_no_provider_takes_are_changed_and_still_lead_there(log: Log) -> None:
    async with stdio(log, prefix="shop.") as server:
        assert server.hints["shop_dotted_n_me"].name == "dotted.näme"
        assert (await called(server, "shop_dotted_n_me")).text == "dotted"


async def test_only_what_is_allowed_is_offered(log: Log) -> None:
    async with stdio(log, allow=["add", "dotted.näme"], prefix="x_") as server:
        assert [tool.name for tool in server.tools] == ["x_add", "x_dotted_n_me"]
        assert list(server.hints) == ["x_add", "x_dotted_n_me"]
    with pytest.raises(InvalidInput, match="has no tool 'ad' to allow; there are: add, "):
        await stdio(log, allow=["ad"]).__aenter__()


@pytest.mark.parametrize("circle", [(), ("--circle",)])
async def test_all_pages_of_tools_are_read(circle: tuple[str, ...]) -> None:
    async with MCPServer.stdio(sys.executable, HERE / "paged.py", *circle) as server:
        names = [tool.name for tool in server.tools]
    assert names == [f"tool_{n}" for n in range(5)]


async def test_a_tool_that_the_server_has_learned_is_there_after_a_refresh(log: Log) -> None:
    async with stdio(log) as server:
        await called(server, "learn", {"name": "juggle"})
        assert "juggle" not in server.hints
        refreshed = await server.arefresh()
        assert refreshed[-1].name == "juggle"
        assert (await called(server, "juggle")).text == "this is juggle"


# --- calls ------------------------------------------------------------------------------------------------------------


async def test_results_of_every_kind(shop: MCPServer) -> None:
    parts = {name: (await called(shop, name)).parts for name in ("who", "picture", "sound", "library", "measure")}
    assert parts["who"] == (Text("shop"),)
    caption, picture = parts["picture"]
    assert caption == Text("one pixel")
    assert isinstance(picture, Image)
    assert isinstance(picture.source, Inline)
    assert picture.source.data.startswith(b"\x89PNG")
    assert picture.source.media_type == "image/png"
    (sound,) = parts["sound"]
    assert isinstance(sound, Audio)
    assert parts["library"] == (
        Text("first\nsecond\nfile:///notes.md\n# Notes"),
        File(Inline(b"\0\1\2", "application/octet-stream"), name="b.bin"),
        Text("doc <https://x.test/doc> (text/html): the manual"),
    )
    assert parts["measure"] == (Text('{"width":3,"unit":"m"}'),)


async def test_an_error_of_the_tool_is_told_to_the_model(shop: MCPServer) -> None:
    result = await called(shop, "fail", {"reason": "sold out"})
    assert result.is_error
    assert result.text == "Error executing tool fail: sold out"


async def test_arguments_that_do_not_fit_the_schema_are_not_sent(shop: MCPServer, shop_log: Log) -> None:
    result = await called(shop, "add", {"a": "two", "b": 3})
    assert result.is_error
    assert 'a: expected an integer, got "two"' in result.text
    assert not any(line.startswith("add") for line in shop_log.lines)


async def test_a_server_that_asks_its_user_is_told_that_it_cannot(shop: MCPServer) -> None:
    result = await called(shop, "ask")
    assert result.is_error
    assert "elicitation" in result.text.lower()


async def test_progress_is_ignored(shop: MCPServer) -> None:
    assert (await called(shop, "chatty", {"text": "hi"})).text == "hi"


async def test_a_call_that_is_cancelled_is_cancelled_at_the_server(shop: MCPServer, shop_log: Log) -> None:
    calling = asyncio.create_task(called(shop, "wait", {"seconds": 30}))
    assert await shop_log.has("waiting")
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await shop_log.has("cancelled")


async def test_twenty_calls_at_once(shop: MCPServer, shop_log: Log) -> None:
    calls = [called(shop, "wait", {"seconds": 1, "name": str(n)}) for n in range(20)]
    assert [result.text for result in await asyncio.gather(*calls)] == [f"waited {n}" for n in range(20)]
    begun = [line for line in shop_log.lines if line.startswith("wait")]
    assert all(line.startswith("waiting") for line in begun[:20])  # none had to wait for another


async def test_long_text_is_cut(log: Log) -> None:
    async with stdio(log, max_result_bytes=100) as server:
        result = await called(server, "chatty", {"text": "x" * 500})
    assert result.text == "x" * 100 + "\n[400 more bytes were cut off here]"


async def test_a_call_that_takes_too_long_is_given_up_and_the_server_told(log: Log) -> None:
    async with stdio(log, timeout_s=0.3) as server:
        result = await called(server, "wait", {"seconds": 30})
        assert result.is_error
        assert result.text == "wait took longer than 0.3 s and was given up"
        assert await log.has("cancelled")
        assert (await called(server, "add", {"a": 1, "b": 2})).text == "3"
    assert "waited" not in log.lines


# --- what the process sees --------------------------------------------------------------------------------------------


async def test_the_process_sees_what_it_is_given_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-mine")
    env = {**log.env, "SHOP": "greengrocer"}
    async with MCPServer.stdio(sys.executable, TESTER, "stdio", env=env, cwd=tmp_path) as server:
        assert (await called(server, "variable", {"name": "SHOP"})).text == f"greengrocer in {tmp_path}"
        assert (await called(server, "variable", {"name": "OPENAI_API_KEY"})).text == f"(not set) in {tmp_path}"


async def test_stderr_is_ours_unless_said_otherwise(
    tmp_path: Path, log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stdio(log) as server:
        await called(server, "complain", {"text": "no more apples"})
    assert "no more apples" in capfd.readouterr().err
    with (tmp_path / "err").open("w") as file:
        for where in (file, subprocess.DEVNULL):
            command = MCPServer.stdio(sys.executable, TESTER, "stdio", env=log.env, stderr=where)
            async with command as server:
                await called(server, "complain", {"text": "no more pears"})
    assert (tmp_path / "err").read_text() == "no more pears\n"
    assert "pears" not in capfd.readouterr().err


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(MCPFailed, match="no connection to the MCP server 'nonesuch': FileNotFoundError"):
        await MCPServer.stdio("/opt/nonesuch", "--key=sk-1").__aenter__()


async def test_a_program_that_ends_at_once_says_so_without_its_arguments() -> None:
    with pytest.raises(MCPFailed, match="no connection to the MCP server 'python") as caught:
        await MCPServer.stdio(sys.executable, "-c", "'sk-1'").__aenter__()
    assert "sk-1" not in str(caught.value)


def silent(log: Log, **options: Unpack[Options]) -> MCPServer:
    program = f"import os, sys; print('started', os.getpid(), file=open({str(log.path)!r}, 'a')); sys.stdin.read()"
    return MCPServer.stdio(sys.executable, "-c", program, **options)


async def test_a_program_that_says_nothing_is_given_up_and_ended(log: Log) -> None:
    with pytest.raises(MCPFailed, match="did not answer within 1 s"):
        await silent(log, connect_timeout_s=1).__aenter__()
    assert len(log.pids) == 1
    assert log.running == []


async def test_who_stops_waiting_for_a_start_has_ended_the_program(log: Log) -> None:
    opening = asyncio.create_task(silent(log).__aenter__())
    while not log.pids:
        await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert log.running == []


def test_a_variable_that_is_not_set_is_found_at_once() -> None:
    with pytest.raises(InvalidInput, match="`env` must have text for 'SHOP_KEY'"):
        MCPServer.stdio("shop", env={"SHOP_KEY": os.environ.get("SHOP_KEY")})  # type: ignore[dict-item]


async def test_a_program_that_ends_at_an_unknown_first_request_is_asked_as_of_old(log: Log) -> None:
    async with stdio(log, "--strict") as server:
        assert (await called(server, "who")).text == "tester"
    assert len(log.pids) == 2


async def test_a_server_that_ends_in_mid_call_is_an_error_for_the_model(log: Log) -> None:
    async with stdio(log) as server:
        waiting = asyncio.create_task(called(server, "wait", {"seconds": 30}))
        assert await log.has("waiting")
        results = [await called(server, "crash"), await waiting]
        assert [(result.is_error, result.text) for result in results] == [
            (True, "the MCP server 'tester' ended before it answered")
        ] * 2
        assert log.running == []
        later = await called(server, "add", {"a": 1, "b": 2})
        assert later.is_error
        assert later.text == "the MCP server 'tester' has ended"


async def test_a_server_that_has_ended_is_started_again_by_a_refresh(log: Log) -> None:
    async with stdio(log) as server:
        before = server.tools
        await called(server, "crash")
        await server.arefresh()
        assert (await called(server, "who")).text == "tester"
        add = next(tool for tool in before if tool.name == "add")
        assert (await add(a=1, b=2)) == (Text("3"),)  # tools of before lead to the new one
        assert len(log.running) == 1


async def test_a_server_is_used_inside_its_block_only(log: Log) -> None:
    server = stdio(log)
    with pytest.raises(InvalidInput, match=r"'python[^']*' is not open; use it inside `with server:`"):
        _ = server.tools
    for _ in range(2):  # it may be opened again
        async with server:
            tools = server.tools
            with pytest.raises(InvalidInput, match="'tester' is open already"):
                await server.__aenter__()
            assert await tools[0](a=1, b=2) == (Text("3"),)
    with pytest.raises(InvalidInput, match="is not open"):
        await tools[0](a=1, b=2)
    with pytest.raises(InvalidInput, match="is not open"):
        await server.arefresh()
