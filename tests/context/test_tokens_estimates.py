"""`estimate`: what a provider has counted, and what is counted beside it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import pytest

from multiturn.context import Counter, Estimate, counter_for, estimate
from multiturn.context.estimates import anchor, opening, turn_counts
from multiturn.context.rules import rules_for
from multiturn.messages import (
    Message,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    assistant,
    tool_result,
    user,
)
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolChoice, ToolSpec
from multiturn.turns import Mark, Turn


class Words:
    """Counts words, and how many texts it was given."""

    def __init__(self) -> None:
        self.texts = 0

    def __call__(self, text: str) -> int:
        self.texts += 1
        return len(text.split())


def counting(provider: str = "openai", model: str = "gpt-5", words: Words | None = None) -> Counter:
    return Counter(provider, model, rules_for(provider, model), words or Words())


def said(
    text: str, read: int, wrote: int, thought: int = 0, *, by: str = "openai:gpt-5", shown: bool = False
) -> Message:
    """An answer as its provider has counted it; `shown` thinking is in its parts."""
    provider, _, model = by.partition(":")
    parts = (*((Reasoning(id="r", encrypted="e"),) if shown else ()), Text(text=text))
    usage = Usage(input_tokens=read, output_tokens=wrote, reasoning_tokens=thought)
    return Message("assistant", parts, origin=Origin(provider, model or None), usage=usage)


def asked(*turns: Turn, new: Sequence[Message] = (), **more: object) -> Request:
    request = Request(path=Path(turns), input=tuple(new))
    return msgspec.structs.replace(request, **more)


def turn(n: int, *output: Message, instructions: str | None = None) -> Turn:
    return Turn(id=f"t{n}", input=(user(f"question {n}"),), output=output, instructions=instructions)


QUESTION = 2 + 4  # two words and what is around them
REPLY = 2

# --- without a report -------------------------------------------------------------------------------------------------


def test_all_is_counted_where_no_provider_has() -> None:
    counter, tools = counting(), (ToolSpec("look"),)
    request = asked(turn(1, assistant("yes")), new=[user("question 2")], instructions="be kind", tools=tools)
    begins = counter.opening("be kind", tools)
    assert estimate(request, counter) == Estimate(begins + QUESTION + 5 + QUESTION)


def test_what_opens_a_request_knows_its_settings() -> None:
    counter, tools = counting("anthropic", "claude-opus-4-6"), (ToolSpec("look"),)
    choices: dict[ToolChoice | None, bool] = {"required": True, NamedTool("look"): True, "auto": False, "none": False}
    for choice, forced in {**choices, None: False}.items():
        request = asked(tools=tools, settings=Settings(tool_choice=choice))
        assert opening(request, counter) == counter.opening(None, tools, forced=forced)
    schema = OutputSchema(msgspec.Raw(b'{"type":"object"}'))
    assert opening(asked(settings=Settings(output=schema)), counter) == counter.opening(None, output=schema)


# --- with one ---------------------------------------------------------------------------------------------------------


def test_only_what_came_after_the_last_answer_is_counted() -> None:
    request = asked(turn(1, said("yes", 100, 10)), turn(2, said("no", 150, 10)), new=[user("question 3")])
    known = 150 + 10 + REPLY
    assert estimate(request, counting()) == Estimate(known + QUESTION, known)


def test_a_run_goes_on_from_its_own_last_answer() -> None:
    run = [user("question 2"), said("let me see", 150, 10), tool_result("c", "sunny", name="look")]
    request = asked(turn(1, said("yes", 100, 10)), new=run)
    known = 150 + 10 + REPLY
    assert estimate(request, counting()) == Estimate(known + 2 + 7, known)


def test_cached_tokens_are_a_part_of_what_was_read() -> None:
    answer = said("yes", 100, 10)
    assert answer.usage
    cached = msgspec.structs.replace(answer.usage, cached_tokens=90, cache_write_tokens=5)
    answer = msgspec.structs.replace(answer, usage=cached)
    assert estimate(asked(turn(1, answer)), counting()).tokens == 110 + REPLY


def test_what_another_model_has_counted_is_another_count() -> None:
    first, other = turn(1, said("yes", 100, 10)), turn(2, said("no", 900, 10, by="anthropic:claude-opus-5"))
    known = 110 + REPLY
    request = asked(first, other, new=[user("question 3")])
    assert estimate(request, counting()) == Estimate(known + QUESTION + 5 + QUESTION, known)
    assert estimate(request, counting("anthropic", "claude-opus-5")).reported == 910 + 3
    assert estimate(request, counting("anthropic", "claude-opus-4-1")).reported == 0  # another tokenizer
    assert estimate(request, counting("gemini", "gemini-3-pro")).reported == 0


def test_a_model_that_is_counted_by_the_same_rules_has_counted_for_us() -> None:
    request = asked(turn(1, said("yes", 100, 10, by="openai:gpt-5-2025-08-07")))
    assert estimate(request, counting()).reported == 110 + REPLY
    assert estimate(asked(turn(1, said("yes", 100, 10, by="openai"))), counting()).reported == 110 + REPLY


def test_an_answer_is_counted_for_a_counter_of_its_own_format() -> None:
    counter, answer = counter_for("openai", "gpt-4o", "responses"), said("yes", 40, 2, by="openai:gpt-4o-2024-08-06")
    assert estimate(asked(turn(1, answer)), counter) == Estimate(40 + 2 + 3, 40 + 2 + 3)


def test_an_answer_without_a_report_is_counted_after_the_one_before_it() -> None:
    cut = msgspec.structs.replace(said("half an", 0, 0), usage=None)
    request = asked(turn(1, said("yes", 100, 10)), turn(2, cut))
    assert estimate(request, counting()) == Estimate(110 + REPLY + QUESTION + 6, 110 + REPLY)


def test_other_instructions_make_the_difference_that_they_are() -> None:
    last = turn(1, said("yes", 100, 10), instructions="be very kind")
    known = 110 + REPLY
    for instructions, tokens in (("be very kind", known), ("be kind", known - 1), (None, known - 3 - 4)):
        assert estimate(asked(last, instructions=instructions), counting()).tokens == tokens


def test_a_request_that_shows_something_else_is_counted_anew() -> None:
    request = asked(turn(1, said("yes", 100, 10)), whole=True)
    assert estimate(request, counting()) == Estimate(REPLY + QUESTION + 5)


def test_an_answer_from_before_the_window_moved_has_read_something_else() -> None:
    moved = msgspec.structs.replace(turn(2, assistant("no")), window=Mark(skipped=1))
    assert estimate(asked(turn(1, said("yes", 100, 10)), moved), counting()).reported == 0
    moved = msgspec.structs.replace(moved, output=(said("no", 50, 10),))
    assert estimate(asked(turn(1, said("yes", 100, 10)), moved), counting()).reported == 60 + REPLY


# --- thinking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "shown", "spoken", "forgotten"),
    [
        # OpenAI: sent back and read until the user speaks again; since 5.6 for good
        ("openai:gpt-5", True, False, 0),
        ("openai:gpt-5", True, True, 40 + 30),
        ("openai:gpt-5", False, False, 40),  # chat completions does not send it back
        ("openai:gpt-5", False, True, 40),
        ("openai:gpt-5.6", True, True, 0),
        ("openai:gpt-5.6", False, True, 40),
        # Anthropic: stripped from earlier turns, until Opus 4.5
        ("anthropic:claude-opus-4-1", True, False, 0),
        ("anthropic:claude-opus-4-1", True, True, 40 + 30),
        ("anthropic:claude-opus-4-5", True, True, 0),
        # others never read it again
        ("gemini:gemini-3-pro", True, False, 40),
        ("deepseek:deepseek-chat", True, True, 40),
    ],
)
def test_thinking_that_is_not_sent_again_is_taken_off(by: str, shown: bool, spoken: bool, forgotten: int) -> None:
    provider, _, model = by.partition(":")
    run = (
        user("question"),
        said("first", 50, 35, 30, by=by, shown=shown),
        tool_result("c", "sunny"),
        said("second", 100, 50, 40, by=by, shown=shown),
    )
    found = anchor(run, counting(provider, model), spoken=spoken)
    assert found
    assert found.place == 3
    assert found.tokens == 150 + rules_for(provider, model).wrapping.reply - forgotten


def test_the_user_who_speaks_after_an_answer_ends_its_thinking() -> None:
    later = [user("question 2")]
    for request in (
        asked(turn(1, said("yes", 100, 50, 40, shown=True)), new=later),
        asked(new=[user("question 1"), said("yes", 100, 50, 40, shown=True), *later]),
        asked(turn(1, said("yes", 100, 50, 40, shown=True)), turn(2)),
    ):
        assert estimate(request, counting()).reported == 110 + REPLY
    goes_on = asked(turn(1, said("yes", 100, 50, 40, shown=True)), new=[tool_result("c", "sunny")])
    assert estimate(goes_on, counting()).reported == 150 + REPLY


def test_thinking_of_which_only_the_words_are_known_is_taken_off_by_these() -> None:
    answer = Message(
        "assistant",
        (Reasoning(text="well now then"), Text(text="yes")),
        origin=Origin("deepseek", "deepseek-chat"),
        usage=Usage(input_tokens=100, output_tokens=20),
    )
    assert estimate(asked(turn(1, answer)), counting("deepseek", "deepseek-chat")).tokens == 120 - 3 + 4


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_each_turn_is_counted_once() -> None:
    words = Words()
    counter, path = counting(words=words), Path()
    for n in range(200):
        before = words.texts
        estimate(Request(path=path, input=(user("question"),)), counter)
        assert words.texts - before <= 3  # the turn that is new, and the question
        path = path.followed_by(turn(n, assistant("yes")))
    assert sum(turn_counts(path, counter)) == sum(map(counter.messages, (t.messages for t in path.turns)))


def test_a_history_that_its_provider_has_counted_is_not_counted() -> None:
    words = Words()
    path = Path([*(turn(n, assistant("yes")) for n in range(500)), turn(500, said("no", 9000, 10))])
    estimate(Request(path=path, input=(user("question"),)), counting(words=words))
    assert words.texts <= 2  # the question, and the thinking that there was none of


def test_counts_of_one_counter_are_not_anothers() -> None:
    path = Path([turn(1, assistant("yes"))])
    mine, other = counting(), counter_for("anthropic", "claude-opus-5")
    assert list(turn_counts(path, mine)) == [QUESTION + 5]
    assert list(turn_counts(path, other)) == [other.messages(path.messages)]
    assert list(turn_counts(path, mine)) == [QUESTION + 5]


def test_a_later_request_costs_no_more_than_an_earlier_one() -> None:
    def seconds(turns: int) -> float:
        call = ToolCall(call_id="c", name="look", arguments='{"x": 1}')
        earlier = (
            turn(n, Message("assistant", (call,)), tool_result("c", "sunny"), assistant("ok")) for n in range(turns)
        )
        path, counter = Path([*earlier, turn(turns, said("no", 900, 10))]), counter_for("openai", "gpt-5")
        runs = []
        for _ in range(20):
            began = time.perf_counter()
            estimate(Request(path=path, input=(user("question"),)), counter)
            runs.append(time.perf_counter() - began)
        return min(runs)

    assert seconds(4_000) < 5 * seconds(40) + 0.0005
