"""Streams of the Gemini API as Google sends them; and ours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import (
    Answer,
    Delta,
    Fold,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    fold,
)
from multiturn.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidInput,
    MalformedStream,
    ModelError,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    StreamCut,
)
from multiturn.formats.gemini import Dialect, StreamDecoder, StreamEncoder, encode_messages, stream_decoder
from multiturn.formats.sse import ServerSentEvent, SSEReader
from multiturn.messages import (
    Citation,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from strategies import any_delta, any_usage, ids, inline, json_objects, some_words
from upstream_gemini import VERSION, generated

GEMINI = Dialect()
ORIGIN = Origin("gemini", VERSION, "gemini")
STOP = generated({"text": ""})


def piece(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return generated(*parts, finish=None, **fields)


def event(data: Any) -> ServerSentEvent:
    return ServerSentEvent(data if isinstance(data, bytes) else json.dumps(data).encode())


def decoded(*events: Any) -> tuple[list[Delta], StreamDecoder]:
    decoder = stream_decoder(GEMINI)
    return [delta for data in events for delta in decoder.decode(event(data))], decoder


def text(text: str, signature: str | None = None, *, thought: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"text": text} | ({"thought": True} if thought else {})
    return made | ({"thoughtSignature": signature} if signature else {})


def call(name: str | None, args: Any = None, id: str | None = None, **fields: Any) -> dict[str, Any]:
    made = {"name": name, "args": args, "id": id, **fields}
    return {"functionCall": {key: value for key, value in made.items() if value is not None}}


def arg(path: str, value: Any, **fields: Any) -> dict[str, Any]:
    kinds = {str: "stringValue", bool: "boolValue", int: "numberValue", float: "numberValue", type(None): "nullValue"}
    return {"jsonPath": path, kinds[type(value)]: "NULL_VALUE" if value is None else value, **fields}


def growing(
    *args: dict[str, Any], name: str | None = None, last: bool = False, id: str | None = None
) -> dict[str, Any]:
    """A piece of a call whose arguments come in pieces."""
    return call(name, id=id, partialArgs=list(args) or None, willContinue=None if last else True)


CODE = {"executableCode": {"code": "1"}}
SAID: list[tuple[list[Any], list[Delta], tuple[Part, ...]]] = [
    # words that follow each other are one text
    (
        [piece(text("Hel")), piece(text("lo"), text("!"))],
        [TextDelta("Hel"), TextDelta("lo"), TextDelta("!")],
        (Text("Hello!"),),
    ),
    # nothing: empty texts, no parts, no content, no candidates
    ([piece(text("")), piece(), {"candidates": [{}]}, {"candidates": None}, {"usageMetadata": {}}], [], ()),
    # thinking, then words
    (
        [piece(text("h", thought=True)), piece(text("m", thought=True)), piece(text("Hi"))],
        [ReasoningDelta("h"), ReasoningDelta("m"), TextDelta("Hi")],
        (Reasoning("hm"), Text("Hi")),
    ),
    # a signature without words, as Gemini 3 ends an answer
    (
        [piece(text("Hel")), piece(text("lo")), piece(text("", "YQ=="))],
        [TextDelta("Hel"), TextDelta("lo")],
        (Text("Hello"), Text("", signature="YQ==")),
    ),
    # what is signed is not joined with what is not, before and after
    (
        [piece(text("a")), piece(text("b", "YQ==")), piece(text("c")), piece(text("d")), piece(text("e", "Yg=="))],
        [TextDelta(letter) for letter in "abcde"],
        (Text("a"), Text("b", signature="YQ=="), Text("cd"), Text("e", signature="Yg==")),
    ),
    (
        [piece(text("h", "YQ==", thought=True)), piece(text("m", thought=True)), piece(text("", "Yg==", thought=True))],
        [ReasoningDelta("h"), ReasoningDelta("m")],
        (Reasoning("h", signature="YQ=="), Reasoning("m"), Reasoning(signature="Yg==")),
    ),
    # calls come whole, each signed or not
    (
        [
            piece({**call("f", {"x": 1}, "a1"), "thoughtSignature": "YQ=="}, call("g", None, "a2")),
            piece(call("f", {}, "a3")),
        ],
        [ToolCallDelta(0, "a1", "f", '{"x": 1}'), ToolCallDelta(1, "a2", "g", "{}"), ToolCallDelta(2, "a3", "f", "{}")],
        (ToolCall("a1", "f", '{"x": 1}', signature="YQ=="), ToolCall("a2", "g", "{}"), ToolCall("a3", "f", "{}")),
    ),
    # ... or with arguments in pieces, at their paths (Vertex AI)
    (
        [
            piece({**growing(name="f", id="a1"), "thoughtSignature": "YQ=="}),
            piece(growing(arg("$.city", "New ", willContinue=True))),
            piece(growing(arg("$.city", "York"), arg("$.days[0].n", 1), arg("$.days[0]['a b']", True))),
            piece(growing(arg("$.days[1].n", 2.5), arg("$.none", None))),
            piece(call(None)),
            piece(text("ok")),
        ],
        [
            ToolCallDelta(0, "a1", "f", '{"city":"New York","days":[{"n":1,"a b":true},{"n":2.5}],"none":null}'),
            TextDelta("ok"),
        ],
        (
            ToolCall(
                "a1",
                "f",
                '{"city":"New York","days":[{"n":1,"a b":true},{"n":2.5}],"none":null}',
                signature="YQ==",
            ),
            Text("ok"),
        ),
    ),
    # ... all in one, and one whose last piece never comes
    (
        [piece(growing(arg("$.x", 1), name="f", id="a1", last=True)), piece(growing(arg("$.x", 2), name="g", id="a2"))],
        [ToolCallDelta(0, "a1", "f", '{"x":1}'), ToolCallDelta(1, "a2", "g", '{"x":2}')],
        (ToolCall("a1", "f", '{"x":1}'), ToolCall("a2", "g", '{"x":2}')),
    ),
    # media and items of Gemini's own
    (
        [
            piece(text("a")),
            piece({"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}),
            piece(CODE),
            piece(text("b")),
        ],
        [
            TextDelta("a"),
            PartDelta(Image(Inline(b"\x89PNG", "image/png"))),
            PartDelta(Opaque("gemini", msgspec.Raw(json.dumps(CODE).encode()), "executableCode")),
            TextDelta("b"),
        ],
        (
            Text("a"),
            Image(Inline(b"\x89PNG", "image/png")),
            Opaque("gemini", msgspec.Raw(json.dumps(CODE).encode()), "executableCode"),
            Text("b"),
        ),
    ),
    # a picture that is signed
    (
        [piece({"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}, "thoughtSignature": "YQ=="})],
        [PartDelta(Image(Inline(b"\x89PNG", "image/png")))],
        (
            Image(Inline(b"\x89PNG", "image/png")),
            Opaque("gemini", msgspec.Raw(b'"YQ=="'), "inlineData.thoughtSignature"),
        ),
    ),
    # half an emoji, and a keep-alive event without data
    ([b'{"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}]}', b" "], [TextDelta("?")], (Text("?"),)),
]


@pytest.mark.parametrize(("events", "deltas", "expected"), SAID)
def test_what_a_model_says(events: list[Any], deltas: list[Delta], expected: tuple[Part, ...]) -> None:
    found, decoder = decoded(*events, STOP)
    assert found == deltas
    message = decoder.answer().message
    assert message.parts == expected
    assert fold(found).text == message.text


@pytest.mark.parametrize("events", [said for said, _, _ in SAID if all(isinstance(each, dict) for each in said)])
def test_every_signature_goes_back_on_the_part_that_it_came_with(events: list[Any]) -> None:
    """As Google's SDK replays a stream: piece by piece. Ours joins what is not signed, which means the same."""
    came = [part for each in events for candidate in each.get("candidates") or () for part in _parts(candidate)]
    _, decoder = decoded(*events, STOP)
    encoded = json.loads(b"[%s]" % encode_messages([decoder.answer().message], GEMINI))
    sent = encoded[0]["parts"] if encoded else []
    assert [part for part in sent if "thoughtSignature" in part and "functionCall" not in part] == [
        part for part in came if "thoughtSignature" in part and "functionCall" not in part
    ]
    assert [part.get("thoughtSignature") for part in sent] == _signatures(came)


def _parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (candidate.get("content") or {}).get("parts", [])
    return found


def _signatures(came: list[dict[str, Any]]) -> list[str | None]:
    """One for each part, neighbours without one counted once."""
    made: list[tuple[str, str | None]] = []
    for part in came:
        kind = "call" if "functionCall" in part else "thought" if "thought" in part else next(iter(part))
        signature = part.get("thoughtSignature")
        unnamed = kind == "call" and "name" not in part["functionCall"]
        joins = signature is None and kind in ("text", "thought") and made[-1:] == [(kind, None)]
        if not joins and not unnamed and (signature or part.get("text") != ""):
            made.append((kind, signature))
    return [signature for _, signature in made]


def test_a_whole_stream() -> None:
    last = generated(text("!"), usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 2})
    deltas, decoder = decoded(piece(text("hi"), usageMetadata={"promptTokenCount": 3}), last)
    assert deltas == [TextDelta("hi"), TextDelta("!")]
    assert not decoder.done
    assert decoder.answer() == Answer(
        Message(
            "assistant",
            (Text("hi!"),),
            id="resp-1",
            origin=ORIGIN,
            usage=Usage(input_tokens=3, output_tokens=2),
            finish_reason="stop",
        )
    )


def test_words_after_the_finish_reason_belong_to_the_answer() -> None:
    _, decoder = decoded(generated(text("a")), piece(text("b")), {"usageMetadata": {"promptTokenCount": 7}})
    assert decoder.answer().message.text == "ab"
    assert decoder.answer().message.usage == Usage(input_tokens=7)


def test_calls_without_an_id_get_the_ids_that_a_whole_reply_gives_them() -> None:
    _, decoder = decoded(piece(call("f", {})), piece(call("f", {})), STOP)
    first, second = decoder.answer().message.tool_calls
    assert (first.call_id, second.call_id) == ("gemini_737ef50182_f", "gemini_fa78c9a902_f")
    assert decoder.answer().message.finish_reason == "tool_calls"


def test_citations_are_in_the_answer() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.com", "title": "A"}}],
        "groundingSupports": [{"segment": {"endIndex": 5, "text": "Größe"}, "groundingChunkIndices": [0]}],
    }
    sources = {"citationSources": [{"uri": "https://b.com"}]}
    first, last = piece(text("Ah, Grö")), generated(text("ße!"))
    for each in (first, last):
        each["candidates"][0]["citationMetadata"] = sources  # said again is said once
    last["candidates"][0]["groundingMetadata"] = grounding
    _, decoder = decoded(first, last)
    expected = (Citation("https://b.com"), Citation("https://a.com", "A", start=4, end=9))
    assert decoder.answer().message.parts == (Text("Ah, Größe!", expected),)


def test_further_candidates_are_kept_aside() -> None:
    def at(index: int, said: str, finish: str | None = None) -> Any:
        return {"candidates": [{"index": index, "content": {"parts": [text(said)]}, "finishReason": finish}]}

    deltas, decoder = decoded(at(1, "b"), at(0, "a"), at(2, "", "MAX_TOKENS"), at(1, "b", "STOP"), at(0, "", "STOP"))
    assert deltas == [TextDelta("a")]
    answer = decoder.answer()
    assert answer.message.text == "a"
    assert [(message.text, message.finish_reason) for message in answer.alternatives] == [
        ("bb", "stop"),
        ("", "length"),
    ]


# --- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "gemini's stream ended before the answer did; 0 characters"),
        ([piece(text("hello"))], "5 characters of text had arrived"),
        # another candidate's end is not this one's
        ([piece(text("a")), {"candidates": [{"index": 1, "finishReason": "STOP"}]}], "1 characters"),
    ],
)
def test_a_stream_that_is_cut(events: list[Any], said: str) -> None:
    _, decoder = decoded(*events)
    with pytest.raises(StreamCut) as caught:
        decoder.answer()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"hello",
        b"[]",
        b"\xff",
        b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}',
        # arguments that lead nowhere
        json.dumps(piece(growing(arg("$.x[9]", 1), name="f"))).encode(),
        json.dumps(piece(growing(arg("$.x", "a"), arg("$.x.y", 1), name="f"))).encode(),
    ],
)
def test_what_is_no_piece_is_noticed(data: bytes) -> None:
    with pytest.raises(MalformedStream, match="gemini's stream cannot be read"):
        stream_decoder(GEMINI).decode(event(data))


def failure(message: str, status: str, code: int | None = None) -> Any:
    return {"error": {"message": message, "status": status} | ({"code": code} if code else {})}


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        (failure("Boom", "INTERNAL", 500), ProviderFailed, "gemini failed in mid-stream (INTERNAL): Boom."),
        (failure("Busy", "UNAVAILABLE"), ProviderFailed, "(UNAVAILABLE): Busy."),
        (failure("Slow", "RESOURCE_EXHAUSTED", 429), RateLimited, "Try again later."),
        (failure("No", "PERMISSION_DENIED"), AuthenticationFailed, "No."),
        (failure("The input token count exceeds the maximum", "INVALID_ARGUMENT"), ContextOverflow, "exceeds"),
        ({"error": "boom"}, ProviderFailed, "boom."),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, RequestRejected, "blocked the prompt (SAFETY)"),
    ],
)
def test_an_error_within_the_stream_is_that_error(told: Any, error: type[ModelError], said: str) -> None:
    _, decoder = decoded(piece(text("hi")))
    with pytest.raises(error) as caught:
        decoder.decode(event(told))
    assert said in str(caught.value)


# --- as a server ----------------------------------------------------------------------------------------------------


def served(deltas: list[Delta], answer: Answer) -> bytes:
    encoder = StreamEncoder(id="resp-1", model=VERSION)
    return b"".join([*map(encoder.encode, deltas), encoder.finish(answer)])


def read(stream: bytes, *cuts: int) -> tuple[list[Delta], Answer]:
    reader, decoder = SSEReader(), stream_decoder(GEMINI)
    deltas: list[Delta] = []
    for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True):
        for told in reader.decode(stream[start:end]):
            deltas += decoder.decode(told)
    assert reader.flush() == []
    return deltas, decoder.answer()


def ended(*parts: Part, usage: Usage | None = None, reason: str = "stop") -> Message:
    return Message("assistant", parts, None, "resp-1", ORIGIN, usage, reason)


def test_a_stream_on_the_wire() -> None:
    usage = Usage(input_tokens=3, output_tokens=2)
    stream = served([TextDelta("hi")], Answer(ended(Text("hi"), usage=usage)))
    tail = {"modelVersion": VERSION, "responseId": "resp-1"}
    lines = stream.decode().split("\n\n")
    assert lines.pop() == ""
    assert [json.loads(line.removeprefix("data: ")) for line in lines] == [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "index": 0}], **tail},
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {
                "promptTokenCount": 3,
                "candidatesTokenCount": 2,
                "thoughtsTokenCount": 0,
                "cachedContentTokenCount": 0,
                "totalTokenCount": 5,
            },
            **tail,
        },
    ]


def test_a_stream_that_fails_says_why() -> None:
    encoder = StreamEncoder(id="x", model="tiny")
    first, second = SSEReader().decode(encoder.encode(TextDelta("hi")) + encoder.fail(InvalidInput("no")))
    decoder = stream_decoder(GEMINI)
    assert decoder.decode(first) == [TextDelta("hi")]
    with pytest.raises(RequestRejected, match="no"):
        decoder.decode(second)


EVERYTHING: list[Delta] = [
    ReasoningDelta("hm\u2028"),
    TextDelta("Hé"),
    TextDelta("llo 😀\r\n\n"),
    PartDelta(Image(Inline(b"\x89PNG", "image/png"))),
    ToolCallDelta(0, "a1", "f", '{"x":1}'),
    ToolCallDelta(1, "a2", "g", "{}"),
]


def test_a_stream_is_read_the_same_cut_at_every_byte() -> None:
    cited = Citation("https://e.com", "T", start=0, end=3)
    parts = list(fold(EVERYTHING).parts)
    parts[1] = msgspec.structs.replace(parts[1], citations=(cited,))
    parts[3:4] = [Text("", signature="YQ=="), msgspec.structs.replace(parts[3], signature="Yg==")]
    other = Message("assistant", (Text("another"), ToolCall("a9", "f", "{}")), origin=ORIGIN, finish_reason="length")
    answer = Answer(ended(*parts, usage=Usage(input_tokens=3), reason="tool_calls"), (other,))
    stream = served(EVERYTHING, answer)
    assert read(stream) == (EVERYTHING, answer)
    for cut in range(len(stream)):
        assert read(stream, cut) == (EVERYTHING, answer)
    assert read(stream, *range(1, len(stream))) == (EVERYTHING, answer)


def test_the_signature_of_streamed_words_comes_with_the_end() -> None:
    answer = Answer(ended(Reasoning("hm", signature="YQ=="), Text("hi", signature="Yg==")))
    _, found = read(served([ReasoningDelta("hm"), TextDelta("hi")], answer))
    assert found.message.parts == (
        Reasoning("hm"),
        Text("hi"),
        Reasoning(signature="YQ=="),
        Text("", signature="Yg=="),
    )


def streams() -> st.SearchStrategy[tuple[list[Delta], tuple[Part, ...]]]:
    """Deltas that the format carries, as a model sends them, with the calls at the end; and the parts they make, signed
    at the end of the words."""
    marks: list[Text | Reasoning] = [Text("", signature="YQ=="), Reasoning(signature="Yg==")]
    signed = st.lists(st.sampled_from(marks), unique=True)
    delta: st.SearchStrategy[Delta] = st.one_of(
        st.builds(TextDelta, some_words),
        st.builds(ReasoningDelta, some_words),
        st.builds(PartDelta, st.builds(Image, inline("image/png"))),
    )
    others = st.lists(delta, max_size=6)
    calls = st.lists(st.tuples(ids, json_objects()), max_size=3)

    def made(
        said: tuple[list[Delta], list[Text | Reasoning], list[tuple[str, str]]],
    ) -> tuple[list[Delta], tuple[Part, ...]]:
        deltas, signatures, wanted = said
        made = [ToolCallDelta(n, f"{n}_{id}", f"f{id}", args) for n, (id, args) in enumerate(wanted)]
        return [*deltas, *made], (*fold(deltas).parts, *signatures, *fold(made).parts)

    return st.tuples(others, signed, calls).map(made)


@given(streams(), st.none() | any_usage(), st.data())
def test_what_a_server_streams_a_client_reads(
    said: tuple[list[Delta], tuple[Part, ...]], usage: Usage | None, draw: st.DataObject
) -> None:
    deltas, parts = said
    reason = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"
    counted = None if usage is None else Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    answer = Answer(ended(*parts, usage=counted, reason=reason))
    stream = served(deltas, answer)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    assert read(stream, *cuts) == (deltas, answer)


@given(st.lists(any_delta(), max_size=5))
def test_whatever_comes_can_be_streamed(deltas: list[Delta]) -> None:
    folding = Fold()
    for delta in deltas:
        folding.add(delta)
    _, answer = read(served(deltas, Answer(folding.message(origin=None, finish_reason="length"))))
    assert answer.message.finish_reason == "length"


def test_a_refusal_is_text() -> None:
    deltas, _ = read(served([RefusalDelta("No.")], Answer(ended())))
    assert deltas == [TextDelta("No.")]
