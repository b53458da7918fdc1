"""Streams of chat completions, as the many servers send them; and ours."""

from __future__ import annotations

import json
from typing import Any, Literal

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
    ContextOverflow,
    InvalidInput,
    MalformedStream,
    ModelError,
    ProviderFailed,
    RateLimited,
    StreamCut,
)
from multiturn.formats.chat_completions import Dialect, StreamDecoder, StreamEncoder, stream_decoder
from multiturn.formats.sse import ServerSentEvent, SSEReader
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
from strategies import any_delta, any_usage, ids, inline, some_words, urls

OPENAI = Dialect()
STOP: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def chunk(delta: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "gpt-5", "choices": [{"index": 0, "delta": delta, **fields}]}


def event(data: Any) -> ServerSentEvent:
    return ServerSentEvent(data if isinstance(data, bytes) else json.dumps(data).encode())


def decoded(*chunks: Any) -> tuple[list[Delta], StreamDecoder]:
    decoder = stream_decoder(OPENAI)
    return [delta for data in chunks for delta in decoder.decode(event(data))], decoder


def calls(*pieces: dict[str, Any]) -> dict[str, Any]:
    return chunk({"tool_calls": list(pieces)})


def piece(index: int | None = None, id: str | None = None, name: str | None = None, arguments: Any = None) -> Any:
    """A tool call's piece with the fields that are given."""
    fields = {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in fields.items() if value is not None}


SAID: list[tuple[list[Any], list[Delta]]] = [
    # a role alone, words, an end
    (
        [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"})],
        [TextDelta("Hel"), TextDelta("lo")],
    ),
    # null and absent content, no delta at all, no choices (Azure's first chunk)
    ([chunk({"content": None}), chunk({}), chunk(None), {"choices": []}, {"choices": None}], []),
    # thinking under either name, and both
    (
        [
            chunk({"reasoning_content": "a"}),
            chunk({"reasoning": "b"}),
            chunk({"reasoning": "c", "reasoning_content": "c"}),
        ],
        [ReasoningDelta("a"), ReasoningDelta("b"), ReasoningDelta("c")],
    ),
    # a refusal
    ([chunk({"refusal": "N"}), chunk({"refusal": "o."})], [RefusalDelta("N"), RefusalDelta("o.")]),
    # content as a list
    (
        [chunk({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]})],
        [ReasoningDelta("hm"), TextDelta("a")],
    ),
    # a picture
    (
        [chunk({"images": [{"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}]})],
        [PartDelta(Image(Url("https://e.com/a.png")))],
    ),
    # `message` in place of `delta`
    ([{"choices": [{"message": {"content": "a"}}]}], [TextDelta("a")]),
    # a choice without an index
    ([{"choices": [{"delta": {"content": "a"}}]}], [TextDelta("a")]),
    # half an emoji in each of two chunks
    ([b'{"choices":[{"delta":{"content":"\\ud83d"}}]}'], [TextDelta("?")]),
    # a keep-alive event without data
    ([b"", b" ", chunk({"content": "a"})], [TextDelta("a")]),
    # two calls, by index, ids and names in their first piece
    (
        [
            calls(piece(0, "call_1", "f", "")),
            calls(piece(0, arguments='{"x":')),
            calls(piece(1, "call_2", "g", "{}"), piece(0, arguments="1}")),
        ],
        [
            ToolCallDelta(0, "call_1", "f"),
            ToolCallDelta(0, arguments='{"x":'),
            ToolCallDelta(1, "call_2", "g", "{}"),
            ToolCallDelta(0, arguments="1}"),
        ],
    ),
    # whole calls, without an index
    (
        [calls(piece(None, "call_1", "f", "{}"), piece(None, "call_2", "f", "{}"))],
        [ToolCallDelta(0, "call_1", "f", "{}"), ToolCallDelta(1, "call_2", "f", "{}")],
    ),
    # ... in pieces, without an index: those without id and name go on with the last, those with an id with that
    (
        [
            calls(piece(None, "call_1", "f", "{")),
            calls(piece(None, arguments='"x":')),
            calls(piece(None, "call_2", "g", "{}")),
            calls(piece(None, "call_1", arguments="1}")),
        ],
        [
            ToolCallDelta(0, "call_1", "f", "{"),
            ToolCallDelta(0, arguments='"x":'),
            ToolCallDelta(1, "call_2", "g", "{}"),
            ToolCallDelta(0, arguments="1}"),
        ],
    ),
    # whole calls that all say index 0
    (
        [calls(piece(0, "call_1", "f", "{}")), calls(piece(0, "call_2", "g", "{}")), calls(piece(0, arguments=" "))],
        [ToolCallDelta(0, "call_1", "f", "{}"), ToolCallDelta(1, "call_2", "g", "{}"), ToolCallDelta(1, arguments=" ")],
    ),
    # indices that begin at 1 and leave gaps
    (
        [calls(piece(1, "call_1", "f", "{}")), calls(piece(5, "call_2", "g", "{}"))],
        [ToolCallDelta(0, "call_1", "f", "{}"), ToolCallDelta(1, "call_2", "g", "{}")],
    ),
    # the same id and name with every piece
    (
        [calls(piece(0, "call_1", "f", "{")), calls(piece(0, "call_1", "f", "}"))],
        [ToolCallDelta(0, "call_1", "f", "{"), ToolCallDelta(0, arguments="}")],
    ),
    # a new id with every piece (older vLLM): without a name it is the same call
    (
        [calls(piece(0, "call_1", "f", "{")), calls(piece(0, "call_x", None, "}"))],
        [ToolCallDelta(0, "call_1", "f", "{"), ToolCallDelta(0, arguments="}")],
    ),
    # a name that comes after the id
    (
        [calls(piece(0, "call_1")), calls(piece(0, None, "f", "{}"))],
        [ToolCallDelta(0, "call_1"), ToolCallDelta(0, name="f", arguments="{}")],
    ),
    # arguments as an object
    ([calls(piece(0, "call_1", "f", {"x": 1}))], [ToolCallDelta(0, "call_1", "f", '{"x":1}')]),
    # a custom call
    (
        [
            calls({"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "sh", "input": "l"}}),
            calls({"index": 0, "custom": {"input": "s"}}),
        ],
        [ToolCallDelta(0, "call_1", "sh", "l", "custom"), ToolCallDelta(0, arguments="s", kind="custom")],
    ),
]


@pytest.mark.parametrize(("chunks", "expected"), SAID)
def test_what_a_model_says(chunks: list[Any], expected: list[Delta]) -> None:
    deltas, decoder = decoded(*chunks, STOP)
    assert deltas == expected
    assert decoder.answer().message.parts == fold(expected).parts


def test_a_whole_stream() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    deltas, decoder = decoded(
        chunk({"role": "assistant"}), chunk({"content": "hi"}), STOP, {"choices": [], "usage": usage}, b"[DONE]"
    )
    assert deltas == [TextDelta("hi")]
    assert decoder.done
    assert decoder.answer() == Answer(
        Message(
            "assistant",
            (Text("hi"),),
            id="chatcmpl-1",
            origin=Origin("openai", "gpt-5", "chat_completions"),
            usage=Usage(input_tokens=3, output_tokens=2),
            finish_reason="stop",
        )
    )


@pytest.mark.parametrize(
    "chunks",
    [
        # in a chunk of its own
        [STOP, {"choices": [], "usage": {"prompt_tokens": 3}}],
        # with the last words
        [STOP | {"usage": {"prompt_tokens": 3}}],
        # with every chunk, growing
        [chunk({"content": "a"}) | {"usage": {"prompt_tokens": 2}}, STOP | {"usage": {"prompt_tokens": 3}}],
        # null everywhere else
        [chunk({}) | {"usage": None}, STOP | {"usage": {"prompt_tokens": 3}}, {"choices": [], "usage": None}],
        # within the choice (Moonshot)
        [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 3}}]}],
    ],
)
def test_usage_wherever_it_stands(chunks: list[Any]) -> None:
    assert decoded(*chunks)[1].answer().message.usage == Usage(input_tokens=3)


def test_a_call_without_an_id_gets_one_and_keeps_it() -> None:
    deltas, decoder = decoded(calls(piece(0, None, "f", "{")), calls(piece(0, arguments="}")), STOP)
    (call,) = decoder.answer().message.tool_calls
    assert call == ToolCall(call.call_id, "f", "{}")
    assert call.call_id.startswith("call_")
    assert deltas[0] == ToolCallDelta(0, call.call_id, "f", "{")


def test_the_old_function_call_is_a_tool_call() -> None:
    _, decoder = decoded(
        chunk({"function_call": {"name": "f", "arguments": "{"}}),
        chunk({"function_call": {"arguments": "}"}}),
        chunk({}, finish_reason="function_call"),
    )
    message = decoder.answer().message
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", "{}")]
    assert message.finish_reason == "tool_calls"


def test_audio_comes_whole_when_it_has_ended() -> None:
    deltas, decoder = decoded(
        chunk({"audio": {"id": "audio_1", "transcript": "H"}}),
        chunk({"audio": {"data": "UklG", "transcript": "i"}}),
        chunk({"audio": {"data": "Rg==", "expires_at": 1}}),
        STOP,
    )
    assert deltas == [PartDelta(Audio(Inline(b"RIFF", "audio/wav"), "Hi", "audio_1"))]
    assert decoder.answer().message.parts == (Audio(Inline(b"RIFF", "audio/wav"), "Hi", "audio_1"),)


def test_citations_are_in_the_answer() -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://a.com", "start_index": 0, "end_index": 1}}
    _, decoder = decoded(
        chunk({"content": "see"}) | {"citations": ["https://b.com"]},
        chunk({"annotations": [citation]}) | {"citations": ["https://b.com"]},
        STOP,
    )
    expected = (Citation("https://a.com", start=0, end=1), Citation("https://b.com"))
    assert decoder.answer().message.parts == (Text("see", expected),)


def test_further_choices_are_folded_aside() -> None:
    def at(index: int, delta: Any, finish_reason: str | None = None) -> Any:
        return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}

    deltas, decoder = decoded(
        at(1, {"content": "b"}),
        at(0, {"content": "a"}),
        at(2, {}, "length"),
        at(1, {"content": "b"}, "stop"),
        at(0, {}, "stop"),
    )
    assert deltas == [TextDelta("a")]
    answer = decoder.answer()
    assert answer.message.text == "a"
    assert [(message.text, message.finish_reason) for message in answer.alternatives] == [
        ("bb", "stop"),
        ("", "length"),
    ]


# --- ends -----------------------------------------------------------------------------------------------------------


def test_an_answer_has_ended_at_its_finish_reason_and_the_stream_at_done() -> None:
    _, decoder = decoded(chunk({"content": "hi"}), STOP)
    done = [decoder.done]
    assert decoder.answer().message.text == "hi"
    assert decoder.decode(event(b" [DONE] ")) == []
    assert [*done, decoder.done] == [False, True]
    assert decoder.decode(event(chunk({"content": "more"}))) == []
    assert decoder.answer().message.text == "hi"


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        # nothing at all
        ([], "ended before the answer did; 0 characters"),
        # words without an end
        (
            [chunk({"content": "hello"})],
            "openai's stream ended before the answer did; 5 characters of text",
        ),
        # [DONE] alone is no end of an answer
        ([chunk({"content": "hello"}), b"[DONE]"], "said [DONE] without a finish_reason; 5 characters"),
        # another choice's end is not this one's
        ([chunk({"content": "a"}), {"choices": [{"index": 1, "finish_reason": "stop"}]}], "1 characters"),
    ],
)
def test_a_stream_that_is_cut(chunks: list[Any], said: str) -> None:
    _, decoder = decoded(*chunks)
    with pytest.raises(StreamCut) as caught:
        decoder.answer()
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [b"{", b"hello", b"[]", b"7", b"\xff", b'{"choices":[{"delta":{"content":7}}]}'])
def test_what_is_no_chunk_is_noticed(data: bytes) -> None:
    decoder = stream_decoder(OPENAI)
    with pytest.raises(MalformedStream, match="openai's stream cannot be read"):
        decoder.decode(event(data))


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        (event({"error": {"message": "Boom", "type": "server_error"}}), ProviderFailed, "(server_error): Boom."),
        (
            event({"error": {"message": "Slow", "code": "rate_limit_exceeded"}}),
            RateLimited,
            "(rate_limit_exceeded): Slow.",
        ),
        (event({"error": "boom"}), ProviderFailed, "openai failed in mid-stream: boom."),
        # vLLM's older shape
        (
            event({"object": "error", "message": "the maximum context length is 5", "code": 400}),
            ContextOverflow,
            "(400)",
        ),
        # llama.cpp
        (
            event({"error": {"code": 400, "message": "too big", "type": "exceed_context_size_error"}}),
            ContextOverflow,
            "too big",
        ),
        # OpenRouter, within the choice
        (
            event(chunk({"content": ""}, finish_reason="error", error={"code": 502, "message": "Upstream died"})),
            ProviderFailed,
            "(502): Upstream died.",
        ),
        # an event that is called one, with and without JSON
        (ServerSentEvent(b'{"message":"Boom"}', "error"), ProviderFailed, "Boom."),
        (ServerSentEvent(b"Boom", "error"), ProviderFailed, "Boom."),
    ],
)
def test_an_error_within_the_stream_is_that_error(told: ServerSentEvent, error: type[ModelError], said: str) -> None:
    _, decoder = decoded(chunk({"content": "hi"}))
    with pytest.raises(error) as caught:
        decoder.decode(told)
    assert said in str(caught.value)
    assert caught.value.provider == "openai"


# --- as a server ----------------------------------------------------------------------------------------------------


def served(deltas: list[Delta], answer: Answer, *, include_usage: bool = False) -> bytes:
    encoder = StreamEncoder(id="chatcmpl-1", created=7, model="tiny", include_usage=include_usage)
    return b"".join([*map(encoder.encode, deltas), encoder.finish(answer)])


def read(stream: bytes, *cuts: int) -> tuple[list[Delta], Answer]:
    reader, decoder = SSEReader(), stream_decoder(OPENAI)
    deltas: list[Delta] = []
    for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True):
        for told in reader.decode(stream[start:end]):
            deltas += decoder.decode(told)
    assert decoder.done
    assert reader.flush() == []
    return deltas, decoder.answer()


def answered(*parts: Part, usage: Usage | None = None, finish_reason: str = "stop") -> Message:
    origin = Origin("openai", "tiny", "chat_completions")
    return Message("assistant", parts, None, "chatcmpl-1", origin, usage, finish_reason)


def test_a_stream_on_the_wire() -> None:
    usage = Usage(input_tokens=3, output_tokens=2)
    stream = served([TextDelta("hi")], Answer(answered(Text("hi"), usage=usage)), include_usage=True)
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "tiny"}
    lines = stream.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert [json.loads(line.removeprefix("data: ")) for line in lines[:-2]] == [
        base
        | {
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": "hi"},
                    "logprobs": None,
                    "finish_reason": None,
                }
            ],
            "usage": None,
        },
        base | {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}], "usage": None},
        base
        | {
            "choices": [],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "total_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        },
    ]


def test_usage_is_told_only_to_those_who_asked() -> None:
    assert b"usage" not in served([TextDelta("a")], Answer(answered(Text("a"), usage=Usage(input_tokens=1))))


def test_an_empty_answer_still_says_its_role() -> None:
    stream = served([], Answer(answered()))
    assert stream.startswith(b'data: {"id":"chatcmpl-1"')
    assert b'"delta":{"role":"assistant","content":""}' in stream
    assert read(stream) == ([], Answer(answered()))


def test_ids_and_names_of_calls_are_told_once() -> None:
    deltas: list[Delta] = [ToolCallDelta(3, "call_1", "f", "{"), ToolCallDelta(3, arguments="}")]
    encoder = StreamEncoder(id="x", created=7, model="tiny")
    first, second = (json.loads(encoder.encode(delta).removeprefix(b"data: ")) for delta in deltas)
    assert first["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{"}}
    ]
    assert second["choices"][0]["delta"]["tool_calls"] == [{"index": 0, "function": {"arguments": "}"}}]


def test_a_stream_that_fails_says_why() -> None:
    encoder = StreamEncoder(id="x", created=7, model="tiny")
    stream = encoder.encode(TextDelta("hi")) + encoder.fail(InvalidInput("no"))
    told = SSEReader().decode(stream)
    decoder = stream_decoder(OPENAI)
    assert decoder.decode(told[0]) == [TextDelta("hi")]
    with pytest.raises(ModelError, match="no"):
        decoder.decode(told[1])


EVERYTHING: list[Delta] = [
    ReasoningDelta("hm\u2028"),
    TextDelta("Hé"),
    TextDelta("llo 😀\r\n\n"),
    PartDelta(Image(Inline(b"\x89PNG", "image/png"))),
    ToolCallDelta(0, "call_1", "f", '{"x'),
    ToolCallDelta(1, "call_2", "sh", "l", "custom"),
    ToolCallDelta(0, arguments='":1}'),
    ToolCallDelta(1, arguments="s", kind="custom"),
    RefusalDelta("No."),
]


def test_a_stream_is_read_the_same_cut_at_every_byte() -> None:
    other = answered(Text("another"), ToolCall("call_9", "f", "{}"), finish_reason="tool_calls")
    other = Message("assistant", other.parts, origin=other.origin, finish_reason="tool_calls")
    answer = Answer(answered(*fold(EVERYTHING).parts, usage=Usage(input_tokens=3, cost_usd=0.5)), (other,))
    stream = served(EVERYTHING, answer, include_usage=True)
    assert read(stream) == (EVERYTHING, answer)
    for cut in range(len(stream)):
        assert read(stream, cut) == (EVERYTHING, answer)
    assert read(stream, *range(1, len(stream))) == (EVERYTHING, answer)


def test_citations_come_with_the_end() -> None:
    cited = Text("see", (Citation("https://e.com", "T", start=0, end=3),))
    deltas, answer = read(served([TextDelta("see")], Answer(answered(cited))))
    assert deltas == [TextDelta("see")]
    assert answer.message.parts == (cited,)


def streams() -> st.SearchStrategy[list[Delta]]:
    """Deltas that the format carries, as a model sends them: every call begins with its id and its name, and calls
    are counted from 0."""
    image = st.builds(Image, st.builds(Url, urls().map(lambda url: url.url)) | inline())
    others: st.SearchStrategy[Delta] = st.one_of(
        st.builds(TextDelta, some_words),
        st.builds(RefusalDelta, some_words),
        st.builds(ReasoningDelta, some_words),
        st.builds(PartDelta, image),
    )
    known: list[Literal["function", "custom"]] = ["function", "custom"]
    kinds = st.lists(st.sampled_from(known), max_size=3)

    @st.composite
    def mixed(draw: st.DrawFn) -> list[Delta]:
        deltas: list[Delta] = []
        begun: list[Any] = []
        for kind in draw(kinds):
            deltas += draw(st.lists(others, max_size=2))
            name = f"{draw(ids)}_{len(begun)}"
            deltas.append(ToolCallDelta(len(begun), f"call_{name}", name, draw(some_words), kind))
            begun.append(kind)
            for index in draw(st.lists(st.integers(0, len(begun) - 1), max_size=2)):
                deltas.append(ToolCallDelta(index, arguments=draw(some_words), kind=begun[index]))
        return deltas + draw(st.lists(others, max_size=3))

    return mixed()


@given(streams(), st.none() | any_usage(), st.data())
def test_what_a_server_streams_a_client_reads(deltas: list[Delta], usage: Usage | None, draw: st.DataObject) -> None:
    answer = Answer(answered(*fold(deltas).parts, usage=usage))
    stream = served(deltas, answer, include_usage=True)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    assert read(stream, *cuts) == (deltas, answer)


@given(st.lists(any_delta(), max_size=5))
def test_whatever_comes_can_be_streamed(deltas: list[Delta]) -> None:
    folding = Fold()
    for delta in deltas:
        folding.add(delta)
    _, answer = read(served(deltas, Answer(folding.message(origin=None, finish_reason="stop"))))
    assert answer.message.finish_reason == "stop"


def test_whole_parts_go_where_their_kind_goes() -> None:
    whole: list[Delta] = [
        PartDelta(Reasoning("hm")),
        PartDelta(Text("a")),
        PartDelta(Refusal("no")),
        PartDelta(ToolCall("call_1", "f", "{}")),
        PartDelta(ToolCall("call_2", "g", "ls", kind="custom")),
        PartDelta(Opaque("x", b"{}")),  # type: ignore[arg-type]  # never looked into
    ]
    deltas, _ = read(served(whole, Answer(answered())))
    assert deltas == [
        ReasoningDelta("hm"),
        TextDelta("a"),
        RefusalDelta("no"),
        ToolCallDelta(0, "call_1", "f", "{}"),
        ToolCallDelta(1, "call_2", "g", "ls", "custom"),
    ]
