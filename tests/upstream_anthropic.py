"""What the scripted upstream does as Anthropic's Messages API: answers, whole or streamed, errors, and a judge that
refuses what the real API refuses.

    with Upstream() as upstream:
        upstream.script(reply("Hello"), failure(529, "overloaded_error"))
        client = anthropic.Anthropic(base_url=base_url(upstream), api_key="k")

Requests and replies have the shapes of the official SDK's types; the words of refusals are those that users of the real
API report.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter, ValidationError

from upstream import Behaviour, Exchange, Json, Received, Upstream

USAGE: Json = {
    "input_tokens": 12,
    "output_tokens": 3,
    "cache_creation_input_tokens": 5,
    "cache_read_input_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 1},
}
SIGNATURE = "c2lnbmF0dXJl"


def base_url(upstream: Upstream) -> str:
    """Anthropic's base URL ends without `/v1`."""
    return upstream.url.removesuffix("/v1")


# --- blocks ---------------------------------------------------------------------------------------------------------


def text(words: str, *citations: Json) -> Json:
    return {"type": "text", "text": words, "citations": [*citations] or None}


def thinking(words: str, signature: str = SIGNATURE) -> Json:
    return {"type": "thinking", "thinking": words, "signature": signature}


def redacted(data: str = "ZW5jcnlwdGVk") -> Json:
    return {"type": "redacted_thinking", "data": data}


def tool_use(name: str, input: Json, id: str = "toolu_1", **fields: Any) -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": input, **fields}


def web_search(query: str, url: str) -> list[Json]:
    """A call of Anthropic's own search tool, what it found, and a text that rests on it."""
    found = {"type": "web_search_result", "url": url, "title": "T", "encrypted_content": "eA==", "page_age": None}
    cited = {
        "type": "web_search_result_location",
        "url": url,
        "title": "T",
        "encrypted_index": "aQ==",
        "cited_text": "so it says",
    }
    return [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": query}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
        text("It is so.", cited),
    ]


# --- answers --------------------------------------------------------------------------------------------------------


def reply(*blocks: str | Json, streams: bool | None = None, delay_s: float = 0.0, **fields: Any) -> Behaviour:
    """An answer of these blocks, a string being a text; streamed or whole, as the request wishes or as `streams` says.
    `fields` go into the message: `stop_reason`, `stop_details`, `usage`, `model`."""
    content = [text(block) if isinstance(block, str) else block for block in blocks]

    async def run(exchange: Exchange) -> None:
        message = message_of(exchange.request, content, fields)
        if streams if streams is not None else exchange.request.streams:
            exchange.begin_stream()
            await exchange.events(events_of(message), delay_s)
            exchange.chunk(b"")
        else:
            exchange.whole(200, json.dumps(message).encode(), {"request-id": "req_1"})

    return run


def message_of(request: Received, content: Sequence[Json], fields: Json) -> Json:
    calls = any(block["type"] == "tool_use" for block in content)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request.json.get("model"),
        "content": list(content),
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
        **fields,
    }


def events_of(message: Json) -> list[bytes]:
    """The message as the API streams it: each block from its start to its end, a ping in between."""
    start: Json = {"content": [], "stop_reason": None, "usage": {"input_tokens": 12, "output_tokens": 1}}
    events = [event("message_start", message={**message, **start}), event("ping")]
    for index, block in enumerate(message["content"]):
        begun, deltas = _begun(block), list(_deltas(block))
        events.append(event("content_block_start", index=index, content_block=begun))
        events += (event("content_block_delta", index=index, delta=delta) for delta in deltas)
        events.append(event("content_block_stop", index=index))
    ended = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    return [*events, event("message_delta", delta=ended, usage=message["usage"]), event("message_stop")]


def event(type: str, **fields: Any) -> bytes:
    return f"event: {type}\ndata: {json.dumps({'type': type, **fields})}\n\n".encode()


def _begun(block: Json) -> Json:
    """What the block looks like before its deltas."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": "", "citations": [] if block.get("citations") else None}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use" | "server_tool_use":
            return {**block, "input": {}}
    return block


def _deltas(block: Json) -> Iterator[Json]:
    match block["type"]:
        case "text":
            yield from ({"type": "text_delta", "text": piece} for piece in _pieces(block["text"]))
            yield from ({"type": "citations_delta", "citation": cited} for cited in block.get("citations") or ())
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"]))
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use" | "server_tool_use" if block["input"]:
            arguments = json.dumps(block["input"])
            half = len(arguments) // 2
            yield from ({"type": "input_json_delta", "partial_json": piece} for piece in ("", arguments[:half]))
            yield {"type": "input_json_delta", "partial_json": arguments[half:]}


def _pieces(words: str) -> list[str]:
    return re.findall(r"\S*\s*", words)[:-1]


# --- faults ---------------------------------------------------------------------------------------------------------


def error(type: str, message: str) -> Json:
    return {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"}


def failure(code: int, type: str, message: str = "as scripted", headers: Mapping[str, str] | None = None) -> Behaviour:
    async def run(exchange: Exchange) -> None:
        exchange.whole(code, json.dumps(error(type, message)).encode(), {"request-id": "req_1", **(headers or {})})

    return run


def failing_stream(type: str, message: str, *, after: int = 4) -> Behaviour:
    """This many events of an answer, then an error."""

    async def run(exchange: Exchange) -> None:
        exchange.begin_stream()
        events = events_of(message_of(exchange.request, [text("one two three")], {}))[:after]
        await exchange.events([*events, event("error", error={"type": type, "message": message})])
        exchange.chunk(b"")

    return run


def judged(behaviour: Behaviour) -> Behaviour:
    """The behaviour, for a request that the real API would take; for any other, its refusal."""

    async def run(exchange: Exchange) -> None:
        problem = problem_of_head(exchange.request) or problem_of(exchange.request.json)
        await (failure(400, "invalid_request_error", problem) if problem else behaviour)(exchange)

    return run


# --- the judge ------------------------------------------------------------------------------------------------------

SAMPLING = {"temperature", "top_p", "top_k"}  # gone from the SDK's types, but not from the API
FIELDS = SAMPLING | MessageCreateParamsStreaming.__annotations__.keys()
MEDIA = {"image": ("image/jpeg", "image/png", "image/gif", "image/webp"), "document": ("application/pdf",)}
_SDK: dict[bool, TypeAdapter[Any]] = {
    False: TypeAdapter(MessageCreateParamsNonStreaming),
    True: TypeAdapter(MessageCreateParamsStreaming),
}


def problem_of_head(request: Received) -> str | None:
    """What the API would say of the request's line and headers."""
    if (request.method, request.path) != ("POST", "/v1/messages"):
        return f"{request.method} {request.path}: not found"
    if not {"x-api-key", "authorization"} & request.headers.keys():
        return "x-api-key: this header is required"
    return None if "anthropic-version" in request.headers else "anthropic-version: this header is required"


def problem_of(body: Json) -> str | None:
    """What the API would say of this request; None if it would take it."""
    return next(_problems(body), None)


def _problems(body: Json) -> Iterator[str]:
    yield from (f"{name}: Extra inputs are not permitted" for name in body.keys() - FIELDS)
    yield from (f"{name}: Field required" for name in ("model", "max_tokens", "messages") if name not in body)
    try:
        _exhaust(_SDK[body.get("stream") is True].validate_python(body))
    except ValidationError as refused:
        yield str(refused)
    yield from _problems_of_settings(body)
    yield from _problems_of_text("system", _blocks(body.get("system") or []))
    if not body["messages"]:
        yield "messages: at least one message is required"
    for n, message in enumerate(body["messages"]):
        yield from _problems_of_message(f"messages.{n}", message)
    yield from _problems_of_order(body["messages"])
    yield from _problems_of_tools(_combined(body["messages"]))


def _exhaust(value: Any) -> None:
    """Look at everything, for pydantic checks what is iterable only as it is iterated over."""
    if isinstance(value, Mapping):
        for each in value.values():
            _exhaust(each)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for each in value:
            _exhaust(each)


def _problems_of_settings(body: Json) -> Iterator[str]:
    if body["max_tokens"] < 1:
        yield "max_tokens: must be greater than or equal to 1"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        yield "thinking.budget_tokens: must be at least 1024, and less than max_tokens"
    if body.get("tool_choice") and not body.get("tools"):
        yield "tool_choice: may only be specified while providing tools"
    schemas = [tool["input_schema"] for tool in body.get("tools") or () if tool.get("strict")]
    if output := (body.get("output_config") or {}).get("format"):
        schemas.append(output["schema"])
    for schema in _nested(schemas):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
        if not {"minimum", "maximum", "minLength", "maxLength", "pattern"}.isdisjoint(schema):
            yield "For this type, a property is not supported"


def _nested(value: Any) -> Iterator[Json]:
    """Every object within a JSON value."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nested(each)


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _problems_of_text(place: str, blocks: Sequence[Json]) -> Iterator[str]:
    for block in blocks:
        if block["type"] == "text" and not block["text"]:
            yield f"{place}: text content blocks must be non-empty"
        elif block["type"] == "text" and not block["text"].strip():
            yield f"{place}: text content blocks must contain non-whitespace text"


def _problems_of_message(place: str, message: Json) -> Iterator[str]:
    blocks, role = _blocks(message["content"]), message["role"]
    if not blocks:
        yield f"{place}: {role} messages must have non-empty content"
    yield from _problems_of_text(place, blocks)
    allowed = {"assistant": {"text", "thinking", "redacted_thinking", "tool_use"}, "system": {"text"}}
    shared = {"text", "image", "document", "tool_result", "search_result"}
    for n, block in enumerate(blocks):
        kind = block["type"]
        if kind in shared | allowed["assistant"] and kind not in allowed.get(role, shared):
            yield f"{place}.content.{n}: `{kind}` blocks are not permitted in {role} messages"
        if kind == "thinking" and not block.get("signature"):
            yield f"{place}.content.{n}: Invalid `signature` in `thinking` block"
        if kind == "tool_use" and not re.fullmatch("[a-zA-Z0-9_-]{1,64}", block["id"]):
            yield f"{place}.content.{n}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        nested = _blocks(block.get("content") or []) if kind == "tool_result" else []
        yield from _problems_of_text(place, nested)
        for each in (block, *nested):
            yield from _problems_of_media(f"{place}.content.{n}", each)
    if role == "assistant" and blocks and blocks[-1]["type"] in ("thinking", "redacted_thinking"):
        yield f"{place}: The final block in an assistant message cannot be `thinking`"


def _problems_of_media(place: str, block: Json) -> Iterator[str]:
    source = block.get("source")
    if block["type"] not in MEDIA or not isinstance(source, dict):
        return
    if source["type"] == "base64":
        if source["media_type"] not in MEDIA[block["type"]]:
            yield f"{place}.source.media_type: not supported"
        if not base64.b64decode(source["data"], validate=True):
            yield f"{place}.source.data: empty"
    if source["type"] == "text" and (source["media_type"] != "text/plain" or not source["data"].strip()):
        yield f"{place}.source: not plain text"


def _problems_of_order(messages: Sequence[Json]) -> Iterator[str]:
    roles = [message["role"] for message in messages]
    if roles[:1] != ["user"]:
        yield 'messages: first message must use the "user" role'
    for before, role, after in zip(roles, roles[1:], [*roles[2:], "assistant"], strict=False):
        if role == "system" and (before != "user" or after != "assistant"):
            yield "messages: role 'system' must follow a user message, and come last or before an assistant message"
    last = _blocks(messages[-1]["content"])[-1:] if roles[-1:] == ["assistant"] else []
    if any(block["type"] == "text" and block["text"] != block["text"].rstrip() for block in last):
        yield "messages: final assistant content cannot end with trailing whitespace"


def _combined(messages: Sequence[Json]) -> list[tuple[str, list[Json]]]:
    """Role and blocks, neighbours of one role combined, as the API does it."""
    combined: list[tuple[str, list[Json]]] = []
    for message in messages:
        role, blocks = message["role"], _blocks(message["content"])
        if combined and combined[-1][0] == role:
            combined[-1] = (role, combined[-1][1] + blocks)
        else:
            combined.append((role, blocks))
    return combined


def _problems_of_tools(combined: Sequence[tuple[str, list[Json]]]) -> Iterator[str]:
    seen: set[str] = set()
    for n, ((_, before), (_, blocks)) in enumerate(pairwise([("", []), *combined, ("", [])])):
        calls = [block["id"] for block in before if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        kinds = [block["type"] == "tool_result" for block in blocks]
        if seen & {*calls} or len({*calls}) < len(calls):
            yield f"messages.{n - 1}: `tool_use` ids must be unique"
        seen |= {*calls}
        if {*calls} - {*results}:
            yield f"messages.{n - 1}: `tool_use` ids were found without `tool_result` blocks immediately after"
        if {*results} - {*calls}:
            yield f"messages.{n}: unexpected `tool_use_id` found in `tool_result` blocks"
        if len({*results}) < len(results):
            yield f"messages.{n}: each tool_use must have a single result"
        if calls and kinds != sorted(kinds, reverse=True):
            yield f"messages.{n}: tool_result blocks must come first"
