"""ShareGPT files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multiturn.errors import InvalidInput
from multiturn.messages import Image, Message, ToolCall, Url, assistant, tool_result, user
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.transfer import Imported
from multiturn.turns import TurnStatus
from transfer.growing import Said, chatted, exported, grow, imported


def sample(*said: tuple[str, str | None], **more: object) -> dict[str, Any]:
    return {**more, "conversations": [{"from": who, "value": value} for who, value in said]}


async def head(store: Store, id: str) -> list[Message]:
    record = await store.conversation(id)
    assert record.head is not None
    return [message for turn in await store.path(record.head) for message in turn.messages]


async def samples(store: Store) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await exported(store, format="sharegpt")).splitlines()]


async def test_a_conversation_is_a_line_of_who_said_what() -> None:
    (found,) = await samples(await chatted("a"))
    assert found == sample(
        ("system", "Be brief."),
        *((who, f"{what} {number}") for number in range(3) for who, what in (("human", "question"), ("gpt", "answer"))),
        id="a",
    )


TOOLS = (
    ("human", "look\n[image, not shown]"),
    ("gpt", "wait"),
    ("function_call", '[{"name":"weather","arguments":{"city": "Oslo"}},{"name":"time","arguments":{}}]'),
    ("observation", "cold"),
    ("observation", "late"),
    ("function_call", '{"name":"again","arguments":{}}'),
    ("observation", "ok"),
    ("gpt", "yes"),
)


async def test_tools_are_calls_and_observations_and_images_a_note() -> None:
    store = open_store("sqlite://")
    said = [
        user("look", Image(Url("https://example.com/a.png"))),
        assistant("wait", ToolCall("1", "weather", '{"city": "Oslo"}'), ToolCall("2", "time", "")),
        tool_result("1", "cold"),
        tool_result("2", "late"),
        assistant(ToolCall("3", "again", "{}")),
        tool_result("3", "ok"),
    ]
    await grow(store, [Said(0, said, TurnStatus.COMPLETED, None, None)])
    (found,) = await samples(store)
    assert found == sample(*TOOLS, id="c0")


async def test_calls_and_observations_find_each_other_again() -> None:
    store = open_store("sqlite://")
    assert await imported(json.dumps([sample(*TOOLS, id="x")]).encode(), into=store, format="sharegpt") == Imported(
        1, 1
    )
    asked, called, first, second, again, third, answered = await head(store, "x")
    assert [message.text for message in (asked, called, answered)] == ["look\n[image, not shown]", "wait", "yes"]
    assert [call.arguments for call in called.tool_calls] == ['{"city":"Oslo"}', "{}"]
    calls = [call.call_id for call in (*called.tool_calls, *again.tool_calls)]
    assert [message.tool_results[0].call_id for message in (first, second, third)] == calls
    (found,) = await samples(store)
    assert json.dumps(found).replace(" ", "") == json.dumps(sample(*TOOLS, id="x")).replace(" ", "")


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_list_and_lines_are_the_same(indent: int | None) -> None:
    conversations = [
        sample(("human", "hi"), ("gpt", "hello"), id="a"),
        sample(("user", "hi"), ("chatgpt", "hello"), ("human", None), ("bard", "well?"), id=7),
        sample(("gpt", "I begin."), ("human", "do"), ("assistant", "so"), system="Be brief."),
        sample(("tool", "nobody called"), ("gpt", "indeed"), id="b"),
    ]
    as_list, as_lines = open_store("sqlite://"), open_store("sqlite://")
    assert await imported(json.dumps(conversations, indent=indent).encode(), into=as_list, format="sharegpt") == (
        Imported(4, 6)
    )
    lines = "\n".join(json.dumps(each) for each in conversations)
    await imported(lines.encode(), into=as_lines, format="sharegpt")
    assert await samples(as_list) == await samples(as_lines)
    assert {"a", "7", "b"} < {record.id for record in await as_list.conversations()}
    assert (await head(as_list, "b"))[0] == user("nobody called")
    (made_up,) = [record for record in await as_list.conversations() if record.id.startswith("conv_")]
    assert made_up.instructions == "Be brief."


async def test_an_id_that_is_taken_is_a_conflict() -> None:
    store = await chatted("a")
    data = json.dumps([sample(("human", "hi"), ("gpt", "hello"), id="a")], indent=1).encode()
    with pytest.raises(InvalidInput, match=r"^line 2: there is a conversation 'a' in the store already"):
        await imported(data, into=store, format="sharegpt")
    assert await imported(data, into=store, format="sharegpt", on_conflict="skip") == Imported(skipped=1)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([sample(("alien", "hi"))], r"conversations\[0\].from: 'alien' is none of human, user, gpt"),
        ([sample(("human", "hi"), ("function_call", "f(x)"))], r"conversations\[1\].value: this is no function call"),
        ([{"id": "x"}], "object missing required field `conversations`"),
        ([{"conversations": "x"}], r"expected `array`, got `str`"),
    ],
)
async def test_a_wrong_member_is_named(data: object, problem: str) -> None:
    with pytest.raises(InvalidInput, match=f"^line 1: {problem}"):
        await imported(json.dumps(data).encode(), into=open_store("sqlite://"), format="sharegpt")
