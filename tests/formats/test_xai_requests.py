"""xAI's requests as a client makes them: messages, settings, and what becomes of that which they cannot carry."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xai_sdk import chat as sdk
from xai_sdk.proto import chat_pb2, image_pb2
from xai_sdk.tools import web_search

from multiturn.errors import InvalidInput
from multiturn.formats.switching import Switching
from multiturn.formats.xai import Dialect
from multiturn.formats.xai.incoming import decode_request
from multiturn.formats.xai.messages import CANNOT_CARRY, encode_messages
from multiturn.formats.xai.requests import encode_request
from multiturn.formats.xai.wire import from_opaque, opaque
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
    ToolResult,
    Uploaded,
    Url,
    Usage,
    Video,
    assistant,
    developer,
    system,
    tool_result,
    user,
)
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolSpec
from multiturn.turns import Turn
from strategies import any_conversation, any_message, json_objects, some_words

XAI = Dialect()
DESCRIBING = Dialect(switching=Switching(media="describe"))
PNG = Inline(b"\x89PNG", "image/png")
PNG_URL = "data:image/png;base64,iVBORw=="
PDF = Inline(b"%PDF", "application/pdf")
HOME = Origin("xai", "grok-4", "xai")
OTHER = Origin("anthropic", "claude", "anthropic")
Proto = Any


def sent(*messages: Message, dialect: Dialect = XAI) -> list[Proto]:
    return list(chat_pb2.GetCompletionsRequest.FromString(encode_messages(messages, dialect)).messages)


def by(origin: Origin | None, *parts: str | Part) -> Message:
    return msgspec.structs.replace(assistant(*parts), origin=origin)


def call(arguments: str = '{"x":1}', id: str = "call_1", name: str = "f") -> ToolCall:
    return ToolCall(id, name, arguments)


def calls(arguments: str = '{"x":1}', id: str = "call_1", name: str = "f") -> Proto:
    return chat_pb2.ToolCall(
        id=id,
        type="TOOL_CALL_TYPE_CLIENT_SIDE_TOOL",
        status="TOOL_CALL_STATUS_COMPLETED",
        function=chat_pb2.FunctionCall(name=name, arguments=arguments),
    )


def said(text: str = "", *tool_calls: Proto, **fields: Any) -> Proto:
    """An assistant's wire message."""
    return chat_pb2.Message(role="ROLE_ASSISTANT", content=[sdk.text(text)], tool_calls=tool_calls, **fields)


SEARCH = chat_pb2.ToolCall(
    id="ws_1",
    type="TOOL_CALL_TYPE_WEB_SEARCH_TOOL",
    status="TOOL_CALL_STATUS_COMPLETED",
    function=chat_pb2.FunctionCall(name="web_search", arguments='{"query":"x"}'),
)
FOUND = chat_pb2.Message(role="ROLE_TOOL", content=[sdk.text("found")], tool_calls=[SEARCH], tool_call_id="ws_1")
COMPACTED = chat_pb2.Message(role="ROLE_USER", encrypted_content="cmp")

# --- messages, as the SDK's own helpers make them -------------------------------------------------------------------

MESSAGES: list[tuple[Message, list[Proto]]] = [
    (user("hi"), [sdk.user("hi")]),
    # text alone is one item, for some models take no more
    (user("a", "b"), [sdk.user("ab")]),
    (user('"ü\n😀'), [sdk.user('"ü\n😀')]),
    (system("be brief"), [sdk.system("be brief")]),
    (developer("be brief"), [sdk.developer("be brief")]),
    (assistant("hello"), [sdk.assistant("hello")]),
    (user("hi", name="ann lee"), [chat_pb2.Message(role="ROLE_USER", content=[sdk.text("hi")], name="ann lee")]),
    # each message has at least one item; what says nothing at all is only sent for a user
    (Message("user"), [sdk.user("")]),
    (user(""), [sdk.user("")]),
    (Message("assistant"), []),
    (Message("system"), []),
    (Message("tool"), []),
    (assistant(""), []),
    # images by address and by their bytes, with detail
    (
        user("look", Image(Url("https://e.com/a.png"), "low"), Image(PNG), Image(PNG, "high")),
        [
            sdk.user(
                "look",
                sdk.image("https://e.com/a.png", detail="low"),
                sdk.image(PNG_URL),
                sdk.image(PNG_URL, detail="high"),
            )
        ],
    ),
    (system("Compare with", Image(PNG)), [sdk.system("Compare with", sdk.image(PNG_URL))]),
    # files by their bytes, named or not, by address, and by id
    (
        user(
            File(PDF, "a.pdf"),
            File(PDF),
            File(Url("https://e.com/a.pdf", "application/pdf"), "a.pdf"),
            File(Url("https://e.com/b")),
            File(Uploaded("file-1", "xai")),
        ),
        [
            sdk.user(
                sdk.file(data=b"%PDF", filename="a.pdf", mime_type="application/pdf"),
                sdk.file(data=b"%PDF", filename="file.pdf", mime_type="application/pdf"),
                sdk.file(url="https://e.com/a.pdf", filename="a.pdf", mime_type="application/pdf"),
                sdk.file(url="https://e.com/b"),
                sdk.file("file-1"),
            )
        ],
    ),
    # tool calls with words and without
    (assistant("Let me see.", call(), call(id="call_2")), [said("Let me see.", calls(), calls(id="call_2"))]),
    (assistant(call()), [said("", calls())]),
    # arguments: none are an empty object; the model's own are kept to the letter, but not another's broken ones
    (assistant(call("")), [said("", calls("{}"))]),
    (by(HOME, call('{"x')), [said("", calls('{"x'))]),
    (by(OTHER, call('{"x')), [said("", calls('{"invalid_json":"{\\"x"}', "call_74196fe72"))]),
    # thinking, visible and encrypted
    (
        by(HOME, Reasoning("hm", encrypted="gAAA"), "x"),
        [said("x", reasoning_content="hm", encrypted_content="gAAA")],
    ),
    (by(HOME, Reasoning(encrypted="gAAA"), call()), [said("", calls(), encrypted_content="gAAA")]),
    # ... which goes back even without an answer
    (by(HOME, Reasoning("hm")), [said("", reasoning_content="hm")]),
    # an answer of several outputs: what comes out of the order thinking, text, calls begins another message
    (
        by(
            HOME,
            Reasoning("hm", encrypted="1"),
            opaque("xai", "web_search", SEARCH),
            opaque("xai", "tool_output", FOUND),
            Reasoning("so", encrypted="2"),
            "It is x.",
        ),
        [
            said("", SEARCH, reasoning_content="hm", encrypted_content="1"),
            FOUND,
            said("It is x.", reasoning_content="so", encrypted_content="2"),
        ],
    ),
    (assistant("a", call(), "b"), [said("a", calls()), said("b")]),
    (by(HOME, Reasoning("a"), Reasoning("b")), [said("", reasoning_content="a"), said("", reasoning_content="b")]),
    # tool results
    (tool_result("call_1", "r"), [sdk.tool_result("r", "call_1")]),
    (
        Message("tool", (ToolResult("call_1", (Text("a"), Text("b"))), ToolResult("call_2"))),
        [sdk.tool_result("ab", "call_1"), sdk.tool_result("", "call_2")],
    ),
    # ... before another role's content, after an assistant's
    (user("And?", ToolResult("call_1", (Text("a"),))), [sdk.tool_result("a", "call_1"), sdk.user("And?")]),
    (user(ToolResult("call_1", (Text("a"),))), [sdk.tool_result("a", "call_1")]),
    (
        assistant(call(), ToolResult("call_1", (Text("a"),)), "done"),
        [said("", calls()), said("done"), sdk.tool_result("a", "call_1")],
    ),
    # a compacted history goes back as it came
    (
        msgspec.structs.replace(user(opaque("xai", "compaction", COMPACTED), "And?"), origin=HOME),
        [COMPACTED, sdk.user("And?")],
    ),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_a_message_on_the_wire(message: Message, expected: list[Proto]) -> None:
    assert sent(message) == expected


def test_no_messages_are_no_bytes() -> None:
    assert encode_messages([], XAI) == b""


@given(any_conversation(), any_conversation())
def test_bytes_of_messages_are_joined_by_writing_one_after_another(one: list[Message], other: list[Message]) -> None:
    try:
        apart = encode_messages(one, XAI), encode_messages(other, XAI)
    except InvalidInput:
        return
    assert sent_from(b"".join(apart)) == [*sent_from(apart[0]), *sent_from(apart[1])]


def sent_from(data: bytes) -> list[Proto]:
    return list(chat_pb2.GetCompletionsRequest.FromString(data).messages)


def test_media_of_tool_results_follow_after_the_last_result_of_the_group() -> None:
    shot = ToolResult("call_1", (Text("done"), Image(PNG)))
    other = ToolResult("call_2", (Image(Url("https://e.com/b.png")),))
    assert sent(Message("tool", (shot,)), Message("tool", (other,)), tool_result("call_3", "ok"), user("And?")) == [
        sdk.tool_result("done", "call_1"),
        sdk.tool_result("[see the message after the tool results]", "call_2"),
        sdk.tool_result("ok", "call_3"),
        sdk.user(
            "[from tool call call_1]",
            sdk.image(PNG_URL),
            "[from tool call call_2]",
            sdk.image("https://e.com/b.png"),
        ),
        sdk.user("And?"),
    ]


# --- what cannot be carried -----------------------------------------------------------------------------------------

OGG = Inline(b"OggS", "audio/ogg")
NOT_CARRIED: list[tuple[str, Message, list[Proto]]] = [
    ("Text.citations", assistant(Text("a", (Citation(url="https://e.com"),))), [said("a")]),
    ("Text.signature", assistant(Text("a", signature="s", id="msg_1", phase="commentary")), [said("a")]),
    ("Refusal", assistant("a", Refusal("b")), [said("ab")]),
    ("Audio and Video", user(Audio(OGG)), [sdk.user("[audio (audio/ogg), not shown]")]),
    ("Audio and Video", user(Audio(OGG, "Hi!")), [sdk.user("Hi!")]),
    ("Audio and Video", user(Video(Url("https://e.com/v"))), [sdk.user("[video: https://e.com/v]")]),
    ("Image and File in an answer", assistant(Image(PNG)), [said("[image (image/png), not shown]")]),
    (
        "Image and File in an answer",
        by(HOME, "a", File(Uploaded("file-1", "xai"), "b.csv")),
        [said("a[file b.csv, not shown]")],
    ),
    ("Image.detail original", user(Image(PNG, "original")), [sdk.user(sdk.image(PNG_URL, detail="high"))]),
    ("Image.detail original", user(Image(PNG)), [sdk.user(sdk.image(PNG_URL, detail="auto"))]),
    (
        "Uploaded at another provider",
        user(File(Uploaded("file-1", "openai"), "a.pdf")),
        [sdk.user("[file a.pdf, not shown]")],
    ),
    ("File.name of an uploaded file", user(File(Uploaded("file-1", "xai"), "a.pdf")), [sdk.user(sdk.file("file-1"))]),
    (
        "Url.media_type of an image",
        user(Image(Url("https://e.com/a", "image/png"))),
        [sdk.user(sdk.image("https://e.com/a"))],
    ),
    ("Message.name of others than users", assistant("a", name="bob"), [said("a")]),
    (
        "ToolCall.kind custom",
        assistant(ToolCall("call_1", "shell", 'echo "x"', kind="custom")),
        [said("", calls('{"input":"echo \\"x\\""}', name="shell"))],
    ),
    (
        "ToolCall.signature",
        by(HOME, ToolCall("call_1", "f", '{"x":1}', id="fc_1", signature="s")),
        [said("", calls())],
    ),
    ("ToolCall outside an answer", user("a", call()), [sdk.user("a")]),
    ("ToolResult.is_error", tool_result("call_1", "no", is_error=True), [sdk.tool_result("no", "call_1")]),
    ("ToolResult.name", tool_result("call_1", "no", name="f"), [sdk.tool_result("no", "call_1")]),
    (
        "Media of a ToolResult",
        Message("tool", (ToolResult("call_1", (Image(PNG),)),)),
        [
            sdk.tool_result("[see the message after the tool results]", "call_1"),
            sdk.user("[from tool call call_1]", sdk.image(PNG_URL)),
        ],
    ),
    ("Reasoning.summary", by(HOME, Reasoning(summary=("a", "b")), "x"), [said("x", reasoning_content="a\nb")]),
    (
        "Reasoning.signature",
        by(HOME, Reasoning("hm", id="rs_1", signature="s"), "x"),
        [said("x", reasoning_content="hm")],
    ),
    ("Reasoning outside an answer", user("a", Reasoning("hm")), [sdk.user("a")]),
    ("Opaque", by(OTHER, Opaque("anthropic", msgspec.Raw(b"{}")), "a"), [said("a")]),
    (
        "Opaque",  # of the same provider, but another format
        by(Origin("xai", format="responses"), Opaque("xai", msgspec.Raw(b"{}")), "a"),
        [said("a")],
    ),
    (
        "Message.id",
        Message("assistant", (Text("a"),), None, "resp_1", HOME, Usage(), "stop", {"k": "v"}),
        [said("a")],
    ),
]
RAISES = {
    "Image uploaded": user(Image(Uploaded("file-1", "xai"))),
}


@pytest.mark.parametrize(("rule", "message", "expected"), NOT_CARRIED)
def test_what_the_format_does_not_know(rule: str, message: Message, expected: list[Proto]) -> None:
    assert rule in CANNOT_CARRY
    assert sent(message) == expected


@pytest.mark.parametrize(("rule", "message"), RAISES.items())
def test_what_the_format_refuses(rule: str, message: Message) -> None:
    assert rule in CANNOT_CARRY
    with pytest.raises(InvalidInput, match=r"file-1.*give its bytes"):
        encode_messages([message], XAI)


def test_every_rule_has_a_sentence_and_an_example() -> None:
    assert {rule for rule, _, _ in NOT_CARRIED} | RAISES.keys() == CANNOT_CARRY.keys()
    assert all(sentence.endswith(".") for sentence in CANNOT_CARRY.values())


def test_the_page_of_the_format_says_what_it_cannot_carry() -> None:
    page = (FilePath(__file__).parents[2] / "docs" / "reference" / "xai.md").read_text()
    for what, becomes in CANNOT_CARRY.items():
        assert f"| {what} | {becomes} |" in page


@pytest.mark.parametrize("media", [Audio(OGG, "Hi!"), Video(Inline(b"", "video/mp4"))])
def test_new_input_that_xai_cannot_read_is_refused_unless_it_is_to_be_described(media: Audio | Video) -> None:
    with pytest.raises(InvalidInput, match="cannot read"):
        body(input=[user(media)])
    assert body(input=[user(media)], dialect=DESCRIBING).messages == sent(user(media))


def test_a_file_that_another_provider_holds_is_refused_as_new_input() -> None:
    with pytest.raises(InvalidInput, match="is held by openai"):
        body(input=[user(File(Uploaded("file-1", "openai")))])


def test_half_a_surrogate_pair_is_refused_with_a_reason() -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        encode_messages([user("\ud83d")], XAI)


def test_an_opaque_part_that_is_not_ours_is_refused_with_a_reason() -> None:
    for data in (b"{}", b'"%%%"', b'"/w=="'):
        with pytest.raises(InvalidInput, match="must be base64 of a protobuf message"):
            encode_messages([assistant(Opaque("xai", msgspec.Raw(data), kind="web_search"))], XAI)


def test_what_is_kept_byte_for_byte_survives_the_store() -> None:
    part = opaque("xai", "web_search", SEARCH)
    again = msgspec.json.decode(msgspec.json.encode(part), type=Opaque)
    assert from_opaque(again) == SEARCH


@given(any_conversation())
def test_nothing_that_only_one_provider_knows_reaches_another(messages: list[Message]) -> None:
    marked = [_with_secrets(message) for message in messages]
    try:
        made = encode_messages(marked, XAI)
    except InvalidInput:
        return
    assert b"SECRET" not in made


def _with_secrets(message: Message) -> Message:
    """The same message as another provider would have made it, every id of that provider marked."""

    def marked(part: Part) -> Part:
        fields: dict[str, Any] = {field: "SECRET" for field in ("id", "signature", "encrypted") if hasattr(part, field)}
        if isinstance(part, Opaque):
            fields |= {"provider": "other", "data": msgspec.Raw(b'{"SECRET":1}')}
        if isinstance(part, (Image, Audio, Video, File)) and isinstance(part.source, Uploaded):
            fields["source"] = Uploaded("SECRET", "other")
        return msgspec.structs.replace(part, **fields)

    parts = tuple(
        msgspec.structs.replace(marked(part), parts=tuple(map(marked, part.parts)))
        if isinstance(part, ToolResult)
        else marked(part)
        for part in message.parts
    )
    return msgspec.structs.replace(message, parts=parts, id="SECRET", origin=OTHER)


# --- there and back -------------------------------------------------------------------------------------------------

texts = st.builds(Text, some_words)
medias = st.one_of(
    st.builds(Image, st.just(PNG) | st.just(Url("https://e.com/a.png")), st.sampled_from([None, "low", "high"])),
    st.builds(File, st.just(PDF) | st.builds(Url, st.just("https://e.com/a"), st.just("text/csv")), st.just("a.pdf")),
    st.just(File(Uploaded("file-1", "xai"))),
)
thoughts = st.builds(Reasoning, some_words, encrypted=st.just("gAAA"))
tool_calls = st.builds(ToolCall, st.sampled_from(["call_1", "call_2"]), some_words, json_objects())
searches = st.just(opaque("xai", "web_search", SEARCH))


@st.composite
def contents(draw: st.DrawFn) -> tuple[Text | Image | File, ...]:
    """One text, or several parts of which one at least is none, for texts alone are joined."""
    media = draw(st.lists(medias, max_size=2))
    around = draw(st.lists(texts, max_size=2)) if media else [draw(texts)]
    return (*around, *media)


def carried() -> st.SearchStrategy[Message]:
    """Messages that the format can carry whole."""
    names = st.none() | some_words
    heads = st.tuples(thoughts)  # what is encrypted comes with an origin
    return st.one_of(
        st.builds(Message, st.sampled_from(["system", "developer"]), contents()),
        st.builds(Message, st.just("user"), contents(), names),
        st.builds(Message, st.just("assistant"), st.tuples(texts)),
        st.builds(
            lambda head, text, rest: Message(
                "assistant", (*head, text, *rest), origin=Origin("xai", format="xai") if head else None
            ),
            heads | st.just(()),
            texts,
            st.lists(tool_calls, max_size=2),
        ),
        st.builds(
            lambda head, found: Message("assistant", (*head, found), origin=Origin("xai", format="xai")),
            heads | st.just(()),
            searches,
        ),
        st.builds(
            lambda id, text: Message("tool", (ToolResult(id, (text,)),)), st.sampled_from(["call_1", "call_2"]), texts
        ),
    )


@given(st.lists(carried(), min_size=1, max_size=5))
def test_what_a_client_encodes_a_server_decodes(messages: list[Message]) -> None:
    assert list(decode_request(encode_messages(messages, XAI)).messages) == messages


@given(st.lists(any_message(), min_size=1, max_size=5))
def test_what_has_gone_over_the_wire_once_goes_unchanged(messages: list[Message]) -> None:
    try:
        once = encode_messages(messages, XAI)
    except InvalidInput:
        return
    if once:
        again = decode_request(once).messages
        assert sent_from(encode_messages(again, XAI)) == _without_empty(sent_from(once))


def _without_empty(messages: list[Proto]) -> list[Proto]:
    """Messages of an assistant or system with nothing in them are not sent a second time."""
    return [message for message in messages if message != said() and message not in (sdk.system(""), sdk.developer(""))]


# --- whole requests -------------------------------------------------------------------------------------------------

SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"x":{"type":"number"}}}')


def turn(n: int, *messages: Message) -> Turn:
    return Turn(id=f"turn_{n}", conversation="c", input=messages[:1], output=messages[1:])


def body(
    *turns: Turn,
    input: Sequence[Message] = (),
    dialect: Dialect = XAI,
    history: Sequence[bytes] | None = None,
    **asked: Any,
) -> Proto:
    request = Request(path=Path(turns), input=tuple(input), **asked)
    if history is None:
        history = [encode_messages(each.messages, dialect) for each in turns]
    return chat_pb2.GetCompletionsRequest.FromString(encode_request(request, history, model="grok-4", dialect=dialect))


def by_sdk(*messages: Proto, n: int | None = None, **settings: Any) -> Proto:
    """The request that the official client makes of this; `n` is the one field that it always sets."""
    made = _Offline(None).create("grok-4", messages=messages, **settings)._make_request(n or 1)
    if n is None:
        made.ClearField("n")
    return made


class _Offline(sdk.BaseClient):  # type: ignore[misc]  # it has no types
    """The official client, as far as it is no network."""

    def __init__(self, channel: None) -> None:
        self._stub = channel

    def _make_chat(self, conversation_id: str | None, **settings: Any) -> Any:
        return sdk.BaseChat(self._stub, conversation_id, **settings)


REQUESTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # nothing but a word: kept, unless that is not wanted
    ({}, {"store_messages": True}),
    ({"settings": Settings(store=False)}, {"use_encrypted_content": True}),
    # every plain setting
    (
        {
            "settings": Settings(
                temperature=0.0,
                top_p=0.5,
                max_output_tokens=9,
                stop=("a", "b"),
                seed=1,
                presence_penalty=0.1,
                frequency_penalty=0.2,
                choices=2,
                reasoning_effort="low",
            )
        },
        {
            "temperature": 0.0,
            "top_p": 0.5,
            "max_tokens": 9,
            "stop": ["a", "b"],
            "seed": 1,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "n": 2,
            "reasoning_effort": "low",
            "store_messages": True,
        },
    ),
    # tools, with a choice among them
    (
        {
            "tools": (ToolSpec("f", "does f", SCHEMA),),
            "settings": Settings(tool_choice=NamedTool("f"), parallel_tool_calls=False),
        },
        {
            "tools": [
                chat_pb2.Tool(
                    function=chat_pb2.Function(name="f", description="does f", parameters=bytes(SCHEMA).decode())
                )
            ],
            "tool_choice": sdk.required_tool("f"),
            "parallel_tool_calls": False,
            "store_messages": True,
        },
    ),
    # a choice without tools is not sent
    ({"settings": Settings(tool_choice="none", parallel_tool_calls=True)}, {"store_messages": True}),
    # ... unless the tools are extra; they may be the SDK's own
    (
        {"settings": Settings(tool_choice="required", extra={"tools": [web_search(allowed_domains=["x.ai"])]})},
        {"tool_choice": "required", "tools": [web_search(allowed_domains=["x.ai"])], "store_messages": True},
    ),
    # a typed answer, and any JSON
    (
        {"settings": Settings(output=OutputSchema(SCHEMA, "point", "a point", strict=True))},
        {
            "response_format": chat_pb2.ResponseFormat(
                format_type="FORMAT_TYPE_JSON_SCHEMA", schema=bytes(SCHEMA).decode()
            ),
            "store_messages": True,
        },
    ),
    ({"settings": Settings(output=OutputSchema())}, {"response_format": "json_object", "store_messages": True}),
    # going on from a kept answer
    ({"previous_answer": "resp_1"}, {"previous_response_id": "resp_1", "store_messages": True}),
    # extra, in protobuf's JSON: the last word on single fields
    (
        {
            "settings": Settings(
                temperature=1.0,
                extra={"temperature": 0.5, "max_turns": 3, "include": ["INCLUDE_OPTION_INLINE_CITATIONS"], "user": "u"},
            )
        },
        {
            "temperature": 0.5,
            "max_turns": 3,
            "include": ["inline_citations"],
            "user": "u",
            "store_messages": True,
        },
    ),
]


@pytest.mark.parametrize(("asked", "by_the_sdk"), REQUESTS)
def test_a_request_is_the_one_that_the_official_client_makes(asked: dict[str, Any], by_the_sdk: dict[str, Any]) -> None:
    assert body(input=[user("hi")], **asked) == by_sdk(sdk.user("hi"), **by_the_sdk)


def test_tools_of_our_own_and_of_xai_s_go_together() -> None:
    settings = Settings(extra={"tools": [{"web_search": {}}, {"code_execution": {}}]})
    tools = body(input=[user("hi")], tools=(ToolSpec("f"),), settings=settings).tools
    assert [tool.WhichOneof("tool") for tool in tools] == ["function", "web_search", "code_execution"]


def test_instructions_come_first_then_the_history_then_what_is_new() -> None:
    found = body(turn(1, user("a"), assistant("b")), input=[user("c")], instructions="be brief")
    assert found == by_sdk(
        sdk.system("be brief"), sdk.user("a"), sdk.assistant("b"), sdk.user("c"), store_messages=True
    )


def test_the_history_is_joined_and_never_looked_at() -> None:
    unsendable = user(Image(Uploaded("file-1", "xai")))  # encoding it would raise
    kept = [encode_messages([user(word)], XAI) for word in ("one", "two")]
    found = body(turn(1, unsendable), turn(2, unsendable), input=[user("new")], history=kept)
    assert list(found.messages) == [sdk.user("one"), sdk.user("two"), sdk.user("new")]


def test_turns_without_messages_leave_no_gap() -> None:
    kept = [b"", encode_messages([user("one")], XAI), b""]
    assert list(body(input=[user("hi")], history=kept).messages) == [sdk.user("one"), sdk.user("hi")]
    assert list(body(instructions="i").messages) == [sdk.system("i")]


def test_nothing_to_say_is_refused() -> None:
    for input in ([], [Message("assistant")]):
        with pytest.raises(InvalidInput, match="nothing to send"):
            body(input=input)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(extra={"messages": []}), "cannot have 'messages': the conversation itself"),
        (Settings(extra={"store_messages": False}), r"Settings\(store=…\)"),
        (Settings(extra={"n": 3}), r"Settings\(choices=…\)"),
        (Settings(extra={"max_turn": 3}), 'no field named "max_turn"'),
        (Settings(extra={"user": object()}), "user"),
        (Settings(extra={"user": "\ud83d"}), "user"),
        (Settings(seed=2**40), "out of range"),
        (Settings(stop=("\ud83d",)), "surrogate"),
        (Settings(reasoning_effort="minimal"), "reasoning_effort is one of none, low, .*not 'minimal'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings: Settings, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        body(input=[user("hi")], settings=settings)


def test_extra_settings_are_not_changed() -> None:
    extra = {"max_turns": 2, "tools": [{"web_search": {"allowed_domains": ["x.ai"]}}]}
    before = copy.deepcopy(extra)
    body(input=[user("hi")], settings=Settings(extra=extra))
    assert extra == before


def test_dialects_are_keys() -> None:
    assert {XAI: 1}[Dialect()] == 1
    assert XAI != DESCRIBING


def test_the_details_that_there_are_are_all_known() -> None:
    known = {image_pb2.DETAIL_INVALID, image_pb2.DETAIL_AUTO, image_pb2.DETAIL_LOW, image_pb2.DETAIL_HIGH}
    assert set(image_pb2.ImageDetail.values()) == known


def test_a_schema_of_a_tool_goes_out_to_the_letter() -> None:
    (tool,) = body(input=[user("hi")], tools=(ToolSpec("f", "d", SCHEMA, strict=True),)).tools
    assert tool.function.strict is True
    assert json.loads(tool.function.parameters) == msgspec.json.decode(SCHEMA)
