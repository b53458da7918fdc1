"""Turns in which the model calls tools: over a real store, with a scripted model."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from multiturn import Conversation, InvalidInput, RunCompleted, TurnStatus, tool
from multiturn.cancel import Cancel
from multiturn.errors import OutputInvalid, ProviderFailed, RunCancelled
from multiturn.events import (
    Event,
    RunContent,
    RunError,
    RunPaused,
    RunStarted,
    ToolCallCompleted,
    ToolCallError,
    ToolCallStarted,
)
from multiturn.messages import Message, ToolResult
from multiturn.runs import DECLINED, STOPPED
from multiturn.tools import Tool, ToolContext
from multiturn.turns import pending_calls
from scripted import ScriptedModel, calling, in_turn


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chats.db"


@tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


ADDS = calling(("call_1", "add", '{"a":2,"b":3}'))


def results(messages: tuple[Message, ...] | list[Message]) -> list[tuple[str, str, bool]]:
    return [(each.call_id, each.text, each.is_error) for message in messages for each in message.tool_results]


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


# --- one turn ---------------------------------------------------------------------------------------------------------


def test_a_tool_is_called_and_the_model_reads_what_it_gave(url: str) -> None:
    model = ScriptedModel(in_turn(ADDS, "five"))
    chat = Conversation(model, tools=[add], store=url)
    reply = chat.send("2 + 3?")
    assert reply.text == "five"
    assert [message.role for message in reply.turn.messages] == ["user", "assistant", "tool", "assistant"]
    assert results(reply.turn.output) == [("call_1", "5", False)]
    assert [spec.name for spec in model.requests[0].tools] == ["add"]
    assert results(model.requests[1].messages) == [("call_1", "5", False)]
    assert reply.usage.input_tokens == 20  # of both calls
    assert Conversation(store=url, id=chat.id).turns == [reply.turn]


def test_the_next_turn_sees_the_calls_and_their_results(url: str) -> None:
    model = ScriptedModel(in_turn(ADDS, "five"))
    chat = Conversation(model, tools=[add], store=url)
    chat.send("2 + 3?")
    chat.send("again")
    assert [message.role for message in model.requests[2].messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


def test_the_events_of_a_turn_with_tools(url: str) -> None:
    chat = Conversation(ScriptedModel(in_turn(ADDS, "it is five")), tools=[add], store=url)
    events = list(chat.stream("2 + 3?"))
    assert kinds(events) == [
        "RunStarted",
        "ToolCallStarted",
        "ToolCallCompleted",
        "RunContent",
        "RunContent",
        "RunContent",
        "RunCompleted",
    ]
    assert "".join(event.text for event in events) == "it is five"
    assert isinstance(events[2], ToolCallCompleted)
    assert (events[2].call.name, events[2].result.text) == ("add", "5")


def test_calls_of_one_answer_run_at_once_and_keep_their_order(url: str) -> None:
    together = threading.Barrier(3, timeout=5)

    @tool
    def meet(name: str) -> str:
        together.wait()
        return name

    calls = calling(*((f"call_{n}", "meet", f'{{"name":"{n}"}}') for n in range(3)))
    reply = Conversation(ScriptedModel(in_turn(calls, "done")), tools=[meet], store=url).send("go")
    assert results(reply.turn.output) == [("call_0", "0", False), ("call_1", "1", False), ("call_2", "2", False)]


def test_what_a_tool_raises_is_told_to_the_model(url: str) -> None:
    @tool
    def fall() -> str:
        raise ValueError("the floor is wet")

    chat = Conversation(ScriptedModel(in_turn(calling(("c", "fall", "{}")), "oh")), tools=[fall], store=url)
    events = list(chat.stream("walk"))
    error = next(event for event in events if isinstance(event, ToolCallError))
    assert "the floor is wet" in error.result.text
    assert "Traceback" not in error.result.text
    assert isinstance(events[-1], RunCompleted)


def test_an_unknown_tool_is_answered(url: str) -> None:
    model = ScriptedModel(in_turn(calling(("c", "fly", "{}")), "oh"))
    reply = Conversation(model, tools=[add], store=url).send("fly")
    ((_, text, is_error),) = results(reply.turn.output)
    assert is_error
    assert "fly" in text
    assert "add" in text


def test_wrong_arguments_go_back_to_the_model(url: str) -> None:
    model = ScriptedModel(in_turn(calling(("c", "add", '{"a":"two"}')), ADDS, "five"))
    reply = Conversation(model, tools=[add], store=url).send("2 + 3?")
    (first, second) = results(reply.turn.output)
    assert first[2]
    assert second == ("call_1", "5", False)


def test_a_model_that_calls_for_ever_is_stopped(url: str) -> None:
    chat = Conversation(ScriptedModel(lambda request: ADDS), tools=[add], store=url, max_steps=4)
    reply = chat.send("2 + 3?")
    assert (reply.status, reply.turn.reason) == (TurnStatus.INCOMPLETE, "max_steps")
    assert len(results(reply.turn.output)) == 4
    assert pending_calls(reply.turn.output) == ()
    assert chat.turns == [reply.turn]


def test_without_functions_the_caller_runs_the_tools(url: str) -> None:
    chat = Conversation(ScriptedModel(in_turn(ADDS)), store=url)
    reply = chat.send("2 + 3?")
    assert reply.status is TurnStatus.COMPLETED
    assert [call.name for call in reply.tool_calls] == ["add"]
    chat.model = ScriptedModel(lambda request: "five")
    assert chat.send(ToolResult("call_1")).text == "five"
    assert chat.turns[-1].input[0].tool_results[0].name == "add"  # some providers want it


def test_a_tool_sees_the_conversation_and_its_state(url: str) -> None:
    @tool
    def remember(word: str, context: ToolContext) -> str:
        context.state.setdefault("words", []).append(word)
        return f"{context.conversation} of {context.user}"

    model = ScriptedModel(in_turn(calling(("c", "remember", '{"word":"tea"}')), "done"))
    chat = Conversation(model, tools=[remember], store=url, id="c1", user="ann")
    first = chat.send("one")
    assert results(first.turn.output)[0][1] == "c1 of ann"
    assert chat.state == {"words": ["tea"]}
    chat.state["words"].append("milk")
    chat.send("two")
    assert Conversation(store=url, id="c1").state == {"words": ["tea", "milk", "tea"]}
    assert first.turn.state == {"words": ["tea"]}
    assert chat.fork(at=first.turn.id).state == {"words": ["tea"]}


def test_instructions_may_be_a_function_of_the_conversation(url: str) -> None:
    model = ScriptedModel()

    async def brief(chat: Conversation) -> str:
        return f"Serve {chat.user}."

    chat = Conversation(model, instructions=brief, store=url, user="ann")
    assert chat.send("hi").turn.instructions == "Serve ann."
    assert model.requests[0].instructions == "Serve ann."


# --- pausing ----------------------------------------------------------------------------------------------------------

sent: list[str] = []


@tool(approval=True)
def pay(euros: int) -> str:
    """Pay."""
    sent.append(f"paid {euros}")
    return f"paid {euros}"


PAYS = calling(("call_1", "add", '{"a":2,"b":3}'), ("call_2", "pay", '{"euros":5}'))


def paused(url: str, **options: Any) -> Conversation:
    chat = Conversation(ScriptedModel(in_turn(PAYS, "done")), tools=[add, pay], store=url, id="c", **options)
    reply = chat.send("pay")
    assert reply.status is TurnStatus.PAUSED
    assert [call.call_id for call in reply.pending] == ["call_2"]
    assert results(reply.turn.output) == [("call_1", "5", False)]
    return chat


def test_a_call_that_needs_approval_pauses_the_run(url: str) -> None:
    sent.clear()
    chat = paused(url)
    assert chat.turns == []  # the head has not moved
    assert sent == []
    reply = chat.resume(approve=["call_2"])
    assert (reply.text, sent) == ("done", ["paid 5"])
    assert results(reply.turn.output) == [("call_1", "5", False), ("call_2", "paid 5", False)]
    assert chat.turns == [reply.turn]


def test_another_object_on_the_same_store_goes_on(url: str) -> None:
    turn = paused(url).latest
    assert turn is not None
    other = Conversation(ScriptedModel(in_turn(PAYS, "done")), tools=[add, pay], store=url, id="c")
    events = list(other.stream_resume(approve=True))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[1], ToolCallStarted)
    last = events[-1]
    assert isinstance(last, RunCompleted)
    assert last.reply.turn.id == turn.id


def test_a_call_can_be_denied_with_a_reason(url: str) -> None:
    sent.clear()
    reply = paused(url).resume(deny={"call_2": "Too much."})
    assert results(reply.turn.output)[1] == ("call_2", f"{DECLINED} Too much.", True)
    assert sent == []


def test_a_result_can_be_supplied(url: str) -> None:
    sent.clear()
    reply = paused(url).resume(results={"call_2": {"paid": "elsewhere"}})
    assert results(reply.turn.output)[1] == ("call_2", '{"paid":"elsewhere"}', False)
    assert sent == []


def test_what_is_not_decided_goes_on_waiting(url: str) -> None:
    chat = paused(url)
    assert chat.resume().status is TurnStatus.PAUSED
    with pytest.raises(InvalidInput, match="no call 'call_9' waits; these wait: call_2"):
        chat.resume(approve=["call_9"])
    assert chat.resume(approve=True).status is TurnStatus.COMPLETED
    with pytest.raises(InvalidInput, match="is completed"):
        chat.resume()


def test_a_tool_without_a_function_waits_for_its_result(url: str) -> None:
    outside: Tool[..., Any] = Tool("scan", "Scan a page.", {"type": "object", "properties": {}}, None)
    chat = Conversation(ScriptedModel(in_turn(calling(("c", "scan", "{}")), "read")), tools=[outside], store=url)
    events = list(chat.stream("scan it"))
    assert isinstance(events[-1], RunPaused)
    assert events[-1].reply.turn.reason == "result"
    assert chat.resume(results={"c": "42 pages"}).text == "read"


def test_a_paused_conversation_may_go_another_way(url: str) -> None:
    chat = paused(url)
    chat.model = ScriptedModel(lambda request: "never mind")
    reply = chat.send("forget it")
    assert [turn.id for turn in chat.turns] == [reply.turn.id]
    with pytest.raises(InvalidInput, match="completed"):
        chat.resume(approve=())


def test_the_same_key_gives_the_paused_turn(url: str) -> None:
    chat = Conversation(ScriptedModel(in_turn(PAYS, "done")), tools=[add, pay], store=url)
    first = chat.send("pay", key="k")
    again = list(chat.stream("pay", key="k"))
    assert isinstance(again[-1], RunPaused)
    assert again[-1].reply.turn == first.turn


# --- failing, stopping ------------------------------------------------------------------------------------------------


def test_a_model_that_fails_after_tools_goes_on_without_calling_them_again(url: str) -> None:
    calls: list[int] = []

    @tool
    def count() -> int:
        calls.append(1)
        return len(calls)

    broken: list[Message | str | Exception] = [calling(("c", "count", "{}")), ProviderFailed("down"), "one"]
    model = ScriptedModel(lambda request: broken.pop(0), words_before_error=("I", "think"))
    chat = Conversation(model, tools=[count], store=url)
    events: list[Event] = []
    with pytest.raises(ProviderFailed):
        events.extend(chat.stream("count"))
    failed = chat.latest
    assert failed is not None
    assert failed.status is TurnStatus.FAILED
    assert chat.turns == []
    reply = chat.retry()
    assert (reply.text, len(calls)) == ("one", 1)
    assert reply.turn.id == failed.id
    assert [message.role for message in reply.turn.output] == ["assistant", "tool", "assistant"]


def test_a_failing_stream_ends_with_an_error_event(url: str) -> None:
    chat = Conversation(ScriptedModel(lambda request: ProviderFailed("down")), store=url)
    seen: list[Event] = []

    def read() -> None:
        for event in chat.stream("hi"):
            seen.append(event)  # noqa: PERF402

    with pytest.raises(ProviderFailed):
        read()
    assert isinstance(seen[-1], RunError)


def test_leaving_while_a_tool_runs_leaves_no_call_without_its_result(url: str) -> None:
    begun = threading.Event()

    @tool
    async def wait() -> str:
        begun.set()
        await asyncio.sleep(60)
        return "late"

    model = ScriptedModel(in_turn(calling(("c", "wait", "{}")), "done"))
    chat = Conversation(model, tools=[wait], store=url)
    cancel = Cancel()

    def stop() -> None:
        begun.wait(5)
        cancel.cancel()

    threading.Thread(target=stop).start()
    with pytest.raises(RunCancelled) as caught:
        chat.send("wait", cancel=cancel)
    turn = chat.latest
    assert turn is not None
    assert (turn.id, turn.status, turn.reason) == (caught.value.turn_id, TurnStatus.INCOMPLETE, "interrupted")
    assert results(turn.output) == [("c", STOPPED, True)]
    chat.model = ScriptedModel()
    assert chat.send("and now?").text == "heard and now?"


def test_a_run_that_is_cancelled_before_it_begins_does_not_ask_the_model(url: str) -> None:
    model, cancel = ScriptedModel(), Cancel()
    cancel.cancel()
    with pytest.raises(RunCancelled):
        Conversation(model, store=url).send("hi", cancel=cancel)
    assert model.requests == []


# --- typed answers ----------------------------------------------------------------------------------------------------


class Menu(msgspec.Struct):
    dish: str
    price: float


def test_an_answer_has_the_type_that_was_asked_for(url: str) -> None:
    model = ScriptedModel(lambda request: '{"dish":"soup","price":4.5}')
    chat = Conversation(model, output=Menu, store=url)
    reply = chat.send("menu?")
    assert reply.output == reply.content == Menu("soup", 4.5)
    assert reply.text == '{"dish":"soup","price":4.5}'
    schema = model.requests[0].settings.output
    assert schema is not None
    assert schema.name == "Menu"


def test_a_wrong_answer_is_asked_for_anew(url: str) -> None:
    model = ScriptedModel(in_turn('{"dish":"soup"}', '{"dish":"soup","price":4.5}'))
    reply = Conversation(model, store=url).send("menu?", output=Menu)
    assert reply.output == Menu("soup", 4.5)
    assert [message.role for message in reply.turn.output] == ["assistant", "user", "assistant"]
    assert "price" in model.requests[1].messages[-1].text


def test_an_answer_that_stays_wrong_is_an_error(url: str) -> None:
    chat = Conversation(ScriptedModel(lambda request: "soup"), store=url)
    with pytest.raises(OutputInvalid, match="3 attempts") as caught:
        chat.send("menu?", output=Menu)
    assert caught.value.turn_id is not None
    assert chat.turns == []


def test_a_typed_answer_is_seen_while_it_comes(url: str) -> None:
    model = ScriptedModel(lambda request: '{"dish": "pea soup", "price": 4.5}')
    events = Conversation(model, store=url).stream("menu?", output=Menu)
    partials = [event.partial for event in events if isinstance(event, RunContent)]
    assert {"dish": "pea"} in partials
    assert partials[-1] == {"dish": "pea soup", "price": 4.5}
