"""Which turn a repeated history leads to: what counts as the same, and how many are remembered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

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
from samples import png

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


def test_only_the_last_used_are_remembered() -> None:
    histories = Histories(most=2)
    messages = [[user(str(n)), user("new")] for n in range(3)]
    found = [histories._find("", each, list(_digests(each))) for each in messages]
    assert found == [None, None, None]
    histories.keep("", digest(messages[0][0]), "turn_0")
    histories.keep("", digest(messages[1][0]), "turn_1")
    assert histories._find("", messages[0], list(_digests(messages[0]))) == (1, "turn_0")
    histories.keep("", digest(messages[2][0]), "turn_2")
    found = [histories._find("", each, list(_digests(each))) for each in messages]
    assert found == [(1, "turn_0"), None, (1, "turn_2")]
    assert histories._find("other", messages[0], list(_digests(messages[0]))) is None
