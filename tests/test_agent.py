"""`Agent`: whoever runs it carries the history."""

from __future__ import annotations

import pytest

from multiturn import Agent, InvalidInput, RunCompleted, TurnStatus, tool
from multiturn.errors import ProviderFailed
from multiturn.events import Event, RunError, RunPaused
from multiturn.messages import assistant, user
from scripted import ScriptedModel, calling, in_turn


@tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@tool(approval=True)
def pay(euros: int) -> str:
    return f"paid {euros}"


ADDS = calling(("call_1", "add", '{"a":2,"b":3}'))


def test_messages_are_carried_from_run_to_run() -> None:
    model = ScriptedModel(in_turn(ADDS, "five"))
    agent = Agent(model, "Be brief.", [add])
    first = agent.run("2 + 3?")
    assert first.content == "five"
    assert [message.role for message in first.messages] == ["user", "assistant", "tool", "assistant"]
    second = agent.run("again", messages=first.messages)
    assert second.messages[:4] == first.messages
    assert [message.role for message in second.new_messages] == ["user", "assistant", "tool", "assistant"]
    assert model.requests[2].instructions == "Be brief."
    assert first.session_id == second.session_id == agent.session_id
    assert first.run_id != second.run_id
    assert second.usage.input_tokens == 20


def test_history_may_come_from_anywhere() -> None:
    model = ScriptedModel()
    reply = Agent(model).run("and?", messages=[user("one"), assistant("two")], session_id="s1")
    assert [message.text for message in model.requests[0].messages] == ["one", "two", "and?"]
    assert reply.session_id == "s1"


def test_the_last_event_carries_the_history_on() -> None:
    agent = Agent(ScriptedModel(in_turn(ADDS, "it is five")), tools=[add])
    *_, last = agent.run_stream("2 + 3?")
    assert isinstance(last, RunCompleted)
    assert len(last.output.messages) == 4
    assert last.output.status is TurnStatus.COMPLETED


def test_a_paused_run_goes_on() -> None:
    agent = Agent(ScriptedModel(in_turn(calling(("c", "pay", '{"euros":5}')), "done")), tools=[pay])
    *_, last = agent.run_stream("pay", messages=[user("hello"), assistant("hi")])
    assert isinstance(last, RunPaused)
    done = agent.resume(last.reply, approve=True)
    assert [message.role for message in done.messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert done.new_messages[2].tool_results[0].text == "paid 5"
    with pytest.raises(InvalidInput, match="only a paused one"):
        agent.resume(done)


def test_a_failing_run_tells_and_raises() -> None:
    seen: list[Event] = []

    def read() -> None:
        for event in Agent(ScriptedModel(lambda request: ProviderFailed("down"))).run_stream("hi"):
            seen.append(event)  # noqa: PERF402

    with pytest.raises(ProviderFailed):
        read()
    assert isinstance(seen[-1], RunError)


async def test_everything_has_an_async_twin() -> None:
    agent = Agent(ScriptedModel(in_turn(ADDS, "five")), tools=[add], output=int)
    agent.output = None
    reply = await agent.arun("2 + 3?")
    events = [event async for event in agent.arun_stream("again", messages=reply.messages)]
    assert isinstance(events[-1], RunCompleted)
