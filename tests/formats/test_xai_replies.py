"""xAI's replies, whole and streamed, as a client reads them and as a server writes them."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xai_sdk import chat as sdk
from xai_sdk.proto import chat_pb2, usage_pb2

from multiturn.deltas import (
    Answer,
    Delta,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    fold,
)
from multiturn.errors import InvalidReply
from multiturn.formats.xai import Dialect
from multiturn.formats.xai.messages import encode_messages
from multiturn.formats.xai.outgoing import StreamEncoder, encode_reply
from multiturn.formats.xai.replies import decode_reply
from multiturn.formats.xai.streams import StreamDecoder
from multiturn.formats.xai.wire import from_opaque
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
    Uploaded,
    Url,
    Usage,
    assistant,
)
from strategies import any_message

XAI = Dialect()
HOME = Origin("xai", "grok-4", "xai")
Proto = Any
CLIENT, SEARCH = "TOOL_CALL_TYPE_CLIENT_SIDE_TOOL", "TOOL_CALL_TYPE_WEB_SEARCH_TOOL"
DONE, GOING_ON = "TOOL_CALL_STATUS_COMPLETED", "TOOL_CALL_STATUS_IN_PROGRESS"


def call(id: str, name: str, arguments: str, type: str = CLIENT, status: str = DONE) -> Proto:
    function = chat_pb2.FunctionCall(name=name, arguments=arguments)
    return chat_pb2.ToolCall(id=id, type=type, status=status, function=function)


def output(index: int = 0, finish: str = "REASON_STOP", role: str = "ROLE_ASSISTANT", **said: Any) -> Proto:
    message = chat_pb2.CompletionMessage(role=role, **said)
    return chat_pb2.CompletionOutput(index=index, finish_reason=finish, message=message)


def whole(*outputs: Proto, **fields: Any) -> Proto:
    return chat_pb2.GetChatCompletionResponse(**{"id": "r1", "model": "grok-4", "outputs": outputs, **fields})


def read(*outputs: Proto, choices: int = 1, **fields: Any) -> Answer:
    return decode_reply(whole(*outputs, **fields).SerializeToString(), XAI, choices=choices)


def piece(index: int = 0, finish: str = "REASON_INVALID", role: str = "ROLE_ASSISTANT", **said: Any) -> Proto:
    delta = chat_pb2.Delta(role=role, **said)
    return chat_pb2.CompletionOutputChunk(index=index, finish_reason=finish, delta=delta)


def chunk(*pieces: Proto, **fields: Any) -> bytes:
    made = chat_pb2.GetChatCompletionChunk(**{"id": "r1", "model": "grok-4", "outputs": pieces, **fields})
    return bytes(made.SerializeToString())


def streamed(*chunks: bytes, choices: int = 1) -> tuple[list[Delta], Answer]:
    decoder = StreamDecoder(XAI, choices=choices)
    deltas = [delta for data in chunks for delta in decoder.decode(data)]
    return deltas, decoder.answer()


# --- whole replies --------------------------------------------------------------------------------------------------

SEARCHED = call("ws_1", "web_search", '{"query":"x"}', SEARCH)
CITED = chat_pb2.InlineCitation(
    id="1", start_index=0, end_index=2, web_citation=chat_pb2.WebCitation(url="https://e.com/a")
)
FROM_X = chat_pb2.InlineCitation(id="2", start_index=2, end_index=4, x_citation={"url": "https://x.com/b"})
FROM_FILE = chat_pb2.InlineCitation(id="3", collections_citation={"file_id": "file-1", "chunk_content": "It is."})

REPLIES: list[tuple[list[Proto], dict[str, Any], tuple[Part, ...], str | None]] = [
    ([output(content="Hi.")], {}, (Text("Hi."),), "stop"),
    # nothing said
    ([output()], {}, (), "stop"),
    # thinking, visible and encrypted
    (
        [output(reasoning_content="hm", encrypted_content="gAAA", content="Hi.")],
        {},
        (Reasoning("hm", encrypted="gAAA"), Text("Hi.")),
        "stop",
    ),
    ([output(encrypted_content="gAAA", content="Hi.")], {}, (Reasoning(encrypted="gAAA"), Text("Hi.")), "stop"),
    # tool calls that the client runs; one without a type is such a call
    (
        [
            output(
                finish="REASON_TOOL_CALLS",
                content="Let me see.",
                tool_calls=[call("c1", "f", "{}"), call("c2", "g", '{"x', "TOOL_CALL_TYPE_INVALID")],
            )
        ],
        {},
        (Text("Let me see."), ToolCall("c1", "f", "{}"), ToolCall("c2", "g", '{"x')),
        "tool_calls",
    ),
    # citations of spans, and of the whole answer
    (
        [output(content="abcd", citations=[CITED, FROM_X, FROM_FILE])],
        {"citations": ["https://e.com/a"]},
        (
            Text(
                "abcd",
                (
                    Citation("https://e.com/a", start=0, end=2, id="1"),
                    Citation("https://x.com/b", start=2, end=4, id="2"),
                    Citation(quote="It is.", file_id="file-1", id="3"),
                    Citation("https://e.com/a"),
                ),
            ),
        ),
        "stop",
    ),
    # files that a tool made
    (
        [output(content="Done.")],
        {"output_files": [{"file_id": "file-1", "name": "plot.png"}]},
        (Text("Done."), File(Uploaded("file-1", "xai"), "plot.png")),
        "stop",
    ),
    # all the ways in which a limit cuts an answer short
    ([output(finish="REASON_MAX_LEN", content="Hi")], {}, (Text("Hi"),), "length"),
    ([output(finish="REASON_MAX_CONTEXT", content="Hi")], {}, (Text("Hi"),), "length"),
    ([output(finish="REASON_TIME_LIMIT", content="Hi")], {}, (Text("Hi"),), "length"),
    ([output(finish="REASON_INVALID", content="Hi")], {}, (Text("Hi"),), None),
]


@pytest.mark.parametrize(("outputs", "fields", "parts", "finish_reason"), REPLIES)
def test_a_reply(
    outputs: list[Proto], fields: dict[str, Any], parts: tuple[Part, ...], finish_reason: str | None
) -> None:
    message = read(*outputs, **fields).message
    assert message == Message("assistant", parts, id="r1", origin=HOME, finish_reason=finish_reason)


def agentic() -> list[Proto]:
    """A search that the server ran, in the three outputs that xAI makes of it."""
    return [
        output(0, "REASON_INVALID", reasoning_content="I must search.", encrypted_content="1", tool_calls=[SEARCHED]),
        output(1, "REASON_INVALID", "ROLE_TOOL", content="found", tool_calls=[SEARCHED]),
        output(2, reasoning_content="So.", encrypted_content="2", content="It is x.", citations=[CITED]),
    ]


def test_an_answer_of_several_outputs_is_one_message() -> None:
    thought, search, found, then, text = read(*agentic()).message.parts
    assert (thought, then) == (Reasoning("I must search.", encrypted="1"), Reasoning("So.", encrypted="2"))
    assert isinstance(search, Opaque)
    assert isinstance(found, Opaque)
    assert (search.kind, found.kind) == ("web_search", "tool_output")
    assert from_opaque(search) == SEARCHED
    assert isinstance(text, Text)
    assert text.text == "It is x."


def test_an_answer_of_several_outputs_goes_back_as_the_official_client_sends_it() -> None:
    reply = whole(*agentic())
    chat = sdk.BaseChat(None, None, None, model="grok-4")
    chat.append(sdk.Response(reply, None))
    data = encode_messages([read(*agentic()).message], XAI)
    assert list(chat_pb2.GetCompletionsRequest.FromString(data).messages) == without_empty(chat.messages)


def without_empty(messages: Any) -> list[Proto]:
    """The SDK says of each message that it has no thinking; we say nothing."""
    made = [chat_pb2.Message.FromString(message.SerializeToString()) for message in messages]
    for message in made:
        if not message.reasoning_content:
            message.ClearField("reasoning_content")
    return made


def test_outputs_may_come_in_any_order() -> None:
    for outputs in itertools.permutations(agentic()):
        assert read(*outputs) == read(*agentic())


def test_a_tool_that_the_wheel_does_not_know_is_kept_all_the_same() -> None:
    new = chat_pb2.ToolCall(id="x1", type=99)
    (part,) = read(output(tool_calls=[new])).message.parts
    assert isinstance(part, Opaque)
    assert part.kind == "tool_99"
    assert from_opaque(part) == new


def test_a_call_without_an_id_gets_one() -> None:
    (made,) = read(output(tool_calls=[call("", "f", "{}")])).message.tool_calls
    assert made.call_id.startswith("call_")


def test_several_choices_are_alternatives_and_cannot_be_gone_on_from() -> None:
    answer = read(output(0, content="a"), output(1, content="b"), choices=2)
    assert answer.message == Message("assistant", (Text("a"),), origin=HOME, finish_reason="stop")
    assert answer.alternatives == (Message("assistant", (Text("b"),), origin=HOME, finish_reason="stop"),)


def test_one_choice_where_two_were_asked_for_can_be_gone_on_from() -> None:
    assert read(output(content="a"), choices=2).message.id == "r1"


USAGES = [
    # xAI counts the thinking in the total alone
    (
        {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 20, "reasoning_tokens": 5},
        Usage(input_tokens=12, output_tokens=8, reasoning_tokens=5),
    ),
    ({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}, Usage(input_tokens=12, output_tokens=3)),
    ({"prompt_tokens": 12, "completion_tokens": 3}, Usage(input_tokens=12, output_tokens=3)),
    (
        {"prompt_tokens": 12, "cached_prompt_text_tokens": 4, "cost_in_usd_ticks": 25_000_000},
        Usage(input_tokens=12, cached_tokens=4, cost_usd=0.0025),
    ),
    ({}, Usage()),
]


@pytest.mark.parametrize(("counted", "usage"), USAGES)
def test_tokens_are_counted_as_everywhere(counted: dict[str, int], usage: Usage) -> None:
    assert read(output(content="a"), usage=usage_pb2.SamplingUsage(**counted)).message.usage == usage


def test_no_usage_is_none() -> None:
    assert read(output(content="a")).message.usage is None


@pytest.mark.parametrize("body", [b"", b"\xff\xff", whole().SerializeToString(), b"<html>xai-0123456789abcdef</html>"])
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidReply, match="xai's answer cannot be read") as caught:
        decode_reply(body, XAI)
    assert "0123456789" not in str(caught.value)


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_brings_thinking_text_and_calls_as_they_come() -> None:
    deltas, answer = streamed(
        chunk(piece(reasoning_content="hm")),
        chunk(piece(content="Hel")),
        chunk(piece(content="lo.")),
        chunk(piece(tool_calls=[call("c1", "f", "{}"), call("c2", "g", "{}")])),
        chunk(
            piece(finish="REASON_TOOL_CALLS", encrypted_content="gAAA"), usage=usage_pb2.SamplingUsage(prompt_tokens=1)
        ),
    )
    assert deltas == [
        ReasoningDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo."),
        ToolCallDelta(0, "c1", "f", "{}"),
        ToolCallDelta(1, "c2", "g", "{}"),
    ]
    assert answer.message == Message(
        "assistant",
        (Reasoning("hm", encrypted="gAAA"), Text("Hello."), ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")),
        id="r1",
        origin=HOME,
        usage=Usage(input_tokens=1),
        finish_reason="tool_calls",
    )


def test_the_usage_is_the_last_one_told() -> None:
    usages = [usage_pb2.SamplingUsage(prompt_tokens=9, completion_tokens=n) for n in (1, 2, 3)]
    _, answer = streamed(*(chunk(piece(content="a"), usage=usage) for usage in usages), chunk())
    assert answer.message.usage == Usage(input_tokens=9, output_tokens=3)


def test_a_server_side_tool_is_shown_once_and_its_output_is_no_text() -> None:
    running = call("ws_1", "web_search", '{"query":"x"}', SEARCH, GOING_ON)
    deltas, answer = streamed(
        chunk(piece(0, reasoning_content="I must search.", tool_calls=[running])),
        chunk(piece(0, tool_calls=[SEARCHED], encrypted_content="1")),
        chunk(piece(1, role="ROLE_TOOL", content="fo", tool_calls=[SEARCHED])),
        chunk(piece(1, role="ROLE_TOOL", content="und")),
        chunk(piece(2, reasoning_content="So.", encrypted_content="2")),
        chunk(piece(2, content="It is x.", citations=[CITED])),
        chunk(piece(2, "REASON_STOP")),
    )
    assert [type(delta) for delta in deltas] == [ReasoningDelta, PartDelta, ReasoningDelta, TextDelta]
    assert answer == read(*agentic())


def test_fragments_of_a_call_are_one_call() -> None:
    """As `INCLUDE_OPTION_TOOL_CALL_STREAMING` sends them: fragments, then the call whole."""
    deltas, answer = streamed(
        chunk(piece(tool_calls=[call("c1", "f", "", status=GOING_ON)])),
        chunk(piece(tool_calls=[call("c1", "", '{"x"', status=GOING_ON)])),
        chunk(piece(tool_calls=[call("c2", "g", "{", status=GOING_ON)])),
        chunk(piece(tool_calls=[call("c1", "", ":1", status=GOING_ON)])),
        chunk(piece(tool_calls=[call("c1", "f", '{"x":1}')])),
        chunk(piece(tool_calls=[call("c2", "g", "{}")])),
        chunk(piece(finish="REASON_TOOL_CALLS")),
    )
    assert fold(deltas).tool_calls == (ToolCall("c1", "f", '{"x":1}'), ToolCall("c2", "g", "{}"))
    assert answer.message.tool_calls == fold(deltas).tool_calls


def test_a_call_that_is_told_twice_is_one_call() -> None:
    deltas, answer = streamed(*[chunk(piece(tool_calls=[call("c1", "f", "{}")]))] * 2)
    assert deltas == [ToolCallDelta(0, "c1", "f", "{}")]
    assert len(answer.message.tool_calls) == 1


def test_calls_without_ids_are_calls_of_their_own() -> None:
    deltas, answer = streamed(*[chunk(piece(tool_calls=[call("", "f", "{}")]))] * 2)
    first, second = answer.message.tool_calls
    assert first.call_id != second.call_id
    assert fold(deltas).tool_calls == (first, second)


def test_deltas_of_several_choices_are_the_first_one_s() -> None:
    chunks = [chunk(piece(n, content=text)) for n, text in ((1, "b"), (0, "a"), (1, "B"), (0, "A"))]
    deltas, answer = streamed(*chunks, choices=2)
    assert deltas == [TextDelta("a"), TextDelta("A")]
    assert [message.text for message in (answer.message, *answer.alternatives)] == ["aA", "bB"]


ENDS = [
    ([piece(content="a", finish="REASON_STOP")], 1, True),
    ([piece(content="a")], 1, False),
    ([], 1, False),
    # another output is still to come after a tool that the server runs
    ([piece(finish="REASON_TOOL_CALLS", tool_calls=[SEARCHED])], 1, False),
    ([piece(finish="REASON_TOOL_CALLS", tool_calls=[SEARCHED]), piece(1, "REASON_STOP", "ROLE_TOOL")], 1, False),
    ([piece(finish="REASON_TOOL_CALLS", tool_calls=[call("c1", "f", "{}")])], 1, True),
    ([piece(0, "REASON_STOP")], 2, False),
    ([piece(0, "REASON_STOP"), piece(1, "REASON_STOP")], 2, True),
]


@pytest.mark.parametrize(("pieces", "choices", "ended"), ENDS)
def test_the_last_word_of_an_answer_is_known(pieces: list[Proto], choices: int, ended: bool) -> None:
    decoder = StreamDecoder(XAI, choices=choices)
    for each in pieces:
        decoder.decode(chunk(each))
    assert decoder.has_ended is ended


def test_a_stream_with_nothing_in_it_is_no_answer() -> None:
    with pytest.raises(InvalidReply, match="no outputs"):
        streamed()
    with pytest.raises(InvalidReply):
        streamed(b"\xff\xff")


# --- however a stream is cut ----------------------------------------------------------------------------------------

ANSWERS = [
    whole(output(content="Ünï 😀 text\r\n", reasoning_content="", encrypted_content="")),
    whole(output(reasoning_content="héhé", encrypted_content="gAAAA", content="words, words", citations=[CITED])),
    whole(*agentic(), citations=["https://e.com/b"], usage=usage_pb2.SamplingUsage(prompt_tokens=3)),
    whole(output(finish="REASON_TOOL_CALLS", content="ab", tool_calls=[call("c1", "f", '{"x":1}')])),
]


def cut_up(reply: Proto, at: list[int], sizes: list[int]) -> list[bytes]:
    """The reply as a stream: each text cut at these places, and the pieces grouped into chunks of these sizes."""
    pieces: list[Proto] = []
    for each in reply.outputs:
        said = each.message
        role = chat_pb2.MessageRole.Name(said.role)
        for field in ("reasoning_content", "content", "encrypted_content"):
            text = getattr(said, field)
            places = sorted({min(place, len(text)) for place in at} | {0, len(text)})
            pieces += [piece(each.index, role=role, **{field: text[a:b]}) for a, b in itertools.pairwise(places)]
        reason = chat_pb2.CompletionOutput.DESCRIPTOR.fields_by_name["finish_reason"].enum_type
        finish = reason.values_by_number[each.finish_reason].name
        pieces.append(piece(each.index, finish, role, tool_calls=said.tool_calls, citations=said.citations))
    chunks, left = [], iter(pieces)
    for size in itertools.cycle(sizes or [1]):
        group = list(itertools.islice(left, size))
        if not group:
            break
        chunks.append(chunk(*group))
    last = {"usage": reply.usage} if reply.HasField("usage") else {}
    return [*chunks, chunk(citations=reply.citations, **last)]


@pytest.mark.parametrize("reply", ANSWERS, ids=["text", "thinking", "agentic", "call"])
def test_a_text_cut_at_any_place_is_the_same_text(reply: Proto) -> None:
    expected = decode_reply(reply.SerializeToString(), XAI)
    longest = max(len(each.message.content) for each in reply.outputs)
    for place in range(longest + 1):
        assert streamed(*cut_up(reply, [place], [1]))[1] == expected


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 20), max_size=4), st.lists(st.integers(1, 4), max_size=4))
def test_chunks_of_any_size_make_the_same_answer(reply: Proto, at: list[int], sizes: list[int]) -> None:
    deltas, answer = streamed(*cut_up(reply, at, sizes))
    assert answer == decode_reply(reply.SerializeToString(), XAI)
    assert fold(deltas).text == answer.message.text


@pytest.mark.parametrize("reply", ANSWERS[:3], ids=["text", "thinking", "agentic"])
def test_the_official_client_reads_the_same_stream_alike(reply: Proto) -> None:
    chunks = cut_up(reply, [2, 5], [1, 3])
    response = sdk.Response(chat_pb2.GetChatCompletionResponse(), None)
    for data in chunks:
        response.process_chunk(chat_pb2.GetChatCompletionChunk.FromString(data))
    message = streamed(*chunks)[1].message
    assert response.content == message.text
    assert response.id == message.id
    assert list(response.citations) == [
        cited.url for part in message.parts if isinstance(part, Text) for cited in part.citations if cited.end is None
    ]


# --- as a server ----------------------------------------------------------------------------------------------------


def served(answer: Answer, **told: Any) -> Proto:
    data = encode_reply(answer, id="r1", created=1_700_000_000, model="grok-4", dialect=XAI, **told)
    return chat_pb2.GetChatCompletionResponse.FromString(data)


@pytest.mark.parametrize(("outputs", "fields", "parts", "finish_reason"), REPLIES)
def test_what_a_server_writes_is_what_a_client_reads(
    outputs: list[Proto], fields: dict[str, Any], parts: tuple[Part, ...], finish_reason: str | None
) -> None:
    answer = read(*outputs, **fields)
    again = decode_reply(served(answer).SerializeToString(), XAI)
    if any(isinstance(part, File) for part in parts):  # a file in an answer is a note
        assert again.message.text == "Done.[file plot.png, not shown]"
    else:
        assert again.message.parts == answer.message.parts
    assert again.message.finish_reason == (finish_reason or "stop")


def test_an_answer_of_several_outputs_is_written_as_these_outputs() -> None:
    answer = read(*agentic())
    made = served(answer)
    assert [out.message.role for out in made.outputs] == [out.message.role for out in agentic()]
    assert decode_reply(made.SerializeToString(), XAI).message == answer.message


def test_what_a_model_said_in_any_order_is_one_output() -> None:
    message = assistant("a", ToolCall("c1", "f", "{}"), Reasoning("hm"), "b")
    (made,) = served(Answer(message)).outputs
    assert (made.message.content, made.message.reasoning_content) == ("ab", "hm")
    assert sdk.Response(served(Answer(message)), 0).content == "ab"


def test_encrypted_thinking_is_shown_to_who_asks_for_it() -> None:
    answer = read(output(reasoning_content="hm", encrypted_content="gAAA", content="Hi."))
    shown, hidden = served(answer).outputs[0].message, served(answer, encrypted=False).outputs[0].message
    assert (shown.encrypted_content, hidden.encrypted_content) == ("gAAA", "")
    assert (shown.reasoning_content, hidden.reasoning_content) == ("hm", "hm")
    encoder = StreamEncoder(id="r1", created=1, model="m", dialect=XAI, encrypted=False)
    assert b"gAAA" not in encoder.finish(answer)


def test_an_answer_that_was_stopped_gives_no_reason() -> None:
    message = msgspec.structs.replace(assistant("Once upon"), finish_reason="interrupted")
    assert sdk.Response(served(Answer(message)), 0).finish_reason == "REASON_INVALID"


def test_a_reply_tells_whose_it_is_and_what_it_cost() -> None:
    made = served(
        Answer(assistant("Hi.")), usage=Usage(input_tokens=9, output_tokens=3, cached_tokens=2, cost_usd=0.0025)
    )
    assert (made.id, made.model, made.created.seconds) == ("r1", "grok-4", 1_700_000_000)
    response = sdk.Response(made, 0)
    assert (response.content, response.finish_reason, response.cost_usd) == ("Hi.", "REASON_STOP", 0.0025)
    assert (made.usage.prompt_tokens, made.usage.prompt_text_tokens, made.usage.total_tokens) == (9, 7, 12)


def test_a_reply_echoes_the_request_s_settings() -> None:
    request = chat_pb2.GetCompletionsRequest(
        model="grok-4",
        messages=[sdk.user("hi")],
        previous_response_id="r0",
        store_messages=True,
        temperature=0.5,
        stop=["x"],
        tools=[sdk.tool("f", "does f", {})],
    )
    settings = served(Answer(assistant("Hi.")), request=request.SerializeToString()).settings
    assert (settings.previous_response_id, settings.store_messages, settings.temperature) == ("r0", True, 0.5)
    assert list(settings.tools) == list(request.tools)


def test_choices_are_an_output_each() -> None:
    others = (assistant("b", ToolCall("c1", "f", "{}"), "c"), assistant())
    made = served(Answer(assistant("a"), others))
    assert [(out.index, out.message.content) for out in made.outputs] == [(0, "a"), (1, "bc"), (2, "")]
    assert decode_reply(made.SerializeToString(), XAI, choices=3).alternatives[0].finish_reason == "tool_calls"


def test_what_another_provider_alone_understands_is_not_shown_but_its_thinking_is() -> None:
    message = Message(
        "assistant",
        (
            Reasoning("hm", signature="SECRET", encrypted="SECRET", id="SECRET"),
            Opaque("anthropic", msgspec.Raw(b'"SECRET"')),
            Refusal("No."),
            ToolCall("toolu_1", "f", '{"x', id="SECRET", signature="SECRET"),
        ),
        origin=Origin("anthropic", "claude", "anthropic"),
    )
    made = served(Answer(message))
    assert b"SECRET" not in made.SerializeToString()
    again = decode_reply(made.SerializeToString(), XAI).message
    assert again.parts == (Reasoning("hm"), Text("No."), ToolCall("toolu_1", "f", '{"x'))


DELTAS: list[Delta] = [ReasoningDelta("hm"), TextDelta("Hel"), TextDelta("lo."), RefusalDelta(" No.")]


def test_a_server_s_stream_is_what_a_client_reads() -> None:
    message = Message(
        "assistant",
        (
            Reasoning("hm", encrypted="gAAA"),
            Text("Hello. No.", (Citation("https://e.com/a", start=0, end=2, id="1"), Citation("https://e.com/b"))),
            ToolCall("c1", "f", "{}"),
        ),
        id="r1",
        origin=HOME,
        usage=Usage(input_tokens=2, output_tokens=1),
        finish_reason="tool_calls",
    )
    encoder = StreamEncoder(id="r1", created=1, model="grok-4", dialect=XAI)
    chunks = [encoder.encode(delta) for delta in (*DELTAS, ToolCallDelta(0, "c1", "f", "{}"))]
    assert chunks[-1] == b""  # calls come whole, at the end
    deltas, answer = streamed(*filter(None, chunks), encoder.finish(Answer(message)))
    assert answer.message == message
    assert fold(deltas).tool_calls == message.tool_calls


def test_what_has_not_come_in_deltas_comes_at_the_end() -> None:
    encoder = StreamEncoder(id="r1", created=1, model="grok-4", dialect=XAI)
    message = assistant(Reasoning("hm"), "See ", Image(Url("https://e.com/a.png")))
    _, answer = streamed(encoder.encode(TextDelta("See ")), encoder.finish(Answer(message)))
    assert answer.message.text == "See [image: https://e.com/a.png]"
    assert answer.message.reasoning == "hm"


def test_chunks_that_are_joined_are_one_chunk() -> None:
    """As bytes: protobuf merges what follows on."""
    encoder = StreamEncoder(id="r1", created=1, model="grok-4", dialect=XAI)
    message = Message("assistant", (Text("Hello."),), usage=Usage(input_tokens=2), finish_reason="stop")
    chunks = [encoder.encode(TextDelta("Hel")), encoder.encode(TextDelta("lo.")), encoder.finish(Answer(message))]
    deltas, answer = streamed(b"".join(chunks))
    assert deltas == [TextDelta("Hel"), TextDelta("lo.")]
    assert streamed(*chunks)[1] == answer
    response = sdk.Response(chat_pb2.GetChatCompletionResponse(outputs=[chat_pb2.CompletionOutput()]), 0)
    response.process_chunk(chat_pb2.GetChatCompletionChunk.FromString(b"".join(chunks)))
    assert (response.id, response.content, response.finish_reason) == ("r1", "Hello.", "REASON_STOP")


def test_a_server_s_stream_of_several_outputs_and_of_choices() -> None:
    encoder = StreamEncoder(id="r1", created=1, model="grok-4", dialect=XAI)
    message = read(*agentic()).message
    begun = [encoder.encode(ReasoningDelta(message.reasoning)), encoder.encode(TextDelta(message.text))]
    _, answer = streamed(*begun, encoder.finish(Answer(message)))
    kinds = [part.kind for part in answer.message.parts if isinstance(part, Opaque)]
    assert (answer.message.text, kinds) == ("It is x.", ["web_search", "tool_output"])

    _, several = streamed(
        encoder.encode(TextDelta("a")), encoder.finish(Answer(assistant("a"), (assistant("b"),))), choices=2
    )
    assert [each.text for each in (several.message, *several.alternatives)] == ["a", "b"]


@given(any_message(st.just("assistant")))
def test_whatever_a_model_said_can_be_served(message: Message) -> None:
    again = decode_reply(served(Answer(message)).SerializeToString(), XAI).message
    assert all(part.text in again.text for part in message.parts if isinstance(part, Text | Refusal))
    assert [made.call_id for made in again.tool_calls] == [made.call_id for made in message.tool_calls]


def test_a_picture_in_an_answer_is_a_note() -> None:
    answer = Answer(assistant("See ", Image(Url("https://e.com/a.png"))))
    assert sdk.Response(served(answer), 0).content == "See [image: https://e.com/a.png]"
