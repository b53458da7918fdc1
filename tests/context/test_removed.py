"""What was removed of a path: shown to no model, whatever else the window does."""

from __future__ import annotations

import msgspec

from multiturn.context.view import seen, without
from multiturn.messages import Image, Message, Text, ToolCall, Url, assistant, tool_result, user
from multiturn.path import Path
from multiturn.turns import INHERITED, Mark, Removed, Turn

TURNS = (
    Turn(id="a", input=(user("one"),), output=(assistant("first"),)),
    Turn(id="b", input=(user("two", Image(Url("https://e.com/a.png"))),), output=(assistant("second"),)),
    Turn(id="c", input=(user("three"),), output=(assistant("third"),)),
)


def texts(path: Path) -> list[str]:
    return [message.text for message in path.messages]


def test_a_message_without_a_part_left_is_gone() -> None:
    mark = Mark(removed=(Removed("a", 1, (0,)), Removed("c", 0, (0,))))
    assert texts(seen(Path(TURNS), mark).shown) == ["one", "two", "second", "third"]


def test_other_parts_of_a_message_stay() -> None:
    (message,) = without(TURNS[1], Mark(removed=(Removed("b", 0, (0,)), Removed("b", 1, (0,))))).messages
    assert message == Message("user", (Image(Url("https://e.com/a.png")),))


def test_a_message_that_never_had_a_part_stays_unless_it_is_removed_itself() -> None:
    turn = Turn(id="a", input=(Message("user"), user("Hi")))
    assert len(without(turn, Mark(removed=(Removed("a", 1, (0,)),))).messages) == 1
    assert without(turn, Mark(removed=(Removed("z", 0, (0,)),))) is turn
    assert [message.text for message in without(turn, Mark(removed=(Removed("a", 0),))).messages] == ["Hi"]


def test_the_result_of_a_removed_call_is_told_in_words() -> None:
    call = Message("assistant", (Text("Let me see."), ToolCall("c1", "f", "{}")))
    turn = Turn(id="a", input=(user("one"),), output=(call, tool_result("c1", "42"), assistant("42")))
    shown = seen(Path((turn,)), Mark(removed=(Removed("a", 1, (1,)),))).shown.messages
    assert not any(message.tool_calls or message.tool_results for message in shown)
    assert [message.text for message in shown] == ["one", "Let me see.", "[result of tool call c1]\n42", "42"]


def test_removals_add_up_along_a_path_and_hold_beside_a_cut() -> None:
    gone = [Turn(id=f"r{n}", window=Mark(INHERITED, removed=(removed,))) for n, removed in enumerate(REMOVED)]
    path = Path((*TURNS, *gone))
    assert path.mark.removed == REMOVED
    assert path.mark_after(4).removed == REMOVED[:1]
    assert texts(seen(path, path.mark).shown) == ["first", "two", "second", "three"]
    later = Turn(id="d", input=(user("four"),), window=msgspec.structs.replace(path.mark, skipped=2, pinned=("a",)))
    path = path.followed_by(later)
    assert texts(seen(path, path.mark).shown) == ["first", "three", "four"]


REMOVED = (Removed("c", 1, (0,)), Removed("a", 0, (0,)))


def test_the_same_removal_twice_is_one() -> None:
    mark = Mark(INHERITED, removed=REMOVED[:1])
    assert mark.after(Mark(removed=REMOVED[:1])) == Mark(removed=REMOVED[:1])


def test_what_nothing_was_removed_of_stays_the_same_object() -> None:
    mark = Mark(removed=REMOVED)
    shown = seen(Path(TURNS), mark).shown.turns
    assert shown[1] is TURNS[1]
    assert seen(Path(TURNS), Mark()).shown.turns == TURNS


def test_a_mark_is_read_again_as_it_was_written() -> None:
    mark = Mark(2, removed=REMOVED)
    assert msgspec.json.decode(msgspec.json.encode(mark), type=Mark) == mark
    assert msgspec.json.decode(b"{}", type=Mark) == Mark()
