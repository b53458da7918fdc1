"""Chunks that are nothing but text are read by a shorter way (`wire.PLAIN_CHUNK`): it must come to the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import Answer, Delta
from multiturn.errors import ModelError
from multiturn.formats.chat_completions import streams, wire
from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.sse import ServerSentEvent

DIALECT = Dialect(provider="somebody")


def _maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


TEXT = st.sampled_from(["", "Yes", " é", "\ud83d", '"\\\n', "…"])
NOTHING = st.sampled_from([None, ""])
CALL = st.fixed_dictionaries(
    {
        "index": st.integers(0, 1),
        "function": _maybe(name=st.just("add"), arguments=st.sampled_from(["", "{}", '{"a"'])),
    },
    optional={"id": st.sampled_from(["call_1", "call_2"])},
)
DELTA = _maybe(
    role=st.just("assistant"),
    content=st.none() | TEXT | st.just([{"type": "text", "text": "part"}]),
    refusal=NOTHING | TEXT,
    reasoning=NOTHING | TEXT,
    reasoning_content=NOTHING | TEXT,
    tool_calls=st.none() | st.lists(CALL, max_size=2),
    annotations=st.none() | st.just([]),
    more=st.just({"x": 1}),
)
CHOICE = _maybe(
    index=st.sampled_from([0, 0, 0, 1, None]),
    delta=DELTA | st.builds(lambda text: {"content": text}, TEXT) | st.none(),
    finish_reason=st.sampled_from([None, None, None, "", "stop"]),
    logprobs=st.none(),
    usage=st.none() | st.just({"prompt_tokens": 2}),
    error=st.none() | st.just({"message": "no", "code": 500}),
)
CHUNK = _maybe(
    id=st.sampled_from(["chatcmpl-1", None, 7]),
    object=st.sampled_from(["chat.completion.chunk", "chat.completion.chunk", "chat.completion", "error", None]),
    model=st.sampled_from(["tiny", None]),
    choices=st.lists(CHOICE, min_size=1, max_size=2) | st.none() | st.just([]),
    usage=st.none() | st.just({"prompt_tokens": 3, "completion_tokens": 1}),
    citations=st.none() | st.just(["https://example.com/a"]),
    error=st.none() | st.just({"message": "overloaded"}),
)
PLAIN = st.builds(lambda text: {"choices": [{"index": 0, "delta": {"content": text}}]}, TEXT)
FIRST = {"id": "chatcmpl-1", "model": "tiny", "choices": [{"index": 0, "delta": {"content": "So"}}]}
STRANGE = st.sampled_from([b"[DONE]", b"", b"{", b"[" * 9999]).map(ServerSentEvent)


def _event(chunk: object, kind: str = "message") -> ServerSentEvent:
    return ServerSentEvent(json.dumps(chunk).encode(), kind)  # half a surrogate pair too, unlike msgspec


@contextmanager
def only_the_long_way() -> Iterator[None]:
    def refuse(_: bytes) -> wire.PlainChunk:
        raise msgspec.ValidationError

    with patch.object(streams, "PLAIN_CHUNK", SimpleNamespace(decode=refuse)):
        yield


def outcome(events: list[ServerSentEvent]) -> tuple[list[list[Delta]], Answer | tuple[type[Exception], str], bool]:
    decoder, deltas = streams.stream_decoder(DIALECT), []
    try:
        deltas = [decoder.decode(event) for event in events]
        return deltas, decoder.answer(), decoder.done
    except ModelError as error:
        return deltas, (type(error), str(error)), decoder.done


EVENTS = st.lists(st.builds(_event, CHUNK | PLAIN, st.sampled_from(["message"] * 9 + ["error"])) | STRANGE, max_size=8)


@given(EVENTS)
def test_both_ways_come_to_the_same(events: list[ServerSentEvent]) -> None:
    events = [_event(FIRST), *events]
    short = outcome(events)
    with only_the_long_way():
        assert outcome(events) == short


def test_a_stream_of_text_goes_the_short_way() -> None:
    choice = {"index": 0, "delta": {"content": "."}, "logprobs": None, "finish_reason": None}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": [choice]}
    plain = _event(chunk | {"usage": None})
    decoder = streams.stream_decoder(DIALECT)
    decoder.decode(_event(FIRST))
    with patch.object(decoder, "_read", side_effect=AssertionError("the long way")):
        assert [len(decoder.decode(plain)) for _ in range(3)] == [1, 1, 1]
