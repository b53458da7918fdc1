"""Requests that are made to fit: valid for every format, within the budget, and each the beginning of the next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context.windows import PICTURE, body_of, exchange, formats, pairs_are_whole, turns
from multiturn.context.frame import Fitted, Frame, check
from multiturn.context.framing import Framing
from multiturn.context.history import exchanges, replayed
from multiturn.context.policies import KeepAll, LastTurns, Policy, Shorten, Strides, Summarise
from multiturn.context.view import seen, summary_turn
from multiturn.context.window import Learned, Room, Window, known, limit_in, room
from multiturn.errors import ContextOverflow, InvalidInput, TooLong
from multiturn.messages import Image, Message, Origin, Text, ToolCall, Usage, assistant, tool_result, user
from multiturn.models.catalogue import ModelInfo
from multiturn.path import Path
from multiturn.request import Request, Settings
from multiturn.turns import Mark, Turn
from scripted import ScriptedModel, message

ASKED = (user("and now?"),)


def fit(window: Window, path: Path, mark: Mark = Mark(), said: tuple[Message, ...] = ASKED, **fields: Any) -> Fitted:
    frame = Frame(Framing(window), fields.pop("model", ScriptedModel()), path, mark)
    return asyncio.run(frame.fit(Request(path=Path(), input=said, **fields)))


def counted(framing: Framing, request: Request) -> int:
    """What the request takes, by its own messages."""
    sizes = framing.sizes(ScriptedModel())
    return sizes.opening(request) + sizes.messages(request.messages)


# --- every window, for every format -----------------------------------------------------------------------------------

POLICIES: list[Policy] = [Strides(), LastTurns(3), Shorten(Strides(), keep=1), Summarise(), KeepAll()]


@settings(max_examples=120, deadline=None)
@given(turns(), st.integers(80, 1500), st.sampled_from(POLICIES), st.sets(st.sampled_from(["t0", "t3"])))
@pytest.mark.parametrize("name", [name for name, *_ in formats()])
def test_every_window_is_valid_for_every_format(
    name: str, history: list[Turn], budget: int, policy: Policy, pins: set[str]
) -> None:
    _, format, dialect, is_valid = next(each for each in formats() if each[0] == name)
    before = [turn.messages for turn in history]
    path = Path(history)
    framing = Framing(Window(policy=policy, context_tokens=budget, reserve_tokens=0))
    frame = Frame(framing, ScriptedModel(), path, Mark(pinned=tuple(sorted(pins))))
    try:
        fitted = asyncio.run(frame.fit(Request(path=Path(), input=ASKED)))
    except TooLong:
        assert any(turn.id in pins for turn in history) or budget < 100
        return
    pairs_are_whole(fitted.request.messages)
    is_valid(body_of(format, dialect, fitted.request))
    assert fitted.request.input[-1].text == "and now?"
    shown = {turn.id for turn in fitted.request.path.turns}
    assert pins & {turn.id for turn in history} <= shown
    if not isinstance(policy, KeepAll):
        assert counted(framing, fitted.request) <= budget + 60  # a mended call takes a few tokens more
    assert [turn.messages for turn in history] == before


@settings(max_examples=40, deadline=None)
@given(turns(least=5), st.integers(300, 1500), st.sampled_from([Strides(), Shorten(Strides(), keep=1)]))
@pytest.mark.parametrize("name", [name for name, *_ in formats() if name != "chat_completions, strict"])
def test_between_cuts_every_request_begins_with_the_one_before(
    name: str, history: list[Turn], budget: int, policy: Policy
) -> None:
    _, format, dialect, _ = next(each for each in formats() if each[0] == name)
    framing = Framing(Window(policy=policy, context_tokens=budget, reserve_tokens=0))
    path, mark, last = Path(), Mark(), b""
    for turn in history:
        frame = Frame(framing, ScriptedModel(), path, mark)
        try:
            fitted = asyncio.run(frame.fit(Request(path=Path(), input=turn.input)))
        except TooLong:
            return
        pieces = fitted.request.path.encoded(format, lambda messages: format.encode_messages(messages, dialect))
        shown = b",".join(filter(None, pieces))
        assert frame.mark != mark or shown.startswith(last), (shown, last)
        path, mark, last = path.followed_by(turn), frame.mark, shown


# --- counting ---------------------------------------------------------------------------------------------------------


def reported(n: int, tokens: int) -> Turn:
    usage = Usage(input_tokens=tokens, output_tokens=10)
    answer = Message("assistant", (Text("ok"),), usage=usage, origin=Origin("scripted", "scripted-1"))
    return Turn(id=f"t{n}", input=(user(f"question {n}"),), output=(answer,))


def total(path: Path, mark: Mark = Mark(), said: tuple[Message, ...] = ASKED, **fields: Any) -> int:
    frame = Frame(Framing(Window()), ScriptedModel(), path, mark)
    return frame.total(Request(path=Path(), input=said, **fields))


def test_what_the_provider_has_counted_is_not_counted_again() -> None:
    path = Path([reported(0, 4000), reported(1, 9000)])
    assert 9010 < total(path) < 9030
    elsewhere = Message("assistant", (Text("ok"),), usage=Usage(input_tokens=5000), origin=Origin("openai", "m"))
    assert total(Path([Turn(id="t", input=(user("q"),), output=(elsewhere,))])) < 100


def test_thinking_that_is_not_sent_back_is_left_out_of_the_count() -> None:
    usage = Usage(input_tokens=1000, output_tokens=500, reasoning_tokens=450)
    answer = Message("assistant", (Text("ok"),), usage=usage, origin=Origin("scripted"))
    assert 1050 < total(Path([Turn(id="t", input=(user("q"),), output=(answer,))])) < 1070


def test_words_after_the_last_count_are_added() -> None:
    path = Path([reported(0, 4000)])
    few, many = total(path), total(path, said=(user("word " * 1000),))
    assert 950 < many - few < 1100


def test_other_instructions_count_for_what_they_are_longer() -> None:
    path = Path([reported(0, 4000)])
    assert 950 < total(path, instructions="word " * 1000) - total(path) < 1200


def test_after_a_cut_the_old_count_says_nothing() -> None:
    path = Path([reported(n, 5000) for n in range(4)])
    assert total(path) > 5000
    assert total(path, Mark(skipped=2)) < 200


def test_a_count_that_differs_from_ours_tells_how_much_turns_really_take() -> None:
    """Ten turns of 20 words, which the provider counts at 4 times what we do."""
    history = [exchange(n, 10) for n in range(9)]
    framing = Framing(Window(context_tokens=2000, reserve_tokens=0, share=0.5))
    ours = Frame(framing, ScriptedModel(), Path(history), Mark()).total(Request(path=Path(), input=ASKED))
    path = Path([*history, reported(9, ours * 4)])
    framing = Framing(Window(context_tokens=ours * 3, reserve_tokens=0, share=0.5))
    frame = Frame(framing, ScriptedModel(), path, Mark())
    asyncio.run(frame.fit(Request(path=Path(), input=ASKED)))
    assert 6 <= frame.mark.skipped <= 8  # by our own count nothing would have to go


def test_each_message_is_counted_once() -> None:
    counts: list[str] = []
    path = Path([exchange(n, 30) for n in range(30)])
    framing = Framing(Window(context_tokens=3000, reserve_tokens=0))
    sizes = framing.sizes(ScriptedModel())
    counter = sizes.counter

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(counter, name)

        def message(self, message: Message) -> int:
            counts.append(message.text)
            return counter.message(message)

    sizes.counter = Counting()  # type: ignore[assignment]
    mark = Mark()
    for n in range(1, 30):
        frame = Frame(framing, ScriptedModel(), Path(path.turns[:n]), mark)
        asyncio.run(frame.fit(Request(path=Path(), input=path.turns[n].input)))
        mark = frame.mark
    assert mark.skipped > 0
    assert len(counts) == len(set(counts)) > 20


# --- how much there is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "settings_", "learned", "expected"),
    [
        (Window(), Settings(), Learned(), Room()),  # nobody knows
        (Window(context_tokens=8000), Settings(), Learned(), Room(8000, 1000, 7000)),
        (Window(context_tokens=8000), Settings(max_output_tokens=2000), Learned(), Room(8000, 2000, 6000)),
        (Window(context_tokens=8000), Settings(max_output_tokens=9000), Learned(), Room(8000, 6000, 2000)),
        (Window(context_tokens=8000, reserve_tokens=1), Settings(), Learned(), Room(8000, 1, 7999)),
        (Window(), Settings(), Learned(4096), Room(4096, 512, 3584)),
        (Window(), Settings(), Learned(None, 900), Room(None, 0, 900)),
        (Window(context_tokens=8000), Settings(), Learned(4096, 3000), Room(4096, 512, 3000)),
    ],
)
def test_the_room_for_a_request(window: Window, settings_: Settings, learned: Learned, expected: Room) -> None:
    assert room(window, settings_, ModelInfo(), learned) == expected


def test_the_catalogue_knows_how_much_models_read() -> None:
    found = room(Window(), Settings(), known("openai", "gpt-5-mini"))
    assert found.context == 400_000
    assert found.reserve == 100_000  # 128,000, but no more than a quarter
    assert found.budget == 300_000


@pytest.mark.parametrize(
    "fields",
    [
        {"share": 0},
        {"share": 1.1},
        {"context_tokens": 0},
        {"reserve_tokens": -1},
        {"context_tokens": 5, "reserve_tokens": 5},
    ],
)
def test_figures_that_leave_nothing_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(reversed(fields)))):
        Window(**fields)


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens.", 8192),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200_000),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
        ("This model's maximum prompt length is 131072 but the request contains 140000 tokens.", 131_072),
        ('the request exceeds the available context size {"n_prompt_tokens":900,"n_ctx":512}', 512),
        ("input is too long for this model", None),
    ],
)
def test_limits_that_providers_name(words: str, limit: int | None) -> None:
    assert limit_in(ContextOverflow(words)) == limit


# --- when nothing else helps ------------------------------------------------------------------------------------------


def test_one_message_that_is_too_long_is_an_error_that_says_so() -> None:
    framing = Framing(Window(context_tokens=200, reserve_tokens=50))
    with pytest.raises(TooLong, match=r"takes about 1,[01]\d\d tokens, and scripted:scripted takes 150") as caught:
        check(framing, ScriptedModel(), Request(path=Path(), input=(user("word " * 1000),)))
    assert caught.value.budget_tokens == 150
    check(framing, ScriptedModel(), Request(path=Path(), input=(user("word " * 100),)))


def test_a_newest_turn_that_is_too_long_is_cut_short_and_then_left_out() -> None:
    long = "found " * 3000
    call = exchange(1).output[0]
    history = [exchange(0), Turn(id="t1", input=(user("look"),), output=(tool_result("x", long), call))]
    fitted = fit(Window(context_tokens=1000, reserve_tokens=0), Path(history))
    assert "left out" in fitted.request.path.turns[-1].messages[1].text
    history = [Turn(id="t1", input=(user(long),), output=(assistant("ok"),))]
    fitted = fit(Window(context_tokens=1000, reserve_tokens=0), Path(history))
    assert fitted.request.path.turns == ()
    assert fitted.mark == Mark(skipped=1, shortened=2)


def test_a_turn_that_is_shown_for_the_sake_of_a_pinned_one_is_cut_short() -> None:
    call = Turn(id="t0", input=(user("look"),), output=(assistant(ToolCall("c", "look", "{}")),))
    answered = Turn(id="t1", input=(tool_result("c", "found"), user(PICTURE)), output=(assistant("I see."),))
    fitted = fit(Window(context_tokens=200, reserve_tokens=0), Path([call, answered]), Mark(pinned=("t0",)))
    assert [turn.id for turn in fitted.request.path.turns] == ["t0", "t1"]
    assert not any(isinstance(part, Image) for message in fitted.request.messages for part in message.parts)


def test_results_that_a_run_piles_up_are_cut_short() -> None:
    said: tuple[Message, ...] = (user("look everywhere"),)
    from context.windows import calling

    for n in range(4):
        said = (*said, calling(f"c{n}"), tool_result(f"c{n}", "found " * 400))
    fitted = fit(Window(context_tokens=1200, reserve_tokens=0), Path(), said=said)
    texts = [result.text for message in fitted.request.input for result in message.tool_results]
    assert ["left out" in text for text in texts] == [True, True, True, False]
    fitted = fit(Window(context_tokens=700, reserve_tokens=0), Path(), said=said)
    assert "left out" in fitted.request.input[-1].tool_results[0].text


# --- histories of others ----------------------------------------------------------------------------------------------


def test_messages_are_the_exchanges_that_they_were() -> None:
    from context.windows import calling

    said = [user("a"), calling("x"), tool_result("x", "1"), assistant("b"), user("c"), user("d"), assistant("e")]
    made = list(exchanges(said))
    assert [[m.role for m in turn.messages] for turn in made] == [
        ["user", "assistant", "tool", "assistant"],
        ["user", "user", "assistant"],
    ]
    assert [message for turn in made for message in turn.messages] == said


def test_a_history_without_a_mark_is_cut_where_it_would_have_been_cut() -> None:
    framing, model = Framing(Window(context_tokens=600, reserve_tokens=0)), ScriptedModel()
    history = [exchange(n, 5) for n in range(60)]
    marks = [replayed(framing, model, Request(path=Path(history[:n]), input=ASKED)) for n in range(60)]
    skipped = [mark.skipped for mark in marks]
    assert skipped == sorted(skipped)
    assert 4 <= len(set(skipped)) <= 12  # in strides
    assert skipped[-1] > 30


# --- provider's own copies --------------------------------------------------------------------------------------------


def test_all_is_sent_only_when_the_window_has_moved() -> None:
    path = Path([reported(n, 10) for n in range(3)])
    assert not fit(Window(), path).request.whole
    assert fit(Window(), path, Mark(skipped=1)).request.whole
    assert not fit(Window(), path, Mark(pinned=("t0",))).request.whole
    window = Window(context_tokens=60, reserve_tokens=0)
    framing = Framing(window)
    frame = Frame(framing, ScriptedModel(), Path([exchange(n, 8) for n in range(3)]), Mark())
    fitted = asyncio.run(frame.fit(Request(path=Path(), input=ASKED)))
    assert fitted.mark is not None
    assert fitted.request.whole
    went_on = (*ASKED, message("I look"), user("more"))
    assert not asyncio.run(frame.fit(Request(path=Path(), input=went_on))).request.whole


def test_a_summary_stands_before_the_turns_and_after_the_pins() -> None:
    history = [exchange(n) for n in range(4)]
    view = seen(Path(history), Mark(skipped=3, summary="They met.", pinned=("t1",)))
    assert view.shown.turns == (history[1], summary_turn("They met."), history[3])
    asked, read = summary_turn("They met.").messages
    assert (asked.role, read.role) == ("user", "assistant")
    assert "They met." in asked.text


def test_frames_of_other_paths_do_not_get_in_each_others_way() -> None:
    framing = Framing(Window(context_tokens=400, reserve_tokens=0))
    trunk = [exchange(n, 5) for n in range(6)]
    for tail in ([exchange(6)], [exchange(7), exchange(8)], [], [exchange(6), exchange(9)]):
        path = Path([*trunk, *tail])
        frame = Frame(framing, ScriptedModel(), path, Mark(skipped=2))
        fitted = asyncio.run(frame.fit(Request(path=Path(), input=ASKED)))
        assert fitted.request.path.turns == path.turns[frame.mark.skipped :]
