"""Replies of the Messages API, block by block; and ours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from anthropic.types import Message as SdkMessage
from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import Answer
from multiturn.errors import ContextOverflow, InvalidReply, ModelError, ProviderFailed, RateLimited
from multiturn.formats.anthropic import Dialect, decode_reply, encode_messages, encode_reply
from multiturn.messages import (
    Citation,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
)
from strategies import any_message, any_usage, ids, json_objects, maybe, some_words, urls
from upstream_anthropic import USAGE, redacted, text, thinking, tool_use, web_search

CLAUDE = Dialect()
MINE = Origin("anthropic", "claude", "anthropic")


def reply(*content: Any, **fields: Any) -> bytes:
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": list(content)}
    return json.dumps({**body, "stop_reason": "end_turn", "usage": USAGE, **fields}).encode()


def parts(*content: Any, **fields: Any) -> tuple[Part, ...]:
    return decode_reply(reply(*content, **fields), CLAUDE).message.parts


def cited(**fields: Any) -> dict[str, Any]:
    return text("a", {"cited_text": "q", **fields})


def resting(**fields: Any) -> Text:
    return Text("a", (Citation(quote="q", **fields),))


SEARCH = web_search("cats", "https://e.com")
SAID: list[tuple[Any, tuple[Part, ...]]] = [
    # words
    (text("hi"), (Text("hi"),)),
    (text(""), ()),
    # thinking: shown, hidden, encrypted, of a server that signs nothing, none at all
    (thinking("hm"), (Reasoning("hm", signature="c2lnbmF0dXJl"),)),
    (thinking(""), (Reasoning(signature="c2lnbmF0dXJl"),)),
    (redacted("e"), (Reasoning(encrypted="e"),)),
    ({"type": "thinking", "thinking": "hm"}, (Reasoning("hm"),)),
    (thinking("", ""), ()),
    # a call, its arguments to the letter; one that code made, or of a toolset
    (tool_use("f", {"x": [1.0, "é"]}), (ToolCall("toolu_1", "f", '{"x": [1.0, "\\u00e9"]}'),)),
    (tool_use("f", {}, caller={"type": "direct"}), (ToolCall("toolu_1", "f", "{}"),)),
    (
        tool_use("f", {}, caller={"type": "code_execution_20250825", "tool_id": "s"}, toolset_name="browser"),
        (
            ToolCall(
                "toolu_1",
                "f",
                "{}",
                signature='{"caller":{"type":"code_execution_20250825","tool_id":"s"},"toolset_name":"browser"}',
            ),
        ),
    ),
    # citations of every kind
    (
        cited(
            type="char_location",
            document_index=1,
            document_title="T",
            start_char_index=2,
            end_char_index=5,
            file_id="f",
        ),
        (resting(title="T", start=2, end=5, unit="source_character", document=1, file_id="f"),),
    ),
    (
        cited(type="page_location", document_index=0, document_title=None, start_page_number=1, end_page_number=2),
        (resting(start=1, end=2, unit="page", document=0),),
    ),
    (
        cited(type="content_block_location", document_index=0, start_block_index=1, end_block_index=2),
        (resting(start=1, end=2, unit="block", document=0),),
    ),
    (
        cited(
            type="search_result_location",
            search_result_index=3,
            source="https://e.com",
            title="T",
            start_block_index=0,
            end_block_index=1,
        ),
        (resting(url="https://e.com", title="T", start=0, end=1, unit="block", document=3),),
    ),
    (
        cited(type="web_search_result_location", url="https://e.com", title="T", encrypted_index="i"),
        (resting(url="https://e.com", title="T", id="i"),),
    ),
    # ... of a kind that nobody knows yet, and of a strange shape
    (cited(type="smell_location"), (Text("a"),)),
    (cited(type="page_location", document_index="one"), (Text("a"),)),
    (cited(type="page_location", document_index=1), (Text("a"),)),
    ({"type": "text", "text": "a", "citations": "none"}, (Text("a"),)),
    # fields of a strange shape are as good as absent
    ({"type": "text", "text": 7}, ()),
    ({"type": "tool_use", "id": "t", "name": None}, (ToolCall("t", "", "{}"),)),
    # half an emoji
    ({"type": "text", "text": "so \ud83d"}, (Text("so ?"),)),
]


@pytest.mark.parametrize(("block", "expected"), SAID)
def test_what_a_model_said(block: Any, expected: tuple[Part, ...]) -> None:
    assert parts(block) == expected


def test_blocks_that_we_do_not_know_are_kept_byte_for_byte_and_go_back_in_their_place() -> None:
    blocks = b'[{"type": "text","text":"a"},{"type":"mcp_tool_use", "id": "m", "x": 1.50},{"type":"text","text":"b"}]'
    body = b'{"id":"msg_1","content":%s,"stop_reason":"end_turn","model":"claude"}' % blocks
    message = decode_reply(body, CLAUDE).message
    _, opaque, _ = message.parts
    assert isinstance(opaque, Opaque)
    assert bytes(opaque.data) == b'{"type":"mcp_tool_use", "id": "m", "x": 1.50}'
    assert (opaque.kind, opaque.provider) == ("mcp_tool_use", "anthropic")
    assert encode_messages([message], CLAUDE).split(b",", 1)[1] == b'"content":%s}' % blocks.replace(b": ", b":", 1)


def test_a_whole_answer() -> None:
    body = reply(thinking("hm"), *SEARCH, tool_use("f", {"x": 1}), stop_reason="tool_use")
    message = decode_reply(body, CLAUDE).message
    assert message == Message(
        "assistant",
        (
            Reasoning("hm", signature="c2lnbmF0dXJl"),
            Opaque("anthropic", message.parts[1].data, "server_tool_use"),  # type: ignore[union-attr]
            Opaque("anthropic", message.parts[2].data, "web_search_tool_result"),  # type: ignore[union-attr]
            Text("It is so.", (Citation("https://e.com", "T", "so it says", id="aQ=="),)),
            ToolCall("toolu_1", "f", '{"x": 1}'),
        ),
        id="msg_1",
        origin=MINE,
        usage=Usage(input_tokens=37, output_tokens=3, cached_tokens=20, cache_write_tokens=5, reasoning_tokens=1),
        finish_reason="tool_calls",
    )
    again = json.loads(encode_messages([message], CLAUDE))["content"]
    assert again == json.loads(body)["content"]  # the whole answer goes back as it came


def test_the_least_that_is_an_answer() -> None:
    message = decode_reply(b'{"content":[{"type":"text","text":"hi"}]}', Dialect(provider="open")).message
    assert message == Message("assistant", (Text("hi"),), origin=Origin("open", None, "anthropic"))


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    first, second = decode_reply(reply(*[{"type": "tool_use", "name": "f"}] * 2), CLAUDE).message.tool_calls
    assert first.call_id.startswith("toolu_")
    assert first.call_id != second.call_id


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        # words of its own are kept
        ("pause_turn", "pause_turn"),
        ("new_reason", "new_reason"),
        (None, None),
    ],
)
def test_why_an_answer_ended(reason: str | None, expected: str | None) -> None:
    assert decode_reply(reply(text("hi"), stop_reason=reason), CLAUDE).message.finish_reason == expected


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"type": "refusal", "category": "bio", "explanation": "Too dangerous."}, (Refusal("Too dangerous."),)),
        ({"type": "refusal", "category": None, "explanation": None}, ()),
        (None, ()),
        ("no", ()),
    ],
)
def test_why_the_api_refused(details: Any, expected: tuple[Part, ...]) -> None:
    assert parts(stop_reason="refusal", stop_details=details) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # what came from the cache and went there is counted in
        (
            {"input_tokens": 1, "output_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4},
            Usage(input_tokens=7, output_tokens=5, cached_tokens=4, cache_write_tokens=2),
        ),
        # null for what was not counted, and fields that we do not know
        (
            {"input_tokens": 1, "output_tokens": 5, "cache_read_input_tokens": None, "output_tokens_details": None},
            Usage(input_tokens=1, output_tokens=5),
        ),
        (
            {"output_tokens": "5", "output_tokens_details": {"thinking_tokens": 3.0}},
            Usage(output_tokens=5, reasoning_tokens=3),
        ),
        ({}, Usage()),
        (None, None),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert decode_reply(reply(text("hi"), usage=usage), CLAUDE).message.usage == expected


# --- what is no answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        # no JSON
        b"",
        b"hello",
        b"<html>" + b"x" * 5000,
        b'{"content":[{"ty',
        b"\xff\xfe",
        b"[" * 100_000,
        # JSON of another shape
        b"[]",
        b'"hi"',
        b'{"content":7}',
        b'{"content":["hi"]}',
        # an answer without an answer
        b"{}",
        b'{"content":null}',
    ],
)
def test_what_is_no_answer_is_shown_by_its_beginning(body: bytes) -> None:
    with pytest.raises(InvalidReply, match="anthropic's answer cannot be read") as caught:
        decode_reply(body, CLAUDE)
    assert repr(body[:200].decode("utf-8", "replace")) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert len(caught.value.body or "") <= 2000
    assert caught.value.provider == "anthropic"


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}',
            RateLimited,
            "anthropic answered with an error (rate_limit_error): Slow down. Try again later.",
        ),
        (
            b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 5"}}',
            ContextOverflow,
            "prompt is too long",
        ),
        (b'{"error":"boom"}', ProviderFailed, "anthropic answered with an error: boom."),
    ],
)
def test_an_error_in_place_of_an_answer_is_that_error(body: bytes, error: type[ModelError], said: str) -> None:
    with pytest.raises(error) as caught:
        decode_reply(body, CLAUDE)
    assert said in str(caught.value)


# --- as a server ----------------------------------------------------------------------------------------------------


def told(*parts: Part, finish_reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
    message = Message("assistant", parts, finish_reason=finish_reason)
    found: dict[str, Any] = json.loads(encode_reply(Answer(message), id="msg_1", model="tiny", **fields))
    SdkMessage.model_validate(found)
    return found


def test_a_reply_on_the_wire() -> None:
    usage = Usage(input_tokens=9, output_tokens=2, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=1)
    assert told(Text("hi"), usage=usage) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "tiny",
        "content": [{"type": "text", "text": "hi", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 3,
            "output_tokens": 2,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 1},
        },
    }


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        # another provider's thinking: what it shows, unsigned; nothing where it shows nothing
        (Reasoning(summary=("a", "b"), id="rs_1", encrypted="e"), [thinking("a\nb", "")]),
        (Reasoning(id="rs_1", encrypted="e"), []),
        (Reasoning(encrypted="e"), [redacted("e")]),
        # arguments that are no JSON object
        (ToolCall("toolu_1", "f", ""), [tool_use("f", {})]),
        (ToolCall("toolu_1", "f", "ls", kind="custom"), [tool_use("f", {"input": "ls"})]),
        (ToolCall("toolu_1", "f", "{"), [tool_use("f", {"invalid_json": "{"})]),
        # blocks of Anthropic's own, and of another
        (Opaque("anthropic", msgspec.Raw(b'{"type":"new"}')), [{"type": "new"}]),
        (Opaque("openai", msgspec.Raw(b'{"type":"new"}')), []),
        # what else a model may make is told in words
        (Image(Inline(b"\x89PNG", "image/png")), [text("[image (image/png), not shown]")]),
        (Text(""), []),
    ],
)
def test_a_part_as_a_client_sees_it(part: Part, expected: list[dict[str, Any]]) -> None:
    body = encode_reply(Answer(Message("assistant", (part,))), id="msg_1", model="tiny")
    assert json.loads(body)["content"] == expected


@pytest.mark.parametrize(
    ("said", "parts", "expected"),
    [
        ("stop", (), "end_turn"),
        ("length", (), "max_tokens"),
        ("tool_calls", (), "tool_use"),
        ("content_filter", (), "refusal"),
        ("pause_turn", (), "pause_turn"),
        # unknown, or none
        ("SAFETY", (), "end_turn"),
        (None, (), "end_turn"),
        (None, (ToolCall("toolu_1", "f"),), "tool_use"),
    ],
)
def test_a_client_is_told_an_end_that_it_knows(said: str | None, parts: tuple[Part, ...], expected: str) -> None:
    assert told(*parts, finish_reason=said)["stop_reason"] == expected


def test_a_model_s_refusal_is_told_as_one() -> None:
    found = told(Refusal("I will "), Refusal("not."))
    assert (found["content"], found["stop_reason"]) == ([], "refusal")
    assert found["stop_details"] == {"type": "refusal", "category": None, "explanation": "I will not."}


def carried() -> st.SearchStrategy[tuple[Part, ...]]:
    """Answers of which the format keeps everything, in any order."""
    located = st.builds(
        lambda unit, title, quote, document, span, file_id: Citation(
            title=title, quote=quote, unit=unit, document=document, start=span, end=span + 1, file_id=file_id
        ),
        st.sampled_from(["source_character", "page", "block"]),
        maybe(some_words),
        some_words,
        st.integers(0, 9),
        st.integers(0, 9),
        maybe(ids),
    )
    found = st.builds(Citation, url=urls().map(lambda url: url.url), title=maybe(some_words), quote=some_words, id=ids)
    texts = st.builds(Text, some_words, st.lists(located | found, max_size=2).map(tuple))
    thoughts = st.builds(Reasoning, some_words, signature=maybe(ids)) | st.builds(Reasoning, encrypted=ids)
    calls = st.builds(ToolCall, ids, ids, json_objects())
    opaque = st.builds(lambda id: Opaque("anthropic", msgspec.Raw(b'{"type":"%s"}' % id.encode()), id), ids).filter(
        lambda part: part.kind not in ("text", "thinking", "tool_use", "redacted_thinking")
    )
    return st.lists(texts | thoughts | calls | opaque, max_size=5).map(tuple)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    refused = draw(st.booleans())
    message = Message(
        "assistant",
        draw(carried()) + ((Refusal(draw(some_words)),) if refused else ()),
        id="msg_1",
        origin=Origin("anthropic", "tiny", "anthropic"),
        usage=_countable(draw(any_usage())),
        finish_reason="content_filter" if refused else draw(st.sampled_from(["stop", "length", "tool_calls"])),
    )
    return Answer(message)


def _countable(usage: Usage) -> Usage:
    """A usage as the API counts it: its parts are no more than the whole, and nothing is said of money."""
    whole = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens
    return msgspec.structs.replace(usage, input_tokens=whole, cost_usd=None)


@given(answers())
def test_what_a_server_encodes_a_client_decodes(answer: Answer) -> None:
    assert decode_reply(encode_reply(answer, id="msg_1", model="tiny"), CLAUDE) == answer


@given(any_message(st.just("assistant")), any_usage())
def test_whatever_was_answered_can_be_encoded(message: Message, usage: Usage) -> None:
    found = json.loads(encode_reply(Answer(message), id="msg_1", model="tiny", usage=usage))
    assert found["usage"]["output_tokens"] == usage.output_tokens
    SdkMessage.model_construct(**found)
