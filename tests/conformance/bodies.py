"""Bodies that a client should not send: right ones, with something wrong in them. They are JSON as bytes, for much of
what goes wrong cannot be said in Python's own values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from hypothesis import strategies as st

Json: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str | int, ...]

NEVER = "06h000000000000000000000no"
_TWICE = "\u0000twice"  # at the end of a key that stands there a second time
_HUGE = "\u0000huge"  # for a number that no float holds

# --- right ones -----------------------------------------------------------------------------------------------------

_TOOL: Json = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
_ITEMS: list[Any] = [
    {"role": "user", "content": "hi"},
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "hi"}]},
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
            {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="},
            {"type": "input_file", "file_url": "https://files.example/a.pdf"},
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            {"type": "input_video", "video_url": "https://files.example/a.mp4"},
        ],
    },
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
    {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "status": "completed",
        "phase": "final_answer",
        "content": [
            {
                "type": "output_text",
                "text": "hi there",
                "annotations": [
                    {
                        "type": "url_citation",
                        "url": "https://a.example",
                        "title": "t",
                        "start_index": 0,
                        "end_index": 2,
                    },
                    {"type": "file_citation", "file_id": "file_1", "filename": "f", "index": 1},
                ],
            },
            {"type": "refusal", "refusal": "no"},
        ],
    },
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"},
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "1"}]},
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "c", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "2"},
    {"type": "image_generation_call", "id": f"ig_{NEVER}_o0", "result": "aGk=", "output_format": "png"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "mt1.eJzLyAQAATsA0g=="},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "item_reference", "id": f"msg_{NEVER}_i0"},
]
_RESPONSE: Json = {
    "model": "m",
    "input": _ITEMS[:-1],
    "instructions": "be",
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 64,
    "max_tool_calls": 2,
    "metadata": {"a": "b"},
    "parallel_tool_calls": True,
    "prompt_cache_key": "k",
    "reasoning": {"effort": "low", "summary": "auto"},
    "safety_identifier": "s",
    "service_tier": "auto",
    "store": True,
    "stream": False,
    "stream_options": {"include_obfuscation": False},
    "temperature": 0.5,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
    "tool_choice": {"type": "function", "name": "f"},
    "tools": [_TOOL, {"type": "custom", "name": "c", "format": {"type": "text"}}],
    "top_logprobs": 0,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "u",
}
_CHAT: Json = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be", "name": "n"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                _IMAGE := {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "assistant", "refusal": "no"},
        {"role": "user", "content": "go"},
    ],
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 2},
    "max_completion_tokens": 64,
    "metadata": {"a": "b"},
    "n": 1,
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "seed": 1,
    "stop": ["x"],
    "store": True,
    "stream": False,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": False}}],
    "top_p": 0.5,
    "user": "u",
}
_SAID: Json = {"type": "text", "text": "1"}
_CLAUDE: Json = {
    "model": "m",
    "max_tokens": 64,
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "document", "source": {"type": "text", "data": "hi"}, "title": "t"},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "r"}]},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "yes", "citations": [{"type": "char_location", "document_index": 0}]},
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "call_1",
                    "content": [{"type": "text", "text": "1"}],
                    "is_error": True,
                }
            ],
        },
    ],
    "metadata": {"user_id": "u"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "stop_sequences": ["x"],
    "stream": False,
    "system": [{"type": "text", "text": "be"}],
    "temperature": 0.5,
    "thinking": {"type": "enabled", "budget_tokens": 32},
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": False}],
    "top_p": 0.5,
}
RIGHT: dict[str, list[Json]] = {
    "/v1/responses": [
        _RESPONSE,
        {"model": "m", "input": "hi", "stream": True, "tools": [_TOOL], "tool_choice": "auto"},
        {"model": "m", "input": "hi", "previous_response_id": f"resp_{NEVER}", "store": False},
        {"model": "m", "input": "hi", "conversation": {"id": f"conv_{NEVER}"}},
        {"model": "m", "input": [_ITEMS[0], _ITEMS[-1]], "background": True},
    ],
    "/v1/responses/compact": [{"model": "m", "input": _ITEMS[:-1], "instructions": "be", "prompt_cache_key": "k"}],
    "/v1/responses/input_tokens": [_RESPONSE],
    "/v1/conversations": [{"items": _ITEMS[:-1], "metadata": {"a": "b"}}, {}],
    "/v1/chat/completions": [_CHAT, {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}],
    "/v1/messages": [_CLAUDE, {**_CLAUDE, "stream": True, "tool_choice": {"type": "auto"}}],
    "/v1/messages/count_tokens": [_CLAUDE],
}

# --- what is wrong in them ------------------------------------------------------------------------------------------


def _deep(depth: int, inner: Any) -> Any:
    for n in range(depth):
        inner = [inner] if n % 2 else {"a": inner}
    return inner


_ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, float("nan"), float("-inf")),
    *(
        "",
        " ",
        "x" * 70_000,
        "\ud800",
        "\udfff\ud800",
        "\u0000",
        "\u2028",
        "🙂" * 40,
        "null",
        "auto",
        "[DONE]\n\n",
        _HUGE,
    ),
    *([], {}, [None], [[]], {"": ""}, {"type": None}, {"type": "text"}, {"type": "function"}, {"\ud800": "\ud800"}),
    *(_deep(20, 1), _deep(300, "x"), ["x"] * 2000, {str(n): n for n in range(300)}),
    *(f"{prefix}{NEVER}" for prefix in ("resp_", "conv_", "msg_", "chatcmpl-", "turn_", "chain_", "")),
    *("resp_", "resp_'; DROP TABLE turns; --", "resp_" + "0" * 5000, f"msg_{NEVER}_o99999999999999999999", "../../etc"),
    *("data:image/png;base64,@@@", "data:,", "http://[", "file:///etc/passwd", "data:text/plain;base64," + "A" * 9999),
    *("mt1.", "mt1.AAAA", "mt1." + "A" * 1000),
]
_odd = st.sampled_from(_ODD).map(copy.deepcopy) | st.text(max_size=20) | st.integers() | st.floats()

_MORE = ("id", "type", "status", "x", "role", "content", "", "__proto__")


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where something stands in this JSON, the whole included, not too deep inside."""
    yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:40]) if isinstance(value, list) else ()
    for key, inner in pairs if len(at) < 12 else ():
        yield from places(inner, (*at, key))


@st.composite
def wrong(draw: Callable[..., Any], path: str) -> bytes:
    """A body for this route, with up to three things wrong in it."""
    body = copy.deepcopy(draw(st.sampled_from(RIGHT[path])))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        if isinstance(body, dict | list):
            body = _spoilt(draw, body)
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    text = text.replace(json.dumps(_TWICE)[1:-1], "").replace(json.dumps(_HUGE), "1e999")
    spoil: Callable[[bytes], bytes] = draw(st.sampled_from(_AS_BYTES))
    return spoil(text.encode("utf-8", "surrogatepass"))


def _spoilt(draw: Callable[..., Any], body: Any) -> Any:
    at = draw(st.sampled_from(list(places(body))))
    if not at:
        return draw(_odd) if draw(st.integers(0, 9)) == 0 else body
    *way, key = at
    holder = body
    for step in way:
        holder = holder[step]
    match draw(st.sampled_from(["other", "other", "other", "gone", "twice", "more"])):
        case "gone":
            del holder[key]
        case "twice" if isinstance(key, str):
            holder[key + _TWICE] = draw(_odd)
        case "more" if isinstance(holder, dict):
            holder[draw(st.sampled_from(["id", "type", "status", "x", "role", "content", "", "__proto__"]))] = draw(
                _odd
            )
        case _:
            holder[key] = draw(_odd)
    return body


_AS_BYTES: list[Callable[[bytes], bytes]] = [
    *[lambda text: text] * 12,
    lambda text: text[: len(text) // 2],
    lambda text: text + b"}",
    lambda text: b"\xef\xbb\xbf" + text,
    lambda text: text.replace(b"hi", b"\xff\xfe"),
    lambda text: text.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass"),
    lambda _: b"",
]
