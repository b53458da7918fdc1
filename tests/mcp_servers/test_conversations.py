"""Servers in conversations: sync and async, from any loop, several at once, with approvals."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mcp_servers.serving import HttpServer, Log, stdio
from multiturn import Agent, Cancel, Conversation, InvalidInput, TurnStatus, tool
from multiturn.errors import RunCancelled
from multiturn.mcp import Hints, MCPServer
from multiturn.messages import Image, Message
from scripted import ScriptedModel, calling, in_turn

ADDS = calling(("call_1", "add", '{"a":2,"b":3}'))
SELLS = calling(("call_1", "sell", '{"what":"apples"}'))


def results(messages: tuple[Message, ...]) -> list[tuple[str, bool]]:
    return [(each.text, each.is_error) for message in messages for each in message.tool_results]


def adding() -> ScriptedModel:
    return ScriptedModel(in_turn(ADDS, "five"))


@tool
def greet(name: str) -> str:
    """Greet somebody."""
    return f"hello {name}"


def test_sync(shop: MCPServer) -> None:
    model = ScriptedModel(in_turn(calling(("1", "add", '{"a":2,"b":3}'), ("2", "greet", '{"name":"Ada"}')), "done"))
    chat = Conversation(model, tools=[*shop.tools, greet])
    reply = chat.send("2 + 3?")
    assert reply.text == "done"
    assert results(reply.turn.output) == [("5", False), ("hello Ada", False)]


async def test_async(shop: MCPServer) -> None:
    reply = await Conversation(adding(), tools=shop.tools).asend("2 + 3?")
    assert results(reply.turn.output) == [("5", False)]


async def test_a_blocking_send_inside_of_async_with_does_not_wait_for_itself(log: Log) -> None:
    async with stdio(log) as server:
        reply = Conversation(adding(), tools=server.tools).send("2 + 3?")
    assert results(reply.turn.output) == [("5", False)]


def test_one_server_serves_every_loop_and_thread(shop: MCPServer) -> None:
    agent = Agent(adding(), tools=shop.tools)
    texts: list[str] = []

    def ask() -> None:
        texts.append(asyncio.run(agent.arun("2 + 3?")).text)
        texts.append(agent.run("2 + 3?").text)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["five"] * 8


def test_the_offline_model_finds_the_tool(shop: MCPServer, shop_log: Log) -> None:
    reply = Conversation("offline", tools=shop.tools).send("Please add 17 and 25")
    assert "add 17 25" in shop_log.lines
    assert "42" in reply.text


def test_a_picture_reaches_the_model(shop: MCPServer) -> None:
    model = ScriptedModel(in_turn(calling(("1", "picture", "{}")), "nice"))
    Conversation(model, tools=shop.tools).send("show me")
    (result,) = model.requests[1].messages[-1].tool_results
    assert [type(part) for part in result.parts][1:] == [Image]


def test_twenty_calls_of_one_answer_run_at_once(shop: MCPServer, shop_log: Log) -> None:
    calls = calling(*((str(n), "wait", f'{{"seconds":1,"name":"{n}"}}') for n in range(20)))
    reply = Conversation(ScriptedModel(in_turn(calls, "done")), tools=shop.tools).send("go")
    assert results(reply.turn.output) == [(f"waited {n}", False) for n in range(20)]
    begun = [line for line in shop_log.lines if line.startswith("wait")]
    assert all(line.startswith("waiting") for line in begun[:20])


async def test_cancelling_a_run_tells_the_server(shop: MCPServer, shop_log: Log) -> None:
    cancel = Cancel()
    model = ScriptedModel(lambda _: calling(("1", "wait", '{"seconds":30}')))
    running = asyncio.create_task(Conversation(model, tools=shop.tools).asend("wait", cancel=cancel))
    assert await shop_log.has("waiting")
    cancel.cancel()
    with pytest.raises(RunCancelled):
        await running
    assert await shop_log.has("cancelled")


async def test_a_server_that_crashes_does_not_end_the_turn(log: Log) -> None:
    model = ScriptedModel(in_turn(calling(("1", "crash", "{}")), calling(("2", "add", '{"a":1,"b":2}')), "oh"))
    async with stdio(log) as server:
        reply = await Conversation(model, tools=server.tools).asend("go")
    assert reply.text == "oh"
    assert results(reply.turn.output) == [
        ("the MCP server 'tester' ended before it answered", True),
        ("the MCP server 'tester' has ended", True),
    ]


def test_two_servers_with_the_same_tools(shop: MCPServer, log: Log) -> None:
    model = ScriptedModel(in_turn(calling(("1", "who", "{}"), ("2", "other_who", "{}")), "done"))
    with HttpServer(log, "other") as http, MCPServer.http(http.url, prefix="other_") as other:
        reply = Conversation(model, tools=[*shop.tools, *other.tools]).send("who is there?")
        with MCPServer.http(http.url) as clashing, pytest.raises(InvalidInput, match="two tools are called 'add'"):
            Conversation(model, tools=[*shop.tools, *clashing.tools])
    assert results(reply.turn.output) == [("shop", False), ("other", False)]


# --- approvals --------------------------------------------------------------------------------------------------------


def destructive(hints: Hints, arguments: dict[str, object]) -> bool:
    return hints.destructive and arguments.get("what") != "pears"


async def test_what_destroys_waits_for_an_approval_and_the_rest_does_not(log: Log) -> None:
    both = calling(("1", "sell", '{"what":"apples"}'), ("2", "sell", '{"what":"pears"}'), ("3", "add", '{"a":1,"b":2}'))
    async with stdio(log, approval=destructive) as server:
        chat = Conversation(ScriptedModel(in_turn(both, "sold")), tools=server.tools)
        paused = await chat.asend("sell all")
        assert paused.status is TurnStatus.PAUSED
        assert [call.call_id for call in paused.pending] == ["1"]
        assert "sold apples" not in log.lines
        reply = await chat.aresume(approve=["1"])
    assert reply.text == "sold"
    assert results(reply.turn.output) == [("sold 3 apples", False), ("sold 0 pears", False), ("3", False)]


def test_what_is_denied_is_not_called(log: Log) -> None:
    with stdio(log, approval=True) as server:
        assert all(tool.approval is True for tool in server.tools)
        chat = Conversation(ScriptedModel(in_turn(SELLS, "fine")), tools=server.tools)
        chat.send("sell")
        reply = chat.resume(deny={"call_1": "not today"})
    ((text, is_error),) = results(reply.turn.output)
    assert is_error
    assert "not today" in text
    assert "sold apples" not in log.lines
