"""Replies of chat completions, as the many servers word them; and ours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import Answer
from multiturn.errors import ContextOverflow, InvalidReply, ModelError, ProviderFailed, RateLimited
from multiturn.formats.chat_completions import Dialect, decode_reply, encode_reply, stored_messages
from multiturn.messages import (
    Audio,
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
    Url,
    Usage,
)
from strategies import any_message, any_usage, ids, inline, maybe, some_words, urls

OPENAI = Dialect()


def reply(message: Any, **fields: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "chatcmpl-1", "model": "gpt-5", "choices": [choice], **fields}).encode()


def parts(message: Any, **fields: Any) -> tuple[Part, ...]:
    return decode_reply(reply(message, **fields), OPENAI).message.parts


def function(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"id": "call_1", "type": "function", "function": fields}]}


SAID: list[tuple[Any, tuple[Part, ...]]] = [
    # words
    ({"role": "assistant", "content": "hi"}, (Text("hi"),)),
    # nothing: null, empty, absent
    ({"content": None}, ()),
    ({"content": ""}, ()),
    ({}, ()),
    (None, ()),
    # a refusal; null and empty ones are none
    ({"content": None, "refusal": "No."}, (Refusal("No."),)),
    ({"content": "hi", "refusal": ""}, (Text("hi"),)),
    # a call of each kind, beside words
    (
        {"content": "hm", **function(name="f", arguments='{"x": 1}')},
        (Text("hm"), ToolCall("call_1", "f", '{"x": 1}')),
    ),
    (
        {"tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "f", "input": "ls"}}]},
        (ToolCall("call_1", "f", "ls", kind="custom"),),
    ),
    # arguments that are broken (kept), an object (made text), null
    (function(name="f", arguments='{"x'), (ToolCall("call_1", "f", '{"x'),)),
    (function(name="f", arguments={"x": [1]}), (ToolCall("call_1", "f", '{"x":[1]}'),)),
    (function(name="f", arguments=None), (ToolCall("call_1", "f"),)),
    # a server that leaves out `type`
    ({"tool_calls": [{"id": "call_1", "function": {"name": "f"}}]}, (ToolCall("call_1", "f"),)),
    # thinking: DeepSeek's field, vLLM's and OpenRouter's, both at once, another use of the name
    ({"content": "hi", "reasoning_content": "hm"}, (Reasoning("hm"), Text("hi"))),
    ({"content": "hi", "reasoning": "hm"}, (Reasoning("hm"), Text("hi"))),
    ({"content": "hi", "reasoning": "hm", "reasoning_content": "hm"}, (Reasoning("hm"), Text("hi"))),
    ({"content": "hi", "reasoning": {"effort": "low"}}, (Text("hi"),)),
    # content as a list, Mistral's thinking within it, and an item of a kind that nobody knows
    ({"content": [{"type": "text", "text": "a"}, "b", {"type": "text", "text": ""}]}, (Text("a"), Text("b"))),
    ({"content": [{"type": "refusal", "refusal": "No."}]}, (Refusal("No."),)),
    (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
            ]
        },
        (Reasoning("hm"), Text("a")),
    ),
    ({"content": [{"type": "smell", "x": 1}, 7]}, (Opaque("openai", msgspec.Raw(b'{"type":"smell","x":1}'), "smell"),)),
    # citations, as annotations
    (
        {
            "content": "see it",
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {"start_index": 0, "end_index": 3, "title": "T", "url": "https://e.com"},
                },
                {"type": "file_citation", "file_citation": {"file_id": "file-1", "filename": "a.pdf"}},
                {"type": "smell"},
                None,
            ],
        },
        (
            Text(
                "see it",
                (Citation("https://e.com", "T", start=0, end=3), Citation(title="a.pdf", file_id="file-1")),
            ),
        ),
    ),
    # audio: its format is told by its bytes
    (
        {"content": None, "audio": {"id": "audio_1", "data": "UklGRg==", "transcript": "Hi", "expires_at": 1}},
        (Audio(Inline(b"RIFF", "audio/wav"), "Hi", "audio_1"),),
    ),
    ({"audio": {"id": "audio_1", "data": "SUQz"}}, (Audio(Inline(b"ID3", "audio/mpeg"), id="audio_1"),)),
    ({"audio": {"id": "audio_1", "data": "AAA="}}, (Audio(Inline(b"\0\0", "audio/pcm"), id="audio_1"),)),
    ({"audio": {"id": "audio_1", "data": "!"}}, (Audio(id="audio_1"),)),
    # pictures (OpenRouter)
    (
        {
            "content": "here",
            "images": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}},
            ],
        },
        (Text("here"), Image(Inline(b"\x89PNG", "image/png")), Image(Url("https://e.com/a.png"))),
    ),
    # half an emoji, a raw control character
    ({"content": "so \ud83d"}, (Text("so ?"),)),
]


@pytest.mark.parametrize(("message", "expected"), SAID)
def test_what_a_model_said(message: Any, expected: tuple[Part, ...]) -> None:
    assert parts(message) == expected


def test_a_whole_answer() -> None:
    body = reply({"content": "hi"}, usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, object="x")
    assert decode_reply(body, Dialect(provider="groq")) == Answer(
        Message(
            "assistant",
            (Text("hi"),),
            id="chatcmpl-1",
            origin=Origin("groq", "gpt-5", "chat_completions"),
            usage=Usage(input_tokens=3, output_tokens=2),
            finish_reason="stop",
        )
    )


def test_the_least_that_is_an_answer() -> None:
    message = decode_reply(b'{"choices":[{"message":{"content":"hi"}}]}', OPENAI).message
    assert message == Message("assistant", (Text("hi"),), origin=Origin("openai", None, "chat_completions"))


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    twice = {"tool_calls": [{"function": {"name": "f"}}, {"id": "", "function": {"name": "f"}}]}
    first, second = decode_reply(reply(twice), OPENAI).message.tool_calls
    assert first.call_id.startswith("call_")
    assert first.call_id != second.call_id
    assert len(first.call_id) <= 40  # what OpenAI takes


def test_the_old_function_call_is_a_tool_call() -> None:
    choice = {"message": {"function_call": {"name": "f", "arguments": "{}"}}, "finish_reason": "function_call"}
    message = decode_reply(reply(None, choices=[choice]), OPENAI).message
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", "{}")]
    assert message.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        # other servers' words
        ("eos", "stop"),
        ("model_length", "length"),
        # a word of its own is kept
        ("insufficient_system_resource", "insufficient_system_resource"),
        # none
        (None, None),
        ("", None),
    ],
)
def test_why_an_answer_ended(reason: str | None, expected: str | None) -> None:
    body = reply(None, choices=[{"message": {"content": "hi"}, "finish_reason": reason}])
    assert decode_reply(body, OPENAI).message.finish_reason == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # OpenAI's
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=3),
        ),
        # null for everything that was not counted
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": None,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(input_tokens=10),
        ),
        # numbers as text and with a point
        ({"prompt_tokens": "10", "completion_tokens": 5.0}, Usage(input_tokens=10, output_tokens=5)),
        # DeepSeek, Moonshot
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4}, Usage(input_tokens=10, cached_tokens=4)),
        ({"prompt_tokens": 10, "cached_tokens": 4}, Usage(input_tokens=10, cached_tokens=4)),
        # xAI: completion tokens are without the thinking, and the cost is in ticks
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
                "cost_in_usd_ticks": 25_000_000,
            },
            Usage(input_tokens=10, output_tokens=12, reasoning_tokens=7, cost_usd=0.0025),
        ),
        # OpenRouter, and Perplexity's cost in detail
        (
            {"prompt_tokens": 10, "cost": 0.5, "prompt_tokens_details": {"cache_write_tokens": 6}},
            Usage(input_tokens=10, cache_write_tokens=6, cost_usd=0.5),
        ),
        ({"prompt_tokens": 10, "cost": {"total_cost": 0.25}}, Usage(input_tokens=10, cost_usd=0.25)),
        # counted, and none
        ({}, Usage()),
        (None, None),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert decode_reply(reply({"content": "hi"}, usage=usage), OPENAI).message.usage == expected


def test_further_choices_are_alternatives_in_order_and_without_usage() -> None:
    choices = [{"index": index, "message": {"content": str(index)}, "finish_reason": "stop"} for index in (1, 0, 2)]
    answer = decode_reply(reply(None, choices=choices, usage={"prompt_tokens": 1}), OPENAI)
    assert [message.text for message in (answer.message, *answer.alternatives)] == ["0", "1", "2"]
    assert [message.usage for message in answer.alternatives] == [None, None]
    assert {message.origin for message in answer.alternatives} == {answer.message.origin}


def test_addresses_beside_the_answer_are_citations_of_it() -> None:
    said = parts({"content": "hi"}, citations=["https://a.com", "https://b.com", 3])
    assert said == (Text("hi", (Citation("https://a.com"), Citation("https://b.com"))),)


# --- what is no answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        # no JSON
        b"",
        b"hello",
        b"<html>" + b"x" * 5000,
        b'{"choices":[{"mess',
        b"\xff\xfe",
        b"[" * 100_000,
        # JSON of another shape
        b"[]",
        b'"hi"',
        b'{"choices":[{"message":{"content":7}}]}',
        b'{"choices":7}',
        # an answer without an answer
        b"{}",
        b'{"choices":[]}',
        b'{"choices":null,"usage":{}}',
    ],
)
def test_what_is_no_answer_is_shown_by_its_beginning(body: bytes) -> None:
    with pytest.raises(InvalidReply, match="openai's answer cannot be read") as caught:
        decode_reply(body, OPENAI)
    assert repr(body[:200].decode("utf-8", "replace")) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.body is not None
    assert len(caught.value.body) <= 2000
    assert caught.value.provider == "openai"


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        # a status as the code (OpenRouter)
        (
            b'{"error":{"code":429,"message":"Slow down"}}',
            RateLimited,
            "openai answered with an error (429): Slow down.",
        ),
        # a type that tells the status
        (
            b'{"error":{"type":"invalid_request_error","message":"maximum context length is 5"}}',
            ContextOverflow,
            "maximum context length is 5.",
        ),
        # nothing that tells
        (b'{"error":"boom"}', ProviderFailed, "openai answered with an error: boom."),
        (b'{"error":{}}', InvalidReply, "no choices"),
        (b'{"object":"error","message":"boom","code":400}', ModelError, "boom"),
        # an error beside empty choices, and within one
        (b'{"choices":[],"error":{"message":"boom"}}', ProviderFailed, "boom"),
        (
            b'{"choices":[{"message":{"content":""},"finish_reason":"error","error":{"code":502,"message":"boom"}}]}',
            ProviderFailed,
            "boom",
        ),
    ],
)
def test_an_error_in_place_of_an_answer_is_that_error(body: bytes, error: type[ModelError], said: str) -> None:
    with pytest.raises(error) as caught:
        decode_reply(body, OPENAI)
    assert said in str(caught.value)
    assert caught.value.provider == "openai"


def test_the_status_of_such_an_error_is_only_told_where_it_is_known() -> None:
    with pytest.raises(ProviderFailed) as unknown:
        decode_reply(b'{"error":"boom"}', OPENAI)
    with pytest.raises(ProviderFailed) as known:
        decode_reply(b'{"error":{"code":"503","message":"boom"}}', OPENAI)
    assert (unknown.value.status, known.value.status) == (None, 503)


# --- as a server ----------------------------------------------------------------------------------------------------


def told(*parts: Part, finish_reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
    message = Message("assistant", parts, finish_reason=finish_reason)
    body = encode_reply(Answer(message), id="chatcmpl-1", created=7, model="tiny", **fields)
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_reply_on_the_wire() -> None:
    usage = Usage(input_tokens=3, output_tokens=2, cached_tokens=1, reasoning_tokens=1)
    assert told(Text("hi"), usage=usage) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }


def test_a_reply_with_calls_and_thinking() -> None:
    found = told(Reasoning("hm"), ToolCall("call_1", "f", "{}"), ToolCall("call_2", "g", "ls", kind="custom"))
    assert found["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "ls"}},
        ],
    }
    assert "usage" not in found


def test_citations_are_annotations_counted_from_the_start_of_the_whole_text() -> None:
    found = told(Text("ab"), Text("cd", (Citation("https://e.com", "T", start=0, end=2), Citation(file_id="file-1"))))
    assert found["choices"][0]["message"]["content"] == "abcd"
    assert found["choices"][0]["message"]["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 2, "end_index": 4, "title": "T", "url": "https://e.com"},
        }
    ]


@pytest.mark.parametrize(
    ("said", "parts", "expected"),
    [
        ("stop", (), "stop"),
        ("content_filter", (), "content_filter"),
        # other formats' words
        ("end_turn", (), "stop"),
        ("max_tokens", (), "length"),
        ("tool_use", (), "tool_calls"),
        # unknown, or none
        ("SAFETY", (), "stop"),
        (None, (), "stop"),
        (None, (ToolCall("call_1", "f"),), "tool_calls"),
    ],
)
def test_a_client_is_told_an_end_that_it_knows(said: str | None, parts: tuple[Part, ...], expected: str) -> None:
    assert told(*parts, finish_reason=said)["choices"][0]["finish_reason"] == expected


def carried() -> st.SearchStrategy[tuple[Part, ...]]:
    """Answers of which the format keeps everything, in its own order."""
    spans = st.tuples(st.integers(0, 9), st.integers(1, 9)).map(
        lambda span: {"start": span[0], "end": span[0] + span[1]}
    )
    citations = st.builds(
        lambda url, title, quote, span: Citation(url=url, title=title, quote=quote, **span),
        urls().map(lambda url: url.url),
        maybe(some_words),
        maybe(some_words),
        st.just({}) | spans,
    )
    text = st.builds(Text, some_words, st.lists(citations, max_size=2).map(tuple))
    audio = st.builds(Audio, st.none() | st.just(Inline(b"RIFF..", "audio/wav")), maybe(some_words), maybe(ids))
    image = st.builds(Image, st.builds(Url, urls().map(lambda url: url.url)) | inline())
    calls = st.builds(ToolCall, ids, ids, st.text(max_size=9), st.sampled_from(["function", "custom"]))
    groups: list[st.SearchStrategy[tuple[Part, ...]]] = [
        st.just(()) | st.builds(Reasoning, some_words).map(lambda part: (part,)),
        st.just(()) | text.map(lambda part: (part,)),
        st.just(()) | st.builds(Refusal, some_words).map(lambda part: (part,)),
        st.just(()) | audio.map(lambda part: (part,)),
        st.lists(image, max_size=2).map(tuple),
        st.lists(calls, max_size=3).map(tuple),
    ]
    return st.tuples(*groups).map(lambda made: tuple(part for group in made for part in group))


def answers() -> st.SearchStrategy[Answer]:
    ends = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])
    origin = st.just(Origin("openai", "tiny", "chat_completions"))
    alternative = st.builds(Message, st.just("assistant"), carried(), origin=origin, finish_reason=ends)
    message = st.builds(
        Message,
        st.just("assistant"),
        carried(),
        id=st.just("chatcmpl-1"),
        origin=origin,
        usage=maybe(any_usage()),
        finish_reason=ends,
    )
    return st.builds(Answer, message, st.lists(alternative, max_size=2).map(tuple))


@given(answers())
def test_what_a_server_encodes_a_client_decodes(answer: Answer) -> None:
    assert decode_reply(encode_reply(answer, id="chatcmpl-1", created=7, model="tiny"), OPENAI) == answer


@given(any_message(st.just("assistant")), any_usage())
def test_whatever_was_answered_can_be_encoded(message: Message, usage: Usage) -> None:
    found = json.loads(encode_reply(Answer(message), id="chatcmpl-1", created=7, model="tiny", usage=usage))
    assert found["choices"][0]["message"]["role"] == "assistant"
    assert found["usage"]["prompt_tokens"] == usage.input_tokens


# --- the messages of a stored completion ----------------------------------------------------------------------------


@given(st.lists(any_message(), max_size=5))
def test_whatever_was_said_can_be_listed(messages: list[Message]) -> None:
    items = json.loads(msgspec.json.encode(stored_messages(messages, "chatcmpl-1")))
    assert [item["id"] for item in items] == [f"chatcmpl-1-{n}" for n in range(len(items))]
    assert len(items) >= len(messages)
    results = [result.call_id for message in messages for result in message.tool_results]
    assert [item["tool_call_id"] for item in items if "tool_call_id" in item] == results


def test_content_that_is_more_than_text_is_listed_in_parts_too() -> None:
    picture = Image(source=Url(url="https://x.example/p.png"), detail="low")
    shown, plain = stored_messages(
        [Message("user", (Text("see"), picture)), Message("user", (Text("a"), Text("b")))], "c"
    )
    assert json.loads(msgspec.json.encode(shown["content_parts"])) == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://x.example/p.png", "detail": "low"}},
    ]
    assert (shown["content"], plain["content"], plain["content_parts"]) == ("see", "ab", None)
