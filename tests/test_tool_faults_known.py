"""Faults of ours that are known, each as a test that fails until it is mended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from multiturn import Agent, Conversation, InvalidInput, TurnStatus, tool
from multiturn.cancel import Cancel
from multiturn.deltas import Draft, Said
from multiturn.errors import ProviderFailed, StoreError
from multiturn.events import ToolCallCompleted
from multiturn.messages import Message, Refusal, Text, ToolCall, assistant, tool_result
from multiturn.recording import _Place
from multiturn.request import Request
from multiturn.stores.base import Store
from multiturn.stores.postgres.store import PostgresStore
from multiturn.stores.sqlite.store import SQLiteStore
from multiturn.tools import ToolContext
from multiturn.turns import Fault, Totals, Turn, finished
from scripted import ScriptedModel, calling, in_turn
from stores.saying import new_turn
from stores.urls import ON_DISK, fresh_url

TESTS = Path(__file__).parent


@pytest.fixture(params=ON_DISK)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return fresh_url(request.param, tmp_path)


def known(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=True, reason=reason)


def another_store(url: str) -> Store:
    """As another process has it."""
    return SQLiteStore(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else PostgresStore(url)


def texts(turn: Turn) -> list[str]:
    return [result.text for message in turn.output for result in message.tool_results]


class Spied:
    """A store of which it is known what was kept; `fails` once before it keeps a tool's result."""

    def __init__(self, store: Store, *, fails: bool = False) -> None:
        self._store, self._fails = store, fails
        self.kept: list[Draft] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def keep(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        if self._fails and any(isinstance(each, Said) and each.message.role == "tool" for each in drafts):
            self._fails = False
            raise StoreError("the disk is full")
        self.kept += drafts
        await self._store.keep(turn_id, drafts)


# --- exactly once, and only what was approved -------------------------------------------------------------------------


def test_an_approval_is_for_one_call_though_the_model_repeats_its_id(url: str) -> None:
    paid: list[int] = []

    @tool(approval=True)
    def pay(euros: int) -> str:
        paid.append(euros)
        return "paid"

    answers = (calling(("call_0", "pay", '{"euros":5}')), calling(("call_0", "pay", '{"euros":1000000}')), "done")
    chat = Conversation(ScriptedModel(in_turn(*answers)), tools=[pay], store=url)
    chat.send("pay")
    reply = chat.resume(approve=True)
    assert paid == [5]
    assert reply.status is TurnStatus.PAUSED


async def test_two_calls_under_one_id_have_each_its_own_result(url: str) -> None:
    @tool
    async def nap(s: float) -> str:
        await asyncio.sleep(s)
        return f"slept {s}"

    calls = calling(("c", "nap", '{"s":0.1}'), ("c", "nap", '{"s":0.0}'))
    reply = await Conversation(ScriptedModel(in_turn(calls, "done")), tools=[nap], store=url).asend("go")
    assert texts(reply.turn) == ["slept 0.1", "slept 0.0"]


async def test_a_result_that_is_there_when_the_reader_leaves_is_kept(url: str) -> None:
    @tool
    async def a() -> str:
        return "A"

    model = ScriptedModel(in_turn(calling(("1", "a", "{}"), ("2", "a", "{}")), "done"))
    chat = Conversation(model, tools=[a], store=url)
    events = chat.astream("go")
    async for event in events:
        if isinstance(event, ToolCallCompleted):
            break
    await events.aclose()
    turn = await chat.alatest()
    assert turn is not None
    assert texts(turn) == ["A", "A"]


async def test_a_result_is_stored_the_moment_it_exists(tmp_path: Path) -> None:
    @tool
    async def a() -> str:
        return "A"

    store: Any = Spied(another_store(fresh_url("sqlite", tmp_path)))
    model = ScriptedModel(in_turn(calling(("1", "a", "{}"), ("2", "a", "{}")), "done"))
    events = Conversation(model, tools=[a], store=store).astream("go")
    async for event in events:
        if isinstance(event, ToolCallCompleted):
            break
    await asyncio.sleep(0.2)
    kept = [each for each in store.kept if isinstance(each, Said) and each.message.role == "tool"]
    await events.aclose()
    assert len(kept) == 2


async def test_a_supplied_result_is_written_before_it_is_told(tmp_path: Path) -> None:
    @tool(approval=True)
    def pay() -> str:
        return "paid"

    store: Any = Spied(another_store(fresh_url("sqlite", tmp_path)))
    chat = Conversation(ScriptedModel(in_turn(calling(("1", "pay", "{}")), "done")), tools=[pay], store=store)
    await chat.asend("pay")
    before = len(store.kept)
    kept = [
        len(store.kept) > before
        async for event in chat.astream_resume(results={"1": "in cash"})
        if isinstance(event, ToolCallCompleted)
    ]
    assert kept == [True]


async def test_a_call_that_a_failing_store_broke_off_is_not_made_again(tmp_path: Path) -> None:
    called: list[str] = []

    @tool
    async def buy(what: str) -> str:
        called.append(what)
        await asyncio.sleep(0.0 if what == "tea" else 0.3)
        return what

    store: Any = Spied(another_store(fresh_url("sqlite", tmp_path)), fails=True)
    calls = calling(("1", "buy", '{"what":"tea"}'), ("2", "buy", '{"what":"milk"}'))
    chat = Conversation(ScriptedModel(in_turn(calls, "done")), tools=[buy], store=store)
    with pytest.raises(StoreError):
        await chat.asend("go")
    await chat.aretry()
    assert called == ["tea", "milk"]


async def test_whoever_was_taken_for_dead_calls_no_more_tools(tmp_path: Path) -> None:
    url = fresh_url("postgres", tmp_path)
    from stores.postgres_server import shared

    called: list[str] = []
    begun, go = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> str:
        begun.set()
        await go.wait()
        return "waited"

    @tool
    async def pay() -> str:
        called.append("paid")
        return "paid"

    stores = another_store(url), another_store(url)
    answers = calling(("a", "wait", "{}")), calling(("b", "pay", "{}")), "done"
    first = Conversation(ScriptedModel(in_turn(*answers)), tools=[wait, pay], store=stores[0], id="c")
    task = asyncio.ensure_future(first.asend("go"))
    await asyncio.wait_for(begun.wait(), 10)

    async def nowhere() -> None:
        raise OSError("the network is gone")

    cast(Any, stores[0])._connections.runner._connect = nowhere  # its lock is lost for good
    holder = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    shared().sql(f"SELECT pg_terminate_backend(pid) FROM ({holder}) AS held")
    await asyncio.sleep(0.3)
    second = Conversation(ScriptedModel(lambda request: "I go on"), tools=[wait, pay], store=stores[1], id="c")
    try:
        assert (await second.aresume()).text == "I go on"
        go.set()
        await asyncio.gather(task, return_exceptions=True)
        assert called == []
    finally:
        for store in stores:
            await store.aclose()


def test_retry_after_a_crash_calls_nothing_again(tmp_path: Path) -> None:
    called: list[str] = []
    chat = crashed_between_tools(fresh_url("sqlite", tmp_path), called)
    assert chat.retry().text == "done"
    assert called == []


@known("the state is written when the turn ends")
def test_what_a_tool_that_answered_has_put_in_the_state_outlives_a_crash(tmp_path: Path) -> None:
    chat = crashed_between_tools(fresh_url("sqlite", tmp_path), [])
    chat.resume()
    assert chat.state == {"cart": ["tea"]}


def test_a_key_never_gives_another_turn(tmp_path: Path) -> None:
    @tool(approval=True)
    def pay() -> str:
        return "paid"

    url = fresh_url("sqlite", tmp_path)
    crashed_between_tools(url, [])
    chat = Conversation(ScriptedModel(in_turn(calling(("p", "pay", "{}")), "done")), tools=[pay], store=url, id="c")
    assert chat.send("second").status is TurnStatus.PAUSED
    with pytest.raises(InvalidInput):
        assert chat.send("first", key="k").turn.input[0].text == "first"


CRASHING = """
import os, sys
from multiturn import Conversation, tool
from multiturn.tools import ToolContext
from scripted import ScriptedModel, calling

@tool
def buy(context: ToolContext) -> str:
    context.state["cart"] = ["tea"]
    return "bought"

def reply(request):
    if any(message.tool_results for message in request.input):
        os._exit(9)
    return calling(("1", "buy", "{}"))

Conversation(ScriptedModel(reply), tools=[buy], store=sys.argv[1], id="c").send("first", key="k")
"""


def crashed_between_tools(url: str, called: list[str]) -> Conversation:
    run = subprocess.run([sys.executable, "-c", CRASHING, url], cwd=TESTS, env={"PYTHONPATH": ":".join(sys.path)})
    assert run.returncode == 9

    @tool
    def buy(context: ToolContext) -> str:
        called.append(context.call_id)
        return "bought"

    return Conversation(ScriptedModel(in_turn(calling(("1", "buy", "{}")), "done")), tools=[buy], store=url, id="c")


async def test_the_words_of_a_failed_answer_stay_forgotten_after_a_crash(url: str) -> None:
    first = another_store(url)
    turn = await first.begin(new_turn())
    output = (Message("assistant", (ToolCall("1", "look"),)), tool_result("1", "seen"), assistant("blun"))
    fault = Fault("ProviderFailed", "down")
    await first.finish(finished(turn, TurnStatus.FAILED, before=Totals(), at=2.0, output=output, error=fault))
    assert (await first.reopen(turn.id)).output == output[:2]
    await first.aclose()
    second = another_store(url)
    left = await second.reopen(turn.id)
    await second.finish(finished(left, TurnStatus.COMPLETED, before=Totals(), at=3.0, output=left.output))
    await second.aclose()
    assert left.output == output[:2]


async def test_what_has_crashed_elsewhere_can_be_approved_at_once(url: str) -> None:
    @tool(approval=True)
    def pay() -> str:
        return "paid"

    here, there = another_store(url), another_store(url)
    await here.statistics()  # it has looked for what has crashed
    turn = await there.begin(new_turn())
    await there.keep(turn.id, [Said(Message("assistant", (ToolCall("1", "pay", "{}"),)))])
    await there.aclose()
    reply = await Conversation(ScriptedModel(lambda request: "done"), tools=[pay], store=here, id="c").aresume(
        approve=True
    )
    await here.aclose()
    assert reply.text == "done"


# --- cancelling -------------------------------------------------------------------------------------------------------


async def test_a_turn_that_anyio_cancels_while_it_begins_is_closed(url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url)
    await chat.asend("hello")
    with anyio.move_on_after(0):
        await chat.asend("go")
    async with asyncio.timeout(2):
        assert (await chat.asend("and now?")).text == "heard and now?"


async def test_a_stopped_run_ends_whatever_its_state_is(url: str) -> None:
    begun = asyncio.Event()

    @tool
    async def hold(context: ToolContext) -> str:
        context.state["lock"] = object()
        begun.set()
        await asyncio.sleep(60)
        return ""

    chat = Conversation(ScriptedModel(in_turn(calling(("1", "hold", "{}")), "done")), tools=[hold], store=url)
    task = asyncio.ensure_future(chat.asend("go"))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    turn = await chat.alatest()
    assert turn is not None
    assert turn.status is TurnStatus.INCOMPLETE


async def test_cancelled_twice_is_cancelled(tmp_path: Path) -> None:
    begun = asyncio.Event()

    @tool
    async def tidy() -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
        return ""

    model = ScriptedModel(in_turn(calling(("1", "tidy", "{}")), "done"))
    chat = Conversation(model, tools=[tidy], store=fresh_url("sqlite", tmp_path))
    task = asyncio.ensure_future(chat.asend("go", cancel=Cancel()))
    await asyncio.wait_for(begun.wait(), 10)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_switch_for_many_runs_does_not_grow() -> None:
    cancel, chat = Cancel(), Conversation(ScriptedModel())
    for _ in range(3):
        chat.send("hello", cancel=cancel)
    assert cancel._told == []


async def test_a_switch_changes_nothing_for_context_variables() -> None:
    variable = ContextVar("variable", default=0)

    class Model(ScriptedModel):
        async def answer(self, request: Request) -> Any:
            token = variable.set(1)
            async for item in super().answer(request):
                yield item
            variable.reset(token)

    assert [event async for event in Conversation(Model()).astream("so many words", cancel=Cancel())]


async def test_a_send_that_waits_its_turn_can_be_cancelled() -> None:
    go = asyncio.Event()

    @tool
    async def wait() -> str:
        await go.wait()
        return ""

    chat = Conversation(ScriptedModel(in_turn(calling(("1", "wait", "{}")), "done")), tools=[wait])
    first = asyncio.ensure_future(chat.asend("go"))
    await asyncio.sleep(0.05)
    cancel = Cancel()
    second = asyncio.ensure_future(chat.asend("and go", cancel=cancel))
    await asyncio.sleep(0.05)
    cancel.cancel()
    await asyncio.wait({second}, timeout=0.3)
    has_ended = second.done()
    go.set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert has_ended


def test_a_tool_that_exits_does_not_leave_its_caller_waiting() -> None:
    code = (
        "import sys; from multiturn import Conversation; from scripted import *\n"
        "def leave() -> str: sys.exit(3)\n"
        "Conversation(ScriptedModel(in_turn(calling(('1', 'leave', '{}')), 'fine')), tools=[leave]).send('go')"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=TESTS, env={"PYTHONPATH": ":".join(sys.path)}, timeout=5, capture_output=True)


def test_threads_may_wait_in_one_line() -> None:
    store: Any = object()
    problems: list[str] = []

    def wait_often() -> None:
        async def wait() -> None:
            for _ in range(20_000):
                async with _Place(store, "c") as place:
                    assert place.is_first in (True, False)

        try:
            asyncio.run(wait())
        except Exception as error:
            problems.append(repr(error))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=wait_often) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert problems == []


# --- state ------------------------------------------------------------------------------------------------------------


@tool
def count(context: ToolContext) -> str:
    context.state["n"] = context.state.get("n", 0) + 1
    return "counted"


def test_a_failed_turn_leaves_the_state_alone(url: str) -> None:
    answers: list[str | Message | Exception] = [calling(("1", "count", "{}")), ProviderFailed("down")]
    chat = Conversation(ScriptedModel(lambda request: answers.pop(0)), tools=[count], store=url, id="c")
    with pytest.raises(ProviderFailed):
        chat.send("go")
    assert chat.state == Conversation(store=url, id="c").state == {}


def test_a_failed_turn_that_goes_on_elsewhere_has_its_state(url: str) -> None:
    answers: list[str | Message | Exception] = [calling(("1", "count", "{}")), ProviderFailed("down"), "done"]
    model = ScriptedModel(lambda request: answers.pop(0))
    with pytest.raises(ProviderFailed):
        Conversation(model, tools=[count], store=url, id="c").send("go")
    assert Conversation(model, tools=[count], store=url, id="c").retry().turn.state == {"n": 1}


def test_two_conversations_given_one_dict_do_not_share_it() -> None:
    given: dict[str, Any] = {}
    model = ScriptedModel(in_turn(calling(("1", "count", "{}")), "done"))
    first, second = Conversation(model, tools=[count], state=given), Conversation(model, tools=[count], state=given)
    first.send("go")
    assert (given, second.state) == ({}, {})


def test_a_state_that_was_emptied_stays_empty_while_the_run_waits(url: str) -> None:
    @tool
    def clear(context: ToolContext) -> str:
        context.state.clear()
        return "cleared"

    @tool(approval=True)
    def pay() -> str:
        return "paid"

    model = ScriptedModel(in_turn(calling(("1", "clear", "{}"), ("2", "pay", "{}")), "done"))
    chat = Conversation(ScriptedModel(), tools=[clear, pay], store=url, id="c", state={"old": 1})
    chat.send("hello")
    chat.model = model
    chat.send("go")
    assert not Conversation(model, tools=[clear, pay], store=url, id="c").resume(approve=True).turn.state


def test_a_state_that_cannot_be_kept_is_refused_before_the_model_is_asked() -> None:
    model = ScriptedModel()
    with pytest.raises(InvalidInput):
        Agent(model).run("go", state={"database": object()})
    assert model.requests == []


# --- typed answers ----------------------------------------------------------------------------------------------------


def test_the_same_key_gives_an_answer_that_was_cut(url: str) -> None:
    cut = Message("assistant", (Text('{"a":'),), finish_reason="length")
    chat = Conversation(ScriptedModel(lambda request: cut), store=url)
    first = chat.send("go", key="k", output=dict[str, int])
    assert chat.send("go", key="k", output=dict[str, int]).turn == first.turn


@known("`retry` does not know what type was asked for, and cannot be told")
def test_a_retry_has_the_type_that_was_asked_for() -> None:
    answers: list[str | Message | Exception] = [ProviderFailed("down"), '{"a":1}']
    chat = Conversation(ScriptedModel(lambda request: answers.pop(0)))
    with pytest.raises(ProviderFailed):
        chat.send("go", output=dict[str, int])
    assert chat.retry().output == {"a": 1}


def test_a_refusal_is_an_answer() -> None:
    model = ScriptedModel(lambda request: Message("assistant", (Refusal("I will not."),), finish_reason="stop"))
    chat = Conversation(model)
    try:
        chat.send("go", output=dict[str, int])
    finally:
        assert len(model.requests) == 1
