"""Turns, their ends and their sums; paths and what they keep."""

from __future__ import annotations

import pytest

from multiturn.messages import Message, Text, Usage, assistant, user
from multiturn.path import Path
from multiturn.turns import Totals, Turn, TurnStatus, continues, finished


def turn(id: str = "t", *, before: Totals = Totals(), status: TurnStatus = TurnStatus.COMPLETED) -> Turn:
    answer = Message("assistant", (Text("hi"),), usage=Usage(input_tokens=3, output_tokens=1))
    started = Turn(id=id, conversation="c", input=(user("hello"),))
    return finished(started, status, before=before, at=5.0, output=(answer,))


def test_sums_travel_with_the_turn() -> None:
    first = turn("1")
    second = turn("2", before=first.totals)
    assert (first.totals.turns, first.totals.messages, first.totals.usage.total_tokens) == (1, 2, 4)
    totals = second.totals
    assert (totals.turns, totals.messages, totals.bytes) == (2, 4, 2 * first.totals.bytes)
    assert totals.usage == first.usage + second.usage


def test_a_turns_usage_is_that_of_all_its_model_calls() -> None:
    calls = [Message("assistant", usage=Usage(input_tokens=n)) for n in (1, 10, 100)]
    started = Turn(id="t", conversation="c")
    assert finished(started, TurnStatus.COMPLETED, before=Totals(), at=0, output=calls).usage.input_tokens == 111


def test_ending_a_turn_leaves_the_old_value_alone() -> None:
    started = Turn(id="t", conversation="c")
    finished(started, TurnStatus.COMPLETED, before=Totals(), at=0)
    assert started.status is TurnStatus.IN_PROGRESS


@pytest.mark.parametrize(
    ("status", "output", "moves"),
    [
        (TurnStatus.COMPLETED, (assistant("hi"),), True),
        (TurnStatus.INCOMPLETE, (assistant("h"),), True),
        (TurnStatus.INCOMPLETE, (Message("assistant"),), False),
        (TurnStatus.INCOMPLETE, (), False),
        (TurnStatus.FAILED, (assistant("h"),), False),
        (TurnStatus.IN_PROGRESS, (), False),
    ],
)
def test_the_head_follows_what_there_is_to_show(status: TurnStatus, output: tuple[Message, ...], moves: bool) -> None:
    assert continues(Turn(id="t", conversation="c", status=status, output=output)) is moves


def test_the_text_of_a_turn_is_its_last_words() -> None:
    assert (
        Turn(id="t", conversation="c", output=(assistant("thinking"), assistant("done"), Message("tool"))).text
        == "done"
    )
    assert Turn(id="t", conversation="c").text == ""


def test_a_path_grows_into_another_path() -> None:
    path = Path()
    longer = path.followed_by(turn("1")).followed_by(turn("2"))
    assert (path.head, longer.head, len(longer.messages)) == (None, "2", 4)
    assert [each.id for each in longer.turns] == ["1", "2"]


def test_an_earlier_stretch_of_a_path_is_a_path() -> None:
    path = Path(turn(f"{n}") for n in range(5))
    stretch = path.until("2")
    assert stretch is not None
    assert [each.id for each in stretch.turns] == ["0", "1", "2"]
    assert path.until("4") is path
    assert path.until("elsewhere") is None
    nothing = path.until(None)
    assert nothing is not None
    assert nothing.turns == ()


def test_what_a_format_made_of_a_turn_is_made_once_a_key() -> None:
    made: list[str] = []

    def encode(key: str) -> bytes:
        made.append(key)
        return f"{key}{len(made)}".encode()

    path = Path([turn("1"), turn("2")])
    assert path.encoded("a", lambda _: encode("a")) == [b"a1", b"a2"]
    longer = path.followed_by(turn("3"))
    assert longer.encoded("a", lambda _: encode("a")) == [b"a1", b"a2", b"a3"]
    assert longer.encoded("b", lambda _: encode("b")) == [b"b4", b"b5", b"b6"]
    stretch = longer.until("2")
    assert stretch is not None
    assert stretch.encoded("a", lambda _: encode("a")) == [b"a1", b"a2"]
    edited = stretch.followed_by(turn("3 otherwise"))
    assert edited.encoded("a", lambda _: encode("a")) == [b"a1", b"a2", b"a7"]
    assert longer.encoded("a", lambda _: encode("a")) == [b"a1", b"a2", b"a3"]
