"""Policies: pure functions on turns and sizes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context.windows import calling, exchange, turns
from multiturn.context.policies import (
    KeepAll,
    LastMessages,
    LastTurns,
    PinFirst,
    Policy,
    Shorten,
    Situation,
    Strides,
    Summarise,
    Wish,
)
from multiturn.context.view import answers_before, hidden_pins, seen, shortened
from multiturn.messages import assistant, tool_result, user
from multiturn.path import Path
from multiturn.turns import Mark, Turn

TEN = [exchange(n) for n in range(10)]


def hundred_each(turn: Turn, cut: bool) -> int:
    return 100


def letters(turn: Turn, cut: bool) -> int:
    messages = (shortened(turn) if cut else turn).messages
    return sum(len(message.text) + sum(len(result.text) for result in message.tool_results) for message in messages)


def situation(history: Sequence[Turn] = TEN, mark: Mark = Mark(), **fields: object) -> Situation:
    """All turns take 100 tokens, the rest of the request 50."""
    shown = len(history) - mark.skipped + len(hidden_pins(history, mark))
    given = {"total": 50 + 100 * shown, "size": hundred_each, "budget": 1000, "share": 0.6, **fields}
    return Situation(turns=history, mark=mark, **given)  # type: ignore[arg-type]


def test_within_the_budget_nothing_changes() -> None:
    for policy in (Strides(), Summarise(), Shorten(), KeepAll(), LastTurns(10), LastMessages(20)):
        assert policy(situation(budget=1050)).mark == Mark()


def test_a_stride_goes_down_to_the_share() -> None:
    assert Strides()(situation()).mark.skipped == 5  # 50 + 500 <= 600
    assert Strides()(situation(share=1.0)).mark.skipped == 1
    assert Strides()(situation(share=0.01)).mark.skipped == 9  # the newest stays


def test_the_next_stride_goes_on_from_the_last() -> None:
    mark = Strides()(situation(mark=Mark(skipped=3), budget=500, share=0.5)).mark
    assert mark.skipped == 8


def test_without_a_budget_nothing_is_left_out_but_by_count() -> None:
    assert Strides()(situation(budget=None)).mark == Mark()
    assert LastTurns(5)(situation(budget=None)).mark.skipped == 7  # down to three


def test_everything_is_kept_on_request() -> None:
    assert KeepAll()(situation(budget=10)).mark == Mark()


@pytest.mark.parametrize(
    ("policy", "skipped"),
    [
        (LastTurns(10), 0),
        (LastTurns(9), 5),
        (LastTurns(1), 9),
        (LastMessages(20), 0),
        (LastMessages(19), 5),  # eleven messages of them are the share, five turns are ten
        (LastMessages(1), 9),
        (LastTurns(9, then=KeepAll()), 5),
    ],
)
def test_so_many_are_shown_at_most(policy: Policy, skipped: int) -> None:
    assert policy(situation(budget=2000)).mark.skipped == skipped


def test_a_count_and_the_budget_are_both_kept() -> None:
    assert LastTurns(9)(situation(budget=400, share=0.5)).mark.skipped == 9


def test_pinned_turns_set_nothing_free() -> None:
    mark = Strides()(situation(mark=Mark(pinned=("t0", "t1", "t9")))).mark
    assert (mark.skipped, mark.pinned) == (7, ("t0", "t1", "t9"))  # 50 + 2 pins + 3 turns <= 600


def test_a_turn_that_answers_another_ones_calls_goes_with_it() -> None:
    history = [
        *TEN[:5],
        Turn(id="calls", input=(user("look"),), output=(calling("a"),)),
        Turn(id="answers", input=(tool_result("a", "1"),), output=(assistant("seen"),)),
        *TEN[7:],
    ]
    assert list(situation(history).borders()) == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert Strides()(situation(history, share=0.4)).mark.skipped == 7
    assert Strides()(situation(history, share=0.5)).mark.skipped == 7  # six would cut between them
    assert hidden_pins(history, Mark(skipped=8, pinned=("answers",))) == [5, 6]
    assert hidden_pins(history, Mark(skipped=8, pinned=("calls",))) == [5, 6]


def long_result(n: int) -> Turn:
    output = (calling(f"c{n}"), tool_result(f"c{n}", "x" * 5000), assistant("seen"))
    return Turn(id=f"t{n}", input=(user("look"),), output=output)


def test_old_results_are_cut_short_before_any_turn_is_left_out() -> None:
    history = [long_result(n) for n in range(6)]
    total = sum(letters(turn, False) for turn in history)
    policy = Shorten(keep=2)
    mark = policy(situation(history, size=letters, total=total, budget=20_000, share=0.9)).mark
    assert (mark.shortened, mark.skipped) == (4, 0)
    mark = policy(situation(history, size=letters, total=total, budget=20_000, share=0.5)).mark
    assert (mark.shortened, mark.skipped) == (4, 5)
    pinned = Mark(pinned=("t0",))
    mark = policy(situation(history, pinned, size=letters, total=total, budget=20_000, share=0.9)).mark
    assert seen(Path(history), mark).shown.turns[0] is history[0]


def test_what_is_cut_short_says_so() -> None:
    short = shortened(long_result(1))
    result = short.messages[2].tool_results[0].text
    assert result.startswith("xxx")
    assert "[… 4,600 characters left out …]" in result
    assert len(result) < 500
    plain = exchange(1)
    assert shortened(plain) is plain


def test_what_is_left_out_is_to_be_summarised() -> None:
    cut = Summarise("openai:small", "In short?")(situation())
    assert (cut.mark.skipped, cut.wish) == (5, Wish("openai:small", "In short?"))
    assert Summarise()(situation(budget=2000)).wish is None


def test_first_pinned_middle_summarised_recent_kept() -> None:
    cut = PinFirst(2)(situation())
    assert cut.mark.pinned == ("t0", "t1")
    assert cut.mark.skipped == 7
    assert cut.wish == Wish()
    assert hidden_pins(TEN, cut.mark) == [0, 1]


def test_pins_are_there_before_anything_is_left_out() -> None:
    cut = PinFirst(2)(situation(TEN[:1]))
    assert (cut.mark, cut.wish) == (Mark(pinned=("t0",)), None)


POLICIES = st.recursive(
    st.sampled_from([Strides(), KeepAll()]),
    lambda then: st.one_of(
        st.builds(LastTurns, st.integers(1, 6), then),
        st.builds(LastMessages, st.integers(1, 9), then),
        st.builds(Shorten, then, st.integers(0, 3)),
        st.builds(Summarise, then=then),
        st.builds(PinFirst, st.integers(0, 3), then),
    ),
    max_leaves=3,
)


@settings(max_examples=200, deadline=None)
@given(turns(), POLICIES, st.integers(0, 6000), st.floats(0.1, 1.0), st.sets(st.sampled_from(["t0", "t2", "t4"])))
def test_whatever_the_policy_it_goes_forward_and_keeps_pins_and_the_newest_turn(
    history: list[Turn], policy: Policy, budget: int, share: float, pins: set[str]
) -> None:
    mark = Mark(pinned=tuple(sorted(pins)))
    before = [turn.messages for turn in history]
    total = sum(letters(turn, False) for turn in history)
    given = Situation(turns=history, mark=mark, size=letters, total=total, budget=budget, share=share)
    cut = policy(given)
    assert policy(given) == cut  # pure
    assert [turn.messages for turn in history] == before
    assert 0 <= cut.mark.skipped <= max(0, len(history) - 1)
    assert set(cut.mark.pinned) >= pins
    if cut.mark.skipped < len(history):
        assert not answers_before(history[cut.mark.skipped].input) or cut.mark.skipped == 0
    shown = {turn.id for turn in seen(Path(history), cut.mark).shown.turns}
    assert {turn.id for turn in history[-1:]} | (pins & {turn.id for turn in history}) <= shown
    again = policy(given.under(cut.mark))
    assert again.mark.skipped >= cut.mark.skipped
