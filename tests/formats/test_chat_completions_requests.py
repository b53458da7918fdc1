"""Requests of chat completions: what we send, word for word, and what is not encoded twice."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path as Folder
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.formats import chat_completions
from multiturn.formats.base import Format
from multiturn.formats.chat_completions import (
    CANNOT_CARRY,
    Dialect,
    encode_messages,
    encode_request,
)
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
from strategies import any_conversation, some_words

FORMAT: Format[Dialect] = chat_completions  # the module is a format; mypy checks it

OPENAI = Dialect()
STRICT = Dialect(provider="strict", alternate=True)
PLAIN = Dialect(
    provider="plain",
    developer_role=False,
    names=False,
    max_tokens_field="max_tokens",
    stream_usage=False,
    refusals=False,
    custom_tools=False,
    call_ids="[a-zA-Z0-9]{9}",
    call_prefix="",
)
PNG = Inline(b"\x89PNG", "image/png")
PNG_URL = "data:image/png;base64,iVBORw=="
BY_OPENAI = Origin("openai", "gpt-5", "chat_completions")
BY_OTHER = Origin("anthropic", "claude", "anthropic")


def sent(*messages: Message, dialect: Dialect = OPENAI) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"[%s]" % encode_messages(messages, dialect))
    return found


def by(origin: Origin | None, *parts: str | Part) -> Message:
    return msgspec.structs.replace(assistant(*parts), origin=origin)


def call(name: str = "f", arguments: str = '{"x":1}', id: str = "call_1") -> ToolCall:
    return ToolCall(id, name, arguments)


def function(arguments: str = '{"x":1}', id: str = "call_1", name: str = "f") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


# --- messages, word for word ----------------------------------------------------------------------------------------

MESSAGES: list[tuple[Message, list[dict[str, Any]]]] = [
    # text alone is a string, its parts joined as `Message.text` joins them
    (user("hi"), [{"role": "user", "content": "hi"}]),
    (user("a", "b"), [{"role": "user", "content": "ab"}]),
    # line ends, quotes and emoji
    (user('"ü\n😀'), [{"role": "user", "content": '"ü\n😀'}]),
    # every other role that is said
    (system("be brief"), [{"role": "system", "content": "be brief"}]),
    (developer("be brief"), [{"role": "developer", "content": "be brief"}]),
    (assistant("hello"), [{"role": "assistant", "content": "hello"}]),
    # a name, and one with characters that OpenAI rejects
    (user("hi", name="ann"), [{"role": "user", "content": "hi", "name": "ann"}]),
    (user("hi", name="ann lee"), [{"role": "user", "content": "hi", "name": "ann_lee"}]),
    # nothing said: a user's is sent empty, others not at all
    (Message("user"), [{"role": "user", "content": ""}]),
    (user(""), [{"role": "user", "content": ""}]),
    (Message("assistant"), []),
    (Message("system"), []),
    (Message("tool"), []),
    (assistant(""), []),
    # an image by address and by its bytes, with detail
    (
        user("look", Image(Url("https://e.com/a.png"), "low"), Image(PNG)),
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": PNG_URL}},
                ],
            }
        ],
    ),
    # an image alone; the empty text beside it is not sent
    (
        user("", Image(PNG)),
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG_URL}}]}],
    ),
    # a recording
    (
        user(Audio(Inline(b"RIFF", "audio/x-wav")), Audio(Inline(b"ID3", "audio/mpeg"))),
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
                ],
            }
        ],
    ),
    # a file by its bytes, named or not, and by its id
    (
        user(
            File(Inline(b"%PDF", "application/pdf"), "a.pdf"),
            File(Inline(b"%PDF", "application/pdf")),
            File(Uploaded("file-1", "openai")),
        ),
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
                    },
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "file.pdf"},
                    },
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            }
        ],
    ),
    # tool calls without a word: content is null
    (
        assistant(call()),
        [{"role": "assistant", "content": None, "tool_calls": [function()]}],
    ),
    # words and two calls, one of them custom
    (
        assistant("Let me see.", call(), ToolCall("call_2", "shell", "ls -l", kind="custom")),
        [
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    function(),
                    {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}},
                ],
            }
        ],
    ),
    # arguments: none at all become an empty object; the model's own are kept to the letter, broken ones too
    (assistant(call(arguments="")), [{"role": "assistant", "content": None, "tool_calls": [function("{}")]}]),
    (
        by(BY_OPENAI, call(arguments='{ "x" : 1.0 ')),
        [{"role": "assistant", "content": None, "tool_calls": [function('{ "x" : 1.0 ')]}],
    ),
    # ... but another provider might choke on broken ones for ever
    (
        by(BY_OTHER, call(arguments='{"x')),
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [function('{"invalid_json":"{\\"x"}', "call_74196fe72")],
            }
        ],
    ),
    # a refusal
    (assistant(Refusal("No.")), [{"role": "assistant", "content": None, "refusal": "No."}]),
    # audio is replayed by its id
    (
        by(BY_OPENAI, Audio(transcript="Hi", id="audio_1")),
        [{"role": "assistant", "content": None, "audio": {"id": "audio_1"}}],
    ),
    # several results in one message are a message each
    (
        Message("tool", (ToolResult("call_1", (Text("a"), Text("b"))), ToolResult("call_2"))),
        [
            {"role": "tool", "content": "ab", "tool_call_id": "call_1"},
            {"role": "tool", "content": "", "tool_call_id": "call_2"},
        ],
    ),
    # results within a user's message come first
    (
        user("And?", ToolResult("call_1", (Text("a"),))),
        [{"role": "tool", "content": "a", "tool_call_id": "call_1"}, {"role": "user", "content": "And?"}],
    ),
    (user(ToolResult("call_1", (Text("a"),))), [{"role": "tool", "content": "a", "tool_call_id": "call_1"}]),
    # ... and within an assistant's after it
    (
        assistant(call(), ToolResult("call_1", (Text("a"),)), "done"),
        [
            {"role": "assistant", "content": "done", "tool_calls": [function()]},
            {"role": "tool", "content": "a", "tool_call_id": "call_1"},
        ],
    ),
    # a tool message's words that are no result are the user's
    (
        Message("tool", (ToolResult("call_1", (Text("a"),)), Text("b"))),
        [
            {"role": "tool", "content": "a", "tool_call_id": "call_1"},
            {"role": "user", "content": "b"},
        ],
    ),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_a_message_on_the_wire(message: Message, expected: list[dict[str, Any]]) -> None:
    assert sent(message) == expected


def test_no_messages_are_no_bytes() -> None:
    assert encode_messages([], OPENAI) == b""


def test_messages_are_joined_by_commas() -> None:
    assert (
        encode_messages([user("a"), user("b")], OPENAI)
        == b'{"role":"user","content":"a"},{"role":"user","content":"b"}'
    )


def test_media_of_tool_results_follow_after_the_last_result_of_the_group() -> None:
    shot = ToolResult("call_1", (Text("done"), Image(PNG)))
    other = ToolResult("call_2", (Image(Url("https://e.com/b.png")),))
    assert sent(Message("tool", (shot,)), Message("tool", (other,)), tool_result("call_3", "ok"), user("And?")) == [
        {"role": "tool", "content": "done", "tool_call_id": "call_1"},
        {"role": "tool", "content": "[see the message after the tool results]", "tool_call_id": "call_2"},
        {"role": "tool", "content": "ok", "tool_call_id": "call_3"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[from tool call call_1]"},
                {"type": "image_url", "image_url": {"url": PNG_URL}},
                {"type": "text", "text": "[from tool call call_2]"},
                {"type": "image_url", "image_url": {"url": "https://e.com/b.png"}},
            ],
        },
        {"role": "user", "content": "And?"},
    ]


# --- what cannot be carried -----------------------------------------------------------------------------------------

CITED = Text("a", (Citation(url="https://e.com"),))
WAV = Inline(b"RIFF", "audio/wav")
NOT_CARRIED: list[tuple[str, Message, list[dict[str, Any]]]] = [
    ("Text.citations", assistant(CITED), [{"role": "assistant", "content": "a"}]),
    ("Text.signature", assistant(Text("a", signature="s")), [{"role": "assistant", "content": "a"}]),
    ("Video", user(Video(Inline(b"", "video/mp4"))), [{"role": "user", "content": "[video (video/mp4), not shown]"}]),
    ("Video", user(Video(Url("https://e.com/v"))), [{"role": "user", "content": "[video: https://e.com/v]"}]),
    ("Image in an answer", assistant(Image(PNG)), [{"role": "assistant", "content": "[image (image/png), not shown]"}]),
    (
        "Image.detail original",
        user(Image(PNG, "original")),
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG_URL, "detail": "high"}}]}],
    ),
    (
        "Audio other than WAV and MP3",
        user(Audio(Inline(b"", "audio/ogg"))),
        [{"role": "user", "content": "[audio (audio/ogg), not shown]"}],
    ),
    (
        "Audio other than WAV and MP3",
        user(Audio(Inline(b"", "audio/ogg"), "Hi!")),
        [{"role": "user", "content": "Hi!"}],
    ),
    (
        "Audio by address",
        user(Audio(Url("https://e.com/a"))),
        [{"role": "user", "content": "[audio: https://e.com/a]"}],
    ),
    ("Audio of an answer", by(BY_OTHER, Audio(WAV, "Hi", "x")), [{"role": "assistant", "content": "Hi"}]),
    ("Audio of an answer", by(None, Audio(WAV, "Hi", "x")), [{"role": "assistant", "content": "Hi"}]),
    ("Audio of an answer", by(BY_OTHER, Audio(id="x")), [{"role": "assistant", "content": "[audio, not shown]"}]),
    (
        "File by address",
        user(File(Url("https://e.com/a.pdf"), "a.pdf")),
        [{"role": "user", "content": "[file a.pdf: https://e.com/a.pdf]"}],
    ),
    (
        "Uploaded at another provider",
        assistant(File(Uploaded("file-1", "anthropic"), "a.pdf")),
        [{"role": "assistant", "content": "[file a.pdf, not shown]"}],
    ),
    (
        "ToolCall.signature",
        assistant(ToolCall("call_1", "f", '{"x":1}', id="fc_1", signature="s")),
        [{"role": "assistant", "content": None, "tool_calls": [function()]}],
    ),
    ("ToolCall outside an answer", user("a", call()), [{"role": "user", "content": "a"}]),
    (
        "ToolResult.is_error",
        tool_result("call_1", "no", is_error=True),
        [{"role": "tool", "content": "no", "tool_call_id": "call_1"}],
    ),
    (
        "ToolResult.name",
        tool_result("call_1", "no", name="f"),
        [{"role": "tool", "content": "no", "tool_call_id": "call_1"}],
    ),
    (
        "Media of a ToolResult",
        Message("tool", (ToolResult("call_1", (Image(PNG),)),)),
        [
            {"role": "tool", "content": "[see the message after the tool results]", "tool_call_id": "call_1"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "[from tool call call_1]"},
                    {"type": "image_url", "image_url": {"url": PNG_URL}},
                ],
            },
        ],
    ),
    (
        "Reasoning.signature",
        by(BY_OPENAI, Reasoning(id="rs_1", signature="s", encrypted="e"), "a"),
        [{"role": "assistant", "content": "a"}],
    ),
    ("Reasoning.text", assistant(Reasoning("hm"), "a"), [{"role": "assistant", "content": "a"}]),
    ("Opaque", by(BY_OTHER, Opaque("anthropic", msgspec.Raw(b"{}")), "a"), [{"role": "assistant", "content": "a"}]),
    (
        "Opaque",  # of the same provider, but another format
        by(Origin("openai", format="responses"), Opaque("openai", msgspec.Raw(b"{}")), "a"),
        [{"role": "assistant", "content": "a"}],
    ),
    (
        "Message.id",
        Message("assistant", (Text("a"),), None, "chatcmpl-1", BY_OPENAI, Usage(), "stop", {"k": "v"}),
        [{"role": "assistant", "content": "a"}],
    ),
]
RAISES = {
    "Image, Audio and Video uploaded": user(Image(Uploaded("file-1", "openai"))),
}


@pytest.mark.parametrize(("rule", "message", "expected"), NOT_CARRIED)
def test_what_the_format_does_not_know(rule: str, message: Message, expected: list[dict[str, Any]]) -> None:
    assert rule in CANNOT_CARRY
    assert sent(message) == expected


@pytest.mark.parametrize(("rule", "message"), RAISES.items())
def test_what_the_format_refuses(rule: str, message: Message) -> None:
    assert rule in CANNOT_CARRY
    with pytest.raises(InvalidInput, match=r"file-1.*; (upload it there, or )?give its bytes"):
        encode_messages([message], OPENAI)


def test_every_rule_has_a_sentence_and_an_example() -> None:
    assert {rule for rule, _, _ in NOT_CARRIED} | RAISES.keys() == CANNOT_CARRY.keys()
    assert all(sentence.endswith(".") for sentence in CANNOT_CARRY.values())


def test_half_a_surrogate_pair_is_refused_with_a_reason() -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        encode_messages([user("\ud83d")], OPENAI)


@given(any_conversation(), st.sampled_from([OPENAI, PLAIN, STRICT]))
def test_nothing_that_only_one_provider_knows_reaches_another(messages: list[Message], dialect: Dialect) -> None:
    marked = [_with_secrets(message) for message in messages]
    try:
        body = encode_messages(marked, dialect)
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
        return msgspec.structs.replace(part, **fields)

    parts = tuple(marked(part) for part in message.parts)
    return msgspec.structs.replace(message, parts=parts, id="SECRET", origin=Origin("other", "m", "chat_completions"))


# --- dialects -------------------------------------------------------------------------------------------------------

DIALECTS: list[tuple[Dialect, Message, list[dict[str, Any]]]] = [
    # no developer role, no names
    (PLAIN, developer("x"), [{"role": "system", "content": "x"}]),
    (PLAIN, user("x", name="ann"), [{"role": "user", "content": "x"}]),
    # a refusal as text
    (PLAIN, assistant("a", Refusal("b")), [{"role": "assistant", "content": "ab"}]),
    # a custom call as a function
    (
        PLAIN,
        assistant(ToolCall("abcdef123", "shell", 'echo "x"', kind="custom")),
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [function('{"input":"echo \\"x\\""}', "abcdef123", "shell")],
            }
        ],
    ),
    # a call id that it would not take, alike for call and result
    (
        PLAIN,
        assistant(call(), ToolResult("call_1")),
        [
            {"role": "assistant", "content": None, "tool_calls": [function(id="74196fe72")]},
            {"role": "tool", "content": "", "tool_call_id": "74196fe72"},
        ],
    ),
    # thinking, in the field where it is wanted, summaries where that is all there is
    (
        Dialect(reasoning_field="reasoning_content"),
        assistant(Reasoning("hm"), Reasoning(summary=("a", "b")), "x"),
        [{"role": "assistant", "content": "x", "reasoning_content": "hm\n\na\nb"}],
    ),
    (
        Dialect(reasoning_field="reasoning"),
        assistant(Reasoning("hm"), call()),
        [{"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [function()]}],
    ),
    # ... and empty where a server fails without it: for words and for calls, its own and those of others
    (
        Dialect(reasoning_field="reasoning_content", reasoning_required=True),
        by(BY_OTHER, Reasoning("hm", signature="s"), call()),
        [
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "",
                "tool_calls": [function(id="call_74196fe72")],
            }
        ],
    ),
    (
        Dialect(reasoning_field="reasoning_content", reasoning_required=True),
        by(BY_OPENAI, Reasoning("hm"), "x"),
        [{"role": "assistant", "content": "x", "reasoning_content": "hm"}],
    ),
    (
        Dialect(reasoning_field="reasoning_content", reasoning_required=True),
        assistant("x"),
        [{"role": "assistant", "content": "x", "reasoning_content": ""}],
    ),
    # thinking alone is no answer
    (Dialect(reasoning_field="reasoning"), assistant(Reasoning("hm")), []),
    # calls without a word, where null is too much for the server
    (
        Dialect(null_content=False),
        assistant(call()),
        [{"role": "assistant", "content": "", "tool_calls": [function()]}],
    ),
    (Dialect(null_content=False), assistant(Reasoning("hm")), []),
    # broken arguments, even its own
    (
        Dialect(repair_arguments=True),
        by(BY_OPENAI, call(arguments="[1]"), call(arguments="{}")),
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [function('{"invalid_json":"[1]"}'), function("{}")],
            }
        ],
    ),
    # video
    (
        Dialect(video=True),
        user(Video(Url("https://e.com/v"))),
        [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://e.com/v"}}]}],
    ),
    # an opaque part goes back to where it came from, byte for byte
    (
        OPENAI,
        by(BY_OPENAI, "a", Opaque("openai", msgspec.Raw(b'{"type": "new"}'))),
        [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "new"}]}],
    ),
]


@pytest.mark.parametrize(("dialect", "message", "expected"), DIALECTS)
def test_a_dialect_is_spoken(dialect: Dialect, message: Message, expected: list[dict[str, Any]]) -> None:
    assert sent(message, dialect=dialect) == expected


def test_the_page_of_the_format_lists_every_habit() -> None:
    page = (Folder(__file__).parents[2] / "docs" / "reference" / "chat-completions.md").read_text()
    ours = [field for field in Dialect.__annotations__ if field not in ("format", "provider", "call_ids")]
    assert re.findall(r"^\| `(\w+)` \| `(.+?)` \|", page, re.MULTILINE) == [
        (field, repr(getattr(OPENAI, field))) for field in ours
    ]


def test_dialects_are_keys() -> None:
    assert {OPENAI: 1}[Dialect(provider="openai")] == 1
    assert hash(OPENAI) != hash(PLAIN)


# --- strict alternation ---------------------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_merged() -> None:
    said = [
        system("a"),
        developer("b"),
        user("c", name="ann"),
        user(Image(PNG)),
        assistant("d", call()),
        tool_result("call_1", "e"),
        assistant("f"),
        assistant(call(id="call_2")),
        user("g"),
        system("h"),
        user(""),
    ]
    assert sent(*said, dialect=STRICT) == [
        {"role": "system", "content": "a\n\nb"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "c"}, {"type": "image_url", "image_url": {"url": PNG_URL}}],
        },
        {"role": "assistant", "content": "d", "tool_calls": [function()]},
        {"role": "tool", "content": "e", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "f", "tool_calls": [function(id="call_2")]},
        {"role": "user", "content": "g\n\nh"},
    ]


def test_merging_nothing_with_nothing_leaves_a_message() -> None:
    assert sent(user(""), user(""), dialect=STRICT) == [{"role": "user", "content": ""}]


def test_merged_calls_keep_their_empty_content_and_thinking() -> None:
    dialect = Dialect(alternate=True, null_content=False, reasoning_field="reasoning", reasoning_required=True)
    assert sent(assistant(call()), assistant(call(id="call_2")), dialect=dialect) == [
        {"role": "assistant", "content": "", "reasoning": "", "tool_calls": [function(), function(id="call_2")]}
    ]


# --- an answer to every tool ----------------------------------------------------------------------------------------

MISTRAL = Dialect(provider="mistral", alternate=True, answers_tools=True)
BRIDGE = {"role": "assistant", "content": "(The tools have answered.)"}


@pytest.mark.parametrize("dialect", [MISTRAL, Dialect(answers_tools=True)])
def test_the_assistant_speaks_between_a_tool_and_the_user(dialect: Dialect) -> None:
    answered = {"role": "tool", "content": "a", "tool_call_id": "call_1"}
    assert sent(tool_result("call_1", "a"), user("b"), dialect=dialect) == [
        answered,
        BRIDGE,
        {"role": "user", "content": "b"},
    ]
    assert sent(tool_result("call_1", "a"), assistant("b"), user("c"), dialect=dialect) == [
        answered,
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]


def test_the_assistant_speaks_before_the_media_of_a_tool() -> None:
    roles = [
        message["role"]
        for message in sent(
            assistant(call(), call(id="call_2")),
            Message("tool", (ToolResult("call_1", (Image(PNG),)), ToolResult("call_2", (Text("b"),)))),
            assistant("c"),
            dialect=MISTRAL,
        )
    ]
    assert roles == ["assistant", "tool", "tool", "assistant", "user", "assistant"]


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


HISTORIES: list[tuple[list[Turn], list[Message], str | None, list[tuple[str, str | None]]]] = [
    # regular turns
    ([turn(1, user("a"), assistant("b"))], [user("c")], None, [("user", "a"), ("assistant", "b"), ("user", "c")]),
    # a system message and instructions become one
    (
        [turn(1, system("s"), user("a"), assistant("b"))],
        [user("c")],
        "i",
        [("system", "i\n\ns"), ("user", "a"), ("assistant", "b"), ("user", "c")],
    ),
    # a system message in the middle is said by the user
    (
        [turn(1, user("a"), assistant("b"))],
        [system("s"), user("c")],
        None,
        [("user", "a"), ("assistant", "b"), ("user", "s\n\nc")],
    ),
    # two turns begin where the one before had no answer
    ([turn(1, user("a"))], [user("c")], None, [("user", "a\n\nc")]),
    # ... or one that is not sent
    ([turn(1, user("a"), assistant(Reasoning("hm")))], [user("c")], None, [("user", "a\n\nc")]),
    # a history that begins with the assistant
    (
        [turn(1, assistant("b"))],
        [user("c")],
        None,
        [("user", "(The conversation begins.)"), ("assistant", "b"), ("user", "c")],
    ),
    # a turn that begins with a tool's result
    (
        [turn(1, user("a"), assistant(call()))],
        [tool_result("call_1", "r")],
        None,
        [("user", "a"), ("assistant", None), ("tool", "r")],
    ),
    # ... or with an assistant's message that holds one
    (
        [turn(1, user("a"), assistant("b"))],
        [assistant("c", ToolResult("call_1"))],
        None,
        [("user", "a"), ("assistant", "b\n\nc"), ("tool", "")],
    ),
    # a turn with no new words
    ([turn(1, user("a"), assistant("b"))], [], None, [("user", "a"), ("assistant", "b")]),
    # nothing but instructions
    ([], [], "i", [("system", "i")]),
]


@pytest.mark.parametrize(("turns", "input", "instructions", "expected"), HISTORIES)
def test_a_whole_history_alternates(
    turns: list[Turn], input: list[Message], instructions: str | None, expected: list[tuple[str, str | None]]
) -> None:
    messages = body(*turns, input=input, instructions=instructions, dialect=STRICT)["messages"]
    assert [(message["role"], message["content"]) for message in messages] == expected


@pytest.mark.parametrize("dialect", [MISTRAL, Dialect(answers_tools=True)])
def test_a_turn_that_was_stopped_after_its_tools_is_followed_by_the_assistant(dialect: Dialect) -> None:
    stopped = turn(1, user("a"), assistant(call()), tool_result("call_1", "r"))
    messages = body(stopped, input=[user("b")], dialect=dialect)["messages"]
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "a"),
        ("assistant", None),
        ("tool", "r"),
        ("assistant", BRIDGE["content"]),
        ("user", "b"),
    ]


def test_a_server_that_only_wants_tools_answered_gets_its_messages_unmerged() -> None:
    messages = body(turn(1, user("a")), input=[user("b")], dialect=Dialect(answers_tools=True))["messages"]
    assert [message["content"] for message in messages] == ["a", "b"]


REGULAR = [
    # no history
    [],
    # plain turns
    [
        turn(1, user("a"), assistant("b")),
        turn(2, user("c"), assistant(call()), tool_result("call_1", "r"), assistant("d")),
    ],
    # a system message at the start
    [turn(1, system("s"), user("a"), assistant("b"))],
    # the client runs its tools itself
    [turn(1, user("a"), assistant(call())), turn(2, tool_result("call_1", "r"), assistant("d"))],
]


@pytest.mark.parametrize("dialect", [STRICT, MISTRAL])
@pytest.mark.parametrize("turns", REGULAR)
def test_a_history_that_alternates_is_not_encoded_again(turns: list[Turn], dialect: Dialect) -> None:
    kept = [b'"kept %d"' % n for n in range(len(turns))]
    messages = body(*turns, input=[user("new")], dialect=dialect, history=kept)["messages"]
    assert messages == [*(f"kept {n}" for n in range(len(turns))), {"role": "user", "content": "new"}]


@given(
    st.lists(any_conversation().map(tuple), max_size=4),
    any_conversation(),
    st.none() | some_words,
    st.sampled_from([STRICT, MISTRAL]),
)
def test_whatever_was_said_alternates(
    turns: list[tuple[Message, ...]], input: list[Message], instructions: str | None, dialect: Dialect
) -> None:
    path = [Turn(id=str(n), conversation="c", input=said[:1], output=said[1:]) for n, said in enumerate(turns)]
    try:
        messages = body(*path, input=input, instructions=instructions, dialect=dialect)["messages"]
    except InvalidInput:
        return
    roles = [message["role"] for message in messages]
    assert not (dialect.answers_tools and ("tool", "user") in pairwise(roles))
    assert not any(a == b != "tool" for a, b in pairwise(roles))
    assert "system" not in roles[1:]
    assert "developer" not in roles
    assert next((role for role in roles if role != "system"), None) in ("user", "tool", None)


# --- whole requests -------------------------------------------------------------------------------------------------

SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"x":{"type":"number"}}}')
SCHEMA_IN_WORDS = (
    "Answer with one JSON object and nothing else. It must be an instance of this JSON schema:\n"
    + bytes(SCHEMA).decode()
)
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

REQUESTS: list[tuple[Dialect, dict[str, Any], dict[str, Any]]] = [
    # nothing but a word
    (OPENAI, {}, HI),
    # every plain setting
    (
        OPENAI,
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
        HI
        | {
            "temperature": 0.0,
            "top_p": 0.5,
            "max_completion_tokens": 9,
            "stop": ["a", "b"],
            "seed": 1,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "n": 2,
            "reasoning_effort": "low",
        },
    ),
    # the older name
    (PLAIN, {"settings": Settings(max_output_tokens=9)}, HI | {"max_tokens": 9}),
    # ... and Mistral's
    (Dialect(seed_field="random_seed"), {"settings": Settings(seed=1)}, HI | {"random_seed": 1}),
    # streaming, with and without usage
    (OPENAI, {"stream": True}, HI | {"stream": True, "stream_options": {"include_usage": True}}),
    (PLAIN, {"stream": True}, HI | {"stream": True}),
    # instructions come first
    (
        OPENAI,
        {"instructions": "be brief"},
        HI | {"messages": [{"role": "system", "content": "be brief"}, *HI["messages"]]},
    ),
    # tools, with a choice among them
    (
        OPENAI,
        {
            "tools": (ToolSpec("f", "does f", SCHEMA, strict=True), ToolSpec("g")),
            "settings": Settings(tool_choice=NamedTool("f"), parallel_tool_calls=False),
        },
        HI
        | {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "description": "does f",
                        "parameters": msgspec.json.decode(SCHEMA),
                        "strict": True,
                    },
                },
                {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
            ],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
        },
    ),
    # a choice without tools is rejected by providers, so it is not sent
    (OPENAI, {"settings": Settings(tool_choice="none", parallel_tool_calls=True)}, HI),
    # ... unless the tools are extra
    (
        OPENAI,
        {"settings": Settings(tool_choice="required", extra={"tools": [{"type": "web"}]})},
        HI | {"tools": [{"type": "web"}], "tool_choice": "required"},
    ),
    # a typed answer, and any JSON
    (
        OPENAI,
        {"settings": Settings(output=OutputSchema(SCHEMA, "point", "a point", strict=True))},
        HI
        | {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "point",
                    "description": "a point",
                    "schema": msgspec.json.decode(SCHEMA),
                    "strict": True,
                },
            }
        },
    ),
    (OPENAI, {"settings": Settings(output=OutputSchema())}, HI | {"response_format": {"type": "json_object"}}),
    # a typed answer where the server takes no schema: it is told
    (
        Dialect(schemas=False),
        {"instructions": "be brief", "settings": Settings(output=OutputSchema(SCHEMA, "point"))},
        HI
        | {
            "messages": [{"role": "system", "content": f"be brief\n\n{SCHEMA_IN_WORDS}"}, *HI["messages"]],
            "response_format": {"type": "json_object"},
        },
    ),
    (
        Dialect(schemas=False, alternate=True),
        {"settings": Settings(output=OutputSchema(SCHEMA))},
        HI
        | {
            "messages": [{"role": "system", "content": SCHEMA_IN_WORDS}, *HI["messages"]],
            "response_format": {"type": "json_object"},
        },
    ),
    (
        Dialect(schemas=False),
        {"settings": Settings(output=OutputSchema())},
        HI | {"response_format": {"type": "json_object"}},
    ),
    # extra wins over what we set, the model included
    (
        OPENAI,
        {"settings": Settings(temperature=1.0, extra={"temperature": 0.5, "model": "other", "top_k": 3})},
        HI | {"model": "other", "temperature": 0.5, "top_k": 3},
    ),
]


@pytest.mark.parametrize(("dialect", "asked", "expected"), REQUESTS)
def test_a_request_on_the_wire(dialect: Dialect, asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(input=[user("hi")], dialect=dialect, **asked) == expected


def test_a_request_byte_for_byte() -> None:
    path = Path([turn(1, user("a"), assistant("b"))])
    request = Request(path=path, input=(user("c"),), settings=Settings(temperature=0.5, extra={"temperature": 1}))
    history = path.encoded(OPENAI, lambda messages: encode_messages(messages, OPENAI))
    assert encode_request(request, history, model="m", dialect=OPENAI) == (
        b'{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},'
        b'{"role":"user","content":"c"}],"temperature":1}'
    )


def test_the_history_is_joined_and_never_looked_at() -> None:
    unsendable = user(File(Uploaded("file-1", "another")))  # encoding it would raise
    found = body(turn(1, unsendable), turn(2, unsendable), input=[user("hi")], history=[b"[1]", b"[2],[3]"])
    assert found["messages"] == [[1], [2], [3], *HI["messages"]]


def test_turns_without_messages_leave_no_gap() -> None:
    assert body(input=[user("hi")], history=[b"", b"[1]", b""])["messages"] == [[1], *HI["messages"]]
    assert body(instructions="i")["messages"] == [{"role": "system", "content": "i"}]


@pytest.mark.parametrize("dialect", [OPENAI, STRICT])
def test_nothing_to_say_is_refused(dialect: Dialect) -> None:
    with pytest.raises(InvalidInput, match="nothing to send"):
        body(dialect=dialect)
    with pytest.raises(InvalidInput, match="nothing to send"):
        body(input=[Message("assistant")], dialect=dialect)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"messages": []}, "messages"),
        ({"stream": True}, "stream"),
        ({"x": object()}, "JSON"),
        ({"x": "\ud83d"}, "JSON"),
    ],
)
def test_an_extra_setting_that_cannot_be_is_refused(extra: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        body(input=[user("hi")], settings=Settings(extra=extra))


def test_extra_settings_are_not_changed() -> None:
    extra = {"model": "x", "nested": {"a": [1]}}
    before = copy.deepcopy(extra)
    body(input=[user("hi")], settings=Settings(temperature=1, extra=extra))
    assert extra == before


def test_the_path() -> None:
    assert chat_completions.path(model="m", stream=True) == "/chat/completions"
