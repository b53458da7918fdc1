"""Messages of the Messages API: what we send, word for word, and what becomes of what it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.formats.anthropic import CANNOT_CARRY, Dialect, encode_messages
from multiturn.formats.anthropic.pairing import NO_RESULT
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
from strategies import any_conversation

CLAUDE = Dialect()
WITH_SYSTEM = Dialect(system_role=True)
LENIENT = Dialect(provider="open", unsigned_thinking=True, inputs=None)

PNG = Inline(b"\x89PNG", "image/png")
PDF = Inline(b"%PDF", "application/pdf")
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
BY_CLAUDE = Origin("anthropic", "claude", "anthropic")
BY_OTHER = Origin("openai", "gpt-5", "responses")


def sent(*messages: Message, dialect: Dialect = CLAUDE) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"[%s]" % encode_messages(messages, dialect))
    return found


def by(origin: Origin | None, *parts: str | Part) -> Message:
    return msgspec.structs.replace(assistant(*parts), origin=origin)


def call(name: str = "f", arguments: str = '{"x":1}', id: str = "toolu_1") -> ToolCall:
    return ToolCall(id, name, arguments)


def used(input: Any = None, id: str = "toolu_1", name: str = "f") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": {"x": 1} if input is None else input}


def result(id: str = "toolu_1", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, **fields}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **fields}


# --- messages, word for word ----------------------------------------------------------------------------------------

MESSAGES: list[tuple[Message, list[dict[str, Any]]]] = [
    # a single text is a string, several are a list
    (user("hi"), [{"role": "user", "content": "hi"}]),
    (user("a", "b"), [{"role": "user", "content": [text("a"), text("b")]}]),
    (assistant("hello"), [{"role": "assistant", "content": "hello"}]),
    (user('"ü\n😀 '), [{"role": "user", "content": '"ü\n😀 '}]),
    # nothing said is not sent
    (Message("user"), []),
    (user(""), []),
    (user(" \n"), []),
    (assistant("\n\n"), []),
    (Message("tool"), []),
    # thinking as it came: shown, hidden, encrypted, between words and calls
    (
        by(
            BY_CLAUDE,
            Reasoning("hm", signature="s1"),
            Reasoning(encrypted="e"),
            "So.",
            Reasoning(signature="s2"),
            call(),
        ),
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s1"},
                    {"type": "redacted_thinking", "data": "e"},
                    text("So."),
                    {"type": "thinking", "thinking": "", "signature": "s2"},
                    used(),
                ],
            }
        ],
    ),
    # blocks that we do not know go back byte for byte, in their order
    (
        by(BY_CLAUDE, "a", Opaque("anthropic", msgspec.Raw(b'{"type":"new", "x":1.0}')), "b"),
        [{"role": "assistant", "content": [text("a"), {"type": "new", "x": 1.0}, text("b")]}],
    ),
    # ... and a caller may say one of their own
    (
        user(Opaque("anthropic", msgspec.Raw(b'{"type":"search_result"}'))),
        [{"role": "user", "content": [{"type": "search_result"}]}],
    ),
    # what only Anthropic understands of a call goes back with it
    (
        by(BY_CLAUDE, ToolCall("toolu_1", "f", "{}", signature='{"caller":{"type":"x"},"toolset_name":"t"}')),
        [{"role": "assistant", "content": [{**used({}), "caller": {"type": "x"}, "toolset_name": "t"}]}],
    ),
    # arguments: none at all are an empty object
    (assistant(call(arguments=" ")), [{"role": "assistant", "content": [used({})]}]),
    # images: bytes, an address, an id
    (
        user("look", Image(PNG), Image(Url("https://e.com/a.png")), Image(Uploaded("file_1", "anthropic"))),
        [
            {
                "role": "user",
                "content": [
                    text("look"),
                    IMAGE,
                    {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
                    {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                ],
            }
        ],
    ),
    # the other name of JPEG
    (
        user(Image(Inline(b"\xff", "image/jpg"))),
        [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/w=="}}
                ],
            }
        ],
    ),
    # documents: PDF, text, an address, an id
    (
        user(
            File(PDF, "a.pdf"),
            File(Inline("é".encode(), "text/plain"), "a.txt"),
            File(Url("https://e.com/a.pdf")),
            File(Uploaded("file_1", "anthropic")),
        ),
        [
            {
                "role": "user",
                "content": [
                    document({"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}, title="a.pdf"),
                    document({"type": "text", "data": "é", "media_type": "text/plain"}, title="a.txt"),
                    document({"type": "url", "url": "https://e.com/a.pdf"}),
                    document({"type": "file", "file_id": "file_1"}),
                ],
            }
        ],
    ),
    # a picture that was given as a file is an image
    (user(File(PNG, "a.png")), [{"role": "user", "content": [IMAGE]}]),
    # results: a text, several things, nothing, an error
    (tool_result("toolu_1", "ok"), [{"role": "user", "content": [result(content="ok")]}]),
    (
        Message("tool", (ToolResult("toolu_1", (Text("a"), Image(PNG), File(PDF))), ToolResult("toolu_2"))),
        [
            {
                "role": "user",
                "content": [
                    result(
                        content=[
                            text("a"),
                            IMAGE,
                            document({"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}),
                        ]
                    ),
                    result("toolu_2"),
                ],
            }
        ],
    ),
    (
        tool_result("toolu_1", "no", is_error=True),
        [{"role": "user", "content": [result(content="no", is_error=True)]}],
    ),
    # results in a user's message come first
    (
        user("And?", ToolResult("toolu_1", (Text("a"),))),
        [{"role": "user", "content": [result(content="a"), text("And?")]}],
    ),
    # ... and within an assistant's after it
    (
        assistant(call(), ToolResult("toolu_1"), "done"),
        [{"role": "assistant", "content": [used(), text("done")]}, {"role": "user", "content": [result()]}],
    ),
    # a tool message's words that are no result are the user's
    (
        Message("tool", (Text("b"), ToolResult("toolu_1"))),
        [{"role": "user", "content": [result(), text("b")]}],
    ),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_a_message_on_the_wire(message: Message, expected: list[dict[str, Any]]) -> None:
    assert sent(message) == expected


def test_no_messages_are_no_bytes() -> None:
    assert encode_messages([], CLAUDE) == b""


def test_messages_are_joined_by_commas_and_written_to_the_letter() -> None:
    blocks = by(BY_CLAUDE, Opaque("anthropic", msgspec.Raw(b'{ "type": "new" }')), call(arguments='{ "x" : 1.0 }'))
    assert encode_messages([user("a"), blocks], CLAUDE) == (
        b'{"role":"user","content":"a"},{"role":"assistant","content":[{ "type": "new" },'
        b'{"type":"tool_use","id":"toolu_1","name":"f","input":{ "x" : 1.0 }}]}'
    )


# --- order ----------------------------------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_one_message() -> None:
    said = [user("a"), user(Image(PNG)), assistant("b"), assistant("c"), user(""), assistant("d"), user("e")]
    assert sent(*said) == [
        {"role": "user", "content": [text("a"), IMAGE]},
        {"role": "assistant", "content": [text("b"), text("c"), text("d")]},
        {"role": "user", "content": "e"},
    ]


def test_results_of_parallel_calls_are_one_message_and_come_first_whatever_was_said_between() -> None:
    said = [
        user("go"),
        assistant(call(id="toolu_a"), call(id="toolu_b")),
        tool_result("toolu_b", "2"),
        user("wait"),
        tool_result("toolu_a", "1"),
        user("and then?"),
    ]
    assert sent(*said)[2:] == [
        {
            "role": "user",
            "content": [
                result("toolu_b", content="2"),
                result("toolu_a", content="1"),
                text("wait"),
                text("and then?"),
            ],
        }
    ]


def test_a_call_within_a_turn_that_nothing_answers_is_answered_by_an_error() -> None:
    said = [user("go"), assistant(call(id="toolu_a"), call(id="toolu_b")), tool_result("toolu_b", "2"), user("no")]
    assert sent(*said)[2]["content"] == [
        result("toolu_a", content=NO_RESULT, is_error=True),
        result("toolu_b", content="2"),
        text("no"),
    ]


def test_a_result_within_a_turn_that_nobody_asked_for_is_said_in_words() -> None:
    shot = Message("tool", (ToolResult("toolu_9", (Text("r"), Image(PNG)), is_error=True),))
    assert sent(user("go"), assistant("a"), shot, tool_result("toolu_8", ""), user("b"))[2]["content"] == [
        text("[error of tool call toolu_9]"),
        text("r"),
        IMAGE,
        text("[result of tool call toolu_8]"),
        text("b"),
    ]


def test_a_second_result_of_one_call_is_said_in_words() -> None:
    said = [user("go"), assistant(call()), tool_result("toolu_1", "1"), tool_result("toolu_1", "2")]
    assert sent(*said)[2]["content"] == [
        result(content="1"),
        text("[result of tool call toolu_1]"),
        text("2"),
    ]


def test_calls_at_the_end_and_results_at_the_start_of_a_turn_are_left_to_the_turns_around() -> None:
    first, second = sent(tool_result("toolu_0", "r"), assistant(call()))
    assert first["content"] == [result("toolu_0", content="r")]
    assert second["content"] == [used()]


def test_thinking_that_is_followed_by_nothing_is_left_out() -> None:
    cut = by(BY_CLAUDE, "a", Reasoning("hm", signature="s"), Reasoning(encrypted="e"))
    alone = by(BY_CLAUDE, Reasoning("hm", signature="s"))
    assert sent(user("q"), cut) == [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert sent(user("q"), alone, user("r")) == [{"role": "user", "content": [text("q"), text("r")]}]


# --- the system -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [system, developer])
def test_what_the_system_says_in_the_middle_is_said_by_the_user(said: Any) -> None:
    assert sent(user("a"), assistant("b"), said("be", "brief"), user("c"))[2] == {
        "role": "user",
        "content": [text("<system>\nbe\n\nbrief\n</system>"), text("c")],
    }


def test_where_the_dialect_knows_the_role_it_stands_between_a_user_and_an_answer() -> None:
    said = [user("a"), system("one"), developer("two"), assistant("b")]
    assert sent(*said, dialect=WITH_SYSTEM) == [
        {"role": "user", "content": "a"},
        {"role": "system", "content": [text("one"), text("two")]},
        {"role": "assistant", "content": "b"},
    ]


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        # at the start of a turn, before a user's message, after an answer, at the end of a turn that has none
        ([system("x"), user("a")], ["user"]),
        ([user("a"), system("x"), user("b")], ["user"]),
        ([user("a"), assistant("b"), system("x")], ["user", "assistant", "user"]),
        ([user("a"), system("x")], ["user"]),
    ],
)
def test_elsewhere_the_user_says_it_all_the_same(said: list[Message], roles: list[str]) -> None:
    found = sent(*said, dialect=WITH_SYSTEM)
    assert [message["role"] for message in found] == roles
    assert "<system>\\nx\\n</system>" in json.dumps(found)


# --- what cannot be carried -----------------------------------------------------------------------------------------

WEB = Citation(url="https://e.com", title="T", quote="q", id="i")
ADDRESS = Citation(url="https://e.com")
NOT_CARRIED: list[tuple[str, Message, list[dict[str, Any]]]] = [
    (
        "Text.citations",
        by(BY_CLAUDE, Text("a", (WEB, ADDRESS, Citation(quote="q", start=1, end=2, unit="page", document=0)))),
        [
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "text",
                        "text": "a",
                        "citations": [
                            {
                                "type": "web_search_result_location",
                                "cited_text": "q",
                                "encrypted_index": "i",
                                "title": "T",
                                "url": "https://e.com",
                            },
                            {
                                "type": "page_location",
                                "cited_text": "q",
                                "document_index": 0,
                                "document_title": None,
                                "start_page_number": 1,
                                "end_page_number": 2,
                            },
                        ],
                    }
                ],
            }
        ],
    ),
    ("Text.citations", by(BY_OTHER, Text("a", (WEB,))), [{"role": "assistant", "content": "a"}]),
    ("Text.citations", user(Text("a", (WEB,))), [{"role": "user", "content": "a"}]),
    ("Text.signature", assistant(Text("a", signature="s", id="i")), [{"role": "assistant", "content": "a"}]),
    ("Text without words", user("a", " \n"), [{"role": "user", "content": "a"}]),
    ("Refusal", assistant(Refusal("No.")), [{"role": "assistant", "content": "No."}]),
    ("Image.detail", user(Image(PNG, "low")), [{"role": "user", "content": [IMAGE]}]),
    (
        "Image of another type",
        user(Image(Inline(b"<svg>", "image/svg+xml"))),
        [{"role": "user", "content": "[image (image/svg+xml), not shown]"}],
    ),
    (
        "Image of another type",  # or none at all
        user(Image(Inline(b"", "image/png"))),
        [{"role": "user", "content": "[image (image/png), not shown]"}],
    ),
    ("Image in an answer", assistant(Image(PNG)), [{"role": "assistant", "content": "[image (image/png), not shown]"}]),
    (
        "Image in an answer",
        assistant(File(PDF, "a.pdf")),
        [{"role": "assistant", "content": "[file a.pdf (application/pdf), not shown]"}],
    ),
    ("Audio", user(Audio(Inline(b"RIFF", "audio/wav"), "Hi!")), [{"role": "user", "content": "Hi!"}]),
    (
        "Audio",
        Message("tool", (ToolResult("toolu_1", (Audio(Inline(b"", "audio/ogg")),)),)),
        [{"role": "user", "content": [result(content="[audio (audio/ogg), not shown]")]}],
    ),
    ("Video", user(Video(Url("https://e.com/v"))), [{"role": "user", "content": "[video: https://e.com/v]"}]),
    (
        "File of text",
        user(File(Inline(b"# a", "text/markdown"), "a.md")),
        [
            {
                "role": "user",
                "content": [document({"type": "text", "data": "# a", "media_type": "text/plain"}, title="a.md")],
            }
        ],
    ),
    (
        "File of another type",
        user(File(Inline(b"PK", "application/zip"), "a.zip")),
        [{"role": "user", "content": "[file a.zip (application/zip), not shown]"}],
    ),
    (
        "File of another type",  # what calls itself text and is none
        user(File(Inline(b"\xff", "text/plain"))),
        [{"role": "user", "content": "[file (text/plain), not shown]"}],
    ),
    (
        "File by address",
        user(File(Url("https://e.com/a.txt", "text/plain"))),
        [{"role": "user", "content": "[file: https://e.com/a.txt]"}],
    ),
    (
        "Uploaded at another provider",
        user(File(Uploaded("file-1", "openai"), "a.pdf")),
        [{"role": "user", "content": "[file a.pdf, not shown]"}],
    ),
    (
        "Media of the system",
        system("a", Image(PNG)),
        [{"role": "user", "content": "<system>\na\n\n[image (image/png), not shown]\n</system>"}],
    ),
    (
        "ToolCall.arguments not an object",
        by(BY_CLAUDE, call(arguments='{"x'), call(arguments="[1]")),
        [{"role": "assistant", "content": [used({"invalid_json": '{"x'}), used({"invalid_json": "[1]"})]}],
    ),
    (
        "ToolCall of a custom tool",
        assistant(ToolCall("toolu_1", "sh", 'echo "x"', kind="custom")),
        [{"role": "assistant", "content": [used({"input": 'echo "x"'}, name="sh")]}],
    ),
    (
        "ToolCall.signature",
        by(BY_OTHER, ToolCall("toolu_1", "f", '{"x":1}', id="fc_1", signature='{"toolset_name":"t"}')),
        [{"role": "assistant", "content": [used(id="toolu_4838a0c25")]}],
    ),
    (
        "ToolCall.signature",  # a caller's own, which is none of Anthropic's
        assistant(ToolCall("toolu_1", "f", '{"x":1}', signature="s")),
        [{"role": "assistant", "content": [used()]}],
    ),
    ("ToolCall outside an answer", user("a", call()), [{"role": "user", "content": "a"}]),
    (
        "ToolResult.name",
        tool_result("toolu_1", "a", name="f"),
        [{"role": "user", "content": [result(content="a")]}],
    ),
    ("Reasoning without a signature", by(BY_CLAUDE, Reasoning("hm"), "a"), [{"role": "assistant", "content": "a"}]),
    ("Reasoning at the end", by(BY_CLAUDE, Reasoning("hm", signature="s")), []),
    (
        "Reasoning.summary",
        by(BY_CLAUDE, Reasoning("hm", summary=("b",), id="rs_1", signature="s"), "a"),
        [{"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, text("a")]}],
    ),
    ("Opaque", by(BY_OTHER, Opaque("openai", msgspec.Raw(b"{}")), "a"), [{"role": "assistant", "content": "a"}]),
    (
        "Opaque",  # of the same provider, but another format
        by(Origin("anthropic", format="chat_completions"), Opaque("anthropic", msgspec.Raw(b"{}")), "a"),
        [{"role": "assistant", "content": "a"}],
    ),
    ("Message.role developer", developer("a"), [{"role": "user", "content": "<system>\na\n</system>"}]),
    ("Message.role system", system("a"), [{"role": "user", "content": "<system>\na\n</system>"}]),
    ("Message.name", user("a", name="ann"), [{"role": "user", "content": "a"}]),
    (
        "Message.id",
        Message("assistant", (Text("a"),), None, "msg_1", BY_CLAUDE, Usage(), "stop", {"k": "v"}),
        [{"role": "assistant", "content": "a"}],
    ),
]
IN_ORDER = {"ToolCall without a result", "ToolResult without a call"}  # their examples are above


@pytest.mark.parametrize(("rule", "message", "expected"), NOT_CARRIED)
def test_what_the_format_does_not_know(rule: str, message: Message, expected: list[dict[str, Any]]) -> None:
    assert rule in CANNOT_CARRY
    assert sent(message) == expected


def test_every_rule_has_a_sentence_and_an_example() -> None:
    assert {rule for rule, _, _ in NOT_CARRIED} | IN_ORDER == CANNOT_CARRY.keys()
    assert all(sentence.endswith(".") for sentence in CANNOT_CARRY.values())


def test_the_page_of_the_format_says_what_it_cannot_carry() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "anthropic.md").read_text()
    for what, becomes in CANNOT_CARRY.items():
        assert f"| {what} | {becomes} |" in page


@pytest.mark.parametrize("message", [user("\ud83d"), assistant(call(arguments="\ud83d"))])
def test_half_a_surrogate_pair_is_refused_with_a_reason(message: Message) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        encode_messages([message], CLAUDE)


# --- who sees what --------------------------------------------------------------------------------------------------


def test_another_provider_s_calls_get_ids_that_this_one_takes_alike_for_call_and_result() -> None:
    foreign = by(BY_OTHER, ToolCall("call_1", "f", "{}"), ToolCall("functions.f:0", "f", "{}"))
    answers = Message("tool", (ToolResult("call_1"), ToolResult("functions.f:0")))
    asked, answered = sent(foreign, answers)
    ids = [block["id"] for block in asked["content"]]
    assert [block["tool_use_id"] for block in answered["content"]] == ids
    assert all(id.startswith("toolu_") for id in ids)


def test_a_provider_that_signs_nothing_gets_its_own_thinking_back_and_no_other() -> None:
    own = by(Origin("open", format="anthropic"), Reasoning("hm"), "a")
    assert sent(own, dialect=LENIENT)[0]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        text("a"),
    ]
    for other in (by(None, Reasoning("hm"), "a"), by(BY_CLAUDE, Reasoning("hm", signature="s"), "a")):
        assert sent(other, dialect=LENIENT) == [{"role": "assistant", "content": "a"}]


@given(any_conversation(), st.sampled_from([CLAUDE, WITH_SYSTEM, LENIENT]))
def test_nothing_that_only_one_provider_knows_reaches_another(messages: list[Message], dialect: Dialect) -> None:
    try:
        body = encode_messages([_with_secrets(message) for message in messages], dialect)
    except InvalidInput:
        return
    json.loads(b"[%s]" % body)
    assert b"SECRET" not in body


def _with_secrets(message: Message) -> Message:
    """The same message as another provider would have made it, every id of that provider marked."""

    def marked(part: Part) -> Part:
        fields: dict[str, Any] = {}
        for field in ("id", "signature", "encrypted"):
            if hasattr(part, field):
                fields[field] = "SECRET"
        if isinstance(part, Opaque):
            fields |= {"provider": "other", "data": msgspec.Raw(b'{"SECRET":1}')}
        if isinstance(part, (Image, Audio, Video, File)) and isinstance(part.source, Uploaded):
            fields["source"] = Uploaded("SECRET", "other")
        if isinstance(part, Text):
            fields["citations"] = (Citation(url="https://e.com", id="SECRET", file_id="SECRET"),)
        return msgspec.structs.replace(part, **fields)

    parts = tuple(marked(part) for part in message.parts)
    return msgspec.structs.replace(message, parts=parts, id="SECRET", origin=Origin("other", "m", "anthropic"))


@given(any_conversation())
def test_the_bytes_depend_on_nothing_but_the_messages_and_the_dialect(messages: list[Message]) -> None:
    try:
        once = encode_messages(messages, CLAUDE)
    except InvalidInput:
        return
    assert encode_messages(list(messages), Dialect()) == once
    assert hash(Dialect()) == hash(CLAUDE)
