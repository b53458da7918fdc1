"""Requests of the Responses API as our server reads them, and that nothing is lost between client and server."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from multiturn.errors import InvalidInput
from multiturn.formats.responses import (
    Dialect,
    Echo,
    ServerRequest,
    decode_messages,
    decode_request,
    encode_items,
    encode_messages,
    encode_request,
    item_id,
)
from multiturn.ids import new_id
from multiturn.messages import (
    Audio,
    Citation,
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
from strategies import any_conversation
from strategies_responses import BY_OPENAI, carried
from upstream_responses import call, custom_call, message, reasoning, search

OPENAI = Dialect()
PLAIN = Dialect(provider="plain", developer_role=False, custom_tools=False, reasoning_text=True)
PNG = Inline(b"\x89PNG", "image/png")
PNG_URL = "data:image/png;base64,iVBORw=="


def of_openai(*parts: Any) -> Message:
    return Message("assistant", parts, origin=BY_OPENAI)


def sent(*messages: Message, dialect: Dialect = OPENAI) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"[%s]" % encode_messages(messages, dialect))
    return found


def opaque(item: dict[str, Any]) -> Opaque:
    return Opaque("openai", msgspec.Raw(msgspec.json.encode(item)), item.get("type", "item_reference"))


# --- items ------------------------------------------------------------------------------------------------------------

SEARCH = search()
SHOT = {"type": "computer_call_output", "call_id": "call_1", "output": {"type": "computer_screenshot"}}
REFERENCE = {"type": "item_reference", "id": "msg_1"}
ITEMS: list[tuple[str | list[dict[str, Any]], tuple[Message, ...]]] = [
    # a text
    ("hi", (user("hi"),)),
    ("", (Message("user"),)),
    # words, with and without `type`, as a string and as a list
    ([{"role": "user", "content": "a"}], (user("a"),)),
    ([{"type": "message", "role": "system", "content": "a"}], (system("a"),)),
    ([{"role": "developer", "content": [{"type": "input_text", "text": "a"}]}], (developer("a"),)),
    (
        [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}],
        (user("a", "b"),),
    ),
    ([{"role": "user", "content": ""}], (Message("user"),)),
    ([{"role": "user", "content": []}], (Message("user"),)),
    ([{"role": "assistant", "content": "a"}], (assistant("a"),)),
    ([{"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}], (assistant("a"),)),
    # images: a data URL becomes bytes, another stays an address, an id is the provider's
    (
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": PNG_URL, "detail": "low"},
                    {"type": "input_image", "image_url": "https://e.com/a.png", "file_id": None},
                    {"type": "input_image", "file_id": "file-1", "detail": "auto"},
                ],
            }
        ],
        (user(Image(PNG, "low"), Image(Url("https://e.com/a.png")), Image(Uploaded("file-1", "openai"), "auto")),),
    ),
    # files; bare base64 takes its type from the name
    (
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_file", "file_url": "https://e.com/a.pdf"},
                    {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
                    {"type": "input_file", "file_data": "JVBERg==", "filename": "a.PDF"},
                ],
            }
        ],
        (
            user(
                File(Uploaded("file-1", "openai")),
                File(Url("https://e.com/a.pdf")),
                File(Inline(b"%PDF", "application/pdf"), "a.pdf"),
                File(Inline(b"%PDF", "application/pdf"), "a.PDF"),
            ),
        ),
    ),
    # recordings and videos
    (
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {"type": "input_video", "video_url": "https://e.com/v"},
                ],
            }
        ],
        (user(Audio(Inline(b"RIFF", "audio/wav")), Video(Url("https://e.com/v"))),),
    ),
    # one answer: thinking, a hosted tool, two messages, a call of each kind; its ids say whose they are
    (
        [
            reasoning("hm", encrypted="e", id="rs_1"),
            SEARCH,
            message("a", id="msg_1", phase="commentary"),
            message("b", {"type": "refusal", "refusal": "No."}, id="msg_2"),
            call("f", {}, id="fc_1", namespace="crm"),
            custom_call("sh", "ls", id="ctc_1"),
        ],
        (
            of_openai(
                Reasoning(summary=("hm",), id="rs_1", encrypted="e"),
                opaque(SEARCH),
                Text("a", id="msg_1", phase="commentary"),
                Text("b", id="msg_2"),
                Refusal("No.", id="msg_2"),
                ToolCall("call_1", "f", "{}", id="fc_1", signature='{"namespace":"crm"}'),
                ToolCall("call_1", "sh", "ls", kind="custom", id="ctc_1"),
            ),
        ),
    ),
    # ... without ids, it is anybody's
    (
        [
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"role": "assistant", "content": "a"},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        ],
        (assistant(Reasoning("hm"), "a", ToolCall("call_1", "f", "{}")),),
    ),
    # a message without content keeps its place by its id
    ([message(id="msg_1")], (of_openai(Text("", id="msg_1")),)),
    # two messages without ids are two answers; a call between them makes them one
    (
        [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
        (assistant("a"), assistant("b")),
    ),
    (
        [
            {"role": "assistant", "content": "a"},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"role": "assistant", "content": "b"},
        ],
        (assistant("a", ToolCall("call_1", "f", "{}"), "b"),),
    ),
    # a file that an answer cites is its provider's
    (
        [
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "output_text",
                        "text": "a",
                        "annotations": [{"type": "file_path", "file_id": "file-1", "index": 3}],
                    }
                ],
            }
        ],
        (of_openai(Text("a", (Citation(start=3, file_id="file-1"),))),),
    ),
    # results, each a message of its own, with media in them
    (
        [
            {"type": "function_call_output", "call_id": "call_1", "output": "a"},
            {"type": "function_call_output", "call_id": "call_2", "output": ""},
            {
                "type": "custom_tool_call_output",
                "call_id": "call_3",
                "output": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": PNG_URL, "detail": "low"},
                ],
            },
        ],
        (
            tool_result("call_1", "a"),
            Message("tool", (ToolResult("call_2"),)),
            Message("tool", (ToolResult("call_3", (Text("see"), Image(PNG, "low")), kind="custom"),)),
        ),
    ),
    # what only its provider understands: of the model, and of the client
    ([REFERENCE], (of_openai(opaque(REFERENCE)),)),
    ([{"id": "msg_1"}], (of_openai(opaque({"id": "msg_1"})),)),
    ([SHOT], (Message("tool", (opaque(SHOT),), origin=BY_OPENAI),)),
    # a conversation
    (
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
        (user("a"), assistant("b"), user("c")),
    ),
]


@pytest.mark.parametrize(("items", "expected"), ITEMS)
def test_a_client_s_items_as_messages(items: str | list[dict[str, Any]], expected: tuple[Message, ...]) -> None:
    before = copy.deepcopy(items)
    assert decode_messages(items) == expected
    assert items == before


def test_items_may_be_any_mappings_and_the_sdk_s_own_objects() -> None:
    text = ResponseOutputText(annotations=[], text="b", type="output_text")
    items: list[Any] = [
        MappingProxyType({"role": "user", "content": "a"}),
        ResponseOutputMessage(id="msg_1", content=[text], role="assistant", status="completed", type="message"),
        ResponseFunctionToolCall(arguments="{}", call_id="call_1", name="f", type="function_call", id="fc_1"),
    ]
    assert decode_messages(items) == (
        user("a"),
        of_openai(Text("b", id="msg_1"), ToolCall("call_1", "f", "{}", id="fc_1")),
    )


def test_the_ids_that_our_own_server_made_mean_nothing_to_a_provider() -> None:
    response_id = new_id("resp")
    said = assistant(Reasoning(summary=("hm",), encrypted="e"), "a", ToolCall("call_1", "f", "{}"))
    items = [json.loads(item) for item in encode_items([said], response_id=response_id)]
    assert [item["id"] for item in items] == [
        item_id(prefix, response_id, "output", nth) for nth, prefix in enumerate(("rs", "msg", "fc"))
    ]
    (read,) = decode_messages(items)
    assert read == msgspec.structs.replace(said, origin=BY_OPENAI)  # the encrypted thinking is still the provider's


def test_a_picture_that_our_own_server_showed_is_a_picture_again() -> None:
    said = assistant("See:", Image(Inline(b"\xff\xd8", "image/jpeg")))
    words, picture = (json.loads(item) for item in encode_items([said], response_id=new_id("resp")))
    assert decode_messages([words, picture]) == (said,)
    for of_a_provider in (picture | {"id": "ig_1"}, picture | {"result": None}, picture | {"result": "!"}):
        assert decode_messages([of_a_provider]) == (of_openai(opaque(of_a_provider)),)


WRONG: list[tuple[Sequence[Mapping[str, Any]], str]] = [
    # roles
    ([{"role": "robot", "content": "a"}], "input[0].role: 'robot' is none of user, system, developer, assistant"),
    ([{"role": "tool", "content": "a"}], "input[0].role: a tool's result is an item of type 'function_call_output'"),
    ([{"role": 7, "content": "a"}], "input[0].role: expected `str`, got `int`"),
    ([{"type": "message", "content": "a"}], "input[0]: object missing required field `role`"),
    # content
    ([{"role": "user"}], "input[0]: object missing required field `content`"),
    ([{"role": "user", "content": 1}], "input[0].content: expected `str | array`, got `int`"),
    (
        [{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "a"}]}],
        "input[1].content[0].type: 'text' is not known here; use one of input_text, input_image",
    ),
    (
        [{"role": "user", "content": [{"type": "input_image"}]}],
        "input[0].content[0]: this type needs image_url or",
    ),
    ([{"role": "user", "content": [{"type": "input_file"}]}], "input[0].content[0]: this type needs file_data, file_u"),
    (
        [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,!"}]}],
        "input[0].content[0]: not base64",
    ),
    (
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}]}],
        "input[0].content[0].input_audio.data: invalid base64",
    ),
    # calls, results and thinking
    ([{"type": "function_call", "name": "f", "arguments": ""}], "input[0]: object missing required field `call_id`"),
    (
        [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}],
        "input[0].arguments: expected `str`, got `object`",
    ),
    ([{"type": "custom_tool_call", "call_id": "c", "name": "f"}], "input[0]: object missing required field `input`"),
    ([{"type": "function_call_output", "output": "a"}], "input[0]: object missing required field `call_id`"),
    (
        [{"type": "function_call_output", "call_id": "c", "output": [{"type": "smell"}]}],
        "input[0].output[0].type: 'smell' is not known here",
    ),
    ([{"type": "reasoning"}], "input[0]: object missing required field `summary`"),
    # no item at all
    (["a"], "input[0]: expected `object`, got `str`"),  # type: ignore[list-item]
    ([{"role": "user", "content": object()}], "input: object is not JSON"),
]


@pytest.mark.parametrize(("items", "problem"), WRONG)
def test_a_wrong_item_is_refused_by_its_place(items: Sequence[Mapping[str, Any]], problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_messages(items)
    assert str(caught.value).startswith(problem)


def test_a_field_that_is_there_twice_is_refused_where_one_of_them_is_wrong() -> None:
    item = b'{"type":"function_call","id":true,"call_id":"call_1","name":"f","arguments":"{}","id":null}'
    with pytest.raises(InvalidInput, match=r"^input\[0\]: Expected `str \| null`, got `bool`"):
        decode_request(b'{"model":"m","input":[%s]}' % item)


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_as_our_values() -> None:
    asked = decode_request(
        json.dumps(
            {
                "model": "m",
                "input": "hi",
                "instructions": "be brief",
                "previous_response_id": "resp_1",
                "tools": [
                    {"type": "function", "name": "f", "description": "d", "parameters": {"a": 1}},
                    {"type": "custom", "name": "sh", "format": {"type": "text"}},
                    {"type": "function", "name": "g", "parameters": None, "strict": True},
                    {"type": "web_search"},
                ],
                "tool_choice": {"type": "function", "name": "f"},
                "parallel_tool_calls": False,
                "text": {"format": {"type": "json_schema", "name": "n", "schema": {"b": 2}}, "verbosity": "low"},
                "reasoning": {"effort": "low", "summary": "auto"},
                "temperature": 1,
                "top_p": 0.5,
                "presence_penalty": 0.1,
                "frequency_penalty": 0.2,
                "max_output_tokens": 16,
                "max_tool_calls": 3,
                "top_logprobs": 2,
                "truncation": "auto",
                "include": ["reasoning.encrypted_content"],
                "store": False,
                "stream": True,
                "stream_options": {"include_obfuscation": False},
                "service_tier": "flex",
                "metadata": {"k": "v"},
                "prompt_cache_key": "p",
                "safety_identifier": "s",
                "user": "ann",
                "context_management": [{"type": "compaction"}],
                "top_k": None,
            }
        ).encode()
    )
    assert (asked.model, asked.messages, asked.instructions) == ("m", (user("hi"),), "be brief")
    assert (asked.previous_response_id, asked.conversation) == ("resp_1", None)
    assert asked.tools == (ToolSpec("f", "d", msgspec.Raw(b'{"a": 1}')), ToolSpec("g", strict=True))
    assert (asked.stream, asked.store, asked.background, asked.truncation) == (True, False, False, "auto")
    assert (asked.metadata, asked.user, asked.include) == ({"k": "v"}, "ann", ("reasoning.encrypted_content",))
    assert asked.settings == Settings(
        temperature=1.0,
        top_p=0.5,
        max_output_tokens=16,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        reasoning_effort="low",
        tool_choice=NamedTool("f"),
        parallel_tool_calls=False,
        output=OutputSchema(msgspec.Raw(b'{"b": 2}'), "n"),
    )
    assert asked.native == {
        "tools": [{"type": "custom", "name": "sh", "format": {"type": "text"}}, {"type": "web_search"}],
        "text": {"verbosity": "low"},
        "reasoning": {"summary": "auto"},
        "max_tool_calls": 3,
        "top_logprobs": 2,
        "truncation": "auto",
        "include": ["reasoning.encrypted_content"],
        "service_tier": "flex",
        "prompt_cache_key": "p",
        "safety_identifier": "s",
        "user": "ann",
        "context_management": [{"type": "compaction"}],
    }
    assert (asked.echo.max_tool_calls, asked.echo.store, asked.echo.service_tier) == (3, False, "flex")
    assert len(asked.echo.tools) == 4


def test_a_small_request() -> None:
    asked = decode_request(b'{"input":[{"role":"user","content":"hi"}],"text":{"format":{"type":"text"}}}')
    assert asked == ServerRequest(messages=(user("hi"),), echo=asked.echo)
    assert asked.echo == Echo(text=msgspec.Raw(b'{"format":{"type":"text"}}'))
    assert decode_request(b'{"input":"hi","conversation":"conv_1"}').conversation == "conv_1"
    assert decode_request(b'{"conversation":{"id":"conv_1"}}').conversation == "conv_1"
    assert decode_request(b'{"previous_response_id":"resp_1"}').messages == ()
    wanted = decode_request(b'{"input":"hi","text":{"format":{"type":"json_object"}},"background":true,"store":true}')
    assert (wanted.settings.output, wanted.background, wanted.store) == (OutputSchema(), True, True)


@pytest.mark.parametrize(
    ("choice", "ours", "native"),
    [
        ("auto", "auto", {}),
        ("none", "none", {}),
        ("required", "required", {}),
        ({"type": "function", "name": "f"}, NamedTool("f"), {}),
        ({"type": "web_search"}, None, {"tool_choice": {"type": "web_search"}}),
        ({"type": "custom", "name": "sh"}, None, {"tool_choice": {"type": "custom", "name": "sh"}}),
        (None, None, {}),
    ],
)
def test_a_choice_of_tools(choice: Any, ours: Any, native: dict[str, Any]) -> None:
    asked = decode_request(json.dumps({"input": "hi", "tool_choice": choice}).encode())
    assert (asked.settings.tool_choice, asked.native) == (ours, native)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (b"{", "the body is not valid JSON"),
        (b"\xff", "the body is not valid JSON"),
        (b'{"input":' + b"[" * 100_000, "the body is not valid JSON"),
        (b"[]", "the body is not a request: expected `object`"),
        (b"{}", "input: there must be at least one item"),
        (b'{"input":[]}', "input: there must be at least one item"),
        (b'{"input":7}', "input: expected `str | array | null`"),
        (b'{"input":[7]}', "input[0]: expected `object`, got `int`"),
        (b'{"input":[{"role":"user","content":7}]}', "input[0].content: expected"),
        (b'{"input":"a","temperature":"hot"}', "temperature: expected"),
        (b'{"input":"a","truncation":"maybe"}', "truncation: invalid enum value 'maybe'"),
        (b'{"input":"a","metadata":{"k":1}}', "metadata[...]: expected `str`"),
        (b'{"input":"a","tools":[7]}', "tools[0]: expected `object`"),
        (b'{"input":"a","tools":[{"type":"function"}]}', "tools[0]: object missing required field `name`"),
        (b'{"input":"a","tools":[{"type":"function","function":{"name":"f"}}]}', "tools[0].function: in this API"),
        (b'{"input":"a","tool_choice":"maybe"}', "tool_choice: 'maybe' is none of auto, none, required"),
        (
            b'{"input":"a","tool_choice":{"type":"function"}}',
            "tool_choice: it needs a type and, for a function, a",
        ),
        (b'{"input":"a","tool_choice":{}}', "tool_choice: it needs a type"),
        (b'{"input":"a","text":{"format":{"type":"xml"}}}', "text.format.type: invalid enum value 'xml'"),
        (b'{"input":"a","text":{"format":{"type":"json_schema","schema":{}}}}', "text.format.name: this type needs it"),
        (
            b'{"input":"a","text":{"format":{"type":"json_schema","name":"n"}}}',
            "text.format.schema: this type needs",
        ),
        (b'{"input":"a","previous_response_id":"x","conversation":"y"}', "conversation: it cannot be given together"),
        (b'{"input":"a","background":true,"store":false}', "background: a response that runs in the background"),
    ],
)
def test_a_wrong_request_is_refused_by_its_place(wanted: bytes, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_request(wanted)
    assert str(caught.value).startswith(problem)


def test_half_an_emoji_does_not_cost_a_request() -> None:
    body = json.dumps(
        {
            "input": [{"role": "user", "content": "so @"}, reasoning("@", id="rs_1"), call("f", {"x": "@"})],
            "instructions": "@",
            "reasoning": {"summary": "@"},
            "tools": [{"type": "web_search", "filters": "@"}],
        }
    ).replace("@", "\\ud83d")
    asked = decode_request(body.encode())
    assert asked.messages[0].text == "so ?"
    assert asked.messages[1].reasoning == "?"
    assert (asked.instructions, asked.native["reasoning"]) == ("?", {"summary": "?"})


# --- there and back -------------------------------------------------------------------------------------------------


def test_what_only_this_api_knows_goes_on_to_a_provider_of_it() -> None:
    body = {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": "hi"}],
        "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
        "tools": [
            {"type": "function", "name": "f", "parameters": {}, "strict": False},
            {"type": "web_search", "search_context_size": "low"},
        ],
        "tool_choice": {"type": "web_search"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "truncation": "auto",
        "service_tier": "flex",
    }
    asked = decode_request(json.dumps(body).encode())
    settings = msgspec.structs.replace(asked.settings, extra=asked.native)
    request = Request(path=Path(), input=asked.messages, tools=asked.tools, settings=settings)
    assert json.loads(encode_request(request, [], model="m", dialect=OPENAI)) == body


@given(carried())
def test_what_a_client_encodes_a_server_decodes(messages: list[Message]) -> None:
    encoded = encode_request(Request(path=Path(), input=tuple(messages)), [], model="m", dialect=OPENAI)
    read = decode_request(encoded).messages
    assert [(each.role, each.parts) for each in read] == [(each.role, each.parts) for each in messages]
    assert decode_messages(json.loads(encoded)["input"]) == read
    assert encode_messages(read, OPENAI) == encode_messages(messages, OPENAI)


@given(any_conversation(), st.sampled_from([OPENAI, PLAIN]))
def test_what_has_gone_over_the_wire_once_goes_unchanged(messages: list[Message], dialect: Dialect) -> None:
    """Whatever was lost is lost at the first crossing, so a proxy changes nothing."""
    known = [_without_opaque(message) for message in messages]
    once = sent(*known, dialect=dialect)
    assert sent(*decode_messages(once, provider=dialect.provider), dialect=dialect) == once


def _without_opaque(message: Message) -> Message:
    parts = tuple(part for part in message.parts if not isinstance(part, Opaque))
    return msgspec.structs.replace(message, parts=parts)


@given(any_conversation())
def test_what_another_provider_s_client_sends_stays_with_that_provider(messages: list[Message]) -> None:
    """Ids and encrypted thinking that came in under one provider's name do not go out to another."""
    asked = decode_messages(sent(*map(_marked, messages)), provider="openai")
    assert b"SECRET" not in encode_messages(asked, Dialect(provider="other"))


def _marked(message: Message) -> Message:
    def marked(part: Any) -> Any:
        fields: dict[str, Any] = {name: "SECRET" for name in ("id", "encrypted", "phase") if hasattr(part, name)}
        if isinstance(part, ToolCall):
            fields["signature"] = '{"namespace":"SECRET"}'
        if isinstance(part, Opaque):
            fields |= {"provider": "openai", "data": msgspec.Raw(b'{"type":"SECRET"}')}
        return msgspec.structs.replace(part, **fields)

    return msgspec.structs.replace(message, parts=tuple(map(marked, message.parts)), origin=Origin("openai"))
