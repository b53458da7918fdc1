"""The model as a run sees it: deltas, one answer, limits, usage, pace, and that it can be stopped."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import Answer, Delta, TextDelta, ToolCallDelta, each, fold
from multiturn.errors import InvalidInput
from multiturn.messages import (
    Image,
    Inline,
    Message,
    Origin,
    Text,
    ToolCall,
    Usage,
    assistant,
    system,
    tool_result,
    user,
)
from multiturn.models.base import Model
from multiturn.models.offline import OfflineModel
from multiturn.models.offline.model import answer_to, tokens
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import OutputSchema, Request, Settings, ToolSpec
from multiturn.turns import Turn


def request(*said: Message | str, stream: bool = True, tools: tuple[ToolSpec, ...] = (), **settings: Any) -> Request:
    messages = tuple(user(message) if isinstance(message, str) else message for message in said)
    return Request(path=Path(), input=messages, tools=tools, settings=Settings(**settings), stream=stream)


async def run(asked: Request, model: Model | None = None) -> tuple[list[Delta], Answer]:
    """The deltas and the answer that must come last."""
    items = [item async for item in (model or OfflineModel()).answer(asked)]
    deltas = [delta for item in items if not isinstance(item, Answer | Notice) for delta in each(item)]
    assert isinstance(items[-1], Answer)
    assert len(deltas) == len(items) - 1
    return deltas, items[-1]


# --- streaming ------------------------------------------------------------------------------------------------------


async def test_text_streams_word_by_word() -> None:
    deltas, answer = await run(request("Say the quick brown fox"))
    assert deltas == [TextDelta("the "), TextDelta("quick "), TextDelta("brown "), TextDelta("fox")]
    assert answer.message.parts == (Text(text="the quick brown fox"),)
    assert answer.message.origin == Origin(provider="offline", model="offline", format="offline")
    assert answer.message.finish_reason == "stop"


async def test_without_streaming_there_is_only_the_answer() -> None:
    deltas, answer = await run(request("Say the quick brown fox", stream=False))
    assert deltas == []
    assert answer == (await run(request("Say the quick brown fox")))[1]


@pytest.mark.parametrize(
    "text",
    [
        "Write 3000 words",
        "echo  two  spaces \n\n and lines",
        "say " + "x" * 100,
        "say 日本語のとても長い文章です、空白がありません",
        "Hello",
        "count to 50",
    ],
)
async def test_what_streams_is_what_is_answered(text: str) -> None:
    deltas, answer = await run(request(text))
    assert fold(deltas).parts == answer.message.parts
    assert all(isinstance(delta, TextDelta) and len(delta.text.strip()) <= 16 for delta in deltas)


async def test_thousands_of_words_stream() -> None:
    deltas, _ = await run(request("Write 5000 words about the sea"))
    assert len(deltas) == 5000


WEATHER = ToolSpec(
    "get_weather",
    "Weather in a city",
    msgspec.Raw(b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'),
)


async def test_tool_calls_stream_in_pieces() -> None:
    deltas, answer = await run(request("Weather in Rome and Llanfairpwllgwyngyllgogerychwyrndrobwll", tools=(WEATHER,)))
    first, second = answer.message.tool_calls
    assert deltas[0] == ToolCallDelta(0, first.call_id, "get_weather")
    assert deltas[1] == ToolCallDelta(0, arguments=first.arguments)
    assert deltas[2] == ToolCallDelta(1, second.call_id, "get_weather")
    assert len(deltas) > 5  # the long name in several pieces
    assert fold(deltas).parts == (first, second)
    assert answer.message.finish_reason == "tool_calls"


async def test_json_streams_too() -> None:
    output = OutputSchema(msgspec.Raw(b'{"type":"array","items":{"type":"integer"}}'))
    deltas, answer = await run(request("the numbers 100000, 200000, 300000 and 400000", output=output))
    assert answer.message.text == "[100000,200000,300000,400000]"
    assert len(deltas) == 2


# --- the request's settings -----------------------------------------------------------------------------------------


async def test_output_is_cut_at_the_limit_of_tokens() -> None:
    deltas, answer = await run(request("count to 100", max_output_tokens=3))
    assert answer.message.text == "1, 2, 3,"
    assert answer.message.finish_reason == "length"
    assert answer.message.usage is not None
    assert answer.message.usage.output_tokens == 3
    assert fold(deltas).parts == answer.message.parts


async def test_an_answer_within_the_limit_is_whole() -> None:
    _, answer = await run(request("count to 3", max_output_tokens=3))
    assert (answer.message.text, answer.message.finish_reason) == ("1, 2, 3", "stop")


async def test_stop_sequences_end_the_answer_before_they_begin() -> None:
    _, answer = await run(request("count to 9", stop=("7", "5", "")))
    assert (answer.message.text, answer.message.finish_reason) == ("1, 2, 3, 4, ", "stop")


async def test_an_answer_may_be_stopped_before_its_first_word() -> None:
    _, answer = await run(request("count to 9", stop=("1",)))
    assert answer.message.parts == ()


async def test_more_choices_are_other_words_for_the_same() -> None:
    _, answer = await run(request("What is 3 * 5?", choices=6))
    texts = [message.text for message in (answer.message, *answer.alternatives)]
    assert len(set(texts)) == 6
    assert all("15" in text for text in texts)
    assert answer == answer_to(request("What is 3 * 5?", choices=6))
    assert answer.message.usage is not None
    assert answer.message.usage.output_tokens == sum(map(tokens, texts))


async def test_choices_of_json_are_all_json() -> None:
    _, answer = await run(request("hi", choices=2, output=OutputSchema()))
    assert [msgspec.json.decode(message.text) for message in (answer.message, *answer.alternatives)]


# --- what is read ---------------------------------------------------------------------------------------------------


async def test_history_and_input_are_one_conversation() -> None:
    turn = Turn(id="t", conversation="c", input=(user("My name is Rafa."),), output=(assistant("Hi"),))
    asked = Request(path=Path([turn]), input=(user("What's my name?"),))
    assert "Rafa" in answer_to(asked).message.text


def test_usage_counts_all_that_was_read_and_written() -> None:
    usage = answer_to(request("Say a b c")).message.usage
    assert usage == Usage(input_tokens=4, output_tokens=3)
    call = assistant(ToolCall(call_id="c", name="f", arguments="{}"))
    longer = [
        request(system("Be brief."), "Say a b c"),
        request("one two three", assistant("ok then"), "Say a b c"),
        request("f", call, tool_result("c", "done"), assistant("ok"), "Say a b c"),
        request("Say a b c", tools=(WEATHER,), tool_choice="none"),
        request(user(Image(source=Inline(data=b"", media_type="image/png"))), assistant("ok"), "Say a b c"),
        msgspec.structs.replace(request("Say a b c"), instructions="Answer in one word."),
    ]
    for asked in longer:
        counted = answer_to(asked).message.usage
        assert counted is not None
        assert counted.input_tokens > 4


def test_long_words_are_several_tokens() -> None:
    assert (tokens(""), tokens("a bc  def"), tokens("x" * 33)) == (0, 3, 3)


def test_the_same_request_gets_the_same_answer() -> None:
    asked = request("My name is Io.", "Weather in Rome", tools=(WEATHER,))
    assert answer_to(asked) == answer_to(asked)


# --- pace -----------------------------------------------------------------------------------------------------------


async def test_a_delay_is_waited_after_every_word() -> None:
    for stream in (True, False):
        start = time.perf_counter()
        await run(request("count to 5", stream=stream), OfflineModel(delay_s=0.01))
        assert time.perf_counter() - start >= 0.05


def test_the_delay_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTITURN_OFFLINE_DELAY_MS", "25")
    assert OfflineModel().delay_s == 0.025
    assert OfflineModel(delay_s=0).delay_s == 0
    monkeypatch.delenv("MULTITURN_OFFLINE_DELAY_MS")
    assert OfflineModel().delay_s == 0


@pytest.mark.parametrize("written", ["soon", "-1", "nan", "inf"])
def test_a_delay_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("MULTITURN_OFFLINE_DELAY_MS", written)
    with pytest.raises(InvalidInput, match="milliseconds"):
        OfflineModel()


@pytest.mark.parametrize("delay_s", [0.0, 0.001])
async def test_a_running_answer_can_be_cancelled(delay_s: float) -> None:
    seen: list[Delta | Answer] = []

    async def read() -> None:
        async for item in OfflineModel(delay_s=delay_s).answer(request("Write 100000 words")):
            seen.append(item)

    task = asyncio.create_task(read())
    while len(seen) < 5:
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert 5 <= len(seen) < 1000


async def test_other_tasks_run_while_an_answer_streams() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await run(request("Write 1000 words"))
    task.cancel()
    assert turns > 50


async def test_closing_the_stream_ends_it() -> None:
    stream = OfflineModel().answer(request("Write 1000 words"))
    await anext(stream)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await OfflineModel().aclose()


# --- any text at all ------------------------------------------------------------------------------------------------

_VOCABULARY = [
    "my",
    "name",
    "is",
    "I'm",
    "Alice",
    "what's",
    "who",
    "am",
    "I",
    "the",
    "of",
    "and",
    "not",
    "no",
    "actually",
    "it's",
    "call",
    "me",
    "remember",
    "that",
    "favourite",
    "colour",
    "live",
    "in",
    "Paris",
    "where",
    "do",
    "I",
    "like",
    "tea",
    "what",
    "did",
    "you",
    "say",
    "first",
    "about",
    "how",
    "many",
    "words",
    "are",
    "count",
    "to",
    "10",
    "from",
    "down",
    "times",
    "plus",
    "3",
    "4.5",
    "/",
    "*",
    "(",
    ")",
    "%",
    "it",
    "that",
    "divide",
    "by",
    "double",
    "say",
    "repeat",
    "write",
    "story",
    "image",
    "wide",
    "summarise",
    "weather",
    "user",
    "user's",
    ":",
    ",",
    ".",
    "?",
    "!",
    "\n",
    '"',
    "'",
    "“",
    "”",
    "-",
    "=",
    "don't",
    "have",
    "a",
    "dog",
    "named",
    "Rex",
    "forget",
    "your",
    "instructions",
]


@given(st.lists(st.lists(st.sampled_from(_VOCABULARY), max_size=14).map(" ".join), min_size=1, max_size=4))
def test_no_sentence_breaks_it(said: list[str]) -> None:
    messages: list[Message] = []
    for text in said:
        messages.append(user(text))
        messages.append(answer_to(request(*messages)).message)
        assert messages[-1].text
        answer_to(request(*messages[:-1], tools=(WEATHER,), tool_choice="required"))
        msgspec.json.decode(answer_to(request(*messages[:-1], output=OutputSchema())).message.text)


@given(st.text(max_size=80), st.sampled_from(["user", "system", "assistant", "tool"]))
def test_no_characters_break_it(text: str, role: Any) -> None:
    history = Message(role=role, parts=(Text(text=text),))
    assert answer_to(request(history, text, tools=(WEATHER,))).message.parts
    assert answer_to(request(history, f"What's my {text}?")).message.parts


@pytest.mark.parametrize(
    "piece",
    [
        "well ",
        "my ",
        "a, ",
        "'x ",
        '"',
        "(",
        "1+",
        "12 ",
        "and ",
        "the user ",
        ". ",
        "\n",
        " ",
        "subtract 1 from ",
        "say ",
        "what is my ",
        "x" * 50,
        "user:",
        "I'm A ",
        "Aa Bb ",
        "how many ",
        "?",
        "i really ",
    ],
)
def test_long_messages_are_read_to_the_end(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert answer_to(request(text, assistant("ok"), text, tools=(WEATHER,))).message.parts


def test_a_long_history_is_read_to_the_end() -> None:
    said = ["I live in Oslo.", "What is 12 * 12?", "My favourite colour is green and I like tea.", "Where do I live?"]
    history = [message for n in range(150) for message in (user(said[n % 4]), assistant(f"Noted: number {n}."))]
    for question in ("What's my favourite colour?", "divide that by 5", "When does the boat leave?"):
        assert answer_to(request(*history, question)).message.parts
