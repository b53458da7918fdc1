"""Deltas fold into the message that they are pieces of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import Delta, Fold, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, fold
from multiturn.messages import Image, Opaque, Origin, Part, Reasoning, Refusal, Text, ToolCall, Url

WORDS = st.text(max_size=5)


def test_kinds_stay_apart_and_in_order() -> None:
    deltas: list[Delta] = [
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        TextDelta("a"),
        TextDelta("b"),
        PartDelta(Image(Url("http://x"))),
        TextDelta("c"),
        RefusalDelta("no"),
    ]
    expected: tuple[Part, ...] = (Reasoning("hm"), Text("ab"), Image(Url("http://x")), Text("c"), Refusal("no"))
    assert fold(deltas).parts == expected


def test_tool_calls_gather_by_index_where_they_first_stood() -> None:
    deltas: list[Delta] = [
        ToolCallDelta(0, "call_a", "f", '{"x'),
        ToolCallDelta(1, "call_b", "g"),
        ToolCallDelta(0, arguments='":1}'),
        TextDelta("done"),
        ToolCallDelta(1, arguments="{}"),
    ]
    assert fold(deltas).parts == (ToolCall("call_a", "f", '{"x":1}'), ToolCall("call_b", "g", "{}"), Text("done"))


def test_nothing_folds_into_nothing() -> None:
    assert fold([]).parts == fold([TextDelta(""), ReasoningDelta("")]).parts == ()
    assert fold([], origin=Origin("p")).origin == Origin("p")


@given(st.lists(st.builds(TextDelta, WORDS) | st.builds(ReasoningDelta, WORDS) | st.builds(RefusalDelta, WORDS)))
def test_a_fold_can_be_read_at_any_time(deltas: list[Delta]) -> None:
    folding = Fold()
    for count, delta in enumerate(deltas, start=1):
        folding.add(delta)
        assert folding.parts == fold(deltas[:count]).parts
    assert "".join(part.text for part in folding.parts if isinstance(part, Text)) == "".join(
        delta.text for delta in deltas if isinstance(delta, TextDelta)
    )
    assert not any(isinstance(part, Opaque) for part in folding.parts)
