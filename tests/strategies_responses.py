"""Hypothesis strategies for what the Responses API carries: answers as OpenAI gives them, and what clients say."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from hypothesis import strategies as st

from multiturn.deltas import Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from multiturn.messages import (
    Citation,
    File,
    Image,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
)
from strategies import counts, ids, inline, json_objects, maybe, some_words, urls, words

BY_OPENAI = Origin("openai", format="responses")


def citations() -> st.SearchStrategy[Citation]:
    """One of each kind that OpenAI has."""
    url = ids.map("https://example.com/{}".format)
    span = st.tuples(counts, st.integers(1, 2**31))
    return st.one_of(
        st.builds(lambda url, title, at: Citation(url, title, start=at[0], end=at[1]), url, some_words, span),
        st.builds(Citation, url=url),
        st.builds(Citation, title=words, start=counts, file_id=ids),
        st.builds(
            lambda title, at, file, id: Citation(title=title, start=at[0], end=at[1], file_id=file, id=id),
            *(words, span, ids, ids),
        ),
        st.builds(Citation, start=counts, file_id=ids),
    )


@st.composite
def answer_parts(draw: st.DrawFn, *, thinking: bool = True) -> tuple[Part, ...]:
    """The parts of one answer, every item under its id. Thinking is encrypted, and another item follows it."""
    parts: list[Part] = []
    for nth in range(draw(st.integers(1, 4))):
        if thinking and draw(st.booleans()):
            summary = tuple(draw(st.lists(words, max_size=2)))
            parts.append(Reasoning(summary=summary, id=f"rs_{nth}", encrypted=draw(some_words)))
        parts += draw(_item(nth))
    return tuple(parts)


def _item(nth: int) -> st.SearchStrategy[list[Part]]:
    others = maybe(st.just('{"namespace":"crm","caller":{"type":"direct"}}'))
    function = st.builds(ToolCall, ids, ids, json_objects(), id=st.just(f"fc_{nth}"), signature=others)
    custom = st.builds(ToolCall, ids, ids, words, st.just("custom"), st.just(f"ctc_{nth}"), others)
    opaque = st.builds(_opaque, st.sampled_from(["web_search_call", "compaction", "new_call"]), some_words)
    return st.one_of(_words(nth), *(each.map(lambda part: [part]) for each in (function, custom, opaque)))


@st.composite
def _words(draw: st.DrawFn, nth: int) -> list[Part]:
    id, phase = f"msg_{nth}", draw(st.sampled_from([None, "commentary", "final_answer"]))
    cited = st.lists(citations(), max_size=2).map(tuple)
    text = st.builds(Text, words, cited, id=st.just(id), phase=st.just(phase))
    refusal = st.builds(Refusal, words, st.just(id))
    first: list[Part] = [draw(text)]  # a refusal has no phase to tell, so a text begins
    return first + draw(st.lists(text | refusal, max_size=2))


def _opaque(kind: str, value: str) -> Opaque:
    fields: dict[str, dict[str, Any]] = {
        "web_search_call": {"status": "completed", "action": {"type": "search", "query": value}},
        "compaction": {"encrypted_content": value},
        "new_call": {"value": value},
    }
    return Opaque("openai", msgspec.Raw(msgspec.json.encode({"type": kind, "id": "x_1", **fields[kind]})), kind)


def answers() -> st.SearchStrategy[Message]:
    return answer_parts().map(lambda parts: Message("assistant", parts, origin=BY_OPENAI))


def carried() -> st.SearchStrategy[list[Message]]:
    """Conversations of which the format keeps everything: no two answers in a row."""
    text = some_words.map(Text)
    details = st.sampled_from(["auto", "low", "high"])
    bare_urls = st.builds(Url, urls().map(lambda url: url.url))
    file_ids = st.builds(Uploaded, ids, st.just("openai"))
    image = st.builds(Image, bare_urls | inline() | file_ids, details)
    file = st.builds(File, inline("application/pdf"), some_words) | st.builds(File, bare_urls | file_ids)
    media = image | file
    content = st.tuples(text) | st.tuples(text, media) | st.tuples(media, text, media)
    said = st.builds(Message, st.sampled_from(["user", "system", "developer"]), content) | st.just(Message("user"))
    result = st.builds(ToolResult, ids, st.just(()) | content).map(lambda part: Message("tool", (part,)))
    plain = st.builds(Message, st.just("assistant"), st.tuples(text))
    turn = st.tuples(st.lists(said | result, min_size=1, max_size=2), answers() | plain)
    return st.lists(turn, min_size=1, max_size=3).map(
        lambda turns: [m for said, answer in turns for m in (*said, answer)]
    )


@st.composite
def streams(draw: st.DrawFn) -> list[Delta]:
    """Deltas as a model sends them: every call begins with its id and its name, and calls are counted from 0. No
    thinking follows straight on other thinking."""
    kinds: list[Literal["function", "custom"]] = ["function", "custom"]
    said = st.lists(st.builds(TextDelta, some_words) | st.builds(RefusalDelta, some_words), min_size=1, max_size=3)
    whole = _item(9).filter(lambda parts: isinstance(parts[0], Opaque)).map(lambda parts: [PartDelta(parts[0])])
    deltas: list[Delta] = []
    begun: list[Any] = []
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            deltas.append(ReasoningDelta(draw(some_words)))
        match draw(st.integers(0, 2)):
            case 0:
                deltas += draw(said)
            case 1:
                deltas += draw(whole)
            case _:
                begun.append(draw(st.sampled_from(kinds)))
                name = f"{draw(ids)}_{len(begun)}"
                deltas.append(ToolCallDelta(len(begun) - 1, f"call_{name}", name, kind=begun[-1]))
                for index in draw(st.lists(st.integers(0, len(begun) - 1), max_size=3)):
                    deltas.append(ToolCallDelta(index, arguments=draw(some_words), kind=begun[index]))
    return deltas
