"""Streams of the Responses API, as servers send them; and ours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

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
    StateLost,
    StreamCut,
)
from multiturn.formats.responses import (
    Dialect,
    Echo,
    StreamDecoder,
    StreamEncoder,
    decode_reply,
    encode_reply,
    stream_decoder,
)
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
    ToolResult,
    Usage,
)
from openresponses import SCHEMAS, problems
from strategies import any_delta, any_usage
from strategies_responses import BY_OPENAI, answer_parts, streams
from upstream_responses import call, custom_call, events_of, message, reasoning, response, search, stream_of

OPENAI = Dialect()


def event(data: Any, name: str = "message") -> ServerSentEvent:
    return ServerSentEvent(data if isinstance(data, bytes) else json.dumps(data).encode(), name)


def decoded(*events: Any) -> tuple[list[Delta], StreamDecoder]:
    decoder = stream_decoder(OPENAI)
    return [delta for each in events for delta in decoder.decode(event(each))], decoder


def read(stream: bytes, *cuts: int) -> tuple[list[Delta], Answer]:
    reader, decoder = SSEReader(), stream_decoder(OPENAI)
    deltas: list[Delta] = []
    for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True):
        for told in reader.decode(stream[start:end]):
            deltas += decoder.decode(told)
    assert decoder.done
    assert reader.flush() == []
    return deltas, decoder.answer()


# --- as a client ----------------------------------------------------------------------------------------------------

HOSTED = search()
OPAQUE = PartDelta(Opaque("openai", msgspec.Raw(json.dumps(HOSTED).encode()), "web_search_call"))
SAID: list[tuple[list[dict[str, Any]], list[Delta]]] = [
    # words
    ([message("Hello")], [TextDelta("Hell"), TextDelta("o")]),
    # two contents, a refusal
    ([message("a", "b", {"type": "refusal", "refusal": "No."})], [TextDelta("a"), TextDelta("b"), RefusalDelta("No.")]),
    # two messages in a row: a border between them
    ([message("a"), message("b")], [TextDelta("a"), TextDelta(""), TextDelta("b")]),
    # thinking as summaries, a line each; and in the clear
    (
        [reasoning("a", "b", encrypted="e"), message("c")],
        [ReasoningDelta("a"), ReasoningDelta("\nb"), TextDelta("c")],
    ),
    ([reasoning(text="hm"), message("c")], [ReasoningDelta("hm"), TextDelta("c")]),
    # thinking that shows nothing still has its place, alone and beside other thinking
    ([reasoning(encrypted="e"), message("c")], [ReasoningDelta(""), TextDelta("c")]),
    (
        [reasoning("a"), reasoning(encrypted="e"), reasoning("b"), message("c")],
        [ReasoningDelta("a"), ReasoningDelta(""), ReasoningDelta(""), ReasoningDelta("\nb"), TextDelta("c")],
    ),
    # two calls, counted in order
    (
        [call("f", {}, call_id="call_1"), message("x"), custom_call("sh", "ls", call_id="call_2")],
        [
            ToolCallDelta(0, "call_1", "f"),
            ToolCallDelta(0, arguments="{}"),
            TextDelta("x"),
            ToolCallDelta(1, "call_2", "sh", kind="custom"),
            ToolCallDelta(1, arguments="ls", kind="custom"),
        ],
    ),
    # a hosted tool's item comes whole
    ([HOSTED, message("a")], [OPAQUE, TextDelta("a")]),
    # nothing
    ([], []),
]


@pytest.mark.parametrize(("output", "expected"), SAID)
def test_what_a_model_says(output: list[dict[str, Any]], expected: list[Delta]) -> None:
    whole = response(output)
    deltas, decoder = decoded(*events_of(whole))
    assert deltas == expected
    assert decoder.answer() == decode_reply(json.dumps(whole).encode(), OPENAI)


EVERYTHING = [
    reasoning("Hm.", "So…", encrypted="e"),
    HOSTED,
    message("Let me see \u2028 😀\r\n", phase="commentary"),
    message("It is", {"type": "refusal", "refusal": "No."}, phase="final_answer"),
    call("f", {"x": "é"}, namespace="crm"),
    custom_call("sh", "ls -l", call_id="call_2"),
]


def test_a_stream_is_read_the_same_cut_at_every_byte() -> None:
    whole = {"id": "resp_1", "model": "gpt-5", "status": "completed", "output": EVERYTHING}
    stream = stream_of(whole) + b"data: [DONE]\n\n"
    expected = read(stream)
    assert expected[1] == decode_reply(json.dumps(whole).encode(), OPENAI)
    for cut in range(len(stream)):
        assert read(stream, cut) == expected
    assert read(stream, *range(1, len(stream))) == expected


@given(answer_parts())
def test_deltas_say_what_the_answer_says(said: tuple[Part, ...]) -> None:
    from multiturn.formats.responses import encode_messages

    items = json.loads(b"[%s]" % encode_messages([Message("assistant", said, origin=BY_OPENAI)], OPENAI))
    deltas, decoder = decoded(*events_of(response(items), size=3))
    folded, answer = fold(deltas), decoder.answer().message
    thoughts = [text for part in said if isinstance(part, Reasoning) for text in part.summary if text]
    assert (folded.text, folded.reasoning) == (answer.text, "\n".join(thoughts))
    assert [(each.call_id, each.name, each.arguments, each.kind) for each in folded.tool_calls] == [
        (each.call_id, each.name, each.arguments, each.kind) for each in answer.tool_calls
    ]
    opaque = [part for part in said if isinstance(part, Opaque)]
    assert [part.kind for part in folded.parts if isinstance(part, Opaque)] == [part.kind for part in opaque]


def without(kinds: tuple[str, ...], output: list[dict[str, Any]], final: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stream of a server that does not send events of these kinds; its final response has `final` for output."""
    events = [each for each in events_of(response(output)) if not each["type"].endswith(kinds)]
    events[-1]["response"] = {**events[-1]["response"], "output": final}
    return events


@pytest.mark.parametrize(
    "kinds",
    [
        # the items alone tell it, at their end
        (".delta", ".added", "text.done", "arguments.done", "input.done"),
        # their ends are missing
        ("output_item.done",),
        # ... and so are the ends of their texts
        (".done",),
        # no deltas but the ends of texts
        (".delta", "output_item.done"),
    ],
)
def test_a_stream_that_leaves_things_out_is_put_together_from_what_there_is(kinds: tuple[str, ...]) -> None:
    output = [reasoning("a", "b", text="hm"), message("x", {"type": "refusal", "refusal": "No."}), call("f", {"y": 1})]
    deltas, decoder = decoded(*without(kinds, output, []))
    answer = decoder.answer().message
    assert answer.parts == decode_reply(json.dumps(response(output)).encode(), OPENAI).message.parts
    assert answer.finish_reason == "tool_calls"
    folded = fold(deltas)
    assert (folded.text, folded.tool_calls[0].arguments) == ("x", '{"y": 1}')


def test_the_final_response_has_the_last_word() -> None:
    _, decoder = decoded(*without((), [message("draft")], [message("final", id="msg_1")]))
    assert decoder.answer().message.parts == (Text("final", id="msg_1"),)


def test_items_that_begin_only_with_their_texts() -> None:
    events = [
        {"type": "response.output_text.delta", "delta": "hi", "output_index": 0, "content_index": 0},
        {"type": "response.function_call_arguments.delta", "delta": "{", "output_index": 1},
        {"type": "response.function_call_arguments.delta", "delta": "}", "output_index": 1},
        {"type": "response.output_item.done", "output_index": 1, "item": call("f", {}, id="fc_1")},
        {"type": "response.completed", "response": {"id": "resp_1", "output": None}},
    ]
    deltas, decoder = decoded(*events)
    assert deltas == [
        TextDelta("hi"),
        ToolCallDelta(0, arguments="{"),
        ToolCallDelta(0, arguments="}"),
        ToolCallDelta(0, "call_1", "f"),
    ]
    assert decoder.answer().message.parts == (Text("hi"), ToolCall("call_1", "f", "{}", id="fc_1"))
    assert fold(deltas).tool_calls == (ToolCall("call_1", "f", "{}"),)


def test_items_that_all_say_the_same_index() -> None:
    output = [message("a", id="msg_1"), call("f", {}, id="fc_1"), message("b", id="msg_2")]
    events = [each | {"output_index": 0} if "output_index" in each else each for each in without((), output, [])]
    deltas, decoder = decoded(*events)
    assert decoder.answer() == decode_reply(json.dumps(response(output, id=_id(events))).encode(), OPENAI)
    assert fold(deltas).text == "ab"


def _id(events: list[dict[str, Any]]) -> Any:
    return events[0]["response"]["id"]


@pytest.mark.parametrize("name", ["response.reasoning", "response.reasoning_text"])
def test_thinking_under_the_names_of_openai_and_of_open_responses(name: str) -> None:
    events = [
        {"type": f"{name}.delta", "delta": "hm", "output_index": 0, "content_index": 0},
        {"type": f"{name}.done", "text": "hm…", "output_index": 0, "content_index": 0},
        {"type": "response.completed", "response": {"output": []}},
    ]
    deltas, decoder = decoded(*events)
    assert deltas == [ReasoningDelta("hm"), ReasoningDelta("…")]
    assert decoder.answer().message.parts == (Reasoning("hm…"),)


def test_events_that_nobody_knows_say_nothing() -> None:
    told: list[Any] = [
        {"type": "response.web_search_call.searching", "item_id": "ws_1"},
        {"type": "response.mcp_call_arguments.delta", "delta": "{", "output_index": 0},
        {"type": "response.image_generation_call.partial_image", "partial_image_b64": "x"},
        {"type": "keepalive"},
        {},
        b"",
        b" ",
    ]
    assert decoded(*told)[0] == []


def test_the_answer_is_that_of_the_response_and_its_model() -> None:
    _, decoder = decoded(*events_of(response([message("hi", id="msg_1")], id="resp_1", model="gpt-5")))
    assert decoder.answer().message == Message(
        "assistant",
        (Text("hi", id="msg_1"),),
        id="resp_1",
        origin=Origin("openai", "gpt-5", "responses"),
        usage=Usage(input_tokens=12, output_tokens=3, cached_tokens=4, reasoning_tokens=1),
        finish_reason="stop",
    )


def test_a_final_event_without_a_response_is_filled_from_the_first() -> None:
    begun = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5"}}
    said = {"type": "response.output_text.delta", "delta": "hi", "output_index": 0}
    _, decoder = decoded(begun, said, {"type": "response.incomplete", "response": None})
    answer = decoder.answer().message
    assert (answer.id, answer.text, answer.finish_reason) == ("resp_1", "hi", "length")
    assert answer.origin == Origin("openai", "gpt-5", "responses")


# --- ends -----------------------------------------------------------------------------------------------------------


def test_an_answer_has_ended_with_the_final_response() -> None:
    *events, last = events_of(response([message("hi")]))
    _, decoder = decoded(*events)
    done = [decoder.done]
    with pytest.raises(StreamCut, match="openai's stream ended before the answer did"):
        decoder.answer()
    decoder.decode(event(last))
    assert [*done, decoder.done] == [False, True]
    assert decoder.decode(event(events[4])) == []
    assert decoder.answer().message.text == "hi"


def test_done_alone_is_no_end_of_an_answer() -> None:
    _, decoder = decoded(*events_of(response([message("hi")]))[:-1], b"[DONE]")
    assert decoder.done
    with pytest.raises(StreamCut):
        decoder.answer()


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"hello",
        b"[]",
        b"7",
        b"\xff",
        b'{"type":7}',
        b'{"type":"response.output_item.done","output_index":0,"item":7}',
        b'{"type":"response.completed","response":{"output":[7]}}',
        b'{"type":"response.completed","response":{"output":[{"type":"message","content":7}]}}',
    ],
)
def test_what_is_no_event_is_noticed(data: bytes) -> None:
    with pytest.raises(MalformedStream, match="openai's stream cannot be read"):
        stream_decoder(OPENAI).decode(event(data))


def test_half_an_emoji_in_each_of_two_events() -> None:
    data = b'{"type":"response.output_text.delta","output_index":0,"delta":"\\ud83d"}'
    assert decoded(data)[0] == [TextDelta("?")]


FAILED = {"type": "response.failed", "response": response([], status="failed")}


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        # OpenAI: flat
        (
            event({"type": "error", "code": "rate_limit_exceeded", "message": "Slow", "param": None}),
            RateLimited,
            "openai failed in mid-stream (rate_limit_exceeded): Slow.",
        ),
        (
            event({"type": "error", "code": None, "message": "Boom", "param": None}),
            ProviderFailed,
            "openai failed in mid-stream: Boom.",
        ),
        # Open Responses: nested
        (
            event({"type": "error", "error": {"type": "x", "code": "server_error", "message": "Boom"}}),
            ProviderFailed,
            "(server_error): Boom.",
        ),
        # a failed response, with and without a reason
        (
            event({**FAILED, "response": {"error": {"code": "context_length_exceeded", "message": "Long"}}}),
            ContextOverflow,
            "Long.",
        ),
        (event(FAILED), ProviderFailed, "its stream ended with response.failed."),
        (event({"type": "response.failed"}), ProviderFailed, "its stream ended with response.failed."),
        (event({"type": "response.cancelled", "response": {}}), ProviderFailed, "response.cancelled."),
        # the answer that the request went on from is gone
        (
            event({"type": "error", "code": "previous_response_not_found", "message": "Gone", "param": "x"}),
            StateLost,
            "Gone.",
        ),
        # in the shape of other APIs, and as plain text
        (event({"error": {"message": "Boom", "code": 502}}), ProviderFailed, "(502): Boom."),
        (event({"error": "boom"}), ProviderFailed, "boom."),
        (event({"message": "Boom"}, "error"), ProviderFailed, "Boom."),
        (event(b"Boom", "error"), ProviderFailed, "Boom."),
    ],
)
def test_an_error_within_the_stream_is_that_error(told: ServerSentEvent, error: type[ModelError], said: str) -> None:
    _, decoder = decoded(*events_of(response([message("hi")]))[:5])
    with pytest.raises(error) as caught:
        decoder.decode(told)
    assert type(caught.value) is error
    assert said in str(caught.value)
    assert caught.value.provider == "openai"


# --- as a server ----------------------------------------------------------------------------------------------------

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
EVENT_SCHEMAS = {
    schema["properties"]["type"]["enum"][0]: name for name, schema in SCHEMAS.items() if name.endswith("StreamingEvent")
}
BEYOND = (
    *("image_generation_call", "web_search_call", "compaction", "new_call", "custom_tool_call"),
    *("file_citation", "file_path"),
)


def told(stream: bytes) -> list[dict[str, Any]]:
    """The events of one of our streams, each of which is what OpenAI's types and Open Responses say, in order."""
    *events, last = SSEReader().decode(stream)
    assert last.data == b"[DONE]"
    found: list[dict[str, Any]] = [json.loads(each.data) for each in events]
    assert [each["sequence_number"] for each in found] == list(range(len(found)))
    assert [each.event for each in events] == [each["type"] for each in found]
    for each in found:
        if "new_call" not in json.dumps(each):
            EVENT.validate_python(each)
        if each["type"] in EVENT_SCHEMAS and not any(kind in json.dumps(each) for kind in BEYOND):
            assert problems(each, EVENT_SCHEMAS[each["type"]]) == []
    check_order(found)
    return found


def check_order(events: list[dict[str, Any]]) -> None:
    """Raise unless items and their texts begin, go on and end in order, say at their end what they said on the way,
    and are all in the final response."""
    assert [each["type"] for each in events[:2]] == ["response.created", "response.in_progress"]
    items: dict[int, str] = {}
    texts: dict[Any, str] = {}
    done: dict[int, Any] = {}
    for each in events[2:-1]:
        kind, index = each["type"], each["output_index"]
        place = (index, each.get("content_index", each.get("summary_index")))
        if kind == "response.output_item.added":
            assert index == len(items)
            items[index] = each["item"]["id"]
        elif kind == "response.output_item.done":
            done[index] = each["item"]
            assert each["item"]["id"] == items[index]
        else:
            assert each["item_id"] == items[index]
            assert index not in done
        if kind.endswith("part.added"):
            texts[place] = ""
        elif kind.endswith(".delta"):
            texts[place] = texts.get(place, "") + each["delta"]
        elif kind.endswith((".done", ".annotation.added")) and "part" not in kind and "item" not in kind:
            final = each.get("text", each.get("refusal", each.get("arguments", each.get("input"))))
            assert final in (None, texts.get(place, ""))
    assert done.keys() == items.keys()
    assert [done[index] for index in sorted(done)] == events[-1]["response"]["output"]


def served(deltas: list[Delta], answer: Answer, **fields: Any) -> bytes:
    encoder = StreamEncoder(Echo(), id="resp_1", created=7, model="tiny", **fields)
    return b"".join([*map(encoder.encode, deltas), encoder.finish(answer)])


def answered(*parts: Part, usage: Usage | None = None, finish_reason: str = "stop") -> Answer:
    return Answer(Message("assistant", parts, usage=usage, finish_reason=finish_reason))


def test_a_stream_on_the_wire() -> None:
    cited = Text("hi", (Citation("https://e.com", "T", start=0, end=2),))
    answer = answered(cited, usage=Usage(input_tokens=3, output_tokens=2))
    events = told(served([TextDelta("h"), TextDelta("i")], answer))
    place = {"item_id": "msg_1_o0", "output_index": 0, "content_index": 0}
    annotation = {"type": "url_citation", "url": "https://e.com", "title": "T", "start_index": 0, "end_index": 2}
    part = {"type": "output_text", "text": "hi", "annotations": [annotation], "logprobs": []}
    item = {"id": "msg_1_o0", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    final = json.loads(encode_reply(answer, Echo(), id="resp_1", created=7, model="tiny"))
    assert final["output"] == [item]
    expected: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**final, "status": "in_progress", "output": []}},
        {"type": "response.in_progress", "response": {**final, "status": "in_progress", "output": []}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "text": "", "annotations": []}},
        {"type": "response.output_text.delta", **place, "delta": "h", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "i", "logprobs": []},
        {
            "type": "response.output_text.annotation.added",
            **place,
            "annotation_index": 0,
            "annotation": annotation,
        },
        {"type": "response.output_text.done", **place, "text": "hi", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": final},
    ]
    for begun in expected[:2]:
        begun["response"] |= {"completed_at": None, "usage": None}
    assert events == [{**each, "sequence_number": number} for number, each in enumerate(expected)]


def kinds(stream: bytes) -> list[str]:
    return [each["type"].removeprefix("response.") for each in told(stream)[2:-1]]


def test_the_events_of_thinking() -> None:
    deltas: list[Delta] = [ReasoningDelta("h"), ReasoningDelta("m")]
    stream = served(deltas, answered(Reasoning("hm", encrypted="e")))
    added, done = ["output_item.added", "content_part.added"], ["content_part.done", "output_item.done"]
    assert kinds(stream) == [*added, *["reasoning_text.delta"] * 2, "reasoning_text.done", *done]
    assert told(stream)[-1]["response"]["output"] == [
        {
            "id": "rs_1_o0",
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": "e",
        }
    ]


def test_the_events_of_summaries_of_thinking() -> None:
    stream = served([ReasoningDelta("hm")], answered(Reasoning(summary=("hm",))), summaries=True)
    assert kinds(stream) == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]


def test_the_events_of_calls() -> None:
    deltas: list[Delta] = [
        ToolCallDelta(0, "call_1", "f", "{"),
        ToolCallDelta(1, "call_2", kind="custom"),
        ToolCallDelta(0, arguments="}"),
        ToolCallDelta(1, "", "sh", "ls", kind="custom"),
    ]
    stream = served(deltas, answered(*fold(deltas).parts, finish_reason="tool_calls"))
    assert kinds(stream) == [
        "output_item.added",
        "function_call_arguments.delta",
        "output_item.added",
        "function_call_arguments.delta",
        "custom_tool_call_input.delta",
        "function_call_arguments.done",
        "output_item.done",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert [(each["name"], each["call_id"]) for each in told(stream)[-1]["response"]["output"]] == [
        ("f", "call_1"),
        ("sh", "call_2"),
    ]


def test_a_refusal_is_a_content_of_its_own() -> None:
    stream = served([TextDelta("a"), RefusalDelta("No.")], answered(Text("a"), Refusal("No.")))
    assert kinds(stream)[-5:] == [
        "output_text.done",
        "content_part.done",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]


def test_borders_begin_new_items() -> None:
    deltas: list[Delta] = [
        ReasoningDelta(""),
        ReasoningDelta(""),
        ReasoningDelta("hm"),
        TextDelta("a"),
        TextDelta(""),
        TextDelta("b"),
    ]
    said = (
        Reasoning(encrypted="d"),
        Reasoning("hm", encrypted="e"),
        Text("a", id="msg_1", phase="commentary"),
        Text("b", id="msg_2", phase="final_answer"),
    )
    output = told(served(deltas, answered(*said)))[-1]["response"]["output"]
    assert [item.get("encrypted_content", item.get("phase")) for item in output] == [
        "d",
        "e",
        "commentary",
        "final_answer",
    ]


def test_what_was_not_streamed_is_told_at_the_end() -> None:
    said = (
        Reasoning("hm", encrypted="e"),
        Text("a", id="msg_1"),
        Refusal("No.", id="msg_1"),
        ToolCall("call_1", "f", "{}"),
        Image(Inline(b"\x89PNG", "image/png")),
    )
    streamed: list[Delta] = [ReasoningDelta("hm"), TextDelta("a"), RefusalDelta("No.")]
    for n in (0, 1, 3):
        events = told(served(streamed[:n], answered(*said)))
        whole = encode_reply(answered(*said), Echo(), id="resp_1", created=7, model="tiny")
        assert events[-1]["response"] == json.loads(whole)


def test_an_answer_that_says_something_else_than_was_streamed_does_not_change_it() -> None:
    answer = answered(ToolCall("call_1", "f", "{}"), usage=Usage(input_tokens=3))
    final = told(served([TextDelta("a")], answer))[-1]["response"]
    assert [item["type"] for item in final["output"]] == ["message"]
    assert final["usage"]["input_tokens"] == 3


def test_an_answer_cut_short_is_an_incomplete_response() -> None:
    last = told(served([TextDelta("a")], answered(Text("a"), finish_reason="length")))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in last["response"]["output"]] == ["incomplete"]


def test_an_empty_answer_is_a_response_all_the_same() -> None:
    assert [each["type"] for each in told(served([], answered()))] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]


def test_the_first_events_can_be_told_before_the_model_speaks() -> None:
    encoder = StreamEncoder(Echo(), id="resp_1", created=7, model="tiny")
    assert encoder.begin().count(b"\n\n") == 2
    assert encoder.sequence == 2
    assert encoder.begin() == b""
    assert b"in_progress" not in encoder.encode(TextDelta("")) + encoder.finish(answered())


def test_a_run_of_several_model_calls_is_one_stream() -> None:
    encoder = StreamEncoder(Echo(), id="resp_1", created=7, model="tiny")
    called = Message("assistant", (ToolCall("call_1", "f", "{}"),))
    result = Message("tool", (ToolResult("call_1", (Text("r"),)),))
    stream = b"".join(
        [
            encoder.encode(ToolCallDelta(0, "call_1", "f", "{}")),
            encoder.settle(called),
            encoder.settle(result),
            encoder.encode(ToolCallDelta(0, "call_2", "f", "{}")),
            encoder.encode(TextDelta("done")),
            encoder.finish(answered(ToolCall("call_2", "f", "{}"), Text("done"))),
        ]
    )
    output = told(stream)[-1]["response"]["output"]
    assert [(item["type"], item.get("call_id")) for item in output] == [
        ("function_call", "call_1"),
        ("function_call_output", "call_1"),
        ("function_call", "call_2"),
        ("message", None),
    ]


def test_a_stream_that_fails_says_why() -> None:
    encoder = StreamEncoder(Echo(), id="resp_1", created=7, model="tiny")
    stream = encoder.encode(TextDelta("hi")) + encoder.fail(InvalidInput("no"))
    events = SSEReader().decode(stream)
    last = json.loads(events[-2].data)
    assert problems(last, "ResponseFailedStreamingEvent") == []
    assert last["response"]["error"] == {"code": "invalid_prompt", "message": "no"}
    assert last["response"]["output"][0]["status"] == "incomplete"
    decoder = stream_decoder(OPENAI)
    assert [delta for each in events[:-2] for delta in decoder.decode(each)] == [TextDelta("hi")]
    with pytest.raises(ModelError, match="no"):
        decoder.decode(events[-2])


def test_a_stream_may_fail_before_its_first_word() -> None:
    encoder = StreamEncoder(Echo(), id="resp_1", created=7, model="tiny")
    assert [each.event for each in SSEReader().decode(encoder.fail(ZeroDivisionError("secret")))] == [
        "response.created",
        "response.in_progress",
        "response.failed",
        "message",
    ]
    assert b"secret" not in encoder.fail(ZeroDivisionError("secret"))


def test_another_way_to_the_client_is_given_the_events_themselves() -> None:
    kept: list[tuple[str, dict[str, Any]]] = []

    def frame(type: str, event: bytes) -> bytes:
        kept.append((type, json.loads(event)))
        return event + b"\n"

    stream = served([TextDelta("a")], answered(Text("a")), frame=frame)
    assert [json.loads(line) for line in stream.splitlines()] == [event for _, event in kept]
    assert [type for type, _ in kept] == [event["type"] for _, event in kept]
    assert kept[-1][0] == "response.completed"


def test_whole_parts_go_where_their_kind_goes() -> None:
    opaque = Opaque("openai", msgspec.Raw(json.dumps(HOSTED).encode()), "web_search_call")
    whole: list[Delta] = [
        PartDelta(Reasoning("hm", encrypted="e")),
        PartDelta(Text("a")),
        PartDelta(Refusal("no")),
        PartDelta(ToolCall("call_1", "f", "{}")),
        PartDelta(opaque),
        PartDelta(Opaque("anthropic", msgspec.Raw(b"{}"), "server_tool_use")),
        PartDelta(Audio(transcript="Hi.")),
        PartDelta(Image(Inline(b"\x89PNG", "image/png"))),
    ]
    stream = served(whole, answered(*fold(whole).parts))
    assert [item["type"] for item in told(stream)[-1]["response"]["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "web_search_call",
        "message",
        "image_generation_call",
    ]
    assert read(stream)[0] == [
        ReasoningDelta("hm"),
        TextDelta("a"),
        RefusalDelta("no"),
        ToolCallDelta(0, "call_1", "f"),
        ToolCallDelta(0, arguments="{}"),
        PartDelta(opaque),
        TextDelta("Hi."),
        *[delta for delta in read(stream)[0] if isinstance(delta, PartDelta) and delta.part != opaque],
    ]


@given(streams(), st.none() | any_usage(), st.data())
def test_what_a_server_streams_a_client_reads(deltas: list[Delta], usage: Usage | None, draw: st.DataObject) -> None:
    answer = answered(*fold(deltas).parts, usage=usage)
    stream = served(deltas, answer)
    told(stream)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    heard, read_answer = read(stream, *cuts)
    assert _merged(heard) == _merged(deltas)
    final = encode_reply(answer, Echo(), id="resp_1", created=7, model="tiny")
    assert read_answer == decode_reply(final, OPENAI)  # as if it had not been streamed


def _merged(deltas: list[Delta]) -> list[Part]:
    """What the deltas say, whatever their pieces: in a row of one kind, they are one."""
    return [
        msgspec.structs.replace(part, data=msgspec.Raw(b"")) if isinstance(part, Opaque) else part
        for part in fold(deltas).parts
    ]


@given(answer_parts(), st.integers(1, 5))
def test_what_openai_streams_is_streamed_on(said: tuple[Part, ...], size: int) -> None:
    """Through our client and out of our server again, with every item in its place."""
    from multiturn.formats.responses import encode_messages

    items = json.loads(b"[%s]" % encode_messages([Message("assistant", said, origin=BY_OPENAI)], OPENAI))
    deltas, decoder = decoded(*events_of(response(items), size=size))
    answer = decoder.answer()
    streamed = told(served(deltas, answer, summaries=True))[-1]["response"]["output"]
    whole = json.loads(encode_reply(answer, Echo(), id="resp_1", created=7, model="m"))["output"]
    assert [(item["type"], item["id"]) for item in streamed] == [(item["type"], item["id"]) for item in whole]
    plain = [item for item in whole if item["type"] != "reasoning"]
    assert [item for item in streamed if item["type"] != "reasoning"] == plain
    assert [item.get("encrypted_content") for item in streamed] == [item.get("encrypted_content") for item in whole]


@given(st.lists(any_delta(), max_size=5))
def test_whatever_comes_can_be_streamed(deltas: list[Delta]) -> None:
    folding = Fold()
    for delta in deltas:
        folding.add(delta)
    stream = served(deltas, Answer(folding.message(origin=None, finish_reason="stop")))
    *events, last = SSEReader().decode(stream)
    assert (json.loads(events[-1].data)["type"], last.data) == ("response.completed", b"[DONE]")
