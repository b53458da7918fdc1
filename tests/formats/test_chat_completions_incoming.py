"""Requests of chat completions as our server reads them, and that nothing is lost between client and server."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.formats import chat_completions
from multiturn.formats.chat_completions import (
    ECHOED,
    Dialect,
    decode_messages,
    decode_request,
    encode_messages,
    encode_request,
)
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
    Video,
    assistant,
    developer,
    system,
    tool_result,
    user,
)
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolSpec
from strategies import any_conversation, ids, inline, json_objects, some_words, urls

OPENAI = Dialect()
PLAIN = Dialect(
    provider="plain",
    developer_role=False,
    names=False,
    refusals=False,
    custom_tools=False,
    call_ids="[a-zA-Z0-9]{9}",
    call_prefix="",
)
PNG = Inline(b"\x89PNG", "image/png")
PNG_URL = "data:image/png;base64,iVBORw=="
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def call(arguments: str = '{"x":1}') -> ToolCall:
    return ToolCall("call_1", "f", arguments)


def function(arguments: str = '{"x":1}') -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}


def sent(*messages: Message, dialect: Dialect = OPENAI) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"[%s]" % encode_messages(messages, dialect))
    return found


# --- messages ---------------------------------------------------------------------------------------------------------

ITEMS: list[tuple[dict[str, Any], Message]] = [
    # words
    ({"role": "system", "content": "a"}, system("a")),
    ({"role": "developer", "content": "a"}, developer("a")),
    ({"role": "user", "content": "a", "name": "ann"}, user("a", name="ann")),
    ({"role": "assistant", "content": "a"}, assistant("a")),
    ({"role": "user", "content": ""}, Message("user")),
    # content as a list
    (
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        user("a", "b"),
    ),
    ({"role": "system", "content": [{"type": "text", "text": "a", "cache_control": {"type": "x"}}]}, system("a")),
    # images: a data URL becomes bytes, another stays an address
    (
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg%3E"}},
            ],
        },
        user(Image(PNG, "low"), Image(Url("https://e.com/a.png")), Image(Inline(b"<svg>", "image/svg+xml"))),
    ),
    # recordings and videos
    (
        {
            "role": "user",
            "content": [
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "input_audio", "input_audio": {"data": "", "format": "flac"}},
                {"type": "video_url", "video_url": {"url": "https://e.com/v"}},
            ],
        },
        user(Audio(Inline(b"RIFF", "audio/wav")), Audio(Inline(b"", "audio/flac")), Video(Url("https://e.com/v"))),
    ),
    # files: by id, as a data URL, and as bare base64, whose name tells what it is
    (
        {
            "role": "user",
            "content": [
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_data": "JVBERg==", "filename": "a.PDF"}},
            ],
        },
        user(
            File(Uploaded("file-1", "openai")),
            File(Inline(b"%PDF", "application/pdf"), "a.pdf"),
            File(Inline(b"%PDF", "application/pdf"), "a.PDF"),
        ),
    ),
    # an assistant's calls, refusal, thinking; content may be null or missing
    (
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                function("{}"),
                {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
        },
        assistant(call("{}"), ToolCall("call_2", "g", "x", kind="custom")),
    ),
    ({"role": "assistant", "refusal": "No."}, assistant(Refusal("No."))),
    ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, assistant(Refusal("No."))),
    ({"role": "assistant", "content": "a", "reasoning_content": "hm"}, assistant(Reasoning("hm"), "a")),
    # audio of an answer, whose id belongs to the provider
    (
        {"role": "assistant", "audio": {"id": "audio_1"}},
        Message("assistant", (Audio(id="audio_1"),), origin=Origin("openai", format="chat_completions")),
    ),
    # a tool's result, as text and as a list
    ({"role": "tool", "tool_call_id": "call_1", "content": "a"}, tool_result("call_1", "a")),
    (
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a"}]},
        tool_result("call_1", "a"),
    ),
]


@pytest.mark.parametrize(("item", "expected"), ITEMS)
def test_a_client_s_message_as_ours(item: dict[str, Any], expected: Message) -> None:
    before = copy.deepcopy(item)
    assert decode_messages([item]) == (expected,)
    assert item == before


def test_messages_may_be_any_mappings_and_the_sdk_s_own_objects() -> None:
    class SdkMessage:
        def model_dump(self, *, exclude_none: bool) -> dict[str, object]:
            return {"role": "assistant", "content": "b"} if exclude_none else {"role": "assistant", "audio": None}

    items: list[Any] = [MappingProxyType({"role": "user", "content": "a"}), SdkMessage()]
    assert decode_messages(items) == (user("a"), assistant("b"))


WRONG: list[tuple[Sequence[Mapping[str, Any]], str]] = [
    # no role, an unknown one, and one that is gone
    ([{"content": "a"}], "messages[0]: object missing required field `role`"),
    ([{"role": "robot", "content": "a"}], "messages[0].role: 'robot' is none of system"),
    ([{"role": "function", "content": "a"}], "messages[0].role: 'function' is gone"),
    ([{"role": "user", "content": "a"}, {"role": "assistant", "function_call": {}}], "messages[1].function_call: "),
    # content of a wrong type, missing, unknown
    ([{"role": "user", "content": 1}], "messages[0].content: expected `str | array | null`, got `int`"),
    ([{"role": "user"}], "messages[0].content: a user message needs content"),
    ([{"role": "user", "content": [{"type": "smell"}]}], "messages[0].content[0].type: 'smell' is not known here; use"),
    ([{"role": "user", "content": [{"text": "a"}]}], "messages[0].content[0]: object missing required field `type`"),
    ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "messages[0].content[0]: a file needs file_data"),
    # bytes that are none
    (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}]}],
        "messages[0].content[0]: not base64",
    ),
    (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png"}}]}],
        "messages[0].content[0]: a data URL needs a comma",
    ),
    (
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}]}],
        "messages[0].content[0].input_audio.data: invalid base64",
    ),
    # tools
    ([{"role": "tool", "content": "a"}], "messages[0].tool_call_id: "),
    ([{"role": "tool", "tool_call_id": "x"}], "messages[0].content: "),
    (
        [{"role": "assistant", "tool_calls": [{"id": "x", "type": "custom"}]}],
        "messages[0].tool_calls[0].custom: a call of this type needs it",
    ),
    (
        [{"role": "assistant", "tool_calls": [{"type": "function"}]}],
        "messages[0].tool_calls[0]: object missing required field `id`",
    ),
    # not JSON at all
    ([{"role": "user", "content": object()}], "messages: object is not JSON"),
]


@pytest.mark.parametrize(("items", "problem"), WRONG)
def test_a_wrong_message_is_refused_by_its_place(items: Sequence[Mapping[str, Any]], problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_messages(items)
    assert str(caught.value).startswith(problem)


def test_a_request_as_our_values() -> None:
    body = {
        **HI,
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"a": 1}}},
            {"type": "function", "function": {"name": "g", "parameters": None, "strict": True}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"b": 2}}},
        "n": 2,
        "stop": "x",
        "seed": 1,
        "temperature": 1,
        "top_p": 0.5,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "reasoning_effort": "low",
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "store": True,
        "metadata": {"k": "v"},
        "user": "ann",
        "top_k": 4,
        "logit_bias": None,
    }
    asked = decode_request(json.dumps(body).encode())
    assert (asked.model, asked.messages) == ("m", (user("hi"),))
    assert asked.tools == (ToolSpec("f", "d", msgspec.Raw(b'{"a": 1}')), ToolSpec("g", strict=True))
    assert (asked.stream, asked.include_usage, asked.store) == (True, True, True)
    assert (asked.metadata, asked.user) == ({"k": "v"}, "ann")
    assert asked.settings == Settings(
        temperature=1.0,
        top_p=0.5,
        max_output_tokens=5,
        stop=("x",),
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        choices=2,
        reasoning_effort="low",
        tool_choice=NamedTool("f"),
        parallel_tool_calls=False,
        output=OutputSchema(msgspec.Raw(b'{"b": 2}'), "n"),
    )
    assert asked.native == {"top_k": 4}
    assert json.loads(msgspec.json.encode(asked.echo)) == {
        name: value for name, value in body.items() if name in ECHOED
    }


def test_a_small_request() -> None:
    asked = decode_request(b'{"messages":[{"role":"user","content":"hi"}],"response_format":null}')
    assert decode_request(json.dumps(HI | {"response_format": {"type": "text"}}).encode()).settings == Settings()
    assert asked == chat_completions.ServerRequest(messages=(user("hi"),))
    assert decode_request(json.dumps(HI | {"max_completion_tokens": 1, "max_tokens": 2}).encode()).settings == Settings(
        max_output_tokens=1
    )
    assert decode_request(json.dumps(HI | {"response_format": {"type": "json_object"}}).encode()).settings == Settings(
        output=OutputSchema()
    )


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (b"{", "the body is not valid JSON"),
        (b"\xff", "the body is not valid JSON"),
        (b'{"x":' + b"[" * 100_000, "the body is not valid JSON"),
        (b"[]", "the body is not a request: expected `object`"),
        (b"{}", "the body is not a request: object missing required field `messages`"),
        (b'{"messages":[]}', "messages: there must be at least one"),
        (b'{"messages":[{"role":"user","content":"hi"}],"n":0}', "n: must be at least 1, not 0"),
        (b'{"messages":[{"role":"user","content":7}]}', "messages[0].content: expected"),
        (b'{"messages":[{"role":"user","content":"a"}],"temperature":"hot"}', "temperature: expected"),
        (b'{"messages":[{"role":"user","content":"a"}],"functions":[]}', "functions: this field is gone"),
        (
            b'{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"custom","function":{"name":"f"}}]}',
            "tools[0].type: ",
        ),
        (
            b'{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema"}}',
            "response_format.json_schema.schema: ",
        ),
    ],
)
def test_a_wrong_request_is_refused_by_its_place(wanted: bytes, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_request(wanted)
    assert str(caught.value).startswith(problem)


def test_half_an_emoji_does_not_cost_a_request() -> None:
    (message,) = decode_request(b'{"messages":[{"role":"user","content":"so \\ud83d"}]}').messages
    assert message.text == "so ?"


# --- there and back -------------------------------------------------------------------------------------------------


def carried() -> st.SearchStrategy[Message]:
    """Messages of which the format keeps everything."""
    text = some_words.map(Text)
    image = st.builds(Image, st.builds(Url, urls().map(lambda url: url.url)) | inline(), st.none() | st.just("low"))
    audio = st.builds(Audio, inline("audio/wav", "audio/mpeg"))
    video = st.builds(Video, inline("video/mp4"))
    file = st.builds(File, inline("application/pdf"), some_words) | st.builds(
        File, st.builds(Uploaded, ids, st.just("openai"))
    )
    mixed = st.tuples(st.lists(text, max_size=2), image | audio | video | file).map(lambda pair: (*pair[0], pair[1]))
    said = st.builds(
        Message,
        st.sampled_from(["user", "system", "developer"]),
        mixed | text.map(lambda part: (part,)),
        st.none() | ids,
    ) | st.just(Message("user"))
    calls = st.lists(
        st.builds(ToolCall, ids, ids, json_objects()) | st.builds(ToolCall, ids, ids, some_words, st.just("custom")),
        min_size=1,
        max_size=3,
    )
    words = (
        st.tuples(st.builds(Reasoning, some_words), text) | st.tuples(text) | st.tuples(st.builds(Refusal, some_words))
    )
    answer = st.builds(
        Message,
        st.just("assistant"),
        words | calls.map(tuple) | st.tuples(text, calls).map(lambda pair: (pair[0], *pair[1])),
        st.none() | ids,
    )
    result = st.builds(ToolResult, ids, text.map(lambda part: (part,)) | st.just(()))
    return said | answer | result.map(lambda part: Message("tool", (part,)))


@given(st.lists(carried(), min_size=1, max_size=5))
def test_what_a_client_encodes_a_server_decodes(messages: list[Message]) -> None:
    dialect = Dialect(reasoning_field="reasoning_content", video=True)
    encoded = encode_request(Request(path=Path(), input=tuple(messages)), [], model="m", dialect=dialect)
    assert decode_request(encoded).messages == tuple(messages)
    assert decode_messages(json.loads(encoded)["messages"]) == tuple(messages)


@given(any_conversation(), st.sampled_from([OPENAI, PLAIN, Dialect(reasoning_field="reasoning", video=True)]))
def test_what_has_gone_over_the_wire_once_goes_unchanged(messages: list[Message], dialect: Dialect) -> None:
    """Whatever was lost is lost at the first crossing, so a proxy changes nothing."""
    known = [_without_opaque(message) for message in messages]
    try:
        once = sent(*known, dialect=dialect)
    except InvalidInput:
        return
    assert sent(*decode_messages(once, provider=dialect.provider), dialect=dialect) == once


def _without_opaque(message: Message) -> Message:
    parts = tuple(part for part in message.parts if not isinstance(part, Opaque))
    return msgspec.structs.replace(message, parts=parts)


@given(st.binary(max_size=50), st.sampled_from(["image/png", "text/plain;charset=utf-8", "application/x-y+z"]))
def test_bytes_as_a_data_url_and_back(data: bytes, media_type: str) -> None:
    (message,) = sent(user(Image(Inline(data, media_type))))
    assert message["content"][0]["image_url"]["url"].split(",")[1] == base64.b64encode(data).decode()
    assert decode_messages([message]) == (user(Image(Inline(data, media_type))),)
