"""Requests of the Gemini API: what we send, word for word, and what is not encoded twice."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.formats import gemini
from multiturn.formats.base import Format
from multiturn.formats.gemini import CANNOT_CARRY, Dialect, encode_messages, encode_request
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
from strategies import any_conversation, any_media, any_text, ids, json_objects, some_words, words
from upstream_gemini import NOT_AS_MANY, OUT_OF_TURN, alternate, complaints

FORMAT: Format[Dialect] = gemini  # the module is a format; mypy checks it

GEMINI = Dialect()
PLAIN = Dialect(foreign_calls=False, media_in_results=False)
PNG = Inline(b"\x89PNG", "image/png")
WAV = Inline(b"RIFF", "audio/wav")
BLOB = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
SKIP = "skip_thought_signature_validator"
BY_GEMINI = Origin("gemini", "gemini-3-pro", "gemini")
BY_OTHER = Origin("openai", "gpt-5", "responses")


def sent(*messages: Message, dialect: Dialect = GEMINI) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"[%s]" % encode_messages(messages, dialect))
    return found


def by(origin: Origin | None, *parts: str | Part) -> Message:
    return msgspec.structs.replace(assistant(*parts), origin=origin)


def said(*parts: str | dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def answered(*parts: str | dict[str, Any]) -> dict[str, Any]:
    return said(*parts) | {"role": "model"}


def call(name: str = "f", arguments: str = '{"x":1}', id: str = "abc1", signature: str | None = None) -> ToolCall:
    return ToolCall(id, name, arguments, signature=signature)


def function(name: str = "f", id: str | None = "abc1", signature: str | None = None, **args: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "args": args or {"x": 1}} | ({"id": id} if id else {})
    return {"functionCall": made} | ({"thoughtSignature": signature} if signature else {})


def response(response: Any, name: str = "f", id: str | None = "abc1", **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response, **({"id": id} if id else {}), **fields}}


# --- messages, word for word ----------------------------------------------------------------------------------------

MESSAGES: list[tuple[list[Message], list[dict[str, Any]]]] = [
    # words, part by part
    ([user("hi")], [said("hi")]),
    ([user("a", "b")], [said("a", "b")]),
    ([user('"ü\n😀')], [said('"ü\n😀')]),
    ([user("hi"), assistant("hello")], [said("hi"), answered("hello")]),
    # what one role says in a row is one content
    ([user("a"), user("b"), assistant("c"), assistant("d")], [said("a", "b"), answered("c", "d")]),
    # media by their bytes and by address, in their place
    (
        [user("look", Image(PNG), Image(Url("https://e.com/a.png")), Audio(WAV), "here")],
        [
            said(
                "look",
                BLOB,
                {"fileData": {"fileUri": "https://e.com/a.png", "mimeType": "image/png"}},
                {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
                "here",
            )
        ],
    ),
    # a stated type wins; a guess by the address or the file's name; none where nothing tells
    (
        [
            user(
                Image(Url("https://e.com/a.png", "image/webp")),
                Video(Url("https://e.com/v.MP4?x=1.png")),
                File(Url("https://e.com/get"), "r.pdf"),
                Video(Url("https://youtu.be/abc")),
                Image(Url("data:image/png;base64,iVBORw==")),
                File(Inline(b"", ""), "a.csv"),
                File(Inline(b"", "")),
            )
        ],
        [
            said(
                {"fileData": {"fileUri": "https://e.com/a.png", "mimeType": "image/webp"}},
                {"fileData": {"fileUri": "https://e.com/v.MP4?x=1.png", "mimeType": "video/mp4"}},
                {"fileData": {"fileUri": "https://e.com/get", "mimeType": "application/pdf"}},
                {"fileData": {"fileUri": "https://youtu.be/abc"}},
                BLOB,
                {"inlineData": {"mimeType": "text/csv", "data": ""}},
                {"inlineData": {"mimeType": "application/octet-stream", "data": ""}},
            )
        ],
    ),
    # a file that Google holds, by its address
    (
        [user(File(Uploaded("https://generativelanguage.googleapis.com/v1beta/files/a", "gemini", "application/pdf")))],
        [
            said(
                {
                    "fileData": {
                        "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a",
                        "mimeType": "application/pdf",
                    }
                }
            )
        ],
    ),
    # an answer in its order, every signature on its part, also on parts without words
    (
        [
            by(
                BY_GEMINI,
                Reasoning("hm", signature="c2ln"),
                Text("let me see", signature="s-_g"),
                call(signature="YWJj"),
                call("g", "{}", "abc2"),
                Text("", signature="bGFzdA=="),
            )
        ],
        [
            answered(
                {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
                {"text": "let me see", "thoughtSignature": "s-_g"},
                function(signature="YWJj"),
                {"functionCall": {"name": "g", "args": {}, "id": "abc2"}},
                {"text": "", "thoughtSignature": "bGFzdA=="},
            )
        ],
    ),
    # a thought of which only the signature is left
    (
        [by(BY_GEMINI, Reasoning(signature="c2ln"))],
        [answered({"text": "", "thought": True, "thoughtSignature": "c2ln"})],
    ),
    # items of Gemini's own go back as they came, and a picture's signature onto the picture
    (
        [
            by(
                BY_GEMINI,
                Opaque("gemini", msgspec.Raw(b'{"executableCode": {"code":"1"}, "thoughtSignature":"x"}')),
                Image(PNG),
                Opaque("gemini", msgspec.Raw(b'"c2ln"'), "inlineData.thoughtSignature"),
            )
        ],
        [
            answered(
                {"executableCode": {"code": "1"}, "thoughtSignature": "x"},
                {**BLOB, "thoughtSignature": "c2ln"},
            )
        ],
    ),
    # ... which has nowhere to go without one
    ([by(BY_GEMINI, "a", Opaque("gemini", msgspec.Raw(b'"s"'), "inlineData.thoughtSignature"))], [answered("a")]),
    # results: a JSON object, other text, other JSON, nothing, an error
    (
        [by(BY_GEMINI, call()), tool_result("abc1", {"t": 7})],
        [answered(function()), said(response({"t": 7}))],
    ),
    ([by(BY_GEMINI, call()), tool_result("abc1", "ok")], [answered(function()), said(response({"output": "ok"}))]),
    ([by(BY_GEMINI, call()), tool_result("abc1", [1])], [answered(function()), said(response({"output": "[1]"}))]),
    (
        [by(BY_GEMINI, call()), Message("tool", (ToolResult("abc1"),))],
        [answered(function()), said(response({"output": ""}))],
    ),
    (
        [by(BY_GEMINI, call()), tool_result("abc1", '{"a":1}', is_error=True)],
        [answered(function()), said(response({"error": '{"a":1}'}))],
    ),
    # all results of parallel calls in one content, before other words; the words follow in the same one
    (
        [
            by(BY_GEMINI, call(), call("g", "{}", "abc2")),
            tool_result("abc2", "two"),
            user("And?"),
            tool_result("abc1", "one"),
        ],
        [
            answered(function(), {"functionCall": {"name": "g", "args": {}, "id": "abc2"}}),
            said(response({"output": "two"}, "g", "abc2"), response({"output": "one"}), "And?"),
        ],
    ),
    # a result within an answer divides it
    (
        [by(BY_GEMINI, call(), ToolResult("abc1"), "done")],
        [answered(function()), said(response({"output": ""})), answered("done")],
    ),
    # a call that was left unanswered
    (
        [by(BY_GEMINI, call(), call("g", "{}", "abc2")), tool_result("abc1", "one"), user("Never mind.")],
        [
            answered(function(), {"functionCall": {"name": "g", "args": {}, "id": "abc2"}}),
            said(response({"output": "one"}), response({"error": "no result"}, "g", "abc2"), "Never mind."),
        ],
    ),
    # ... at the end it may still be answered
    ([by(BY_GEMINI, call())], [answered(function())]),
    # an id of our making is never sent; it tells the name where the call is not at hand
    ([tool_result("gemini_0123456789_get_time", "5pm")], [said(response({"output": "5pm"}, "get_time", None))]),
    (
        [by(BY_GEMINI, call(id="gemini_0123456789_f")), tool_result("gemini_0123456789_f", "ok")],
        [answered(function(id=None)), said(response({"output": "ok"}, id=None))],
    ),
    # the name: of the call, else the result's own, else the id, made one that Gemini takes
    (
        [by(BY_GEMINI, call()), tool_result("abc1", "ok", name="other")],
        [answered(function()), said(response({"output": "ok"}))],
    ),
    ([tool_result("abc1", "ok", name="g")], [said(response({"output": "ok"}, "g"))]),
    ([tool_result("1 b", "ok")], [said(response({"output": "ok"}, "_1_b", "1 b"))]),
    # another provider's call: its id made anew alike for call and result, Google's dummy on the first
    (
        [by(BY_OTHER, call(id="call_1"), call("g", "{}", "call_2")), tool_result("call_1", "a"), user("b")],
        [
            answered(
                function(id="74196fe72", signature=SKIP),
                {"functionCall": {"name": "g", "args": {}, "id": "1b68f83fa"}},
            ),
            said(
                response({"output": "a"}, id="74196fe72"),
                response({"error": "no result"}, "g", "1b68f83fa"),
                "b",
            ),
        ],
    ),
    # ... and on a caller's own, unless it is signed
    ([assistant(call())], [answered(function(signature=SKIP))]),
    ([assistant(call(signature="c2ln"))], [answered(function(signature="c2ln"))]),
    (
        [assistant(Text("a", signature="c2ln"), call())],
        [answered({"text": "a", "thoughtSignature": "c2ln"}, function())],
    ),
    # ... but not on Gemini's own
    ([by(BY_GEMINI, call())], [answered(function())]),
    # no arguments are an empty object; the model's own text is kept to the letter
    ([by(BY_GEMINI, call(arguments=" "))], [answered({"functionCall": {"name": "f", "args": {}, "id": "abc1"}})]),
]


@pytest.mark.parametrize(("messages", "expected"), MESSAGES)
def test_messages_on_the_wire(messages: list[Message], expected: list[dict[str, Any]]) -> None:
    assert sent(*messages) == expected


def test_no_messages_are_no_bytes() -> None:
    assert encode_messages([], GEMINI) == b""


def test_contents_are_joined_by_commas_and_raw_json_is_kept_byte_for_byte() -> None:
    data = b'{ "toolCall" : {"id":"1"} , "x":1.0}'
    made = by(BY_GEMINI, call(arguments='{ "x" : 1.0 }'), Opaque("gemini", msgspec.Raw(data)))
    assert encode_messages([user("a"), made], GEMINI) == (
        b'{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"f",'
        b'"args":{ "x" : 1.0 },"id":"abc1"}},%s]}' % data
    )


@pytest.mark.parametrize(
    "message",
    [user("\ud83d"), by(BY_GEMINI, call(arguments="\ud83d")), tool_result("abc1", "\ud83d", is_error=True)],
)
def test_half_a_surrogate_pair_is_refused_with_a_reason(message: Message) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        encode_messages([message], GEMINI)


# --- what cannot be carried -----------------------------------------------------------------------------------------

NOT_CARRIED: list[tuple[str, Message, list[dict[str, Any]]]] = [
    ("System message", system("be brief"), [said("<system>\nbe brief\n</system>")]),
    ("System message", developer("a", Image(PNG)), [said("<system>\na\n</system>", BLOB)]),
    ("Message.name", user("a", name="ann"), [said("a")]),
    (
        "Message.id",
        Message("assistant", (Text("a"),), None, "resp-1", BY_GEMINI, Usage(), "stop", {"k": "v"}),
        [answered("a")],
    ),
    ("Message without content", user(""), []),
    ("Message without content", Message("assistant"), []),
    ("Message without content", by(BY_GEMINI, ""), []),
    ("Text.citations", by(BY_GEMINI, Text("a", (Citation(url="https://e.com"),))), [answered("a")]),
    ("Text.id", by(BY_GEMINI, Text("a", id="msg_1", phase="commentary")), [answered("a")]),
    ("Refusal", by(BY_GEMINI, Refusal("No.")), [answered("No.")]),
    ("Image.detail", user(Image(PNG, "high")), [said(BLOB)]),
    (
        "Audio.transcript",
        user(Audio(WAV, "Hi")),
        [said({"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}})],
    ),
    ("Audio.transcript", by(BY_GEMINI, Audio(transcript="Hi")), [answered("Hi")]),
    ("Audio.id", by(BY_GEMINI, Audio(id="audio_1")), [answered("[audio, not shown]")]),
    (
        "File.name",
        user(File(Inline(b"%PDF", "application/pdf"), "a.pdf")),
        [said({"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}})],
    ),
    (
        "Uploaded at another provider",
        user(File(Uploaded("file-1", "openai"), "a.pdf")),
        [said("[file a.pdf, not shown]")],
    ),
    (
        "ToolCall of kind custom",
        by(BY_GEMINI, ToolCall("abc1", "sh", "ls -l", kind="custom")),
        [answered({"functionCall": {"name": "sh", "args": {"input": "ls -l"}, "id": "abc1"}})],
    ),
    (
        "ToolCall.name that Gemini does not take",
        by(BY_GEMINI, call("1 größe")),
        [answered(function("_1_gr__e"))],
    ),
    (
        "ToolCall.arguments that are no JSON object",
        by(BY_GEMINI, call(arguments='{"x')),
        [answered({"functionCall": {"name": "f", "args": {"invalid_json": '{"x'}, "id": "abc1"}})],
    ),
    ("ToolCall.id", by(BY_GEMINI, ToolCall("abc1", "f", '{"x":1}', id="fc_1")), [answered(function())]),
    ("ToolCall outside an answer", user("a", call()), [said("a")]),
    ("ToolResult.id", user(ToolResult("abc1", name="f", id="fco_1")), [said(response({"output": ""}))]),
    (
        "Media of a ToolResult",
        Message("tool", (ToolResult("abc1", (Text("see"), Image(PNG), Audio(WAV)), "f"),)),
        [
            said(
                response({"output": "see"}, parts=[BLOB]),
                "[from tool f]",
                {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
            )
        ],
    ),
    ("Reasoning.summary", by(BY_GEMINI, Reasoning(summary=("a", "b"))), [answered({"text": "a\nb", "thought": True})]),
    ("Reasoning.id", by(BY_GEMINI, Reasoning(id="rs_1", encrypted="e"), "a"), [answered("a")]),
    ("Reasoning outside an answer", user(Reasoning("hm"), "a"), [said("a")]),
    ("Opaque", by(BY_OTHER, Opaque("openai", msgspec.Raw(b"{}")), "a"), [answered("a")]),
    (
        "Opaque",  # of the same provider, but another format
        by(Origin("gemini", format="chat_completions"), Opaque("gemini", msgspec.Raw(b"{}")), "a"),
        [answered("a")],
    ),
]


@pytest.mark.parametrize(("rule", "message", "expected"), NOT_CARRIED)
def test_what_the_format_does_not_know(rule: str, message: Message, expected: list[dict[str, Any]]) -> None:
    assert rule in CANNOT_CARRY
    assert sent(message) == expected


def test_every_rule_has_a_sentence_and_an_example() -> None:
    assert {rule for rule, _, _ in NOT_CARRIED} == CANNOT_CARRY.keys()
    assert all(sentence.endswith(".") for sentence in CANNOT_CARRY.values())


def test_the_page_of_the_format_says_what_it_cannot_carry() -> None:
    page = (FilePath(__file__).parents[2] / "docs" / "reference" / "gemini.md").read_text()
    for what, becomes in CANNOT_CARRY.items():
        assert f"| {what} | {becomes} |" in page


@pytest.mark.parametrize("source", [Uploaded("file-1", "openai"), None])
def test_new_input_that_it_cannot_show_is_refused(source: Uploaded | None) -> None:
    dialect = msgspec.structs.replace(GEMINI, inputs=("image",))
    part = File(source) if source else Audio(WAV)
    with pytest.raises(InvalidInput, match=r"file-1.*held by openai|cannot read audio"):
        encode_request(Request(path=Path(), input=(user(part),)), [], model="m", dialect=dialect)


@given(any_conversation(), st.sampled_from([GEMINI, PLAIN]))
def test_nothing_that_only_one_provider_knows_reaches_another(messages: list[Message], dialect: Dialect) -> None:
    body = encode_messages([_with_secrets(message) for message in messages], dialect)
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
        return msgspec.structs.replace(part, **fields)

    parts = tuple(marked(part) for part in message.parts)
    return msgspec.structs.replace(message, parts=parts, id="SECRET", origin=Origin("other", "m", "gemini"))


# --- dialects -------------------------------------------------------------------------------------------------------

DIALECTS: list[tuple[Dialect, Message, list[dict[str, Any]]]] = [
    # no dummy signature
    (PLAIN, by(BY_OTHER, call()), [answered(function(id="dbfcfd0d8"))]),
    # no media within results
    (
        PLAIN,
        user(ToolResult("abc1", (Image(PNG),), "f"), "see"),
        [said(response({"output": ""}), "[from tool f]", BLOB, "see")],
    ),
    # another provider under the same format
    (
        Dialect(provider="vertex"),
        by(BY_GEMINI, Text("a", signature="s"), call(signature="s")),
        [answered("a", function(id="dbfcfd0d8", signature=SKIP))],
    ),
]


@pytest.mark.parametrize(("dialect", "message", "expected"), DIALECTS)
def test_a_dialect_is_spoken(dialect: Dialect, message: Message, expected: list[dict[str, Any]]) -> None:
    assert sent(message, dialect=dialect) == expected


def test_dialects_are_keys() -> None:
    assert {GEMINI: 1}[Dialect(provider="gemini")] == 1
    assert hash(GEMINI) != hash(PLAIN)


# --- whole histories ------------------------------------------------------------------------------------------------


def turn(n: int, *messages: Message) -> Turn:
    """A turn that begins with the first message and has the others for output."""
    return Turn(id=f"turn_{n}", conversation="c", input=messages[:1], output=messages[1:])


def body(
    *turns: Turn,
    input: Sequence[Message] = (),
    dialect: Dialect = GEMINI,
    history: Sequence[bytes] | None = None,
    model: str = "m",
    **asked: Any,
) -> dict[str, Any]:
    request = Request(path=Path(turns), input=tuple(input), **asked)
    if history is None:
        history = [encode_messages(turn.messages, dialect) for turn in turns]
    found: dict[str, Any] = json.loads(encode_request(request, history, model=model, dialect=dialect))
    return found


OPENING = said("(The conversation begins.)")
CALL = by(BY_GEMINI, call(signature="c2ln"))
HISTORIES: list[tuple[list[Turn], list[Message], list[dict[str, Any]]]] = [
    # regular turns
    ([turn(1, user("a"), assistant("b"))], [user("c")], [said("a"), answered("b"), said("c")]),
    # no new words
    ([turn(1, user("a"), assistant("b"))], [], [said("a"), answered("b")]),
    # a history that begins with the model
    ([turn(1, assistant("b"))], [user("c")], [OPENING, answered("b"), said("c")]),
    # a turn without an answer
    ([turn(1, user("a"))], [user("c")], [said("a"), said("c")]),
    # a call in one turn and its result in the next
    (
        [turn(1, user("a"), CALL)],
        [tool_result("abc1", "r", name="f")],
        [said("a"), answered(function(signature="c2ln")), said(response({"output": "r"}))],
    ),
    (
        [turn(1, user("a"), CALL), turn(2, tool_result("abc1", "r", name="f"), by(BY_GEMINI, "b"))],
        [user("c")],
        [said("a"), answered(function(signature="c2ln")), said(response({"output": "r"})), answered("b"), said("c")],
    ),
    # a call that nobody answered, the last turn's or an earlier one's, also across a turn that is not sent
    (
        [turn(1, user("a"), CALL)],
        [user("c")],
        [said("a"), answered(function(signature="c2ln")), said(response({"error": "no result"})), said("c")],
    ),
    (
        [turn(1, user("a"), CALL), turn(2, user("")), turn(3, user("b"), assistant("d"))],
        [user("c")],
        [
            said("a"),
            answered(function(signature="c2ln")),
            said(response({"error": "no result"})),
            said("b"),
            answered("d"),
            said("c"),
        ],
    ),
]


@pytest.mark.parametrize(("turns", "input", "expected"), HISTORIES)
def test_a_whole_history(turns: list[Turn], input: list[Message], expected: list[dict[str, Any]]) -> None:
    found = body(*turns, input=input)
    assert found["contents"] == expected
    assert list(complaints(found)) == []


def test_the_history_is_joined_and_never_looked_at() -> None:
    unsendable = user("\ud83d")  # encoding it would raise
    found = body(turn(1, unsendable), turn(2, unsendable), input=[user("hi")], history=[b"[1]", b"[2],[3]"])
    assert found["contents"] == [[1], [2], [3], said("hi")]


def test_turns_without_contents_leave_no_gap() -> None:
    assert body(input=[user("hi")], history=[b"", b"[1]", b""])["contents"] == [[1], said("hi")]


def test_nothing_to_say_is_refused_but_instructions_are_something() -> None:
    with pytest.raises(InvalidInput, match="nothing to send"):
        body()
    with pytest.raises(InvalidInput, match="nothing to send"):
        body(input=[Message("assistant")])
    assert body(instructions="i") == {"contents": [OPENING], "systemInstruction": {"parts": [{"text": "i"}]}}


def conversations() -> st.SearchStrategy[list[list[Message]]]:
    """Turns as runs make them: somebody speaks, a model answers, tools are called and answered, or left alone."""
    origins = st.sampled_from([BY_GEMINI, BY_OTHER, None])
    media = any_media().filter(lambda part: not isinstance(part.source, Uploaded))

    @st.composite
    def a_turn(draw: st.DrawFn) -> list[Message]:
        said = [user(*draw(st.lists(words.map(Text) | media, max_size=2))) for _ in range(draw(st.integers(0, 2)))]
        if draw(st.booleans()):
            said.insert(0, system(draw(words)))
        for _ in range(draw(st.integers(0, 3))):
            origin = draw(origins)
            signature = draw(st.sampled_from([None, "c2ln"])) if origin != BY_GEMINI else "c2ln"
            names = draw(st.lists(ids | some_words, max_size=3))
            calls = [ToolCall(f"{n}_{draw(ids)}", name, draw(json_objects() | words)) for n, name in enumerate(names)]
            calls[:1] = [msgspec.structs.replace(first, signature=signature) for first in calls[:1]]
            said.append(by(origin, *draw(st.lists(words, max_size=1)), *calls))
            for made in draw(st.lists(st.sampled_from(calls), unique_by=lambda each: each.call_id)) if calls else ():
                parts = draw(st.lists(any_text() | media, max_size=2).map(tuple))
                said.append(Message("tool", (ToolResult(made.call_id, parts, is_error=draw(st.booleans())),)))
        return said

    return st.lists(a_turn(), min_size=1, max_size=4)


@given(conversations(), st.sampled_from([GEMINI, Dialect(media_in_results=False)]))
def test_whatever_was_said_is_what_the_api_takes(turns: list[list[Message]], dialect: Dialect) -> None:
    *history, input = turns
    path = [Turn(id=str(n), conversation="c", output=tuple(said)) for n, said in enumerate(history)]
    try:
        found = body(*path, input=input, dialect=dialect)
    except InvalidInput:
        assert not any(sent(*said, dialect=dialect) for said in turns)
        return
    assert [problem for problem in complaints(found) if problem != OUT_OF_TURN or alternate(found["contents"])] == []
    for content in found["contents"]:
        types.Content.model_validate_json(json.dumps(content))
    assert all(alternate(sent(*said, dialect=dialect)) for said in turns)


@given(any_conversation())
def test_anything_can_be_encoded_and_is_what_google_s_own_types_take(messages: list[Message]) -> None:
    known = [_with_json_objects(message) for message in messages]
    for content in sent(*known):
        types.Content.model_validate_json(json.dumps(content))


def _with_json_objects(message: Message) -> Message:
    """The same without items and signatures that are no part of Gemini's and no base64."""
    parts = [part for part in message.parts if not isinstance(part, Opaque)]
    signed = [
        msgspec.structs.replace(part, signature=None) if getattr(part, "signature", None) else part for part in parts
    ]
    return msgspec.structs.replace(message, parts=tuple(signed))


ASKED = said("a")
CALLED = answered(function(signature="YQ=="))
REJECTED: list[tuple[list[dict[str, Any]], str]] = [
    ([], "contents is not specified"),
    ([said()], "must not be empty"),
    ([ASKED | {"role": "tool"}], "valid role"),
    ([said({})], "one initialized field"),
    ([said({"text": "a", **BLOB})], "one initialized field"),
    ([said({"inlineData": {"data": "!"}})], "inline_data"),
    ([said(function())], "not in a content of role user"),
    ([ASKED, answered({"text": "", "thoughtSignature": "msg_1!"})], "Base64 decoding failed"),
    # responses without calls, calls without responses, and too few
    ([said(response({}))], "immediately after a function call turn"),
    ([ASKED, CALLED, answered("b"), said(response({}))], "immediately after a function call turn"),
    ([CALLED], OUT_OF_TURN),
    ([ASKED, answered("b"), CALLED], OUT_OF_TURN),
    ([ASKED, CALLED, ASKED], NOT_AS_MANY),
    ([ASKED, CALLED, said(response({}), response({}))], NOT_AS_MANY),
    # names and objects
    ([ASKED, CALLED, said(response({}, name=""))], "Name cannot be empty"),
    ([ASKED, CALLED, said(response("text"))], "must be an object"),
    # a call of this turn without a signature; an earlier turn's may be
    ([ASKED, answered(function()), said(response({}))], "missing a thought_signature"),
]


@pytest.mark.parametrize(("contents", "problem"), REJECTED)
def test_the_check_that_these_tests_rely_on_rejects(contents: list[dict[str, Any]], problem: str) -> None:
    assert any(problem in found for found in complaints({"contents": contents}))


def test_the_check_that_these_tests_rely_on_takes_what_is_right() -> None:
    right = [ASKED, answered(function()), said(response({})), answered("b"), ASKED, CALLED, said(response({}))]
    assert list(complaints({"contents": right})) == []


# --- whole requests -------------------------------------------------------------------------------------------------

SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"x":{"type":"number"}}}')
HI: dict[str, Any] = {"contents": [said("hi")]}
TOOLS = [
    {
        "functionDeclarations": [
            {"name": "f", "description": "does f", "parametersJsonSchema": msgspec.json.decode(SCHEMA)},
            {"name": "g", "parametersJsonSchema": {"type": "object", "properties": {}}},
        ]
    }
]
F_AND_G = (ToolSpec("f", "does f", SCHEMA, strict=True), ToolSpec("g"))


def generation(**fields: Any) -> dict[str, Any]:
    return HI | {"generationConfig": fields}


def thinking(**fields: Any) -> dict[str, Any]:
    return generation(thinkingConfig=fields)


def calling(**fields: Any) -> dict[str, Any]:
    return HI | {"tools": TOOLS, "toolConfig": {"functionCallingConfig": fields}}


REQUESTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # nothing but a word
    ("m", {}, HI),
    # whether to stream stands in the path
    ("m", {"stream": True}, HI),
    # every plain setting
    (
        "m",
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
            )
        },
        generation(
            temperature=0.0,
            topP=0.5,
            maxOutputTokens=9,
            stopSequences=["a", "b"],
            seed=1,
            presencePenalty=0.1,
            frequencyPenalty=0.2,
            candidateCount=2,
        ),
    ),
    # instructions
    ("m", {"instructions": "be brief"}, HI | {"systemInstruction": {"parts": [{"text": "be brief"}]}}),
    # tools, and every choice among them
    ("m", {"tools": F_AND_G}, HI | {"tools": TOOLS}),
    ("m", {"tools": F_AND_G, "settings": Settings(tool_choice="auto")}, calling(mode="AUTO")),
    ("m", {"tools": F_AND_G, "settings": Settings(tool_choice="none")}, calling(mode="NONE")),
    ("m", {"tools": F_AND_G, "settings": Settings(tool_choice="required")}, calling(mode="ANY")),
    (
        "m",
        {"tools": F_AND_G, "settings": Settings(tool_choice=NamedTool("f"), parallel_tool_calls=True)},
        calling(mode="ANY", allowedFunctionNames=["f"]),
    ),
    # a choice without functions is rejected by the API, so it is not sent
    ("m", {"settings": Settings(tool_choice="none", parallel_tool_calls=False)}, HI),
    (
        "m",
        {"settings": Settings(tool_choice="auto", extra={"tools": [{"googleSearch": {}}]})},
        HI | {"tools": [{"googleSearch": {}}]},
    ),
    # a typed answer, and any JSON
    (
        "m",
        {"settings": Settings(output=OutputSchema(SCHEMA, "point", "a point", strict=True))},
        generation(responseMimeType="application/json", responseJsonSchema=msgspec.json.decode(SCHEMA)),
    ),
    ("m", {"settings": Settings(output=OutputSchema())}, generation(responseMimeType="application/json")),
    # thinking is shown where the model surely thinks
    ("gemini-3-flash-preview", {}, thinking(includeThoughts=True)),
    ("models/gemini-3.8-flash", {}, thinking(includeThoughts=True)),
    ("gemini-flash-latest", {}, thinking(includeThoughts=True)),
    ("gemini-2.5-flash-lite", {}, HI),
    ("gemini-3.1-flash-tts-preview", {}, HI),
    ("gemma-3-27b-it", {}, HI),
    # ... how much is a level, and for 2.5 a number
    ("m", {"settings": Settings(reasoning_effort="low")}, thinking(includeThoughts=True, thinkingLevel="LOW")),
    (
        "gemini-3-flash-preview",
        {"settings": Settings(reasoning_effort="none")},
        thinking(includeThoughts=True, thinkingLevel="MINIMAL"),
    ),
    (
        "gemini-2.5-flash",
        {"settings": Settings(reasoning_effort="medium")},
        thinking(includeThoughts=True, thinkingBudget=8192),
    ),
    ("gemini-2.5-flash", {"settings": Settings(reasoning_effort="none")}, thinking(thinkingBudget=0)),
    # extra goes into what is there, object within object, and wins
    (
        "gemini-3-pro",
        {
            "settings": Settings(
                temperature=1.0,
                top_p=0.5,
                extra={
                    "generationConfig": {"temperature": 0.5, "topK": 3, "thinkingConfig": {"includeThoughts": False}},
                    "safetySettings": [],
                },
            )
        },
        generation(temperature=0.5, topP=0.5, topK=3, thinkingConfig={"includeThoughts": False})
        | {"safetySettings": []},
    ),
]


@pytest.mark.parametrize(("model", "asked", "expected"), REQUESTS)
def test_a_request_on_the_wire(model: str, asked: dict[str, Any], expected: dict[str, Any]) -> None:
    found = body(input=[user("hi")], model=model, **asked)
    assert found == expected
    assert list(complaints(found)) == []
    types.GenerationConfig.model_validate(found.get("generationConfig", {}))
    types.ToolConfig.model_validate(found.get("toolConfig", {}))
    for tool in found.get("tools", ()):
        types.Tool.model_validate(tool)


def test_a_request_byte_for_byte() -> None:
    path = Path([turn(1, user("a"), assistant("b"))])
    settings = Settings(temperature=0.5, output=OutputSchema(msgspec.Raw(b'{ "type": "object" }')))
    request = Request(path=path, input=(user("c"),), settings=settings)
    history = path.encoded(GEMINI, lambda messages: encode_messages(messages, GEMINI))
    assert encode_request(request, history, model="m", dialect=GEMINI) == (
        b'{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"}]},'
        b'{"role":"user","parts":[{"text":"c"}]}],"generationConfig":{"temperature":0.5,'
        b'"responseMimeType":"application/json","responseJsonSchema":{ "type": "object" }}}'
    )


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"settings": Settings(extra={"contents": []})}, "contents"),
        ({"settings": Settings(extra={"x": object()})}, "JSON"),
        ({"settings": Settings(extra={"x": "\ud83d"})}, "JSON"),
        ({"tools": F_AND_G, "settings": Settings(parallel_tool_calls=False)}, "parallel_tool_calls"),
        ({"model": "gemini-2.5-pro", "settings": Settings(reasoning_effort="xhigh")}, "one of none, minimal, low"),
    ],
)
def test_what_has_no_place_in_a_request_is_refused(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        body(input=[user("hi")], **asked)


def test_extra_settings_are_not_changed() -> None:
    extra = {"generationConfig": {"topK": 1, "nested": {"a": [1]}}}
    before = copy.deepcopy(extra)
    body(input=[user("hi")], settings=Settings(temperature=1, extra=extra))
    assert extra == before


@pytest.mark.parametrize(
    ("model", "stream", "expected"),
    [
        ("gemini-3-pro", False, "/models/gemini-3-pro:generateContent"),
        ("gemini-3-pro", True, "/models/gemini-3-pro:streamGenerateContent?alt=sse"),
        ("models/gemini-3-pro", False, "/models/gemini-3-pro:generateContent"),
        ("tunedModels/mine-1", False, "/tunedModels/mine-1:generateContent"),
        ("what is?this", False, "/models/what%20is%3Fthis:generateContent"),
    ],
)
def test_the_path(model: str, stream: bool, expected: str) -> None:
    assert gemini.path(model=model, stream=stream) == expected
