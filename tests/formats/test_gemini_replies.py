"""Replies of the Gemini API as Google words them; and ours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import Answer
from multiturn.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidReply,
    ModelError,
    ProviderFailed,
    RequestRejected,
)
from multiturn.formats.gemini import Dialect, decode_reply, encode_messages, encode_reply
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
    Text,
    ToolCall,
    Uploaded,
    Url,
    Usage,
    Video,
)
from strategies import any_message, any_usage, ids, inline, json_objects, maybe, some_words, words
from upstream_gemini import generated

GEMINI = Dialect()
ORIGIN = Origin("gemini", "gemini-3-flash-001", "gemini")


def reply(*parts: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps(generated(*parts, **fields)).encode()


def parts(*parts: dict[str, Any], **candidate: Any) -> tuple[Part, ...]:
    body = generated(*parts)
    body["candidates"][0] |= candidate
    return decode_reply(json.dumps(body).encode(), GEMINI).message.parts


def opaque(data: dict[str, Any], kind: str) -> Opaque:
    return Opaque("gemini", msgspec.Raw(json.dumps(data).encode()), kind)


CODE = {"executableCode": {"code": "print(1)", "language": "PYTHON"}}
RESULT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}, "thoughtSignature": "cw=="}
PNG = {"mimeType": "image/png", "data": "iVBORw=="}

SAID: list[tuple[list[dict[str, Any]], tuple[Part, ...]]] = [
    # words, part by part
    ([{"text": "hi"}, {"text": " you"}], (Text("hi"), Text(" you"))),
    # nothing
    ([], ()),
    ([{"text": ""}, {}], ()),
    # thinking, and signatures wherever they stand, kept as they are written
    (
        [
            {"text": "hm", "thought": True},
            {"text": "hm", "thought": True, "thoughtSignature": "a-_b"},
            {"text": "hi", "thought": False, "thoughtSignature": "a+/b"},
            {"text": "", "thoughtSignature": "YQ=="},
        ],
        (Reasoning("hm"), Reasoning("hm", signature="a-_b"), Text("hi", signature="a+/b"), Text("", signature="YQ==")),
    ),
    # calls: with an id, without arguments, with the model's own text
    (
        [{"functionCall": {"id": "abc1", "name": "f", "args": {"x": [1]}}, "thoughtSignature": "YQ=="}],
        (ToolCall("abc1", "f", '{"x": [1]}', signature="YQ=="),),
    ),
    ([{"functionCall": {"id": "abc1", "name": "f"}}], (ToolCall("abc1", "f", "{}"),)),
    ([{"functionCall": {"id": "abc1", "name": "f", "args": None}}], (ToolCall("abc1", "f", "{}"),)),
    # media by what they are
    (
        [
            {"inlineData": PNG},
            {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAA="}},
            {"inlineData": {"mimeType": "video/mp4", "data": ""}},
            {"inlineData": {"data": "_-8="}},
            {"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}},
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}},
        ],
        (
            Image(Inline(b"\x89PNG", "image/png")),
            Audio(Inline(b"\0\0", "audio/L16;rate=24000")),
            Video(Inline(b"", "video/mp4")),
            File(Inline(b"\xff\xef", "application/octet-stream")),
            Image(Url("gs://b/a.png", "image/png")),
            File(Uploaded("https://generativelanguage.googleapis.com/v1beta/files/a", "gemini")),
        ),
    ),
    # a picture that is signed
    (
        [{"inlineData": PNG, "thoughtSignature": "YQ=="}],
        (
            Image(Inline(b"\x89PNG", "image/png")),
            Opaque("gemini", msgspec.Raw(b'"YQ=="'), "inlineData.thoughtSignature"),
        ),
    ),
    # what we do not know, or Google keeps for itself: code, its result, a thought that is a picture, no base64, news
    ([CODE, RESULT], (opaque(CODE, "executableCode"), opaque(RESULT, "codeExecutionResult"))),
    ([{"thought": True, "inlineData": PNG}], (opaque({"thought": True, "inlineData": PNG}, "inlineData"),)),
    ([{"inlineData": {"data": "!"}}], (opaque({"inlineData": {"data": "!"}}, "inlineData"),)),
    ([{"smell": {"x": 1}}], (opaque({"smell": {"x": 1}}, "smell"),)),
    ([{"thoughtSignature": "YQ=="}], (opaque({"thoughtSignature": "YQ=="}, "thoughtSignature"),)),
    ([{"functionCall": {"args": {}}}], (opaque({"functionCall": {"args": {}}}, "functionCall"),)),
    # half an emoji
    ([{"text": "so \ud83d"}], (Text("so ?"),)),
]


@pytest.mark.parametrize(("said", "expected"), SAID)
def test_what_a_model_said(said: list[dict[str, Any]], expected: tuple[Part, ...]) -> None:
    assert parts(*said) == expected


@pytest.mark.parametrize("said", [said for said, _ in SAID[3:-1]])
def test_what_a_model_said_is_replayed_as_it_came(said: list[dict[str, Any]]) -> None:
    message = decode_reply(reply(*said), GEMINI).message
    (content,) = json.loads(b"[%s]" % encode_messages([message], GEMINI))
    written = [_normal(part) for part in content["parts"]]
    assert written == [_normal(part) for part in said]


def _normal(part: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing; proto3's JSON leaves out false and takes either alphabet of base64."""
    made = {name: value for name, value in part.items() if value is not False}
    if "functionCall" in made and "name" in made["functionCall"]:
        made["functionCall"] = {**made["functionCall"], "args": made["functionCall"].get("args") or {}}
    if "inlineData" in made and set(made) == {"inlineData"} and made["inlineData"]["data"] == "_-8=":
        made["inlineData"] = {"mimeType": "application/octet-stream", "data": "/+8="}
    return made


def test_a_whole_answer() -> None:
    assert decode_reply(reply({"text": "hi"}), GEMINI) == Answer(
        Message(
            "assistant",
            (Text("hi"),),
            id="resp-1",
            origin=ORIGIN,
            usage=Usage(input_tokens=12, output_tokens=3),
            finish_reason="stop",
        )
    )


def test_the_least_that_is_an_answer() -> None:
    message = decode_reply(b'{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}', GEMINI).message
    assert message == Message("assistant", (Text("hi"),), origin=Origin("gemini", None, "gemini"))
    assert decode_reply(b'{"candidates":[{"finishReason":"STOP"}]}', GEMINI).message.parts == ()


def test_calls_without_an_id_get_ids_that_are_always_the_same_and_never_sent() -> None:
    twice = [{"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "f", "args": {}}}]
    message = decode_reply(reply(*twice), GEMINI).message
    first, second = message.tool_calls
    assert (first.call_id, second.call_id) == ("gemini_737ef50182_f", "gemini_fa78c9a902_f")
    assert decode_reply(reply(*twice), GEMINI).message == message
    elsewhere = decode_reply(reply(*twice, responseId="resp-2"), GEMINI).message
    assert {call.call_id for call in elsewhere.tool_calls}.isdisjoint({first.call_id, second.call_id})
    assert b"gemini_" not in encode_messages([message], GEMINI)


@pytest.mark.parametrize(
    ("reason", "calls", "expected"),
    [
        ("STOP", False, "stop"),
        ("STOP", True, "tool_calls"),
        ("MAX_TOKENS", False, "length"),
        ("MAX_TOKENS", True, "length"),
        ("CONTINUATION", False, "length"),
        ("SAFETY", False, "content_filter"),
        ("RECITATION", False, "content_filter"),
        ("BLOCKLIST", False, "content_filter"),
        ("PROHIBITED_CONTENT", False, "content_filter"),
        ("SPII", False, "content_filter"),
        ("IMAGE_SAFETY", False, "content_filter"),
        # a word of its own is kept
        ("MALFORMED_FUNCTION_CALL", False, "malformed_function_call"),
        ("SOMETHING_NEW", False, "something_new"),
        # none
        (None, False, None),
        ("", True, None),
    ],
)
def test_why_an_answer_ended(reason: str | None, calls: bool, expected: str | None) -> None:
    said = {"functionCall": {"name": "f"}} if calls else {"text": "hi"}
    assert decode_reply(reply(said, finish=reason), GEMINI).message.finish_reason == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 4,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 7,
                "cachedContentTokenCount": 8,
                "totalTokenCount": 26,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
            },
            Usage(input_tokens=14, output_tokens=12, cached_tokens=8, reasoning_tokens=7),
        ),
        # thinking alone, as where the limit came before the first word
        (
            {"promptTokenCount": 10, "thoughtsTokenCount": 7},
            Usage(input_tokens=10, output_tokens=7, reasoning_tokens=7),
        ),
        ({"promptTokenCount": "10", "candidatesTokenCount": 5.0}, Usage(input_tokens=10, output_tokens=5)),
        ({}, Usage()),
        (None, None),
    ],
)
def test_usage(counts: Any, expected: Usage | None) -> None:
    assert decode_reply(reply({"text": "hi"}, usageMetadata=counts), GEMINI).message.usage == expected


def test_further_candidates_are_alternatives_in_order_and_without_usage() -> None:
    body = generated()
    body["candidates"] = [
        {"index": index, "content": {"parts": [{"text": str(index)}]}, "finishReason": "STOP"} for index in (1, 0, 2)
    ]
    answer = decode_reply(json.dumps(body).encode(), GEMINI)
    assert [message.text for message in (answer.message, *answer.alternatives)] == ["0", "1", "2"]
    assert [message.usage for message in answer.alternatives] == [None, None]
    assert {message.origin for message in answer.alternatives} == {ORIGIN}


# --- citations ------------------------------------------------------------------------------------------------------

WEB = [{"web": {"uri": "https://a.com", "title": "A"}}, {"web": {"uri": "https://b.com", "title": "B"}}]
A, B = Citation("https://a.com", "A"), Citation("https://b.com", "B")


def supports(*segments: dict[str, Any]) -> dict[str, Any]:
    return {
        "groundingChunks": WEB,
        "groundingSupports": [{"segment": each, "groundingChunkIndices": [0]} for each in segments],
    }


def at(citation: Citation, start: int, end: int) -> Citation:
    return msgspec.structs.replace(citation, start=start, end=end)


def test_citation_sources_are_counted_in_bytes_of_the_whole_text() -> None:
    sources = [
        {"startIndex": 0, "endIndex": 6, "uri": "https://a.com", "license": "MIT"},
        {"startIndex": 9, "endIndex": 12, "uri": "https://b.com"},
        {"uri": "https://c.com"},
        {"license": "none"},
        7,
    ]
    assert parts({"text": "Größe "}, {"text": "und mehr"}, citationMetadata={"citationSources": sources}) == (
        Text("Größe ", (Citation("https://a.com", start=0, end=4),)),
        Text("und mehr", (Citation("https://b.com", start=1, end=4), Citation("https://c.com"))),
    )


def test_grounding_supports_are_citations_of_their_segments_and_other_sources_of_the_last_text() -> None:
    grounding = supports({"startIndex": 0, "endIndex": 5, "text": "Rome."}, {"endIndex": 5})
    assert parts({"text": "Rome. Yes."}, groundingMetadata=grounding) == (Text("Rome. Yes.", (at(A, 0, 5), B)),)


def test_a_segment_is_looked_for_by_its_words() -> None:
    """Its place counts from the start of a part, of which a stream knows nothing."""
    grounding = supports({"partIndex": 1, "startIndex": 0, "endIndex": 5, "text": "Müll."})
    found = parts({"text": "Ah, "}, {"text": "so: Müll."}, groundingMetadata=grounding)
    assert found == (Text("Ah, "), Text("so: Müll.", (at(A, 4, 9), B)))


def test_other_kinds_of_sources() -> None:
    chunks = [
        {"retrievedContext": {"uri": "https://a.com", "title": "A", "text": "as it says"}},
        {"retrievedContext": {"title": "a.pdf"}},
        {"maps": {"uri": "https://maps.com/1", "title": "Café"}},
        {"unknown": {}},
    ]
    assert parts({"text": "a"}, groundingMetadata={"groundingChunks": chunks}) == (
        Text(
            "a",
            (
                Citation("https://a.com", "A", "as it says"),
                Citation(title="a.pdf"),
                Citation("https://maps.com/1", "Café"),
            ),
        ),
    )


@pytest.mark.parametrize(
    "grounding",
    [
        7,
        {"groundingChunks": 7, "groundingSupports": {"a": 1}},
        {"groundingChunks": [7], "groundingSupports": [7, {}, {"groundingChunkIndices": [0, 9, -1, "x"]}]},
        # a place that is not there, and words that are not said
        supports({"startIndex": 7, "endIndex": 3}) | {"groundingChunks": []},
    ],
)
def test_metadata_of_a_strange_shape_is_as_good_as_absent(grounding: Any) -> None:
    assert parts({"text": "a"}, groundingMetadata=grounding, citationMetadata=grounding) == (Text("a"),)


@pytest.mark.parametrize("segment", [{"endIndex": 99}, {"text": "not said"}, {"startIndex": "x"}, None])
def test_a_segment_that_is_nowhere_leaves_its_source_without_a_place(segment: Any) -> None:
    assert parts({"text": "a"}, groundingMetadata=supports(segment)) == (Text("a", (A, B)),)


# --- what is no answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        # no JSON
        b"",
        b"<html>" + b"x" * 5000,
        b'{"candidates":[{"cont',
        b"\xff\xfe",
        b"[" * 100_000,
        # JSON of another shape
        b"[]",
        b'{"candidates":7}',
        b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}',
        b'{"candidates":[{"content":{"parts":[7]}}]}',
        # an answer without an answer
        b"{}",
        b'{"candidates":[],"usageMetadata":{}}',
        b'{"promptFeedback":{}}',
    ],
)
def test_what_is_no_answer_is_shown_by_its_beginning(body: bytes) -> None:
    with pytest.raises(InvalidReply, match="gemini's answer cannot be read") as caught:
        decode_reply(body, GEMINI)
    assert repr(body[:200].decode("utf-8", "replace")) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.body is not None
    assert len(caught.value.body) <= 2000


def test_a_blocked_prompt_is_rejected_with_its_reason() -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []}
    with pytest.raises(RequestRejected, match=r"^gemini blocked the prompt \(PROHIBITED_CONTENT\)\. Say it") as caught:
        decode_reply(json.dumps({"promptFeedback": feedback, "usageMetadata": {}}).encode(), GEMINI)
    assert caught.value.code == "PROHIBITED_CONTENT"
    feedback["blockReasonMessage"] = "Not that"
    with pytest.raises(RequestRejected, match=r"CONTENT\): Not that\. Say it"):
        decode_reply(json.dumps({"promptFeedback": feedback}).encode(), GEMINI)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (b'{"error":{"code":500,"message":"boom","status":"INTERNAL"}}', ProviderFailed, "(INTERNAL): boom."),
        (
            b'{"error":{"message":"The input token count (9) exceeds the maximum","status":"INVALID_ARGUMENT"}}',
            ContextOverflow,
            "exceeds the maximum.",
        ),
        (b'{"error":{"message":"no","status":"UNAUTHENTICATED"}}', AuthenticationFailed, "no."),
        (b'{"error":"boom"}', ProviderFailed, "gemini answered with an error: boom."),
    ],
)
def test_an_error_in_place_of_an_answer_is_that_error(body: bytes, error: type[ModelError], said: str) -> None:
    with pytest.raises(error) as caught:
        decode_reply(body, GEMINI)
    assert said in str(caught.value)


# --- as a server ----------------------------------------------------------------------------------------------------


def told(*parts: Part, finish_reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
    message = Message("assistant", parts, finish_reason=finish_reason)
    found: dict[str, Any] = json.loads(encode_reply(Answer(message), id="resp-1", model="tiny", **fields))
    return found


def test_a_reply_on_the_wire() -> None:
    usage = Usage(input_tokens=3, output_tokens=2, cached_tokens=1, reasoning_tokens=1)
    assert told(Reasoning("hm"), Text("hi"), ToolCall("abc1", "f", '{"x":1}', signature="YQ=="), usage=usage) == {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "hi"},
                        {
                            "functionCall": {"name": "f", "args": {"x": 1}, "id": "abc1"},
                            "thoughtSignature": "YQ==",
                        },
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 3,
            "candidatesTokenCount": 1,
            "thoughtsTokenCount": 1,
            "cachedContentTokenCount": 1,
            "totalTokenCount": 5,
        },
        "modelVersion": "tiny",
        "responseId": "resp-1",
    }


def test_an_empty_answer_has_a_part_all_the_same() -> None:
    assert told()["candidates"][0]["content"]["parts"] == [{"text": ""}]
    assert "usageMetadata" not in told()


def test_other_providers_items_are_not_shown() -> None:
    assert told(Opaque("openai", msgspec.Raw(b"{}")), Text("a"))["candidates"][0]["content"]["parts"] == [{"text": "a"}]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("stop", "STOP"),
        ("tool_calls", "STOP"),
        ("length", "MAX_TOKENS"),
        ("content_filter", "SAFETY"),
        ("malformed_function_call", "MALFORMED_FUNCTION_CALL"),
        ("end_turn", "OTHER"),
        (None, "STOP"),
    ],
)
def test_a_client_is_told_an_end_that_it_knows(said: str | None, expected: str) -> None:
    assert told(finish_reason=said)["candidates"][0]["finishReason"] == expected


def carried() -> st.SearchStrategy[tuple[Part, ...]]:
    """Answers of which the format keeps everything, in any order; citations without a place are the last text's."""
    signatures = maybe(st.sampled_from(["YQ==", "a-_b"]))
    address = some_words.map("https://example.com/{}".format)

    @st.composite
    def texts(draw: st.DrawFn) -> Text:
        text = draw(some_words)
        spans = [
            (start, draw(st.integers(start + 1, len(text))))
            for start in sorted(draw(st.sets(st.integers(0, len(text) - 1), max_size=2)))
        ]
        made = (Citation(draw(address), draw(maybe(some_words)), start=start, end=end) for start, end in spans)
        return Text(text, tuple(made), draw(signatures))

    items = json_objects().map(lambda text: msgspec.Raw(b'{"executableCode":%s}' % text.encode()))
    part = st.one_of(
        texts(),
        st.builds(Text, st.just(""), signature=st.just("YQ==")),
        st.builds(Reasoning, some_words, signature=signatures),
        st.builds(ToolCall, ids, ids.map("f{}".format), json_objects(), signature=signatures),
        st.builds(Image, inline("image/png")),
        st.builds(Audio, inline("audio/wav")),
        st.builds(Video, inline("video/mp4")),
        st.builds(File, inline("application/pdf")),
        st.builds(Opaque, st.just("gemini"), items, st.just("executableCode")),
    )
    return st.lists(part, max_size=6).map(tuple)


def answers() -> st.SearchStrategy[Answer]:
    def message(**fields: Any) -> st.SearchStrategy[Message]:
        return st.builds(_ended, carried(), st.sampled_from(["stop", "length", "content_filter", "other"]), **fields)

    whole = message(id=st.just("resp-1"), usage=maybe(any_usage().map(_counted)))
    return st.builds(Answer, whole, st.lists(message(), max_size=2).map(tuple))


def _ended(parts: tuple[Part, ...], reason: str, **fields: Any) -> Message:
    calls = any(isinstance(part, ToolCall) for part in parts)
    finish_reason = "tool_calls" if reason == "stop" and calls else reason
    return Message("assistant", parts, origin=Origin("gemini", "tiny", "gemini"), finish_reason=finish_reason, **fields)


def _counted(usage: Usage) -> Usage:
    """What Google counts."""
    output = max(usage.output_tokens, usage.reasoning_tokens)
    return msgspec.structs.replace(usage, output_tokens=output, cache_write_tokens=0, cost_usd=None)


@given(answers())
def test_what_a_server_encodes_a_client_decodes(answer: Answer) -> None:
    assert decode_reply(encode_reply(answer, id="resp-1", model="tiny"), GEMINI) == answer


@given(carried())
def test_what_a_model_said_crosses_to_the_model_and_back_unchanged(parts: tuple[Part, ...]) -> None:
    message = Message("assistant", parts, origin=ORIGIN)
    plain = tuple(msgspec.structs.replace(part, citations=()) if isinstance(part, Text) else part for part in parts)
    encoded = encode_messages([message], GEMINI)
    if not encoded:
        return
    body = b'{"candidates":[{"content":%s}],"modelVersion":"gemini-3-flash-001"}' % encoded
    assert decode_reply(body, GEMINI).message == Message("assistant", plain, origin=ORIGIN)


@given(any_message(st.just("assistant")), any_usage(), words)
def test_whatever_was_answered_can_be_encoded(message: Message, usage: Usage, model: str) -> None:
    found = json.loads(encode_reply(Answer(message), id="resp-1", model=model, usage=usage))
    assert found["candidates"][0]["content"]["role"] == "model"
    assert found["usageMetadata"]["promptTokenCount"] == usage.input_tokens


def test_a_refusal_is_text() -> None:
    assert told(Refusal("No."))["candidates"][0]["content"]["parts"] == [{"text": "No."}]
