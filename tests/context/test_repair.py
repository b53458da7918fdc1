"""Broken histories, mended on their way out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings

from context.windows import calling, pairs_are_whole, turns
from multiturn.context.repair import NO_RESULT, Thread, mended
from multiturn.context.view import seen
from multiturn.messages import Message, Text, ToolCall, ToolResult, assistant, tool_result, user
from multiturn.path import Path
from multiturn.turns import Mark, Turn


def mend(*messages: Message, last: bool = True, place: int = 7) -> Sequence[Message]:
    made, _ = mended(messages, Thread([], {}), place=place, last=last)
    return made


def told(messages: Sequence[Message]) -> list[str]:
    """Roles, and what stands in tools' messages."""
    return [
        f"{message.role}: {message.tool_results[0].call_id} {message.tool_results[0].text}"
        if message.tool_results
        else f"{message.role}: {message.text}{','.join(call.call_id for call in message.tool_calls)}"
        for message in messages
    ]


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (user("hi"),),
        (assistant("hi"), user("ho")),  # the model first: a format's own affair
        (user("hi"), calling("a", "b"), tool_result("b", "2"), tool_result("a", "1"), assistant("done")),
        (user("hi"), calling("a"), Message("user", (ToolResult("a"), Text("and?"))), assistant("done")),
        (calling("a"), tool_result("a", "1"), calling("b"), tool_result("b", "2")),
    ],
)
def test_what_is_whole_is_given_back_as_it_is(messages: tuple[Message, ...]) -> None:
    made, _ = mended(messages, Thread([], {}), place=0, last=True)
    assert made is messages


def test_a_call_that_was_left_is_answered_by_an_error() -> None:
    made = mend(user("look"), calling("a", "b"), tool_result("b", "2"), user("never mind"))
    assert told(made) == ["user: look", "assistant: a,b", "tool: b 2", f"tool: a {NO_RESULT}", "user: never mind"]
    assert made[3].tool_results[0].is_error
    assert made[3].tool_results[0].name == "look"


def test_calls_at_the_end_wait_for_the_next_turn() -> None:
    messages = (user("look"), calling("a"))
    made, thread = mended(messages, Thread([], {}), place=0)
    assert made is messages
    answer = (tool_result("a", "1"), user("so?"))
    assert mended(answer, thread, place=1, last=True)[0] is answer


def test_calls_that_the_next_turn_leaves_are_answered_at_its_beginning() -> None:
    _, thread = mended((user("look"), calling("a")), Thread([], {}), place=0)
    made, _ = mended((user("never mind"),), thread, place=1, last=True)
    assert told(made) == [f"tool: a {NO_RESULT}", "user: never mind"]


def test_results_said_after_other_words_come_first() -> None:
    made = mend(user("look"), calling("a"), user("wait"), tool_result("a", "1"), user("so?"))
    assert told(made) == ["user: look", "assistant: a", "tool: a 1", "user: wait", "user: so?"]


def test_a_result_of_nothing_is_said_in_words() -> None:
    made = mend(tool_result("gone", "42"), user("so?"))
    assert told(made) == ["user: [result of tool call gone]\n42", "user: so?"]
    made = mend(user("look"), calling("a"), tool_result("a", "1"), tool_result("a", "again", is_error=True))
    assert told(made)[-1] == "user: [error of tool call a]\nagain"


def test_a_result_that_comes_too_late_is_said_in_words() -> None:
    made = mend(calling("a"), user("go on"), assistant("well"), tool_result("a", "1"))
    assert told(made) == [
        "assistant: a",
        f"tool: a {NO_RESULT}",
        "user: go on",
        "assistant: well",
        "user: [result of tool call a]\n1",
    ]


def test_an_id_that_comes_again_is_made_its_own_on_both_sides() -> None:
    first = (user("look"), calling("call_0"), tool_result("call_0", "1"))
    _, thread = mended(first, Thread([], {}), place=0)
    again = (user("look"), calling("call_0"), tool_result("call_0", "2"), calling("call_0"), tool_result("call_0", "3"))
    made, _ = mended(again, thread, place=1)
    assert told(made) == [
        "user: look",
        "assistant: call_0_1_1",
        "tool: call_0_1_1 2",
        "assistant: call_0_1_2",
        "tool: call_0_1_2 3",
    ]


def test_the_new_id_is_the_same_while_the_turn_goes_on_and_when_it_has_ended() -> None:
    _, thread = mended((user("a"), calling("x"), tool_result("x", "1")), Thread([], {}), place=0)
    so_far = (user("b"), calling("x"), tool_result("x", "2"))
    tried, _ = mended(so_far, thread.on_trial(), place=1, last=True)
    ended, _ = mended((*so_far, assistant("done")), thread, place=1)
    assert tuple(ended[:3]) == tuple(tried)


def test_two_calls_of_one_answer_under_one_id_keep_their_own_results() -> None:
    made = mend(calling("x", "x"), tool_result("x", "1"), tool_result("x", "2"))
    calls = made[0].tool_calls
    assert len({call.call_id for call in calls}) == 2
    assert [(message.tool_results[0].call_id, message.tool_results[0].text) for message in made[1:]] == [
        (calls[0].call_id, "1"),
        (calls[1].call_id, "2"),
    ]


def test_results_inside_an_answer_belong_to_its_own_calls() -> None:
    whole = Message("assistant", (ToolCall("a", "look", "{}"), ToolResult("a", (Text("1"),)), Text("seen")))
    assert mend(user("look"), whole)[1] is whole


def test_an_image_of_a_result_of_nothing_is_still_shown() -> None:
    from context.windows import PICTURE

    made = mend(Message("tool", (ToolResult("gone", (PICTURE,)),)))
    assert made[0].role == "user"
    assert PICTURE in made[0].parts


@settings(max_examples=150, deadline=None)
@given(turns())
def test_every_history_comes_out_whole_and_none_is_changed(history: list[Turn]) -> None:
    before = [turn.messages for turn in history]
    view = seen(Path(history), Mark())
    messages, _ = mended((user("go on"),), view.thread.on_trial(), place=len(history), last=True)
    pairs_are_whole([*view.shown.messages, *messages])
    assert [turn.messages for turn in history] == before


@settings(max_examples=100, deadline=None)
@given(turns(broken=False))
def test_words_are_never_lost(history: list[Turn]) -> None:
    shown = "".join(message.text for message in seen(Path(history), Mark()).shown.messages)
    assert shown == "".join(message.text for turn in history for message in turn.messages)


@settings(max_examples=100, deadline=None)
@given(turns())
def test_a_view_that_grows_is_the_view_made_at_once(history: list[Turn]) -> None:
    path, view = Path(), seen(Path(), Mark())
    for turn in history:
        path = path.followed_by(turn)
        view = seen(path, Mark(), view)
    assert view.shown == seen(path, Mark()).shown
