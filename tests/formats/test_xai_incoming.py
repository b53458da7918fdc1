"""xAI's requests as a server reads them."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import msgspec
import pytest
from xai_sdk import chat as sdk
from xai_sdk.proto import chat_pb2
from xai_sdk.tools import web_search

from multiturn.errors import InvalidInput
from multiturn.formats.xai import Dialect
from multiturn.formats.xai.compaction import sealed
from multiturn.formats.xai.incoming import ServerRequest, decode_request
from multiturn.formats.xai.messages import encode_messages
from multiturn.formats.xai.requests import encode_request
from multiturn.formats.xai.wire import from_opaque
from multiturn.messages import (
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
    assistant,
    developer,
    system,
    tool_result,
    user,
)
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolSpec

HOME = Origin("xai", format="xai")
Proto = Any
CALL = chat_pb2.ToolCall(id="call_1", function=chat_pb2.FunctionCall(name="f", arguments='{"x": 1}'))
SEARCH = chat_pb2.ToolCall(id="ws_1", type="TOOL_CALL_TYPE_WEB_SEARCH_TOOL")


def decoded(*messages: Proto, **fields: Any) -> ServerRequest:
    request = chat_pb2.GetCompletionsRequest(messages=messages, model="m", **fields)
    return decode_request(request.SerializeToString())


def said(*content: str, **fields: Any) -> Proto:
    return chat_pb2.Message(role="ROLE_ASSISTANT", content=[sdk.text(text) for text in content], **fields)


MESSAGES: list[tuple[Proto, Message]] = [
    (sdk.user("hi"), user("hi")),
    (sdk.user("a", "b"), user("a", "b")),
    (sdk.user(""), user()),
    (sdk.system("be brief"), system("be brief")),
    (sdk.developer("be brief"), developer("be brief")),
    (chat_pb2.Message(role="ROLE_USER", content=[sdk.text("hi")], name="ann"), user("hi", name="ann")),
    # images: an address, a data URL, and the bare base64 that xAI takes too
    (sdk.user(sdk.image("https://e.com/a")), user(Image(Url("https://e.com/a")))),
    (
        sdk.user(sdk.image("data:image/webp;base64,AAAA", detail="high")),
        user(Image(Inline(b"\0\0\0", "image/webp"), "high")),
    ),
    (sdk.user(sdk.image("iVBORw0KGgo=")), user(Image(Inline(b"\x89PNG\r\n\x1a\n", "image/png")))),
    (sdk.user(sdk.image("/9j/")), user(Image(Inline(b"\xff\xd8\xff", "image/jpeg")))),
    # files
    (sdk.user(sdk.file("file-1")), user(File(Uploaded("file-1", "xai")))),
    (
        sdk.user(sdk.file(url="https://e.com/a", filename="a.pdf", mime_type="application/pdf")),
        user(File(Url("https://e.com/a", "application/pdf"), "a.pdf")),
    ),
    (sdk.user(sdk.file(data=b"a,b", filename="a.csv")), user(File(Inline(b"a,b", "text/csv"), "a.csv"))),
    # what a model said
    (sdk.assistant("hello"), assistant("hello")),
    (said("", tool_calls=[CALL]), assistant(ToolCall("call_1", "f", '{"x": 1}'))),
    (said("a", reasoning_content="hm"), assistant(Reasoning("hm"), "a")),
    # what is encrypted says whose it is
    (
        said("a", reasoning_content="hm", encrypted_content="gAAA"),
        msgspec.structs.replace(assistant(Reasoning("hm", encrypted="gAAA"), "a"), origin=HOME),
    ),
    (said(encrypted_content="cmp"), Message("assistant", (Reasoning(encrypted="cmp"),), origin=HOME)),
    (sdk.tool_result("r", "call_1"), tool_result("call_1", "r")),
    (sdk.tool_result("", "call_1"), Message("tool", (ToolResult("call_1"),))),
]


@pytest.mark.parametrize(("item", "expected"), MESSAGES)
def test_a_client_s_message_as_ours(item: Proto, expected: Message) -> None:
    assert decoded(item).messages == (expected,)


KEPT: list[tuple[Proto, str, str]] = [
    (chat_pb2.Message(role="ROLE_TOOL", content=[sdk.text("x")], tool_calls=[SEARCH]), "assistant", "tool_output"),
    (chat_pb2.Message(role="ROLE_USER", encrypted_content="cmp"), "user", "compaction"),
]


@pytest.mark.parametrize(("item", "role", "kind"), KEPT)
def test_what_only_xai_understands_is_kept_whole(item: Proto, role: str, kind: str) -> None:
    (message,) = decoded(item).messages
    (part,) = message.parts
    assert isinstance(part, Opaque)
    assert (message.role, message.origin, part.kind) == (role, HOME, kind)
    assert from_opaque(part) == item


def test_a_replayed_answer_of_several_outputs_is_read_one_by_one() -> None:
    chat = sdk.BaseChat(None, None, None, model="m")
    outputs = [
        {"index": 0, "message": {"role": "ROLE_ASSISTANT", "tool_calls": [SEARCH]}},
        {"index": 1, "message": {"role": "ROLE_TOOL", "content": "found", "tool_calls": [SEARCH]}},
        {"index": 2, "message": {"role": "ROLE_ASSISTANT", "content": "It is x."}},
    ]
    chat.append(sdk.Response(chat_pb2.GetChatCompletionResponse(outputs=outputs), None))
    parts = [part for message in decoded(*chat.messages).messages for part in message.parts]
    kinds = [part.kind if isinstance(part, Opaque) else part for part in parts]
    assert kinds == ["web_search", "tool_output", Text("It is x.")]


def test_a_result_without_an_id_answers_the_first_call_that_waits() -> None:
    two = said("", tool_calls=[CALL, chat_pb2.ToolCall(id="call_2", function=CALL.function)])
    messages = decoded(two, sdk.tool_result("a"), sdk.tool_result("b")).messages
    assert [message.tool_results[0].call_id for message in messages[1:]] == ["call_1", "call_2"]


WRONG: list[tuple[list[Proto], dict[str, Any], str]] = [
    ([], {}, "messages: there must be at least one"),
    ([chat_pb2.Message(content=[sdk.text("x")])], {}, r"messages\[0\].role: none of ROLE_SYSTEM"),
    ([chat_pb2.Message(role="ROLE_FUNCTION", content=[sdk.text("x")])], {}, r"messages\[0\].role"),
    ([sdk.user("a"), sdk.user()], {}, r"messages\[1\].content: each message must have at least one"),
    ([sdk.user(chat_pb2.Content())], {}, r"messages\[0\].content\[0\]: one of text, image_url and file"),
    ([sdk.user("a", sdk.image("%%"))], {}, r"messages\[0\].content\[1\]: not base64"),
    ([sdk.user(sdk.image("data:x"))], {}, r"messages\[0\].content\[0\]: a data URL needs a comma"),
    ([sdk.user(chat_pb2.Content(file={}))], {}, r"messages\[0\].content\[0\]: a file needs file_id, data or url"),
    ([sdk.user("a")], {"n": 0}, "n: must be at least 1, not 0"),
    ([sdk.tool_result("r")], {}, r"messages\[0\].tool_call_id: a tool message must name the call"),
    (
        [sdk.user("a")],
        {"tools": [{"function": {"name": "f", "parameters": "{"}}]},
        r"tools\[f\].parameters: not JSON",
    ),
    (
        [sdk.user("a")],
        {"response_format": {"format_type": "FORMAT_TYPE_JSON_SCHEMA"}},
        "response_format.schema: not JSON",
    ),
]


@pytest.mark.parametrize(("messages", "fields", "problem"), WRONG)
def test_a_wrong_request_is_refused_by_its_place(messages: list[Proto], fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        decoded(*messages, **fields)


def test_what_is_no_request_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not a GetCompletionsRequest"):
        decode_request(b"\xff\xff")


# --- compactions ----------------------------------------------------------------------------------------------------


def compacted(*messages: Proto, role: str = "ROLE_USER") -> Proto:
    return chat_pb2.Message(role=role, encrypted_content=sealed(messages))


@pytest.mark.parametrize("role", ["ROLE_USER", "ROLE_ASSISTANT"])
def test_a_compaction_of_ours_stands_for_all_before_it(role: str) -> None:
    kept = compacted(sdk.system("be brief"), sdk.user("a summary"), role=role)
    found = decoded(sdk.user("long ago"), compacted(sdk.user("older")), sdk.user("a"), kept, sdk.user("b")).messages
    assert found == (system("be brief"), user("a summary"), user("b"))


def test_what_a_compaction_holds_is_checked_as_any_message_is() -> None:
    with pytest.raises(InvalidInput, match=r"messages\[0\].role"):
        decoded(compacted(chat_pb2.Message(content=[sdk.text("x")])), sdk.user("b"))


def test_a_compaction_that_is_damaged_or_huge_is_refused() -> None:
    whole = sealed([sdk.user("a")])
    bomb = "mtx1." + base64.urlsafe_b64encode(zlib.compress(b"\0" * (17 << 20))).decode()
    for content in (whole[:-6], whole[:5] + "%" + whole[5:], "mtx1.", bomb):
        with pytest.raises(InvalidInput, match=r"messages\[0\].encrypted_content: this compaction is damaged"):
            decoded(chat_pb2.Message(role="ROLE_USER", encrypted_content=content), sdk.user("b"))


# --- settings -------------------------------------------------------------------------------------------------------


def test_a_small_request() -> None:
    found = decoded(sdk.user("hi"))
    assert found == ServerRequest(messages=(user("hi"),), model="m", settings=Settings(store=False))


def test_a_request_as_our_values() -> None:
    found = decoded(
        sdk.user("hi"),
        user="u",
        n=1,
        max_tokens=9,
        seed=1,
        stop=["a"],
        temperature=0.7,
        top_p=0.95,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        reasoning_effort="EFFORT_HIGH",
        parallel_tool_calls=False,
        tools=[sdk.tool("f", "does f", {"type": "object"}), {"web_search": {"allowed_domains": ["x.ai"]}}],
        tool_choice=sdk.required_tool("f"),
        response_format={"format_type": "FORMAT_TYPE_JSON_SCHEMA", "schema": '{"type":"object"}'},
        previous_response_id="resp_1",
        store_messages=True,
        use_encrypted_content=True,
        max_turns=3,
    )
    assert found == ServerRequest(
        messages=(user("hi"),),
        model="m",
        user="u",
        tools=(ToolSpec("f", "does f", msgspec.Raw(b'{"type": "object"}')),),
        previous_answer="resp_1",
        settings=Settings(
            choices=1,
            max_output_tokens=9,
            seed=1,
            stop=("a",),
            temperature=0.7,
            top_p=0.95,
            frequency_penalty=0.1,
            presence_penalty=-0.1,
            reasoning_effort="high",
            parallel_tool_calls=False,
            tool_choice=NamedTool("f"),
            output=OutputSchema(msgspec.Raw(b'{"type":"object"}')),
            store=True,
            extra={
                "tools": [{"web_search": {"allowed_domains": ["x.ai"]}}],
                "use_encrypted_content": True,
                "max_turns": 3,
            },
        ),
    )


FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"tool_choice": {"mode": "TOOL_MODE_REQUIRED"}}, {"tool_choice": "required"}),
    ({"tool_choice": {}}, {}),
    ({"response_format": {"format_type": "FORMAT_TYPE_JSON_OBJECT"}}, {"output": OutputSchema()}),
    ({"response_format": {"format_type": "FORMAT_TYPE_TEXT"}}, {}),
    ({"temperature": 0.0}, {"temperature": 0.0}),
    (
        {"include": ["INCLUDE_OPTION_INLINE_CITATIONS"]},
        {"extra": {"include": ["INCLUDE_OPTION_INLINE_CITATIONS"]}},
    ),
]


@pytest.mark.parametrize(("asked", "settings"), FIELDS)
def test_a_setting_as_ours(asked: dict[str, Any], settings: dict[str, Any]) -> None:
    assert decoded(sdk.user("hi"), **asked).settings == Settings(store=False, **settings)


def test_what_a_client_asks_for_reaches_an_upstream_unchanged() -> None:
    """A server between two of xAI's kind: what it decodes and encodes again is what was asked for."""
    asked = chat_pb2.GetCompletionsRequest(
        model="m",
        messages=[sdk.system("be brief"), sdk.user("hi", sdk.image("https://e.com/a"))],
        max_tokens=9,
        temperature=0.7,
        tools=[sdk.tool("f", "does f", {"type": "object"}), web_search()],
        tool_choice={"mode": "TOOL_MODE_AUTO"},
        reasoning_effort="EFFORT_LOW",
        previous_response_id="resp_1",
        store_messages=True,
        include=["INCLUDE_OPTION_INLINE_CITATIONS"],
        service_tier="SERVICE_TIER_PRIORITY",
    )
    found = decode_request(asked.SerializeToString())
    request = Request(
        path=Path(),
        input=found.messages,
        tools=found.tools,
        settings=found.settings,
        previous_answer=found.previous_answer,
    )
    again = encode_request(request, [], model=found.model, dialect=Dialect())
    assert chat_pb2.GetCompletionsRequest.FromString(again) == asked


def test_the_provider_is_whose_files_and_thinking_are_meant() -> None:
    request = chat_pb2.GetCompletionsRequest(
        messages=[sdk.user(sdk.file("file-1")), said("a", encrypted_content="gAAA")]
    )
    one, two = decode_request(request.SerializeToString(), provider="multiturn").messages
    (part,) = one.parts
    assert part == File(Uploaded("file-1", "multiturn"))
    assert two.origin == Origin("multiturn", format="xai")
    assert b"gAAA" not in encode_messages([two], Dialect())


def test_parts_of_every_kind_are_typed() -> None:
    parts: tuple[Part, ...] = decoded(sdk.user("a", sdk.image("https://e.com/a"), sdk.file("f"))).messages[0].parts
    assert [type(part) for part in parts] == [Text, Image, File]
