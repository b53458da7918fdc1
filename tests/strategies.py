"""Hypothesis strategies for our values: every part, every role, whatever a format may be asked to carry.

`any_…` draw from everything that the types allow, sensible or not. A format's own tests narrow them down to what that
format can carry.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from hypothesis import strategies as st

from multiturn.deltas import Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from multiturn.messages import (
    Audio,
    Citation,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
    Usage,
    Video,
)

T = TypeVar("T")

words = st.text(max_size=12)
some_words = st.text(min_size=1, max_size=12)
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=12)
providers = st.sampled_from(["openai", "anthropic", "gemini", "elsewhere"])
counts = st.integers(0, 2**31)
roles: st.SearchStrategy[Role] = st.sampled_from(["system", "developer", "user", "assistant", "tool"])


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


# --- sources --------------------------------------------------------------------------------------------------------


def urls() -> st.SearchStrategy[Url]:
    return st.builds(Url, ids.map("https://example.com/{}".format), maybe(st.sampled_from(["image/png"])))


def inline(*media_types: str) -> st.SearchStrategy[Inline]:
    return st.builds(Inline, st.binary(max_size=20), st.sampled_from(media_types or ("image/png", "text/x-odd")))


def uploaded() -> st.SearchStrategy[Uploaded]:
    return st.builds(Uploaded, ids, providers, maybe(st.just("application/pdf")))


def any_source() -> st.SearchStrategy[Source]:
    return urls() | inline() | uploaded()


# --- parts ----------------------------------------------------------------------------------------------------------


def any_citation() -> st.SearchStrategy[Citation]:
    return st.builds(
        Citation,
        url=maybe(ids.map("https://example.com/{}".format)),
        title=maybe(words),
        quote=maybe(words),
        start=maybe(counts),
        end=maybe(counts),
        unit=st.sampled_from(["answer_character", "source_character", "page", "block"]),
        document=maybe(counts),
        file_id=maybe(ids),
        id=maybe(ids),
    )


def any_text() -> st.SearchStrategy[Text]:
    return st.builds(Text, words, st.lists(any_citation(), max_size=2).map(tuple), maybe(ids))


def any_media() -> st.SearchStrategy[Image | Audio | Video | File]:
    return st.one_of(
        st.builds(Image, any_source(), maybe(st.sampled_from(["auto", "low", "high", "original"]))),
        st.builds(
            Audio, maybe(any_source() | inline("audio/wav", "audio/mpeg", "audio/ogg")), maybe(words), maybe(ids)
        ),
        st.builds(Video, any_source()),
        st.builds(File, any_source(), maybe(words)),
    )


def json_objects() -> st.SearchStrategy[str]:
    """The text of a JSON object, as a model writes arguments."""
    values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words
    return st.dictionaries(words, values, max_size=3).map(lambda value: msgspec.json.encode(value).decode())


def any_tool_call() -> st.SearchStrategy[ToolCall]:
    kinds = st.sampled_from(["function", "custom"])
    return st.builds(ToolCall, ids, ids, json_objects() | words, kinds, maybe(ids), maybe(ids))


def any_tool_result() -> st.SearchStrategy[ToolResult]:
    parts = st.lists(any_text() | any_media(), max_size=3).map(tuple)
    return st.builds(ToolResult, ids, parts, maybe(ids), st.booleans(), maybe(ids))


def any_reasoning() -> st.SearchStrategy[Reasoning]:
    return st.builds(Reasoning, words, st.lists(words, max_size=2).map(tuple), maybe(ids), maybe(ids), maybe(ids))


def any_opaque() -> st.SearchStrategy[Opaque]:
    return st.builds(Opaque, providers, json_objects().map(lambda text: msgspec.Raw(text.encode())), maybe(ids))


def any_part() -> st.SearchStrategy[Part]:
    return st.one_of(
        any_text(),
        st.builds(Refusal, words),
        any_media(),
        any_tool_call(),
        any_tool_result(),
        any_reasoning(),
        any_opaque(),
    )


# --- messages -------------------------------------------------------------------------------------------------------


def any_usage() -> st.SearchStrategy[Usage]:
    return st.builds(
        Usage,
        input_tokens=counts,
        output_tokens=counts,
        cached_tokens=counts,
        cache_write_tokens=counts,
        reasoning_tokens=counts,
        cost_usd=maybe(st.floats(0, 1000)),
    )


def any_origin() -> st.SearchStrategy[Origin]:
    formats = st.sampled_from(["chat_completions", "responses", "anthropic", "gemini"])
    return st.builds(Origin, providers, maybe(ids), maybe(formats))


def any_message(role: st.SearchStrategy[Role] = roles) -> st.SearchStrategy[Message]:
    return st.builds(
        Message,
        role=role,
        parts=st.lists(any_part(), max_size=4).map(tuple),
        name=maybe(words),
        id=maybe(ids),
        origin=maybe(any_origin()),
        usage=maybe(any_usage()),
        finish_reason=maybe(ids),
        metadata=maybe(st.dictionaries(ids, words, max_size=2)),
    )


def any_conversation() -> st.SearchStrategy[list[Message]]:
    """Messages in any order of roles."""
    return st.lists(any_message(), max_size=5)


# --- deltas ---------------------------------------------------------------------------------------------------------


def any_delta() -> st.SearchStrategy[Delta]:
    return st.one_of(
        st.builds(TextDelta, words),
        st.builds(RefusalDelta, words),
        st.builds(ReasoningDelta, words),
        st.builds(ToolCallDelta, st.integers(0, 3), ids, ids, words),
        st.builds(PartDelta, any_part()),
    )
