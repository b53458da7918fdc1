"""Requests of the Gemini API as our server reads them, and that nothing is lost between client and server."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.formats.gemini import (
    Dialect,
    ServerRequest,
    decode_messages,
    decode_request,
    encode_messages,
    encode_request,
)
from multiturn.formats.gemini.calls import SKIP
from multiturn.messages import (
    Audio,
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
    Video,
    assistant,
    tool_result,
    user,
)
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolSpec
from strategies import any_conversation, ids, inline, json_objects, maybe, some_words

GEMINI = Dialect()
PNG = Inline(b"\x89PNG", "image/png")
BLOB = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
BY_GEMINI = Origin("gemini", format="gemini")
UPLOAD = "https://generativelanguage.googleapis.com/v1beta/files/a"


def said(*parts: dict[str, Any], role: str | None = "user") -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def call(name: str = "f", id: str | None = "abc1", **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {"x": 1}, **({"id": id} if id else {})}, **fields}


def response(value: Any, name: str = "f", id: str | None = "abc1", **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": value, **({"id": id} if id else {}), **fields}}


CALL = ToolCall("abc1", "f", '{"x":1}')
CONTENTS: list[tuple[list[dict[str, Any]], list[Message]]] = [
    # words; a content without a role is the user's
    ([said({"text": "a"}, {"text": "b"})], [user("a", "b")]),
    ([said({"text": "a"}, role=None)], [user("a")]),
    ([said({"text": "a"}), said({"text": "b"}, role="model")], [user("a"), assistant("b")]),
    # media; the SDK writes base64 in the URL-safe alphabet
    (
        [
            said(
                BLOB,
                {"inlineData": {"mimeType": "audio/wav", "data": "_-8="}},
                {"fileData": {"fileUri": "https://e.com/v", "mimeType": "video/mp4"}},
                {"fileData": {"fileUri": UPLOAD, "mimeType": "application/pdf"}},
            )
        ],
        [
            user(
                Image(PNG),
                Audio(Inline(b"\xff\xef", "audio/wav")),
                Video(Url("https://e.com/v", "video/mp4")),
                File(Uploaded(UPLOAD, "gemini", "application/pdf")),
            )
        ],
    ),
    # an answer with signatures, which belong to the provider
    (
        [said({"text": "hm", "thought": True}, {"text": "a", "thoughtSignature": "YQ=="}, call(), role="model")],
        [Message("assistant", (Reasoning("hm"), Text("a", signature="YQ=="), CALL), origin=BY_GEMINI)],
    ),
    # the dummy is none, and says that Gemini did not make the call
    ([said(call(thoughtSignature="skip_thought_signature_validator"), role="model")], [assistant(CALL)]),
    # a part that we do not know
    (
        [said({"executableCode": {"code": "1"}}, role="model")],
        [
            Message(
                "assistant",
                (Opaque("gemini", msgspec.Raw(b'{"executableCode":{"code":"1"}}'), "executableCode"),),
                origin=BY_GEMINI,
            )
        ],
    ),
    # results: text, an error, an object, nothing, media; then what else the user says
    (
        [
            said(call(), role="model"),
            said(response({"output": "ok"}), {"text": "And?"}),
        ],
        [assistant(CALL), tool_result("abc1", "ok", name="f"), user("And?")],
    ),
    ([said(response({"error": "no"}))], [tool_result("abc1", "no", name="f", is_error=True)]),
    ([said(response({"t": 7, "output": "x"}))], [tool_result("abc1", '{"t":7,"output":"x"}', name="f")]),
    ([said(response({"output": ""}))], [Message("tool", (ToolResult("abc1", name="f"),))]),
    (
        [said(response({"output": "see"}, parts=[BLOB, {}]), role="function")],
        [Message("tool", (ToolResult("abc1", (Text("see"), Image(PNG)), "f"),))],
    ),
    # without ids, results answer the calls in order of their names
    (
        [
            said(call("f", "a1"), call("g", "a2"), call("f", "a3"), role="model"),
            said(response({}, "f", None), response({}, "f", None), response({}, "g", None)),
        ],
        [
            assistant(*(ToolCall(id, name, '{"x":1}') for id, name in (("a1", "f"), ("a2", "g"), ("a3", "f")))),
            Message(
                "tool",
                tuple(ToolResult(id, (Text("{}"),), name) for id, name in (("a1", "f"), ("a3", "f"), ("a2", "g"))),
            ),
        ],
    ),
]


@pytest.mark.parametrize(("items", "expected"), CONTENTS)
def test_a_client_s_contents_as_our_messages(items: list[dict[str, Any]], expected: list[Message]) -> None:
    before = copy.deepcopy(items)
    assert list(decode_messages(items)) == expected
    assert items == before


def test_calls_without_ids_are_answered_by_results_without_ids() -> None:
    items = [said(call("f", None), role="model"), said(response({}, "f", None)), said(response({}, "h", None))]
    answer, result, stray = decode_messages(items)
    assert answer.tool_calls[0].call_id == result.tool_results[0].call_id
    assert stray.tool_results[0].call_id.endswith("_h")
    assert b'"id"' not in encode_messages([answer, result, stray], GEMINI)


def test_contents_may_be_any_mappings_and_the_sdk_s_own_objects() -> None:
    items: list[Any] = [
        MappingProxyType(said({"text": "a"})),
        types.Content(
            role="model",
            parts=[
                types.Part(text="b", thought_signature=b"sig"),
                types.Part.from_function_call(name="f", args={"x": 1}),
                types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png"),
            ],
        ),
    ]
    question, answer = decode_messages(items)
    (made,) = answer.tool_calls
    assert question == user("a")
    assert answer.parts == (Text("b", signature="c2ln"), ToolCall(made.call_id, "f", '{"x":1}'), Image(PNG))


def test_names_may_be_spelled_either_way_but_for_a_user_s_own() -> None:
    items = [
        said({"function_call": {"name": "f", "args": {"file_uri": 1}}, "thought_signature": "YQ=="}, role="model"),
        said(
            {"function_response": {"name": "f", "response": {"mime_type": "x"}}},
            {"inline_data": {"mime_type": "image/png", "data": "iVBORw=="}},
            {"text": 'say "inline_data": yes'},
        ),
    ]
    answer, result, question = decode_messages(items)
    (made,) = answer.tool_calls
    assert (made.arguments, made.signature) == ('{"file_uri":1}', "YQ==")
    assert result.tool_results[0].text == '{"mime_type":"x"}'
    assert question == user(Image(PNG), 'say "inline_data": yes')
    found = asked(generation_config={"max_output_tokens": 9, "response_json_schema": {"a_b": 1}, "top_k": 3})
    assert found.settings.max_output_tokens == 9
    assert found.settings.extra == {"generationConfig": {"responseJsonSchema": {"a_b": 1}, "topK": 3}}


WRONG: list[tuple[Sequence[Mapping[str, Any]], str]] = [
    ([said({"text": "a"}), said({"text": "a"}, role="robot")], "contents[1].role: 'robot' is none of user, model"),
    ([{"role": "user"}], "contents[0].parts: there must be at least one"),
    ([said()], "contents[0].parts: there must be at least one"),
    ([{"role": 7, "parts": []}], "contents[0].role: expected `str | null`, got `int`"),
    ([said({"text": "a"}, {"text": 7})], "contents[0].parts[1].text: expected `str | null`, got `int`"),
    ([said({"functionResponse": {"response": {}}})], "contents[0].parts: a functionResponse needs the name"),
    # not JSON at all
    ([said({"x": object()})], "contents: object is not JSON"),
]


@pytest.mark.parametrize(("items", "problem"), WRONG)
def test_a_wrong_content_is_refused_by_its_place(items: Sequence[Mapping[str, Any]], problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_messages(items)
    assert str(caught.value).startswith(problem)


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_request_as_our_values() -> None:
    asked = decode_request(
        json.dumps(
            {
                "contents": [said({"text": "hi"})],
                "systemInstruction": {"parts": [{"text": "be "}, {"text": "brief"}]},
                "tools": [
                    {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": {"a": 1}}]},
                    {"functionDeclarations": [{"name": "g", "parameters": {"type": "OBJECT"}}, {"name": "h"}]},
                ],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
                "generationConfig": {
                    "temperature": 1,
                    "topP": 0.5,
                    "topK": 4,
                    "maxOutputTokens": 5,
                    "stopSequences": ["x"],
                    "seed": 1,
                    "presencePenalty": 0.1,
                    "frequencyPenalty": 0.2,
                    "candidateCount": 2,
                    "responseMimeType": "application/json",
                    "responseJsonSchema": {"b": 2},
                    "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
                    "speechConfig": None,
                },
                "safetySettings": [{"category": "X"}],
            }
        ).encode()
    )
    assert asked.messages == (user("hi"),)
    assert asked.instructions == "be brief"
    assert asked.tools == (
        ToolSpec("f", "d", msgspec.Raw(b'{"a": 1}')),
        ToolSpec("g", parameters=msgspec.Raw(b'{"type": "OBJECT"}')),
        ToolSpec("h"),
    )
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
        output=OutputSchema(msgspec.Raw(b'{"b": 2}')),
        extra={
            "safetySettings": [{"category": "X"}],
            "generationConfig": {"topK": 4, "thinkingConfig": {"includeThoughts": True}},
        },
    )


def asked(**fields: Any) -> ServerRequest:
    return decode_request(json.dumps({"contents": [said({"text": "hi"})], **fields}).encode())


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({}, Settings()),
        ({"generationConfig": {}, "toolConfig": {}, "tools": []}, Settings()),
        ({"generationConfig": {"responseMimeType": "application/json"}}, Settings(output=OutputSchema())),
        (
            {"generationConfig": {"responseMimeType": "text/x.enum", "thinkingConfig": {"thinkingBudget": 0}}},
            Settings(
                extra={"generationConfig": {"responseMimeType": "text/x.enum", "thinkingConfig": {"thinkingBudget": 0}}}
            ),
        ),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}, Settings(reasoning_effort="high")),
        ({"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}, Settings(tool_choice="auto")),
        ({"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}, Settings(tool_choice="none")),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}, "retrievalConfig": {"languageCode": "de"}}},
            Settings(tool_choice="required", extra={"toolConfig": {"retrievalConfig": {"languageCode": "de"}}}),
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}},
            Settings(extra={"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}}),
        ),
        # tools that are no functions
        ({"tools": [{"googleSearch": {}}]}, Settings(extra={"tools": [{"googleSearch": {}}]})),
    ],
)
def test_settings(fields: dict[str, Any], settings: Settings) -> None:
    assert asked(**fields).settings == settings


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (b"{", "the body is not valid JSON"),
        (b"\xff", "the body is not valid JSON"),
        (b"[]", "the body is not a request: expected `object`"),
        (b"{}", "the body is not a request: object missing required field `contents`"),
        (b'{"contents":[]}', "contents: there must be at least one"),
        (b'{"contents":[{"parts":7}]}', "contents[0].parts: expected"),
        (b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"temperature":"hot"}}', "generationConfig: "),
        (
            b'{"contents":[{"parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{}]}]}',
            "tools[0].functionDeclarations[0]: object missing required field `name`",
        ),
    ],
)
def test_a_wrong_request_is_refused_by_its_place(wanted: bytes, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_request(wanted)
    assert str(caught.value).startswith(problem)


def test_half_an_emoji_does_not_cost_a_request() -> None:
    (message,) = decode_request(b'{"contents":[{"parts":[{"text":"so \\ud83d"}]}]}').messages
    assert message.text == "so ?"


# --- there and back -------------------------------------------------------------------------------------------------


def carried() -> st.SearchStrategy[list[Message]]:
    """Conversations of which the format keeps everything: somebody speaks, a model answers and calls, tools answer."""
    text = some_words.map(Text)
    media = st.one_of(
        st.builds(Image, inline("image/png")),
        st.builds(Audio, inline("audio/wav")),
        st.builds(Video, st.builds(Url, st.just("https://example.com/v"), st.just("video/mp4"))),
        st.builds(File, st.just(Uploaded(UPLOAD, "gemini", "application/pdf"))),
    )
    question = st.lists(text | media, min_size=1, max_size=3).map(lambda parts: user(*parts))
    signatures = maybe(st.just("YQ=="))

    @st.composite
    def a_step(draw: st.DrawFn) -> list[Message]:
        parts: list[Part] = draw(st.lists(st.builds(Text, some_words, signature=signatures), max_size=1))
        parts += draw(st.lists(st.builds(Reasoning, some_words, signature=signatures), max_size=1))
        names = draw(st.lists(ids.map("f{}".format), max_size=2))
        calls = [
            ToolCall(f"{n}_{name}", name, draw(json_objects()), signature=draw(signatures))
            for n, name in enumerate(names)
        ]
        parts += calls or [Text("done")]
        scoped = any(getattr(part, "signature", None) for part in parts)
        made = [Message("assistant", tuple(parts), origin=BY_GEMINI if scoped else None)]
        results = tuple(
            ToolResult(each.call_id, (draw(text),), each.name, is_error=draw(st.booleans())) for each in calls
        )
        return [*made, Message("tool", results)] if results else made

    turns = st.tuples(question, st.lists(a_step(), min_size=1, max_size=2))
    return st.lists(turns, min_size=1, max_size=2).map(_alternating)


def _alternating(turns: list[tuple[Message, list[list[Message]]]]) -> list[Message]:
    """Everything said, without the messages that would be merged with the one before them."""
    made: list[Message] = []
    for message in (message for asked, steps in turns for step in ([asked], *steps) for message in step):
        if not made or (made[-1].role == "assistant") != (message.role == "assistant"):
            made.append(message)
    return made


@given(carried())
def test_what_a_client_encodes_a_server_decodes(messages: list[Message]) -> None:
    request = Request(path=Path(), input=tuple(messages), instructions="be brief")
    encoded = encode_request(request, [], model="m", dialect=GEMINI)
    found = decode_request(encoded)
    assert (found.messages, found.instructions) == (tuple(messages), "be brief")
    assert decode_messages(json.loads(encoded)["contents"]) == tuple(messages)


@given(any_conversation(), st.sampled_from([GEMINI, Dialect(media_in_results=False)]))
def test_what_has_gone_over_the_wire_once_goes_unchanged(messages: list[Message], dialect: Dialect) -> None:
    """Whatever was lost is lost at the first crossing, so a proxy changes nothing."""
    known = [_without_opaque(message) for message in messages]
    once = json.loads(b"[%s]" % encode_messages(known, dialect))
    if once:
        again = json.loads(b"[%s]" % encode_messages(decode_messages(once), dialect))
        assert _without_excuses(again) == _without_excuses(once)


def _without_excuses(contents: Any) -> Any:
    """Without the dummy signature, which a call of Gemini's own that has none gets once nobody knows whose it is."""
    return [
        {**content, "parts": [{k: v for k, v in part.items() if v != SKIP} for part in content["parts"]]}
        for content in contents
    ]


def _without_opaque(message: Message) -> Message:
    parts = tuple(part for part in message.parts if not isinstance(part, Opaque))
    return msgspec.structs.replace(message, parts=parts)
