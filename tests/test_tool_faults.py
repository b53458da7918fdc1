"""Tools and models that go wrong in every way there is, asked in every way there is, on both stores. Whatever happened,
the stored turn says so, no call is without its result, and the conversation goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from multiturn import Conversation, InvalidInput, RunCompleted, TurnStatus, tool
from multiturn.cancel import Cancel
from multiturn.errors import ConversationBusy, OutputInvalid, RunCancelled
from multiturn.events import Event, RunError, RunPaused, RunStarted, ToolCallStarted
from multiturn.messages import Message, ToolCall, ToolResult
from multiturn.reply import Reply
from multiturn.runs import DECLINED, STOPPED
from multiturn.tools import AnyTool
from multiturn.turns import Turn, pending_calls
from scripted import ScriptedModel, calling, in_turn, message
from stores.urls import ON_DISK, fresh_url

MB = 1024 * 1024
called: list[str] = []


@tool
def add(a: int, b: int) -> int:
    """The sum."""
    called.append("add")
    return a + b


@tool
def fall() -> str:
    raise ValueError("the floor is wet")


@tool(errors="type")
async def fall_silently() -> str:
    raise ValueError("the password is 1234")


@tool
def fall_in_a_group() -> str:
    raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])


@tool(timeout_s=0.05)
async def hang() -> str:
    await asyncio.sleep(60)
    return "late"


@tool(timeout_s=0.05)
def hang_in_a_thread() -> str:
    time.sleep(0.3)
    return "late"


@tool
def shout() -> str:
    return "ä" * (5 * MB)


@tool
async def list_much() -> list[str]:
    return ["word"] * (10 * MB // 7)


@tool
def odd() -> object:
    return {"when": object, 1: {2}, "not": float("nan"), (1, 2): Path("/tmp")}


@tool
def unreadable() -> bytes:
    return b"\xff\xfe\x00\x01" * 10


@tool
def quiet() -> str:
    return ""


@tool
async def cancel_itself() -> str:
    raise asyncio.CancelledError


@tool
async def endless() -> AsyncIterator[str]:
    yield "one"
    raise RuntimeError("broke off")


TOOLS: list[AnyTool] = [add, fall, fall_silently, fall_in_a_group, hang, hang_in_a_thread, shout, list_much]
TOOLS += [odd, unreadable, quiet, cancel_itself, endless]


class Fault(msgspec.Struct, frozen=True):
    """What the model calls first, and what it reads then: for each call whether it is told of an error, and a piece of
    what it is told."""

    calls: tuple[tuple[str, str, str], ...]
    told: tuple[tuple[bool, str], ...]


def one(name: str, arguments: str, is_error: bool, told: str) -> Fault:
    return Fault((("call_1", name, arguments),), ((is_error, told),))


FAULTS = {
    "raises": one("fall", "{}", True, "ValueError: the floor is wet"),
    "raises in silence": one("fall_silently", "{}", True, "ValueError"),
    "raises a group": one("fall_in_a_group", "{}", True, "ValueError: one; KeyError: 'two'"),
    "hangs": one("hang", "{}", True, "hang took longer than 0.05 s and was given up"),
    "hangs in a thread": one("hang_in_a_thread", "{}", True, "took longer than 0.05 s"),
    "gives 10 MB of text": one("shout", "{}", False, f"[{10 * MB - 256 * 1024} more bytes were cut off here]"),
    "gives 10 MB of JSON": one("list_much", "{}", False, "more bytes were cut off here]"),
    "gives what is not JSON": one("odd", "{}", False, '"not":null'),
    "gives bytes of no kind": one("unreadable", "{}", True, "40 bytes of a kind that is not known"),
    "gives nothing": one("quiet", "{}", False, ""),
    "cancels itself": one("cancel_itself", "{}", True, "cancelled from inside"),
    "breaks off": one("endless", "{}", True, "RuntimeError: broke off"),
    "is unknown": one("fly", "{}", True, "there is no tool 'fly'"),
    "is called by no name": one("", "{}", True, "there is no tool ''"),
    "is called by a long name": one("fly away! " * 30, "{}", True, "there is no tool"),
    "gets wrong arguments": one("add", '{"a":"two","b":3}', True, "a"),
    "gets too few arguments": one("add", '{"a":2}', True, "b"),
    "gets none": one("add", "", True, "a"),
    "gets a list": one("add", "[2,3]", True, ""),
    "gets invalid JSON": one("add", '{"a":2,"b"', True, ""),
    "gets JSON nested without end": one("add", '{"a":' + "[" * 100_000, True, ""),
    "is called twice": Fault(
        (("call_1", "add", '{"a":1,"b":1}'), ("call_2", "add", '{"a":2,"b":2}')), ((False, "2"), (False, "4"))
    ),
    "is called without an id": Fault((("", "add", '{"a":1,"b":1}'),), ((False, "2"),)),
    "some fail": Fault(
        (("call_1", "hang", "{}"), ("call_2", "fall", "{}"), ("call_3", "add", '{"a":1,"b":1}')),
        ((True, "took longer"), (True, "wet"), (False, "2")),
    ),
}


# --- every way to ask -------------------------------------------------------------------------------------------------


async def last_of(events: Any) -> Reply:
    async with aclosing(events):
        seen = [event async for event in events]
    return reply_in(seen)


def reply_in(events: list[Event]) -> Reply:
    """The reply of a run's events, which are in order."""
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunCompleted | RunPaused)
    assert not any(isinstance(event, RunStarted | RunCompleted | RunPaused | RunError) for event in events[1:-1])
    return events[-1].reply


Ask = Callable[..., Awaitable[Reply]]
WAYS: dict[str, Ask] = {
    "send": lambda chat, said, **options: asyncio.to_thread(chat.send, said, **options),
    "stream": lambda chat, said, **options: asyncio.to_thread(lambda: reply_in(list(chat.stream(said, **options)))),
    "asend": lambda chat, said, **options: chat.asend(said, **options),
    "astream": lambda chat, said, **options: last_of(chat.astream(said, **options)),
}


@pytest.fixture(params=ON_DISK)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    called.clear()
    return fresh_url(request.param, tmp_path)


@pytest.fixture(params=WAYS)
def ask(request: pytest.FixtureRequest) -> Ask:
    return WAYS[request.param]


def conversation(model: ScriptedModel, url: str, *tools: AnyTool, **options: Any) -> Conversation:
    return Conversation(model, tools=tools or TOOLS, store=url, id="c", **options)


def results(turn: Turn) -> list[ToolResult]:
    return [result for message in turn.output for result in message.tool_results]


def is_sound(messages: list[Message]) -> bool:
    """Whether each answer's calls have one result each, right after it and in order, and no id comes twice."""
    seen: set[str] = set()
    waiting: list[str] = []
    for each in messages:
        for result in each.tool_results:
            if not waiting or waiting.pop(0) != result.call_id:
                return False
        if each.role != "tool" and waiting:
            return False
        ids = [call.call_id for call in each.tool_calls]
        if seen & set(ids) or len(set(ids)) < len(ids):
            return False
        seen.update(ids)
        waiting += ids
    return not waiting


async def goes_on(chat: Conversation, turn: Turn) -> None:
    """The turn is in the store as it was told, and the next one is asked with a sound history, here and elsewhere."""
    assert await chat.alatest() == turn
    assert pending_calls(turn.output) == ()
    for n in range(2):
        model = ScriptedModel(lambda request: "still here")
        other = Conversation(model, store=chat.store, id=chat.id, tools=TOOLS)
        assert (await other.asend(f"and now? {n}")).text == "still here"
        assert is_sound(model.requests[0].messages)
    assert await chat.store.check() == ()


# --- the matrix -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_tool_that_goes_wrong_is_told_to_the_model(fault: str, ask: Ask, url: str) -> None:
    calls, told = FAULTS[fault].calls, FAULTS[fault].told
    model = ScriptedModel(in_turn(calling(*calls), "I see."))
    chat = conversation(model, url)
    reply = await ask(chat, "go")
    assert (reply.status, reply.text, reply.turn.reason) == (TurnStatus.COMPLETED, "I see.", None)
    given = results(reply.turn)
    assert [(result.call_id, result.name) for result in given] == [(id, name) for id, name, _ in calls]
    for result, (is_error, piece) in zip(given, told, strict=True):
        assert result.is_error is is_error, result.text[:500]
        assert piece in result.text
        assert "Traceback" not in result.text
        assert "1234" not in result.text
        assert len(result.text.encode()) < 257 * 1024
    assert is_sound(model.requests[1].messages)
    await goes_on(chat, reply.turn)


async def test_a_model_that_calls_for_ever_is_stopped(ask: Ask, url: str) -> None:
    chat = conversation(ScriptedModel(lambda request: calling(("call_1", "add", '{"a":1,"b":1}'))), url, max_steps=5)
    reply = await ask(chat, "go")
    assert (reply.status, reply.turn.reason) == (TurnStatus.INCOMPLETE, "max_steps")
    assert [result.text for result in results(reply.turn)] == ["2"] * 5
    await goes_on(chat, reply.turn)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_is_cut_in_a_call_runs_nothing(reason: str, ask: Ask, url: str) -> None:
    cut = message("I will ad", ToolCall("call_1", "add", '{"a":1,"b":1}'), ToolCall("call_2", "add", '{"a":'))
    chat = conversation(ScriptedModel(lambda request: msgspec.structs.replace(cut, finish_reason=reason)), url)
    reply = await ask(chat, "go")
    assert (reply.status, reply.turn.reason, called) == (TurnStatus.INCOMPLETE, reason, [])
    assert [(each.call_id, each.is_error, each.text) for each in results(reply.turn)] == [
        ("call_1", True, STOPPED),
        ("call_2", True, STOPPED),
    ]
    await goes_on(chat, reply.turn)


async def test_a_schema_that_is_never_satisfied_is_an_error(ask: Ask, url: str) -> None:
    model = ScriptedModel(in_turn(calling(("call_1", "add", '{"a":1,"b":1}')), "soup"))
    chat = conversation(model, url)
    before = await ask(chat, "hello")
    with pytest.raises(OutputInvalid) as caught:
        await ask(chat, "menu?", output=dict[str, int])
    failed = await chat.alatest()
    assert failed is not None
    assert (failed.id, failed.status) == (caught.value.turn_id, TurnStatus.FAILED)
    assert failed.error is not None
    assert failed.error.kind == "OutputInvalid"
    assert len(model.requests) == 2 + 4  # a call, and three attempts
    assert await chat.aturns() == [before.turn]
    await goes_on(chat, failed)


# --- stopped ----------------------------------------------------------------------------------------------------------


class Waits:
    """Two tools, one in a thread and one not, that wait until they are let go; what they make of being stopped."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.cancelled: list[bool] = []

        @tool
        async def wait() -> str:
            self.begun.release()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.append(True)
                raise
            return "late"

        @tool
        def wait_in_a_thread() -> str:
            self.begun.release()
            self.go.wait(10)
            return "late"

        self.tools: list[AnyTool] = [wait, wait_in_a_thread]
        self.calls = calling(("call_1", "wait", "{}"), ("call_2", "wait_in_a_thread", "{}"), text="I wait.")

    async def both_begun(self) -> None:
        for _ in range(2):
            assert await asyncio.to_thread(self.begun.acquire, timeout=10)


async def stopped_by_its_task(chat: Conversation, waits: Waits, stream: bool) -> None:
    task = asyncio.ensure_future(last_of(chat.astream("wait")) if stream else chat.asend("wait"))
    await waits.both_begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def stopped_by_a_switch(chat: Conversation, waits: Waits, stream: bool) -> None:
    cancel = Cancel()
    task = asyncio.ensure_future(WAYS["stream" if stream else "send"](chat, "wait", cancel=cancel))
    await waits.both_begun()
    cancel.cancel()
    with pytest.raises(RunCancelled):
        await task


async def stopped_by_its_reader(chat: Conversation, waits: Waits, stream: bool) -> None:
    if stream:
        for event in chat.stream("wait"):
            if isinstance(event, ToolCallStarted):
                await waits.both_begun()
                break
        return
    async with aclosing(chat.astream("wait")) as events:
        async for event in events:
            if isinstance(event, ToolCallStarted):
                break


STOPS = [stopped_by_its_task, stopped_by_a_switch, stopped_by_its_reader]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stop", STOPS)
async def test_a_run_that_is_stopped_among_its_tools_is_kept(
    stop: Callable[[Conversation, Waits, bool], Awaitable[None]], stream: bool, url: str
) -> None:
    waits = Waits()
    chat = conversation(ScriptedModel(in_turn(waits.calls, "done")), url, *waits.tools)
    before = asyncio.all_tasks()
    await stop(chat, waits, stream)
    waits.go.set()
    turn = await chat.alatest()
    assert turn is not None
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    assert [(each.call_id, each.is_error) for each in results(turn)] == [("call_1", True), ("call_2", True)]
    assert waits.cancelled in ([True], [])  # a reader may leave before they have begun
    assert asyncio.all_tasks() == before
    await goes_on(chat, turn)


async def test_a_stop_at_any_moment_leaves_a_conversation_that_goes_on(url: str) -> None:
    @tool
    async def nap(context: Any = None) -> str:
        await asyncio.sleep(0.001)
        return "rested"

    answers = in_turn(calling(("call_1", "nap", "{}"), ("call_2", "nap", "{}"), text="So."), "done at last")
    chat = conversation(ScriptedModel(answers), url, nap)
    for n in range(60):
        task = asyncio.ensure_future(last_of(chat.astream("go")) if n % 2 else chat.asend("go"))
        await asyncio.sleep(n * 0.0004)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        turn = await chat.alatest()
        assert turn is None or turn.status in (TurnStatus.COMPLETED, TurnStatus.INCOMPLETE)
        assert turn is None or pending_calls(turn.output) == ()
    assert (await chat.asend("go")).text == "done at last"
    for turn in await chat.store.tree("c"):
        assert turn.status in (TurnStatus.COMPLETED, TurnStatus.INCOMPLETE)
    assert await chat.store.check() == ()


# --- paused -----------------------------------------------------------------------------------------------------------


@tool(approval=True)
def pay(euros: int) -> str:
    called.append(f"pay {euros}")
    return f"paid {euros}"


@pytest.mark.parametrize(
    ("decision", "told", "is_error", "paid"),
    [
        ({"approve": True}, "paid 5", False, ["pay 5"]),
        ({"deny": {"call_1": "Too much."}}, f"{DECLINED} Too much.", True, []),
        ({"results": {"call_1": "paid in cash"}}, "paid in cash", False, []),
    ],
)
async def test_a_paused_run_goes_on_in_another_object(
    decision: dict[str, Any], told: str, is_error: bool, paid: list[str], ask: Ask, url: str
) -> None:
    model = ScriptedModel(in_turn(calling(("call_1", "pay", '{"euros":5}')), "done"))
    reply = await ask(conversation(model, url, pay), "pay")
    assert (reply.status, reply.turn.reason, called) == (TurnStatus.PAUSED, "approval", [])
    done = await conversation(model, url, pay).aresume(**decision)
    ((result,)) = results(done.turn)
    assert (result.text, result.is_error, called) == (told, is_error, paid)
    assert is_sound(model.requests[1].messages)
    await goes_on(conversation(model, url, pay), done.turn)


async def test_wrong_arguments_ask_nobody_for_approval(ask: Ask, url: str) -> None:
    model = ScriptedModel(in_turn(calling(("call_1", "pay", '{"euros":"all"}')), "done"))
    reply = await ask(conversation(model, url, pay), "pay")
    assert (reply.status, called) == (TurnStatus.COMPLETED, [])
    assert results(reply.turn)[0].is_error


async def test_of_two_who_go_on_at_once_one_does(url: str) -> None:
    model = ScriptedModel(in_turn(calling(("call_1", "pay", '{"euros":5}')), "done"), delay_s=0.01)
    await conversation(model, url, pay).asend("pay")
    chats = [conversation(model, url, pay) for _ in range(4)]
    outcomes = await asyncio.gather(*(chat.aresume(approve=True) for chat in chats), return_exceptions=True)
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 1
    assert all(isinstance(outcome, Reply | ConversationBusy | InvalidInput) for outcome in outcomes)
    assert called == ["pay 5"]
