"""Streams of the Messages API, as it and its imitators send them; and ours."""

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
    ContextOverflow,
    InvalidInput,
    MalformedStream,
    ModelError,
    ProviderFailed,
    RateLimited,
    StreamCut,
)
from multiturn.formats.anthropic import (
    PING,
    Dialect,
    StreamDecoder,
    StreamEncoder,
    decode_reply,
    encode_reply,
    stream_decoder,
)
from multiturn.formats.sse import ServerSentEvent, SSEReader
from multiturn.messages import (
    Citation,
    Image,
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
from strategies import any_delta, any_usage, ids, json_objects, some_words
from upstream_anthropic import USAGE, event, events_of, redacted, text, thinking, tool_use, web_search

CLAUDE = Dialect()
CITED = {"type": "page_location", "cited_text": "q", "document_index": 0, "start_page_number": 1, "end_page_number": 2}
CITATION = Citation(quote="q", start=1, end=2, unit="page", document=0)
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}


def decoded(*events: Any) -> tuple[list[Delta], StreamDecoder]:
    decoder = stream_decoder(CLAUDE)
    return [delta for each in events for delta in decoder.decode(sse(each))], decoder


def sse(data: Any, kind: str = "message") -> ServerSentEvent:
    return ServerSentEvent(data if isinstance(data, bytes) else json.dumps(data).encode(), kind)


def block(*deltas: Any, index: int = 0, **start: Any) -> list[Any]:
    """A block's events: its start, its deltas, its end."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def message(*content: Any, **fields: Any) -> dict[str, Any]:
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn"}
    return {**base, "content": list(content), "usage": USAGE, **fields}


def read(stream: bytes, *cuts: int) -> tuple[list[Delta], Answer]:
    reader, decoder = SSEReader(), stream_decoder(CLAUDE)
    deltas: list[Delta] = []
    for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True):
        for told in reader.decode(stream[start:end]):
            deltas += decoder.decode(told)
    assert decoder.done
    assert reader.flush() == []
    return deltas, decoder.answer()


# --- blocks ---------------------------------------------------------------------------------------------------------

SAID: list[tuple[list[Any], list[Delta], list[Part]]] = [
    # words, and what they rest on
    (
        block(
            {"type": "text_delta", "text": "Hel"},
            {"type": "citations_delta", "citation": CITED},
            {"type": "text_delta", "text": "lo"},
            type="text",
            text="",
        ),
        [TextDelta("Hel"), TextDelta("lo")],
        [Text("Hello", (CITATION,))],
    ),
    # thinking that is shown; its signature is in the answer
    (
        block(
            {"type": "thinking_delta", "thinking": "h"},
            {"type": "thinking_delta", "thinking": "m"},
            {"type": "signature_delta", "signature": "s"},
            type="thinking",
            thinking="",
            signature="",
        ),
        [ReasoningDelta("h"), ReasoningDelta("m")],
        [Reasoning("hm", signature="s")],
    ),
    # ... that is hidden, and encrypted: whole
    (
        block({"type": "signature_delta", "signature": "s"}, type="thinking", thinking=""),
        [PartDelta(Reasoning(signature="s"))],
        [Reasoning(signature="s")],
    ),
    (
        block(type="redacted_thinking", data="e"),
        [PartDelta(Reasoning(encrypted="e"))],
        [Reasoning(encrypted="e")],
    ),
    # a call
    (
        block(
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"x":'},
            {"type": "input_json_delta", "partial_json": " 1}"},
            type="tool_use",
            id="toolu_1",
            name="f",
            input={},
        ),
        [ToolCallDelta(0, "toolu_1", "f"), ToolCallDelta(0, arguments='{"x":'), ToolCallDelta(0, arguments=" 1}")],
        [ToolCall("toolu_1", "f", '{"x": 1}')],
    ),
    # ... without arguments, and with all of them at the start
    (
        block(type="tool_use", id="toolu_1", name="f", input={}),
        [ToolCallDelta(0, "toolu_1", "f"), ToolCallDelta(0, arguments="{}")],
        [ToolCall("toolu_1", "f", "{}")],
    ),
    (
        block(type="tool_use", id="toolu_1", name="f", input={"x": 1}),
        [ToolCallDelta(0, "toolu_1", "f"), ToolCallDelta(0, arguments='{"x": 1}')],
        [ToolCall("toolu_1", "f", '{"x": 1}')],
    ),
    # ... and one that code has made
    (
        block(type="tool_use", id="toolu_1", name="f", input={}, caller={"type": "c"}),
        [ToolCallDelta(0, "toolu_1", "f"), ToolCallDelta(0, arguments="{}")],
        [ToolCall("toolu_1", "f", "{}", signature='{"caller":{"type":"c"}}')],
    ),
    # two calls
    (
        [*block(type="tool_use", id="a", name="f"), *block(index=1, type="tool_use", id="b", name="g")],
        [
            ToolCallDelta(0, "a", "f"),
            ToolCallDelta(0, arguments="{}"),
            ToolCallDelta(1, "b", "g"),
            ToolCallDelta(1, arguments="{}"),
        ],
        [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")],
    ),
    # servers whose blocks begin with something
    (block(type="text", text="a"), [TextDelta("a")], [Text("a")]),
    (
        block(type="thinking", thinking="hm", signature="s"),
        [ReasoningDelta("hm")],
        [Reasoning("hm", signature="s")],
    ),
    # empty blocks
    (block(type="text", text=""), [], []),
    (block(type="thinking", thinking="", signature=""), [], []),
    # events and deltas of a kind that nobody knows yet
    ([{"type": "ping"}, {"type": "new_event", "index": 9}, {}], [], []),
    (block({"type": "new_delta", "x": 1}, type="text", text="a"), [TextDelta("a")], [Text("a")]),
]


@pytest.mark.parametrize(("events", "deltas", "parts"), SAID)
def test_what_a_stream_brings(events: list[Any], deltas: list[Delta], parts: list[Part]) -> None:
    found, decoder = decoded(*events, END)
    assert found == deltas
    assert list(decoder.answer().message.parts) == parts


UNKNOWN: list[tuple[list[Any], bytes]] = [
    # whole at its start: its very bytes
    (
        [b'{"type":"web_search_tool_result", "content": [1.50]}'],
        b'{"type":"web_search_tool_result", "content": [1.50]}',
    ),
    # arguments in pieces
    (
        [
            b'{"type":"server_tool_use","input":{}}',
            {"type": "input_json_delta", "partial_json": '{"q":'},
            {"type": "input_json_delta", "partial_json": '"a"}'},
        ],
        b'{"type":"server_tool_use","input":{"q":"a"}}',
    ),
    # ... that were cut
    (
        [b'{"type":"mcp_tool_use","input":{}}', {"type": "input_json_delta", "partial_json": '{"q'}],
        b'{"type":"mcp_tool_use","input":"{\\"q"}',
    ),
    # a kind of delta that nobody knows yet: texts grow, other values take their place
    (
        [
            b'{"type":"compaction","content":"a","n":1}',
            {"type": "compaction_delta", "content": "b", "n": 2},
            {"type": "compaction_delta", "content": "c", "new": "d"},
        ],
        b'{"type":"compaction","content":"abc","n":2,"new":"d"}',
    ),
]


@pytest.mark.parametrize(("told", "expected"), UNKNOWN)
def test_a_block_that_we_do_not_know_comes_whole(told: list[Any], expected: bytes) -> None:
    start, *deltas = told
    first = b'{"type":"content_block_start","index":0,"content_block":%s}' % start
    found, decoder = decoded(first, *block(*deltas)[1:], END)
    (part,) = decoder.answer().message.parts
    assert isinstance(part, Opaque)
    assert (bytes(part.data), part.kind) == (expected, json.loads(expected)["type"])
    assert [delta.part for delta in found if isinstance(delta, PartDelta)] == [part]


def test_a_whole_stream_is_what_the_whole_reply_is() -> None:
    whole = message(
        thinking("Let me see."),
        *web_search("cats", "https://e.com"),
        redacted(),
        text("Two words.", CITED),
        thinking(""),
        tool_use("f", {"x": [1, "ü"]}),
        tool_use("g", {}, "toolu_2"),
        stop_reason="tool_use",
    )
    deltas, answer = read(b"".join(events_of(whole)))
    expected = decode_reply(json.dumps(whole).encode(), CLAUDE)
    assert msgspec.json.decode(msgspec.json.encode(answer)) == msgspec.json.decode(msgspec.json.encode(expected))
    assert fold(deltas).text == answer.message.text
    assert fold(deltas).tool_calls == answer.message.tool_calls
    assert fold(deltas).reasoning == "Let me see.\n\n"  # the hidden and the encrypted are parts without words


def test_a_whole_stream_says_who_answered_and_how_many_tokens_it_took() -> None:
    start = {"type": "message_start", "message": message(usage={"input_tokens": 7, "cache_read_input_tokens": 2})}
    _, decoder = decoded(start, *block(type="text", text="hi"), END, {"type": "message_stop"})
    assert decoder.done
    assert decoder.answer() == Answer(
        Message(
            "assistant",
            (Text("hi"),),
            id="msg_1",
            origin=Origin("anthropic", "claude", "anthropic"),
            usage=Usage(input_tokens=9, output_tokens=3, cached_tokens=2),
            finish_reason="stop",
        )
    )


@pytest.mark.parametrize(
    ("start", "ends", "expected"),
    [
        # counts of a later event are totals, and those that it leaves out still hold
        (
            {"input_tokens": 7, "output_tokens": 1},
            [{"output_tokens": 3, "input_tokens": None}],
            Usage(input_tokens=7, output_tokens=3),
        ),
        (
            {"input_tokens": 7, "output_tokens": 1},
            [{"output_tokens": 3}, {"output_tokens": 9, "input_tokens": 8, "cache_creation_input_tokens": 4}],
            Usage(input_tokens=12, output_tokens=9, cache_write_tokens=4),
        ),
        # all at the end, and nowhere
        (None, [{"input_tokens": 2, "output_tokens": 3}], Usage(input_tokens=2, output_tokens=3)),
        (None, [None], None),
    ],
)
def test_usage_wherever_it_stands(start: Any, ends: list[Any], expected: Usage | None) -> None:
    _, decoder = decoded(
        {"type": "message_start", "message": message(usage=start)},
        *({**END, "usage": usage} for usage in ends),
    )
    assert decoder.answer().message.usage == expected


def test_why_the_api_refused_comes_last() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    end = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}, "usage": {}}
    deltas, decoder = decoded(*block(type="text", text="I"), end)
    assert deltas == [TextDelta("I"), RefusalDelta("No.")]
    found = decoder.answer().message
    assert (found.parts, found.finish_reason) == ((Text("I"), Refusal("No.")), "content_filter")


def test_a_call_without_an_id_gets_one_and_keeps_it() -> None:
    deltas, decoder = decoded(*block(type="tool_use", name="f"), END)
    (call,) = decoder.answer().message.tool_calls
    assert call.call_id.startswith("toolu_")
    assert deltas[0] == ToolCallDelta(0, call.call_id, "f")


def test_indices_may_be_missing() -> None:
    events = [{name: value for name, value in each.items() if name != "index"} for each in block(type="text", text="a")]
    assert decoded(*events, *events, END)[1].answer().message.text == "aa"


# --- ends -----------------------------------------------------------------------------------------------------------


def test_an_answer_has_ended_at_its_stop_reason_and_the_stream_at_message_stop() -> None:
    _, decoder = decoded(*block(type="text", text="hi"), END)
    done = [decoder.done]
    assert decoder.answer().message.text == "hi"
    assert decoder.decode(sse({"type": "message_stop"})) == []
    assert [*done, decoder.done] == [False, True]
    assert decoder.decode(sse(block(type="text", text="more")[0])) == []


def test_a_block_without_its_end_is_in_the_answer() -> None:
    _, decoder = decoded(*block({"type": "text_delta", "text": "hi"}, type="text", text="")[:-1], END)
    assert decoder.answer().message.text == "hi"


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "anthropic's stream ended before the answer did; 0 characters"),
        (block(type="text", text="hello"), "5 characters of text had arrived"),
        ([*block(type="text", text="hello"), {"type": "message_stop"}], "5 characters"),
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
        {"type": "content_block_start", "index": 0, "content_block": "text"},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "delta": 7},
    ],
)
def test_what_is_no_event_is_noticed(data: Any) -> None:
    with pytest.raises(MalformedStream, match="anthropic's stream cannot be read"):
        decoded(data)


@pytest.mark.parametrize(
    ("told", "error", "status", "said"),
    [
        ("overloaded_error", ProviderFailed, 529, "(overloaded_error): Boom. Try again later."),
        ("rate_limit_error", RateLimited, 429, "(rate_limit_error): Boom. Try again later."),
        ("api_error", ProviderFailed, 500, "anthropic failed in mid-stream (api_error): Boom."),
        ("timeout_error", ProviderFailed, 504, "(timeout_error): Boom."),
        ("new_error", ProviderFailed, None, "(new_error): Boom."),
    ],
)
@pytest.mark.parametrize("kind", ["error", "message"])
def test_an_error_within_the_stream_is_that_error(
    told: str, error: type[ModelError], status: int | None, said: str, kind: str
) -> None:
    _, decoder = decoded(*block(type="text", text="hi"))
    with pytest.raises(error) as caught:
        decoder.decode(sse({"type": "error", "error": {"type": told, "message": "Boom"}, "request_id": "r"}, kind))
    assert said in str(caught.value)
    assert (caught.value.status, caught.value.request_id, caught.value.provider) == (status, "r", "anthropic")


def test_a_prompt_that_is_too_long_is_noticed_in_mid_stream_too() -> None:
    with pytest.raises(ContextOverflow):
        decoded({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 5"}})


def test_an_error_event_without_json_is_an_error_all_the_same() -> None:
    with pytest.raises(ProviderFailed, match="Boom"):
        stream_decoder(CLAUDE).decode(sse(b"Boom", "error"))


def test_a_stream_is_read_the_same_cut_at_every_byte() -> None:
    whole = message(
        thinking("Hm\u2028 so."),
        *web_search("é", "https://e.com"),
        text("Hé llo 😀\r\n\n", CITED),
        tool_use("f", {"x": "ü"}),
        stop_reason="tool_use",
    )
    stream = b"".join(events_of(whole))
    deltas, answer = read(stream)
    expected = msgspec.json.encode([deltas, answer])
    for cut in range(len(stream)):
        assert msgspec.json.encode([*read(stream, cut)]) == expected
    assert msgspec.json.encode([*read(stream, *range(1, len(stream)))]) == expected


# --- as a server ----------------------------------------------------------------------------------------------------


def served(deltas: list[Delta], answer: Message) -> bytes:
    encoder = StreamEncoder(id="msg_1", model="tiny")
    return b"".join([*map(encoder.encode, deltas), encoder.finish(Answer(answer))])


def answered(*parts: Part, usage: Usage | None = None, finish_reason: str = "stop") -> Message:
    return Message("assistant", parts, None, "msg_1", Origin("anthropic", "tiny", "anthropic"), usage, finish_reason)


def test_a_stream_on_the_wire() -> None:
    stream = served([TextDelta("hi")], answered(Text("hi"), usage=Usage(input_tokens=3, output_tokens=2)))
    events = [each.split(b"\ndata: ") for each in stream.split(b"\n\n")[:-1]]
    counts = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    details = {"output_tokens_details": {"thinking_tokens": 0}}
    assert [json.loads(data) for _, data in events] == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "tiny",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0, **counts, **details},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None},
            "usage": {"input_tokens": 3, "output_tokens": 2, **counts, **details},
        },
        {"type": "message_stop"},
    ]
    assert all(kind == b"event: %s" % json.loads(data)["type"].encode() for kind, data in events)


def test_an_empty_answer_is_an_answer() -> None:
    assert read(served([], answered(usage=Usage()))) == ([], Answer(answered(usage=Usage())))


def test_a_ping_says_nothing() -> None:
    stream = PING + served([TextDelta("a")], answered(Text("a")))
    assert read(stream)[0] == [TextDelta("a")]


def test_a_stream_that_fails_says_why() -> None:
    encoder = StreamEncoder(id="msg_1", model="tiny")
    told = SSEReader().decode(encoder.encode(TextDelta("hi")) + encoder.fail(InvalidInput("no")))
    decoder = stream_decoder(CLAUDE)
    assert [delta for each in told[:-1] for delta in decoder.decode(each)] == [TextDelta("hi")]
    with pytest.raises(ModelError, match="no"):
        decoder.decode(told[-1])


def test_signatures_and_citations_come_with_the_end_to_where_they_belong() -> None:
    deltas: list[Delta] = [
        PartDelta(Reasoning("whole", signature="s0")),
        ReasoningDelta("a"),
        TextDelta("see"),
        TextDelta("it"),
        ReasoningDelta("b"),
        TextDelta("there"),
    ]
    parts = (
        Reasoning("whole", signature="s0"),
        Reasoning("a", signature="s1"),
        Text("see", (CITATION,)),
        Text("it"),
        Reasoning("b", signature="s2"),
        Text("there", (CITATION, CITATION)),
    )
    _, answer = read(served(deltas, answered(*parts)))
    assert answer.message.parts == (*parts[:2], Text("seeit", (CITATION,)), *parts[4:])


def test_blocks_that_cannot_be_signed_end_before_the_next_one_and_the_last_text_has_its_citations() -> None:
    cited = Text("b", (CITATION,))
    call = ToolCall("t", "f", "{}")
    encoder = StreamEncoder(id="m", model="m", signed=False)
    deltas: list[Delta] = [ReasoningDelta("r"), TextDelta("a"), ToolCallDelta(0, "t", "f", "{}"), TextDelta("b")]
    told = b"".join(map(encoder.encode, deltas))
    told += encoder.finish(Answer(answered(Reasoning("r"), Text("a"), call, cited)))
    events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith(b"data: ")]
    order = [(event["type"].removeprefix("content_block_"), event["index"]) for event in events if "index" in event]
    assert [index for _, index in order] == sorted(index for _, index in order)
    assert [index for kind, index in order if kind == "stop"] == [0, 1, 2, 3]
    (citation,) = [event for event in events if event.get("delta", {}).get("type") == "citations_delta"]
    assert citation["index"] == 3


def test_calls_that_grow_side_by_side_stay_open() -> None:
    encoder = StreamEncoder(id="m", model="m", signed=False)
    pieces = [(0, '{"a"'), (1, '{"b"'), (0, ": 1}"), (1, ": 2}")]
    told = b"".join(encoder.encode(ToolCallDelta(n, f"t{n}", "f", text)) for n, text in pieces)
    calls = [ToolCall(f"t{n}", "f", text) for n, text in enumerate(('{"a": 1}', '{"b": 2}'))]
    _, answer = read(told + encoder.finish(Answer(answered(*calls, finish_reason="tool_calls"))))
    assert answer.message.tool_calls == tuple(calls)


def test_what_was_not_streamed_as_it_is_in_the_answer_is_not_signed() -> None:
    parts = (Reasoning("another", signature="s"), Text("other", (CITATION,)))
    _, answer = read(served([ReasoningDelta("a"), TextDelta("b")], answered(*parts)))
    assert answer.message.parts == (Reasoning("a"), Text("b"))


def test_a_custom_tool_s_call_is_streamed_as_json() -> None:
    deltas: list[Delta] = [
        ToolCallDelta(0, "toolu_1", "sh", 'echo "', "custom"),
        ToolCallDelta(0, arguments='é"\n', kind="custom"),
        ToolCallDelta(1, "toolu_2", "sh", kind="custom"),
    ]
    _, answer = read(served(deltas, answered(*fold(deltas).parts)))
    assert [json.loads(call.arguments) for call in answer.message.tool_calls] == [
        {"input": 'echo "é"\n'},
        {"input": ""},
    ]


def test_a_refusal_is_told_when_the_answer_ends() -> None:
    deltas, answer = read(served([TextDelta("I"), RefusalDelta("No.")], answered(Text("I"), Refusal("No."))))
    assert deltas == [TextDelta("I"), RefusalDelta("No.")]
    assert answer.message.finish_reason == "content_filter"


EVERYTHING: list[Delta] = [
    ReasoningDelta("hm\u2028"),
    TextDelta("Hé"),
    TextDelta("llo 😀\r\n\n"),
    PartDelta(Reasoning(encrypted="e")),
    PartDelta(Reasoning(signature="s")),
    PartDelta(Opaque("anthropic", msgspec.Raw(b'{"type":"new","x":1}'), "new")),
    ToolCallDelta(0, "toolu_1", "f"),
    ToolCallDelta(0, arguments='{"x'),
    ToolCallDelta(1, "toolu_2", "g"),
    ToolCallDelta(0, arguments='":1}'),
    ToolCallDelta(1, arguments="{}"),
]


def test_our_own_stream_is_read_the_same_cut_at_every_byte() -> None:
    answer = answered(*fold(EVERYTHING).parts, usage=Usage(input_tokens=3, cached_tokens=1))
    stream = served(EVERYTHING, answer)
    assert read(stream) == (EVERYTHING, Answer(answer))
    for cut in range(len(stream)):
        assert read(stream, cut) == (EVERYTHING, Answer(answer))
    assert read(stream, *range(1, len(stream))) == (EVERYTHING, Answer(answer))


@st.composite
def streams(draw: st.DrawFn) -> list[Delta]:
    """Deltas that the format carries, as a model sends them: calls are counted from 0 and begin with their id."""
    plain = st.builds(TextDelta, some_words) | st.builds(ReasoningDelta, some_words)
    whole = st.builds(PartDelta, st.builds(Reasoning, encrypted=ids) | st.builds(Reasoning, signature=ids))
    deltas: list[Delta] = draw(st.lists(plain | whole, max_size=4))
    for index in range(draw(st.integers(0, 2))):
        arguments = draw(json_objects())
        cut = draw(st.integers(0, len(arguments)))
        deltas.append(ToolCallDelta(index, f"toolu_{index}", draw(ids)))
        deltas += [ToolCallDelta(index, arguments=piece) for piece in (arguments[:cut], arguments[cut:]) if piece]
    return deltas + draw(st.lists(plain | whole, max_size=2))


@given(streams(), any_usage(), st.data())
def test_what_a_server_streams_a_client_reads(deltas: list[Delta], usage: Usage, draw: st.DataObject) -> None:
    whole = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens
    usage = msgspec.structs.replace(usage, input_tokens=whole, cost_usd=None)
    answer = answered(*fold(deltas).parts, usage=usage)
    stream = served(deltas, answer)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    assert read(stream, *cuts) == (deltas, Answer(answer))


@given(st.lists(any_delta(), max_size=6))
def test_whatever_comes_can_be_streamed(deltas: list[Delta]) -> None:
    folding = Fold()
    for delta in deltas:
        folding.add(delta)
    _, answer = read(served(deltas, folding.message(origin=None, finish_reason="stop")))
    assert answer.message.finish_reason in ("stop", "content_filter")


def test_whole_parts_go_where_their_kind_goes() -> None:
    whole: list[Delta] = [
        PartDelta(Text("a", (CITATION,))),
        PartDelta(ToolCall("toolu_1", "f", '{"x":1}')),
        PartDelta(ToolCall("toolu_2", "g", "ls", kind="custom")),
        PartDelta(Image(Url("https://e.com/a.png"))),
        PartDelta(Opaque("another", msgspec.Raw(b"{}"))),
        PartDelta(Refusal("no")),
    ]
    deltas, answer = read(served(whole, answered()))
    assert fold(deltas).parts == (
        Text("a"),
        ToolCall("toolu_1", "f", '{"x":1}'),
        ToolCall("toolu_2", "g", '{"input":"ls"}'),
        Text("[image: https://e.com/a.png]"),
    )
    assert answer.message.parts[0] == Text("a", (CITATION,))


def test_a_reply_and_a_stream_of_one_answer_say_the_same() -> None:
    parts = (Reasoning("hm", signature="s"), Text("a", (CITATION,)), ToolCall("toolu_1", "f", '{"x":1}'))
    answer = answered(*parts, usage=Usage(output_tokens=1), finish_reason="tool_calls")
    deltas: list[Delta] = [ReasoningDelta("hm"), TextDelta("a"), ToolCallDelta(0, "toolu_1", "f", '{"x":1}')]
    whole = decode_reply(encode_reply(Answer(answer), id="msg_1", model="tiny"), CLAUDE)
    assert read(served(deltas, answer))[1] == whole == Answer(answer)


def test_events_of_the_upstream_are_named_as_the_api_names_them() -> None:
    assert event("ping") == b'event: ping\ndata: {"type": "ping"}\n\n'
