"""Which turn a repeated history leads to: what counts as the same, and how many are remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from multiturn.errors import StoreError
from multiturn.messages import (
    Image,
    Inline,
    Message,
    Origin,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
    assistant,
    system,
    tool_result,
    user,
)
from multiturn.server.histories import Histories, _digests
from multiturn.stores import open_store
from multiturn.stores.base import Store
from samples import png
from stores.saying import say

PNG = Image(Inline(png(), "image/png"))
CALL = ToolCall("c1", "f", '{"a": 1}')


def digest(*messages: Message) -> bytes:
    *_, last = _digests(messages)
    return last


@pytest.mark.parametrize(
    ("told", "repeated"),
    [
        # what only we know of an answer
        (
            Message(
                "assistant", (Text("hi", id="i", signature="s"),), id="m", origin=Origin("x"), finish_reason="stop"
            ),
            assistant("hi"),
        ),
        # thinking, which few clients send back
        (Message("assistant", (Reasoning("hm", signature="s"), Text("hi"))), assistant("hi")),
        # text in one piece or several
        (assistant("a", "b"), assistant("ab")),
        (user("a", "b", PNG), user("ab", PNG)),
        # arguments that were parsed and written anew; none at all
        (Message("assistant", (CALL,)), Message("assistant", (ToolCall("c1", "f", '{"a":1}'),))),
        (Message("assistant", (ToolCall("c1", "f"),)), Message("assistant", (ToolCall("c1", "f", "{}"),))),
        # what became of a result when its call was found
        (
            Message("tool", (ToolResult("c1", (Text("r"),), name="f", origin=Origin("x")),)),
            tool_result("c1", "r"),
        ),
        # words beside a call, in whatever order
        (Message("assistant", (CALL, Text("see"))), Message("assistant", (Text("see"), CALL))),
    ],
)
def test_what_a_client_repeats_is_the_same_to_us(told: Message, repeated: Message) -> None:
    assert digest(told) == digest(repeated)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([user("a")], [user("b")]),
        ([user("a")], [system("a")]),
        ([user("a")], [user("a", name="ann")]),
        ([user("a"), user("b")], [user("ab")]),
        ([user("a", PNG)], [user(PNG, "a")]),
        ([user(PNG)], [user(Image(Url("https://x.example/p.png")))]),
        ([assistant("no")], [assistant(Refusal("no"))]),
        ([Message("assistant", (CALL,))], [Message("assistant", (ToolCall("c2", "f", '{"a": 1}'),))]),
        ([Message("assistant", (CALL,))], [Message("assistant", (ToolCall("c1", "f", '{"a": 2}'),))]),
        ([tool_result("c1", "r")], [tool_result("c2", "r")]),
        ([tool_result("c1", "r")], [user("r")]),
    ],
)
def test_what_differs_is_another_history(one: Sequence[Message], other: Sequence[Message]) -> None:
    assert digest(*one) != digest(*other)


def test_arguments_that_are_no_json_are_taken_as_they_are() -> None:
    broken = [Message("assistant", (ToolCall("c1", "f", text),)) for text in ('{"a"', '{"a" ')]
    assert digest(broken[0]) != digest(broken[1])


def test_a_digest_goes_on_from_the_one_before() -> None:
    first, *_, last = _digests([user("a"), assistant("b"), user("c")])
    *_, again = _digests([assistant("b"), user("c")], first)
    assert again == last


async def found(histories: Histories, store: Store, messages: Sequence[Message]) -> tuple[int, str] | None:
    return await histories._find(store, "", messages, list(_digests(messages)))


async def test_only_the_last_used_are_remembered(store: Store) -> None:
    histories = Histories(most=2)
    messages = [[user(str(n)), user("new")] for n in range(3)]
    assert [await found(histories, store, each) for each in messages] == [None, None, None]
    histories.keep("", digest(messages[0][0]), "turn_0")
    histories.keep("", digest(messages[1][0]), "turn_1")
    assert await found(histories, store, messages[0]) == (1, "turn_0")
    histories.keep("", digest(messages[2][0]), "turn_2")
    assert [await found(histories, store, each) for each in messages] == [(1, "turn_0"), None, (1, "turn_2")]
    assert await histories._find(store, "other", messages[0], list(_digests(messages[0]))) is None


async def test_the_store_is_asked_where_memory_knows_less(store: Store) -> None:
    here, history = Histories(), [user("1"), assistant("2"), user("3"), assistant("4"), user("5")]
    one, two = await say(store), await say(store)
    here.keep("", digest(*history[:2]), one.id)
    store.note(two.id, digest(*history[:4]))
    assert await found(here, store, history[:4]) == (2, one.id)
    assert await found(here, store, history) == (4, two.id)
    await store.delete_turn(two.id)
    assert await found(here, store, history) == (4, two.id)  # remembered from now on, until `begin` misses it
    assert await found(Histories(), store, history) is None


async def test_the_store_is_asked_for_the_last_answers_and_not_for_a_first_question(store: Store) -> None:
    turn = await say(store)
    store.note(turn.id, digest(user("1"), assistant("2")))
    long = [user("1"), assistant("2"), *(each for n in range(31) for each in (user(str(n)), assistant("a"))), user("?")]
    assert await found(Histories(), store, long) == (2, turn.id)
    assert await found(Histories(), store, [*long, assistant("a"), user("?")]) is None
    await store.aclose()
    assert await found(Histories(), store, [system("be brief"), user("1")]) is None
    with pytest.raises(StoreError):
        await found(Histories(), store, [user("1"), assistant("2"), user("3")])


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = open_store("sqlite://")
    yield store
    await store.aclose()
