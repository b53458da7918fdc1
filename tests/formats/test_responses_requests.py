"""Requests of the Responses API: what we send, item by item, and what is not encoded twice."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path as File_
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseInputItemParam
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import ConfigDict, TypeAdapter

from multiturn.errors import InvalidInput
from multiturn.formats import responses
from multiturn.formats.base import Format
from multiturn.formats.responses import CANNOT_CARRY, Dialect, encode_messages, encode_request
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
from openresponses import problems
from strategies import any_conversation
from strategies_responses import answers

FORMAT: Format[Dialect] = responses  # the module is a format; mypy checks it

OPENAI = Dialect()
PLAIN = Dialect(
    provider="plain",
    keeps_answers=False,
    encrypted_reasoning=False,
    reasoning_text=True,
    developer_role=False,
    custom_tools=False,
    penalties=True,
    repair_arguments=True,
)
PNG = Inline(b"\x89PNG", "image/png")
PNG_URL = "data:image/png;base64,iVBORw=="
PDF = Inline(b"%PDF", "application/pdf")
BY_OPENAI = Origin("openai", "gpt-5", "responses")
BY_OTHER = Origin("anthropic", "claude", "anthropic")
SEARCH = b'{"type": "web_search_call", "id": "ws_1",\n "status":"completed"}'


def sent(*messages: Message, dialect: Dialect = OPENAI) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"[%s]" % encode_messages(messages, dialect))
    return found


def by(origin: Origin | None, *parts: str | Part) -> Message:
    return msgspec.structs.replace(assistant(*parts), origin=origin)


def said(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **fields}


def output_text(text: str, *annotations: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": list(annotations)}


def item(id: str, *contents: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return said("assistant", list(contents), id=id, status="completed", **fields)


def function(arguments: str = '{"x":1}', **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": arguments, **fields}


def output(text: Any, call_id: str = "call_1", type: str = "function_call_output") -> dict[str, Any]:
    return {"type": type, "call_id": call_id, "output": text}


def thought(id: str | None = None, encrypted: str | None = "e", *summary: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": each} for each in summary],
    }
    fields = {"id": id, "encrypted_content": encrypted}
    return made | {name: value for name, value in fields.items() if value is not None}


# --- messages, word for word ----------------------------------------------------------------------------------------

URL_CITATION = {"type": "url_citation", "url": "https://e.com", "title": "T", "start_index": 0, "end_index": 3}
FILE_CITATION = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 7}
CONTAINER_CITATION = {
    "type": "container_file_citation",
    "file_id": "cfile_1",
    "container_id": "cntr_1",
    "filename": "plot.png",
    "start_index": 0,
    "end_index": 4,
}
FILE_PATH = {"type": "file_path", "file_id": "file-2", "index": 3}

MESSAGES: list[tuple[Message, list[dict[str, Any]]]] = [
    # text alone is a string, its parts joined as `Message.text` joins them
    (user("hi"), [said("user", "hi")]),
    (user("a", "b"), [said("user", "ab")]),
    (user('"ü\n😀'), [said("user", '"ü\n😀')]),
    # every other role that is said
    (system("be brief"), [said("system", "be brief")]),
    (developer("be brief"), [said("developer", "be brief")]),
    (assistant("hello"), [said("assistant", "hello")]),
    # nothing said: a user's is sent empty, others not at all
    (Message("user"), [said("user", "")]),
    (user(""), [said("user", "")]),
    (Message("assistant"), []),
    (Message("system"), []),
    (Message("tool"), []),
    (assistant(""), []),
    # images by address, bytes and id
    (
        user("look", Image(Url("https://e.com/a.png"), "low"), Image(PNG), Image(Uploaded("file-1", "openai"), "high")),
        [
            said(
                "user",
                [
                    {"type": "input_text", "text": "look"},
                    {"type": "input_image", "image_url": "https://e.com/a.png", "detail": "low"},
                    {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
                    {"type": "input_image", "file_id": "file-1", "detail": "high"},
                ],
            )
        ],
    ),
    # files by bytes, named or not, by address and by id
    (
        user(File(PDF, "a.pdf"), File(PDF), File(Url("https://e.com/a.pdf")), File(Uploaded("file-1", "openai"))),
        [
            said(
                "user",
                [
                    {
                        "type": "input_file",
                        "file_data": "data:application/pdf;base64,JVBERg==",
                        "filename": "a.pdf",
                    },
                    {
                        "type": "input_file",
                        "file_data": "data:application/pdf;base64,JVBERg==",
                        "filename": "file.pdf",
                    },
                    {"type": "input_file", "file_url": "https://e.com/a.pdf"},
                    {"type": "input_file", "file_id": "file-1"},
                ],
            )
        ],
    ),
    # calls: without ids, and with; of a custom tool
    (assistant("Let me see.", ToolCall("call_1", "f", '{"x":1}')), [said("assistant", "Let me see."), function()]),
    (by(BY_OPENAI, ToolCall("call_1", "f", '{"x":1}', id="fc_1")), [function(id="fc_1")]),
    (
        by(BY_OPENAI, ToolCall("call_2", "sh", "ls", kind="custom", id="ctc_1")),
        [{"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "sh", "input": "ls"}],
    ),
    # what a call said beside that goes back: OpenAI rejects the next request otherwise
    (
        by(BY_OPENAI, ToolCall("call_1", "f", '{"x":1}', signature='{"namespace":"crm","caller":{"type":"direct"}}')),
        [function(namespace="crm", caller={"type": "direct"})],
    ),
    # ... but another format's signature is none of that
    (by(None, ToolCall("call_1", "f", '{"x":1}', signature="c2lnbmVk")), [function()]),
    # arguments: none at all become an empty object; the model's own are kept to the letter, broken ones too
    (assistant(ToolCall("call_1", "f")), [function("{}")]),
    (by(BY_OPENAI, ToolCall("call_1", "f", '{ "x" : 1.0 ')), [function('{ "x" : 1.0 ')]),
    # ... but another provider might choke on broken ones for ever
    (
        by(BY_OTHER, ToolCall("call_1", "f", '{"x')),
        [function('{"invalid_json":"{\\"x"}', call_id="call_74196fe72")],
    ),
    # results: text, nothing, and media in their place
    (tool_result("call_1", "ok"), [output("ok")]),
    (Message("tool", (ToolResult("call_1"),)), [output("")]),
    (
        Message("tool", (ToolResult("call_1", (Text("see"), Image(PNG))),)),
        [
            output(
                [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
                ]
            )
        ],
    ),
    # several in one message, and what else it says after them, which is the user's
    (
        Message("tool", (ToolResult("call_1", (Text("a"),)), Text("b"), ToolResult("call_2", (Text("c"),)))),
        [output("a"), output("c", "call_2"), said("user", "b")],
    ),
    (user("And?", ToolResult("call_1", (Text("a"),))), [output("a"), said("user", "And?")]),
    (user(ToolResult("call_1", (Text("a"),))), [output("a")]),
    # ... within an answer, in its place
    (
        assistant(ToolCall("call_1", "f", "{}"), ToolResult("call_1", (Text("a"),)), "done"),
        [function("{}"), output("a"), said("assistant", "done")],
    ),
    # a result of a custom tool, told by its call
    (
        assistant(ToolCall("call_1", "sh", "ls", kind="custom"), ToolResult("call_1", (Text("a"),))),
        [
            {"type": "custom_tool_call", "call_id": "call_1", "name": "sh", "input": "ls"},
            output("a", type="custom_tool_call_output"),
        ],
    ),
    # a whole answer as OpenAI gave it: thinking, a hosted tool, commentary, words and a refusal of one item, a call
    (
        by(
            BY_OPENAI,
            Reasoning(summary=("a", "b"), id="rs_1", encrypted="e"),
            Opaque("openai", msgspec.Raw(SEARCH), "web_search_call"),
            Text("Hm.", id="msg_1", phase="commentary"),
            Text("See", (Citation("https://e.com", "T", start=0, end=3),), id="msg_2", phase="final_answer"),
            Text("", id="msg_2", phase="final_answer"),
            Refusal("No.", id="msg_2"),
            ToolCall("call_1", "f", '{"x":1}', id="fc_1"),
        ),
        [
            thought("rs_1", "e", "a", "b"),
            json.loads(SEARCH),
            item("msg_1", output_text("Hm."), phase="commentary"),
            item(
                "msg_2",
                output_text("See", URL_CITATION),
                output_text(""),
                {"type": "refusal", "refusal": "No."},
                phase="final_answer",
            ),
            function(id="fc_1"),
        ],
    ),
    # every kind of annotation
    (
        by(
            BY_OPENAI,
            Text(
                "abcd",
                (
                    Citation("https://e.com", "T", start=0, end=3),
                    Citation(title="a.pdf", start=7, file_id="file-1"),
                    Citation(title="plot.png", start=0, end=4, file_id="cfile_1", id="cntr_1"),
                    Citation(start=3, file_id="file-2"),
                ),
                id="msg_1",
            ),
        ),
        [item("msg_1", output_text("abcd", URL_CITATION, FILE_CITATION, CONTAINER_CITATION, FILE_PATH))],
    ),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_a_message_on_the_wire(message: Message, expected: list[dict[str, Any]]) -> None:
    assert sent(message) == expected


def test_no_messages_are_no_bytes() -> None:
    assert encode_messages([], OPENAI) == b""


def test_an_opaque_item_goes_back_byte_for_byte() -> None:
    message = by(BY_OPENAI, "a", Opaque("openai", msgspec.Raw(SEARCH), "web_search_call"))
    assert encode_messages([user("q"), message], OPENAI) == (
        b'{"type":"message","role":"user","content":"q"},{"type":"message","role":"assistant","content":"a"},' + SEARCH
    )


def test_a_call_and_its_result_in_two_messages_of_a_turn() -> None:
    call = by(BY_OPENAI, ToolCall("call_1", "sh", "ls", kind="custom", id="ctc_1"))
    assert sent(call, tool_result("call_1", "a"))[1] == output("a", type="custom_tool_call_output")


# --- thinking and the ids after it ----------------------------------------------------------------------------------

WORDS = Text("a", id="msg_1", phase="final_answer")
CALL = ToolCall("call_1", "f", '{"x":1}', id="fc_1")
HOSTED = Opaque("openai", msgspec.Raw(SEARCH), "web_search_call")

THINKING: list[tuple[Dialect, tuple[Part, ...], list[dict[str, Any]]]] = [
    # encrypted thinking goes back, and with it the ids of what follows
    (
        OPENAI,
        (Reasoning(id="rs_1", encrypted="e"), WORDS, CALL),
        [thought("rs_1"), item("msg_1", output_text("a"), phase="final_answer"), function(id="fc_1")],
    ),
    # thinking that only the provider holds is not sent, nor are the ids that would refer to it
    (
        OPENAI,
        (Reasoning(id="rs_1", summary=("hm",)), WORDS, CALL),
        [said("assistant", "a", phase="final_answer"), function()],
    ),
    # ... nor a hosted tool's item, which cannot do without its own
    (OPENAI, (Reasoning(id="rs_1"), HOSTED, WORDS), [said("assistant", "a", phase="final_answer")]),
    # ... but what came before it keeps its ids
    (
        OPENAI,
        (Reasoning(id="rs_1", encrypted="e"), HOSTED, Reasoning(id="rs_2"), CALL),
        [thought("rs_1"), json.loads(SEARCH), function()],
    ),
    # ... nor any thinking after it
    (
        OPENAI,
        (Reasoning(id="rs_1"), CALL, Reasoning(id="rs_2", encrypted="e"), WORDS),
        [function(), said("assistant", "a", phase="final_answer")],
    ),
    # thinking without an id goes back, and what follows it without theirs
    (OPENAI, (Reasoning(encrypted="e"), CALL), [thought(None), function()]),
    # thinking that nothing follows is not sent
    (OPENAI, (Reasoning(id="rs_1", encrypted="e"),), []),
    (
        OPENAI,
        (CALL, Reasoning(id="rs_1", encrypted="e"), Reasoning(id="rs_2", encrypted="e")),
        [function(id="fc_1")],
    ),
    # ... nor where what follows is nothing
    (OPENAI, (Reasoning(id="rs_1", encrypted="e"), Text("")), []),
    # two in a row are followed by the same item
    (
        OPENAI,
        (Reasoning(id="rs_1", encrypted="e"), Reasoning(id="rs_2", encrypted="f"), CALL),
        [thought("rs_1"), thought("rs_2", "f"), function(id="fc_1")],
    ),
    # a message of two texts without ids is one
    (OPENAI, (Text("a"), Text("b")), [said("assistant", "ab")]),
    # ... but not of two phases
    (
        OPENAI,
        (Reasoning(id="rs_1"), Text("a", id="msg_1", phase="commentary"), WORDS),
        [said("assistant", "a", phase="commentary"), said("assistant", "a", phase="final_answer")],
    ),
    # a server that takes thinking in the clear
    (
        Dialect(reasoning_text=True),
        (Reasoning("hm", id="rs_1"), CALL),
        [thought("rs_1", None) | {"content": [{"type": "reasoning_text", "text": "hm"}]}, function(id="fc_1")],
    ),
    (
        Dialect(reasoning_text=True),
        (Reasoning(summary=("hm",), id="rs_1"), CALL),
        [thought("rs_1", None, "hm"), function(id="fc_1")],
    ),
    (Dialect(reasoning_text=True), (Reasoning(id="rs_1"), CALL), [function()]),
    # a model that does not think
    (Dialect(thinks=False), (Reasoning("hm", id="rs_1", encrypted="e"), HOSTED, CALL), [function()]),
    # a server that looks ids up
    (
        Dialect(item_ids=False),
        (Reasoning(id="rs_1", encrypted="e"), HOSTED, WORDS, CALL),
        [thought(None), json.loads(SEARCH), said("assistant", "a", phase="final_answer"), function()],
    ),
]


@pytest.mark.parametrize(("dialect", "parts", "expected"), THINKING)
def test_thinking_and_what_follows_it(
    dialect: Dialect, parts: tuple[Part, ...], expected: list[dict[str, Any]]
) -> None:
    assert sent(by(BY_OPENAI, *parts), dialect=dialect) == expected


# --- what cannot be carried -----------------------------------------------------------------------------------------

UNTHINKING = Dialect(thinks=False)
CITED = Text("a", (Citation(url="https://e.com"),))
WAV = Inline(b"RIFF", "audio/wav")
NOT_CARRIED: list[tuple[str, Message, list[dict[str, Any]]]] = [
    ("Text.citations", assistant(CITED), [said("assistant", "a")]),
    (
        "Citation of other kinds",
        by(BY_OPENAI, Text("a", (Citation(quote="q", document=1, unit="page"),), id="msg_1")),
        [item("msg_1", output_text("a"))],
    ),
    (
        "Citation of other kinds",  # a span in another unit is left out, the address is not
        by(BY_OPENAI, Text("a", (Citation("https://e.com", start=1, end=2, unit="page"),), id="msg_1")),
        [item("msg_1", output_text("a", {**URL_CITATION, "title": "", "end_index": 0}))],
    ),
    ("Text.signature", by(BY_OPENAI, Text("a", signature="s", id="msg_1")), [item("msg_1", output_text("a"))]),
    ("Refusal without an id", assistant("a", Refusal("No.")), [said("assistant", "aNo.")]),
    (
        "Image.detail left out",
        user(Image(PNG)),
        [said("user", [{"type": "input_image", "image_url": PNG_URL, "detail": "auto"}])],
    ),
    (
        "Image and File in an answer",
        assistant("a ", Image(PNG), File(PDF)),
        [said("assistant", "a [image (image/png), not shown][file (application/pdf), not shown]")],
    ),
    ("Audio", user(Audio(WAV, "Hi!")), [said("user", "Hi!")]),
    ("Audio", user(Audio(WAV)), [said("user", "[audio (audio/wav), not shown]")]),
    ("Audio", by(BY_OPENAI, Audio(id="audio_1")), [said("assistant", "[audio, not shown]")]),
    ("Video", user(Video(Url("https://e.com/v"))), [said("user", "[video: https://e.com/v]")]),
    (
        "File.name",
        user(File(Url("https://e.com/a.pdf"), "b.pdf")),
        [said("user", [{"type": "input_file", "file_url": "https://e.com/a.pdf"}])],
    ),
    (
        "Uploaded at another provider",
        user(File(Uploaded("file-1", "anthropic"), "a.pdf")),
        [said("user", "[file a.pdf, not shown]")],
    ),
    ("ToolCall outside an answer", user("a", CALL, Reasoning("hm", encrypted="e")), [said("user", "a")]),
    ("ToolResult.is_error", tool_result("call_1", "no", is_error=True), [output("no")]),
    ("ToolResult.name", Message("tool", (ToolResult("call_1", name="f", id="fco_1"),)), [output("")]),
    ("ToolResult of a custom call", tool_result("call_1", "a"), [output("a")]),
    (
        "Reasoning.signature",
        by(BY_OPENAI, Reasoning(signature="s", id="rs_1", encrypted="e"), CALL),
        [thought("rs_1"), function(id="fc_1")],
    ),
    (
        "Reasoning.text",
        by(BY_OPENAI, Reasoning("hm", id="rs_1", encrypted="e"), CALL),
        [thought("rs_1"), function(id="fc_1")],
    ),
    ("Reasoning not encrypted", by(BY_OPENAI, Reasoning("hm", id="rs_1"), CALL), [function()]),
    ("Reasoning to a model that has none", by(BY_OPENAI, Reasoning(id="rs_1", encrypted="e"), CALL), [function()]),
    ("Reasoning that nothing follows", by(BY_OPENAI, Reasoning(encrypted="e", id="rs_1")), []),
    ("Opaque", by(BY_OTHER, Opaque("anthropic", msgspec.Raw(b"{}")), "a"), [said("assistant", "a")]),
    (
        "Opaque",  # of the same provider, but another format
        by(Origin("openai", format="chat_completions"), Opaque("openai", msgspec.Raw(b"{}")), "a"),
        [said("assistant", "a")],
    ),
    ("Opaque", by(BY_OPENAI, Reasoning(id="rs_1"), HOSTED, CALL), [function()]),
    (
        "Message.name",
        Message("assistant", (Text("a"),), "ann", "resp_1", BY_OPENAI, Usage(), "stop", {"k": "v"}),
        [said("assistant", "a")],
    ),
]


@pytest.mark.parametrize(("rule", "message", "expected"), NOT_CARRIED)
def test_what_the_format_does_not_know(rule: str, message: Message, expected: list[dict[str, Any]]) -> None:
    assert rule in CANNOT_CARRY
    assert sent(message, dialect=UNTHINKING if rule == "Reasoning to a model that has none" else OPENAI) == expected


def test_every_rule_has_a_sentence_and_an_example() -> None:
    assert {rule for rule, _, _ in NOT_CARRIED} == CANNOT_CARRY.keys()
    assert all(sentence.endswith(".") for sentence in CANNOT_CARRY.values())


def test_the_page_of_the_format_says_what_it_cannot_carry() -> None:
    page = (File_(__file__).parents[2] / "docs" / "reference" / "responses.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert {(what, becomes) for what, becomes in rows if what not in ("what", "---")} >= CANNOT_CARRY.items()


def test_half_a_surrogate_pair_is_refused_with_a_reason() -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        encode_messages([user("\ud83d")], OPENAI)


@given(any_conversation(), st.sampled_from([OPENAI, PLAIN]))
def test_nothing_that_only_one_provider_knows_reaches_another(messages: list[Message], dialect: Dialect) -> None:
    body = encode_messages([_with_secrets(message) for message in messages], dialect)
    json.loads(b"[%s]" % body)
    assert b"SECRET" not in body


def _with_secrets(message: Message) -> Message:
    """The same message as another provider would have made it, every id of that provider marked."""

    def marked(part: Part) -> Part:
        fields: dict[str, Any] = {}
        for field in ("id", "signature", "encrypted", "phase"):
            if hasattr(part, field):
                fields[field] = "SECRET"
        if isinstance(part, Opaque):
            fields |= {"provider": "other", "data": msgspec.Raw(b'{"SECRET":1}')}
        if isinstance(part, (Image, Audio, Video, File)) and isinstance(part.source, Uploaded):
            fields["source"] = Uploaded("SECRET", "other")
        return msgspec.structs.replace(part, **fields)

    parts = tuple(marked(part) for part in message.parts)
    return msgspec.structs.replace(message, parts=parts, id="SECRET", origin=Origin("other", "m", "responses"))


# --- what OpenAI's own types, and the schema of Open Responses, say of it ---------------------------------------------

ITEM: TypeAdapter[Any] = TypeAdapter(ResponseInputItemParam, config=ConfigDict(extra="forbid"))
PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams, config=ConfigDict(extra="forbid"))


def consume(value: Any) -> None:
    """Walk through everything: pydantic checks an `Iterable` only when it is read."""
    if isinstance(value, dict):
        for each in value.values():
            consume(each)
    elif isinstance(value, (list, tuple)) or type(value).__name__ == "ValidatorIterator":
        for each in value:
            consume(each)


@given(any_conversation())
@settings(max_examples=40)  # pydantic tries some forty types for each item
def test_whatever_was_said_the_official_types_accept(messages: list[Message]) -> None:
    for each in sent(*map(_without_opaque, messages)):
        if each["type"] != "reasoning" or "id" in each:  # the type wants an id, the API does not
            consume(ITEM.validate_python(each))


@given(answers())
@settings(max_examples=40)
def test_an_answer_of_openai_goes_back_in_official_types(answer: Message) -> None:
    for each in sent(answer):
        if each["type"] != "new_call":
            consume(ITEM.validate_python(each))


@given(any_conversation())
def test_whatever_was_said_open_responses_accepts(messages: list[Message]) -> None:
    for each in sent(*map(_of_open_responses, messages)):
        assert problems(each, "ItemParam") == []


def _without_opaque(message: Message) -> Message:
    parts = tuple(part for part in message.parts if not isinstance(part, Opaque))
    return msgspec.structs.replace(message, parts=parts)


def _of_open_responses(message: Message) -> Message:
    """The message without what Open Responses leaves to its providers: custom tools, annotations but of addresses,
    media that the user did not send, and a detail of `original`."""
    parts = [part for part in message.parts if not isinstance(part, Opaque)]
    if message.role in ("system", "developer"):
        parts = [part for part in parts if not isinstance(part, Image | File)]

    def known(part: Part) -> Part:
        match part:
            case ToolCall():
                return msgspec.structs.replace(part, kind="function")
            case Text(citations=citations):
                return msgspec.structs.replace(part, citations=tuple(each for each in citations if each.url))
            case Image(detail="original"):
                return msgspec.structs.replace(part, detail="high")
            case ToolResult(parts=parts):
                return msgspec.structs.replace(part, parts=tuple(map(known, parts)))
        return part

    return msgspec.structs.replace(message, parts=tuple(map(known, parts)))


# --- dialects -------------------------------------------------------------------------------------------------------

DIALECTS: list[tuple[Dialect, Message, list[dict[str, Any]]]] = [
    # no developer role
    (PLAIN, developer("x"), [said("system", "x")]),
    # a custom call as a function, and its result
    (
        PLAIN,
        assistant(ToolCall("call_1", "f", 'echo "x"', kind="custom"), ToolResult("call_1")),
        [function('{"input":"echo \\"x\\""}'), output("")],
    ),
    # broken arguments, even its own
    (PLAIN, by(Origin("plain"), ToolCall("call_1", "f", "[1]")), [function('{"invalid_json":"[1]"}')]),
    (
        Dialect(repair_arguments=True),
        by(BY_OPENAI, ToolCall("call_1", "f", "[1]")),
        [function('{"invalid_json":"[1]"}')],
    ),
    # call ids that it would not take, alike for call and result
    (
        Dialect(call_ids="[a-z]{9}", call_prefix=""),
        assistant(ToolCall("call_1", "f", "{}"), ToolResult("call_1")),
        [{**function("{}"), "call_id": "74196fe72"}, output("", "74196fe72")],
    ),
]


@pytest.mark.parametrize(("dialect", "message", "expected"), DIALECTS)
def test_a_dialect_is_spoken(dialect: Dialect, message: Message, expected: list[dict[str, Any]]) -> None:
    assert sent(message, dialect=dialect) == expected


def test_dialects_are_keys() -> None:
    assert {OPENAI: 1}[Dialect(provider="openai")] == 1
    assert hash(OPENAI) != hash(PLAIN)


# --- whole requests -------------------------------------------------------------------------------------------------

SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"x":{"type":"number"}}}')
INCLUDE = ["reasoning.encrypted_content"]
HI: dict[str, Any] = {"model": "m", "input": [said("user", "hi")], "include": INCLUDE}
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "g",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


def turn(n: int, *messages: Message) -> Turn:
    """A turn that begins with the first message and has the others for output."""
    return Turn(id=f"turn_{n}", conversation="c", input=messages[:1], output=messages[1:])


def body(
    *turns: Turn,
    input: Sequence[Message] = (),
    dialect: Dialect = OPENAI,
    history: Sequence[bytes] | None = None,
    **asked: Any,
) -> dict[str, Any]:
    request = Request(path=Path(turns), input=tuple(input), **asked)
    if history is None:
        history = [encode_messages(turn.messages, dialect) for turn in turns]
    found: dict[str, Any] = json.loads(encode_request(request, history, model="m", dialect=dialect))
    return found


REQUESTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # nothing but a word
    ({}, HI),
    # every plain setting
    (
        {
            "instructions": "be brief",
            "settings": Settings(
                temperature=0.0, top_p=0.5, max_output_tokens=16, reasoning_effort="low", store=False, choices=1
            ),
        },
        HI
        | {
            "instructions": "be brief",
            "store": False,
            "temperature": 0.0,
            "top_p": 0.5,
            "max_output_tokens": 16,
            "reasoning": {"effort": "low"},
        },
    ),
    ({"settings": Settings(store=True)}, HI | {"store": True}),
    # streaming
    ({"stream": True}, HI | {"stream": True}),
    # going on from an answer that the provider holds
    ({"previous_answer": "resp_1"}, HI | {"previous_response_id": "resp_1"}),
    ({"previous_answer": "resp_1", "input": []}, HI | {"previous_response_id": "resp_1", "input": []}),
    # tools, with a choice among them; `strict` is said, for left out it is true
    (
        {
            "tools": (ToolSpec("f", "does f", SCHEMA, strict=True), ToolSpec("g")),
            "settings": Settings(tool_choice=NamedTool("f"), parallel_tool_calls=False),
        },
        HI
        | {
            "tools": [
                {
                    "type": "function",
                    "name": "f",
                    "description": "does f",
                    "parameters": msgspec.json.decode(SCHEMA),
                    "strict": True,
                },
                TOOL,
            ],
            "tool_choice": {"type": "function", "name": "f"},
            "parallel_tool_calls": False,
        },
    ),
    # a choice without tools is rejected by providers, so it is not sent
    ({"settings": Settings(tool_choice="none", parallel_tool_calls=True)}, HI),
    # a typed answer, and any JSON
    (
        {"settings": Settings(output=OutputSchema(SCHEMA, "point", "a point", strict=True))},
        HI
        | {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "point",
                    "description": "a point",
                    "schema": msgspec.json.decode(SCHEMA),
                    "strict": True,
                }
            }
        },
    ),
    ({"settings": Settings(output=OutputSchema())}, HI | {"text": {"format": {"type": "json_object"}}}),
    # extra: a plain value wins over ours, the model included; objects are merged, lists added to
    (
        {"settings": Settings(temperature=1.0, extra={"temperature": 0.5, "model": "gpt-5", "truncation": "auto"})},
        HI | {"model": "gpt-5", "temperature": 0.5, "truncation": "auto"},
    ),
    (
        {
            "tools": (ToolSpec("g"),),
            "settings": Settings(
                reasoning_effort="low",
                output=OutputSchema(),
                tool_choice="required",
                extra={
                    "reasoning": {"summary": "auto"},
                    "text": {"verbosity": "low"},
                    "tools": [{"type": "web_search"}],
                    "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
                },
            ),
        },
        HI
        | {
            "include": [*INCLUDE, "web_search_call.action.sources"],
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
            "tools": [TOOL, {"type": "web_search"}],
            "tool_choice": "required",
        },
    ),
]


@pytest.mark.parametrize(("asked", "expected"), REQUESTS)
def test_a_request_on_the_wire(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    made = body(**{"input": [user("hi")], **asked})
    assert made == expected
    consume(PARAMS.validate_python(made))
    if not any(tool["type"] == "web_search" for tool in made.get("tools", ())):
        assert problems(made, "CreateResponseBody") == _gaps(made)


def _gaps(made: dict[str, Any]) -> list[str]:
    """What OpenAI has and the schema of Open Responses has not."""
    return [] if made.get("text") != {"format": {"type": "json_object"}} else problems(made, "CreateResponseBody")


def test_a_model_that_does_not_think_is_not_asked_for_its_thinking() -> None:
    assert "include" not in body(input=[user("hi")], dialect=UNTHINKING)


def test_a_server_that_knows_less_is_asked_for_less() -> None:
    asked = body(input=[user("hi")], dialect=PLAIN, settings=Settings(presence_penalty=0.1, frequency_penalty=0.2))
    assert asked == {
        "model": "m",
        "input": [said("user", "hi")],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
    }


def test_a_request_byte_for_byte() -> None:
    path = Path([turn(1, user("a"), assistant("b"))])
    request = Request(path=path, input=(user("c"),), settings=Settings(temperature=0.5, extra={"temperature": 1}))
    history = path.encoded(OPENAI, lambda messages: encode_messages(messages, OPENAI))
    assert encode_request(request, history, model="m", dialect=OPENAI) == (
        b'{"model":"m","input":[{"type":"message","role":"user","content":"a"},'
        b'{"type":"message","role":"assistant","content":"b"},{"type":"message","role":"user","content":"c"}],'
        b'"include":["reasoning.encrypted_content"],"temperature":1}'
    )
    bare = encode_request(request, history, model="m", dialect=PLAIN)
    assert bare.endswith(b'"content":"c"}],"temperature":1}')
    plain = Request(path=Path(), input=(user("c"),))
    assert encode_request(plain, [], model="m", dialect=PLAIN).endswith(b'"content":"c"}]}')


def test_the_history_is_joined_and_never_looked_at() -> None:
    unsendable = user("\ud83d")  # encoding it would raise
    found = body(turn(1, unsendable), turn(2, unsendable), input=[user("hi")], history=[b"[1]", b"[2],[3]"])
    assert found["input"] == [[1], [2], [3], *HI["input"]]


def test_turns_without_messages_leave_no_gap() -> None:
    assert body(input=[user("hi")], history=[b"", b"[1]", b""])["input"] == [[1], *HI["input"]]


def test_nothing_to_say_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing to send"):
        body(instructions="i")
    with pytest.raises(InvalidInput, match="nothing to send"):
        body(input=[Message("assistant")])


def test_new_input_that_another_provider_holds_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"'file-1' is held by anthropic"):
        body(input=[user(File(Uploaded("file-1", "anthropic")))])


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Settings(stop=("a",)), "stop"),
        (Settings(seed=0), "seed"),
        (Settings(choices=2), "choices"),
        (Settings(presence_penalty=0.0), "presence_penalty"),
        (Settings(frequency_penalty=0.5), "frequency_penalty"),
    ],
)
def test_a_setting_that_this_api_does_not_have_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^settings\.{name}: the Responses API has no such setting"):
        body(input=[user("hi")], settings=settings)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"input": []}, "input"),
        ({"stream": True}, "stream"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"x": object()}, "JSON"),
        ({"x": "\ud83d"}, "JSON"),
    ],
)
def test_an_extra_setting_that_cannot_be_is_refused(extra: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        body(input=[user("hi")], settings=Settings(extra=extra))


def test_extra_settings_are_not_changed() -> None:
    extra = {"model": "x", "include": ["y"], "reasoning": {"summary": "auto"}}
    before = copy.deepcopy(extra)
    body(input=[user("hi")], settings=Settings(reasoning_effort="low", extra=extra))
    assert extra == before


def test_the_path() -> None:
    assert responses.path(model="m", stream=True) == "/responses"
