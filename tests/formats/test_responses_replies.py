"""Replies of the Responses API, as servers word them; and ours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from pydantic import TypeAdapter

from multiturn.deltas import Answer
from multiturn.errors import (
    ContextOverflow,
    InvalidInput,
    InvalidReply,
    ModelError,
    ProviderFailed,
    RateLimited,
)
from multiturn.formats.responses import (
    Dialect,
    Echo,
    decode_reply,
    decode_request,
    encode_items,
    encode_messages,
    encode_reply,
    encode_response,
    place_of,
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
    assistant,
    system,
    user,
)
from openresponses import problems
from strategies import any_message, any_usage
from strategies_responses import answer_parts
from upstream_responses import call, custom_call, message, reasoning, response, search

OPENAI = Dialect()
RESPONSE: TypeAdapter[Response] = TypeAdapter(Response)


def parts(*output: dict[str, Any], **fields: Any) -> tuple[Part, ...]:
    return decode_reply(json.dumps(response(output, **fields)).encode(), OPENAI).message.parts


# --- as a client ----------------------------------------------------------------------------------------------------

PNG_CALL = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "iVBORw=="}
CITED = {
    "type": "output_text",
    "text": "see",
    "annotations": [
        {"type": "url_citation", "url": "https://e.com", "title": "T", "start_index": 0, "end_index": 3},
        {"type": "url_citation", "url": "https://f.com", "title": "", "start_index": 0, "end_index": 0},
        {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 7},
        {"type": "smell", "strength": 3},
        7,
    ],
}
SAID: list[tuple[dict[str, Any], tuple[Part, ...]]] = [
    # words under their id, and their phase
    (message("hi", id="msg_1"), (Text("hi", id="msg_1"),)),
    (message("hi", id="msg_1", phase="commentary"), (Text("hi", id="msg_1", phase="commentary"),)),
    # several contents, a refusal among them
    (
        message("a", "", {"type": "refusal", "refusal": "No."}, id="msg_1"),
        (Text("a", id="msg_1"), Text("", id="msg_1"), Refusal("No.", id="msg_1")),
    ),
    # an empty message keeps its place by its id
    (message(id="msg_1"), (Text("", id="msg_1"),)),
    ({"type": "message", "content": []}, ()),
    ({"type": "message", "content": None, "id": ""}, ()),
    # servers that leave things out, or say content as a string
    ({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}, (Text("hi"),)),
    ({"type": "message", "content": "hi"}, (Text("hi"),)),
    # a content that nobody knows
    (message("a", {"type": "output_smell", "x": 1}, id="msg_1"), (Text("a", id="msg_1"),)),
    # citations
    (
        message(CITED, id="msg_1"),
        (
            Text(
                "see",
                (
                    Citation("https://e.com", "T", start=0, end=3),
                    Citation("https://f.com"),
                    Citation(title="a.pdf", start=7, file_id="file-1"),
                ),
                id="msg_1",
            ),
        ),
    ),
    # thinking: summaries, encrypted content, words in the clear, nothing
    (reasoning("a", "b", encrypted="e", id="rs_1"), (Reasoning(summary=("a", "b"), id="rs_1", encrypted="e"),)),
    (reasoning(text="hm", id="rs_1"), (Reasoning("hm", id="rs_1"),)),
    ({"type": "reasoning", "id": "rs_1", "summary": None, "encrypted_content": ""}, (Reasoning(id="rs_1"),)),
    # calls; broken arguments are kept, an object is made text
    (call("f", {"x": 1}, id="fc_1"), (ToolCall("call_1", "f", '{"x": 1}', id="fc_1"),)),
    (call("f", {}, id="fc_1") | {"arguments": '{"x'}, (ToolCall("call_1", "f", '{"x', id="fc_1"),)),
    (call("f", {}, id="fc_1") | {"arguments": {"x": [1]}}, (ToolCall("call_1", "f", '{"x":[1]}', id="fc_1"),)),
    ({"type": "function_call", "name": "f", "id": "fc_1"}, (ToolCall("fc_1", "f", id="fc_1"),)),
    (custom_call("sh", "ls", id="ctc_1"), (ToolCall("call_1", "sh", "ls", kind="custom", id="ctc_1"),)),
    # what a call says beside that is kept, but for nulls
    (
        call("f", {}, id="fc_1", namespace="crm", caller=None),
        (ToolCall("call_1", "f", "{}", id="fc_1", signature='{"namespace":"crm"}'),),
    ),
    # everything else is opaque
    (PNG_CALL, (Opaque("openai", msgspec.Raw(json.dumps(PNG_CALL).encode()), "image_generation_call"),)),
    ({"type": "smell"}, (Opaque("openai", msgspec.Raw(b'{"type": "smell"}'), "smell"),)),
    ({}, (Opaque("openai", msgspec.Raw(b"{}")),)),
]


@pytest.mark.parametrize(("item", "expected"), SAID)
def test_what_an_item_says(item: dict[str, Any], expected: tuple[Part, ...]) -> None:
    assert parts(item) == expected


def test_a_whole_reply() -> None:
    hosted = search()
    whole = response([reasoning(encrypted="e", id="rs_1"), hosted, message("hi", id="msg_1")], id="resp_1")
    assert decode_reply(json.dumps(whole).encode(), OPENAI) == Answer(
        Message(
            "assistant",
            (
                Reasoning(id="rs_1", encrypted="e"),
                Opaque("openai", msgspec.Raw(json.dumps(hosted).encode()), "web_search_call"),
                Text("hi", id="msg_1"),
            ),
            id="resp_1",
            origin=Origin("openai", "gpt-5-mini-2025-08-07", "responses"),
            usage=Usage(input_tokens=12, output_tokens=3, cached_tokens=4, reasoning_tokens=1),
            finish_reason="stop",
        )
    )


def test_a_small_reply() -> None:
    answer = decode_reply(b'{"output":[{"type":"message","content":"hi"}]}', OPENAI)
    assert answer.message == Message(
        "assistant", (Text("hi"),), origin=Origin("openai", format="responses"), finish_reason="stop"
    )
    assert decode_reply(b'{"output":[]}', OPENAI).message.parts == ()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "stop"),
        ({"output": [call("f", {})]}, "tool_calls"),
        ({"output": [custom_call("f", "x")]}, "tool_calls"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "steered"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
        ({"status": None}, "stop"),
    ],
)
def test_why_an_answer_ended(fields: dict[str, Any], reason: str) -> None:
    body = json.dumps(response([message("a")]) | fields).encode()
    assert decode_reply(body, OPENAI).message.finish_reason == reason


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, None),
        ({}, Usage()),
        ({"input_tokens": 3, "output_tokens": None, "input_tokens_details": None}, Usage(input_tokens=3)),
        (
            {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5}},
            Usage(input_tokens=9, cached_tokens=4, cache_write_tokens=5),
        ),
        ({"output_tokens": 2.0, "cost": 0.25}, Usage(output_tokens=2, cost_usd=0.25)),
        ({"cost_in_usd_ticks": 5_000_000_000}, Usage(cost_usd=0.5)),
    ],
)
def test_usage_as_servers_tell_it(told: Any, usage: Usage | None) -> None:
    body = json.dumps(response([], usage=told)).encode()
    assert decode_reply(body, OPENAI).message.usage == usage


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        # a failed response says why
        (
            response([], status="failed", error={"code": "server_error", "message": "Boom"}),
            ProviderFailed,
            "openai answered with an error (server_error): Boom.",
        ),
        (
            response([], status="failed", error={"code": "rate_limit_exceeded", "message": "Slow"}),
            RateLimited,
            "(rate_limit_exceeded): Slow.",
        ),
        (
            response([], status="failed", error={"code": "context_length_exceeded", "message": "Long"}),
            ContextOverflow,
            "Long.",
        ),
        # ... or does not
        (response([], status="failed"), ProviderFailed, "the response is failed."),
        (response([], status="cancelled"), ProviderFailed, "the response is cancelled."),
        # an error of another shape
        ({"error": {"message": "no", "code": 400}}, ModelError, "(400): no."),
        ({"object": "error", "message": "no", "code": 400}, ModelError, "(400): no."),
        # one that is still at work
        (response([], status="queued", background=True), InvalidReply, "its status is queued"),
        # no response at all
        ({"choices": []}, InvalidReply, "no output"),
        ({"output": [{"type": "message", "content": 7}]}, InvalidReply, "cannot be read"),
        ({"output": [7]}, InvalidReply, "cannot be read"),
        ([], InvalidReply, "cannot be read"),
    ],
)
def test_a_reply_that_is_no_answer(body: Any, error: type[ModelError], said: str) -> None:
    with pytest.raises(error) as caught:
        decode_reply(json.dumps(body).encode(), OPENAI)
    assert said in str(caught.value)
    assert caught.value.provider == "openai"


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_noticed(body: bytes) -> None:
    with pytest.raises(InvalidReply, match="cannot be read"):
        decode_reply(body, OPENAI)


def test_half_an_emoji_does_not_cost_an_answer() -> None:
    body = json.dumps(response([message("so @", id="msg_1"), call("f", {"x": "@"})])).replace("@", "\\ud83d")
    words, called = decode_reply(body.encode(), OPENAI).message.parts
    assert isinstance(words, Text)
    assert isinstance(called, ToolCall)
    assert (words.text, called.arguments) == ("so ?", '{"x": "?"}')


@given(answer_parts())
def test_what_openai_says_goes_back_as_it_was(said: tuple[Part, ...]) -> None:
    """An answer's items, read from a reply, are sent again as they came."""
    items = encode_messages([Message("assistant", said, origin=Origin("openai", format="responses"))], OPENAI)
    answer = decode_reply(b'{"id":"resp_1","status":"completed","output":[%s]}' % items, OPENAI)
    assert answer.message.parts == said
    assert encode_messages([answer.message], OPENAI) == items


# --- as a server ----------------------------------------------------------------------------------------------------

NEW = "resp_" + "0" * 26
SEARCHED = b'{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}}'


def served(*said: str | Part, **fields: Any) -> dict[str, Any]:
    answer = Answer(msgspec.structs.replace(assistant(*said), **fields))
    body = encode_reply(answer, Echo(), id=NEW, created=7, model="tiny")
    assert problems(json.loads(body), "ResponseResource") == [] or any(
        isinstance(part, Opaque | Image) for part in said
    )
    RESPONSE.validate_json(body)
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_reply_on_the_wire() -> None:
    asked = decode_request(
        json.dumps(
            {
                "model": "tiny",
                "input": "hi",
                "instructions": "Be brief.",
                "previous_response_id": "resp_0",
                "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
                "tool_choice": {"type": "function", "name": "f"},
                "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {}}},
                "reasoning": {"effort": "low"},
                "temperature": 0.5,
                "service_tier": "auto",
                "metadata": {"k": "v"},
                "user": "ann",
            }
        ).encode()
    )
    usage = Usage(input_tokens=3, output_tokens=2, cached_tokens=1)
    answer = Answer(Message("assistant", (Text("hi", id="msg_of_another"),), usage=usage, finish_reason="stop"))
    body = json.loads(encode_reply(answer, asked.echo, id=NEW, created=7, model="tiny", completed=9))
    assert body == {
        "id": NEW,
        "object": "response",
        "created_at": 7,
        "completed_at": 9,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "tiny",
        "output": [
            {
                "id": f"msg_{'0' * 26}_o0",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
            }
        ],
        "usage": {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 5,
        },
        "previous_response_id": "resp_0",
        "instructions": "Be brief.",
        "tools": [
            {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": True,
        "text": {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "schema": {}, "description": None, "strict": False},
        },
        "reasoning": {"effort": "low", "summary": None},
        "temperature": 0.5,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "truncation": "disabled",
        "store": True,
        "background": False,
        "service_tier": "default",
        "metadata": {"k": "v"},
        "safety_identifier": None,
        "prompt_cache_key": None,
        "user": "ann",
    }
    RESPONSE.validate_python(body)


def test_what_a_response_repeats_survives_as_json() -> None:
    body = b'{"input":"hi","conversation":{"id":"conv_1"},"tools":[{"type":"web_search"}],"temperature":1}'
    echo = decode_request(body).echo
    kept = msgspec.json.decode(msgspec.json.encode(echo), type=Echo)
    first, second = (
        encode_reply(Answer(assistant("a")), each, id="resp_1", created=7, model="m") for each in (echo, kept)
    )
    assert first == second
    assert json.loads(first)["conversation"] == {"id": "conv_1"}


def test_every_kind_of_part_as_items() -> None:
    items = served(
        Reasoning("hm", summary=("a",), encrypted="e", id="rs_of_another"),
        Text("see ", id="msg_1", phase="commentary"),
        Text("it", (Citation("https://e.com", "T", start=0, end=2),), id="msg_1", phase="commentary"),
        Refusal("No.", id="msg_1"),
        Text("b", id="msg_2"),
        ToolCall("call_1", "f", "{}", signature='{"namespace":"crm"}'),
        ToolCall("call_2", "sh", "ls", kind="custom"),
        ToolResult("call_2", (Text("a"),)),
        Opaque("openai", msgspec.Raw(SEARCHED), "web_search_call"),
        Image(Inline(b"\x89PNG", "image/png")),
        Image(Url("https://e.com/a.png")),
        Audio(transcript="Hi."),
    )["output"]
    key = "0" * 26
    cited = {"type": "url_citation", "url": "https://e.com", "title": "T", "start_index": 4, "end_index": 6}
    assert items == [
        {
            "id": f"rs_{key}_o0",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a"}],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": "e",
        },
        {
            "id": f"msg_{key}_o1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "see it", "annotations": [cited], "logprobs": []},
                {"type": "refusal", "refusal": "No."},
            ],
            "phase": "commentary",
        },
        {
            "id": f"msg_{key}_o2",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "b", "annotations": [], "logprobs": []}],
        },
        {
            "type": "function_call",
            "id": f"fc_{key}_o3",
            "call_id": "call_1",
            "name": "f",
            "arguments": "{}",
            "namespace": "crm",
            "status": "completed",
        },
        {
            "type": "custom_tool_call",
            "id": f"ctc_{key}_o4",
            "call_id": "call_2",
            "name": "sh",
            "input": "ls",
            "status": "completed",
        },
        {
            "id": f"fco_{key}_o5",
            "type": "custom_tool_call_output",
            "status": "completed",
            "call_id": "call_2",
            "output": "a",
        },
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "q"},
        },
        {
            "id": f"ig_{key}_o7",
            "type": "image_generation_call",
            "status": "completed",
            "output_format": "png",
            "result": "iVBORw==",
        },
        {
            "id": f"msg_{key}_o8",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "[image: https://e.com/a.png]Hi.",
                    "annotations": [],
                    "logprobs": [],
                }
            ],
        },
    ]


def test_an_opaque_item_of_another_api_is_not_shown() -> None:
    blocks = [Opaque("anthropic", msgspec.Raw(b"{}"), kind) for kind in ("server_tool_use", "mcp_tool_result", None)]
    assert served("a", *blocks)["output"] == served("a")["output"]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        (None, "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_the_status_says_how_an_answer_ended(reason: str | None, status: str, details: Any) -> None:
    body = served(Reasoning("hm"), "hi", finish_reason=reason)
    assert (body["status"], body["incomplete_details"]) == (status, details)
    assert body["output"][-1]["status"] == status
    assert body["completed_at"] == (7 if status == "completed" else None)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RateLimited("Slow."), "rate_limit_exceeded", "Slow."),
        (ContextOverflow("Long."), "context_length_exceeded", "Long."),
        (InvalidInput("No."), "invalid_prompt", "No."),
        (ProviderFailed("Boom."), "server_error", "Boom."),
        (ZeroDivisionError("secret"), "server_error", "The server failed; its log says why."),
    ],
)
def test_a_failed_response_says_why(error: Exception, code: str, said: str) -> None:
    body = encode_response([], Echo(), id="resp_1", created=7, model="m", status="failed", error=error)
    assert problems(json.loads(body), "ResponseResource") == []
    assert json.loads(body)["error"] == {"code": code, "message": said}
    with pytest.raises(ModelError, match=said):
        decode_reply(body, OPENAI)


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_a_response_that_has_no_answer_yet(status: Any) -> None:
    body = encode_response([], Echo(background=True), id="resp_1", created=7, model="m", status=status)
    assert problems(json.loads(body), "ResponseResource") == []
    whole = RESPONSE.validate_json(body)
    assert (whole.status, whole.output, whole.usage) == (status, [], None)


def test_a_run_of_several_model_calls_is_one_response() -> None:
    called = Message("assistant", (ToolCall("call_1", "f", "{}"),), usage=Usage(input_tokens=1))
    result = Message("tool", (ToolResult("call_1", (Text("r"),)),))
    done = Message("assistant", (Text("done"),), usage=Usage(input_tokens=2), finish_reason="stop")
    body = json.loads(encode_response([called, result, done], Echo(), id=NEW, created=7, model="m"))
    assert [item["type"] for item in body["output"]] == ["function_call", "function_call_output", "message"]
    assert [place_of(item["id"]) for item in body["output"]] == [(NEW, "output", nth) for nth in range(3)]
    assert body["usage"]["input_tokens"] == 3
    assert problems(body, "ResponseResource") == []


def test_input_items_have_ids_that_lead_back() -> None:
    said = [
        system("Be brief."),
        user("look", Image(Inline(b"\x89PNG", "image/png")), File(Uploaded("file-1", "openai"))),
        Message("user"),
        Message("tool", (ToolResult("call_1", (Text("r"),)), Text("b"))),
        Message("assistant", (ToolCall("call_2", "sh", "ls", kind="custom"),)),
        Message("tool", (ToolResult("call_2", (Text("r"),)),)),
    ]
    items = [json.loads(item) for item in encode_items(said, response_id=NEW, side="input", first=2)]
    assert [place_of(item["id"]) for item in items] == [(NEW, "input", nth) for nth in range(2, 9)]
    assert [(item["type"], item.get("role")) for item in items] == [
        ("message", "system"),
        ("message", "user"),
        ("message", "user"),
        ("function_call_output", None),
        ("message", "user"),
        ("custom_tool_call", None),
        ("custom_tool_call_output", None),
    ]
    assert [content["type"] for content in items[1]["content"]] == ["input_text", "input_image", "input_file"]
    assert all(problems(item, "ItemField") == [] for item in items if not item["type"].startswith("custom"))


def test_an_id_of_another_is_none_of_ours() -> None:
    assert place_of("msg_68a81bbc02048190a85e73351bd91551074079db2411f37f") is None
    assert place_of("msg_1_o0") is None


@given(answer_parts(thinking=False), st.none() | any_usage())
def test_what_a_server_replies_a_client_reads(said: tuple[Part, ...], usage: Usage | None) -> None:
    answer = Answer(Message("assistant", said, usage=usage, finish_reason="length"))
    read = decode_reply(encode_reply(answer, Echo(), id="resp_1", created=7, model="m"), OPENAI).message
    assert (read.id, read.usage, read.finish_reason) == ("resp_1", usage, "length")
    assert (read.text, [_bare(part) for part in read.tool_calls]) == (
        Message("assistant", said).text,
        [_bare(part) for part in said if isinstance(part, ToolCall)],
    )
    again = decode_reply(encode_reply(Answer(read), Echo(), id="resp_1", created=7, model="m"), OPENAI).message
    assert again == read  # whatever was lost is lost at the first crossing


def _bare(call: ToolCall) -> ToolCall:
    return msgspec.structs.replace(call, id=None)


@given(any_message(st.just("assistant")))
def test_whatever_was_said_can_be_served(said: Message) -> None:
    body = encode_reply(Answer(said), Echo(), id="resp_1", created=7, model="m")
    RESPONSE.validate_json(body)
