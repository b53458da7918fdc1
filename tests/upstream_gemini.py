"""What `upstream.Upstream` needs to play the Gemini API: answers in its words, and a check of what it is asked.

    upstream.script(said({"text": "Hello"}))                     # whole, or streamed as the path asks
    upstream.script(checked(said({"text": "Hello"})))            # the same, or a 400 for what the API would reject
    upstream.script(served(Answer(...)))                         # what our own server side makes of an answer

The shapes are written out by hand from Google's documentation and its errors, so that they prove our format rather than
repeat it; `served` alone is made by our server side, to be read by Google's SDK.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from multiturn.deltas import Answer, Delta
from multiturn.formats.gemini import StreamEncoder, encode_error, encode_reply
from upstream import Behaviour, Exchange, Json, Received, Upstream, sse

USAGE: Json = {"promptTokenCount": 12, "candidatesTokenCount": 3, "totalTokenCount": 15}
VERSION = "gemini-3-flash-001"


def base_url(upstream: Upstream) -> str:
    return f"http://127.0.0.1:{upstream.port}/v1beta"


def streams(request: Received) -> bool:
    return request.path.endswith(":streamGenerateContent?alt=sse")


# --- answers --------------------------------------------------------------------------------------------------------


def generated(*parts: Json, finish: str | None = "STOP", **fields: Any) -> Json:
    """A whole reply, or one event of a stream."""
    candidate: Json = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": USAGE,
        "modelVersion": VERSION,
        "responseId": "resp-1",
        **fields,
    }


def said(*parts: Json, delay_s: float = 0.0, **fields: Any) -> Behaviour:
    """An answer of these parts, whole or an event each, as the path asks; `fields` go into the last event."""

    async def run(exchange: Exchange) -> None:
        whole = generated(*parts, **fields)
        if not streams(exchange.request):
            await asyncio.sleep(delay_s)
            return exchange.whole(200, json.dumps(whole).encode())
        *first, last = parts or ({"text": ""},)
        events = [generated(part, finish=None) for part in first] + [generated(last, **fields)]
        exchange.begin_stream()
        await exchange.events([sse(event) for event in events], delay_s)
        return exchange.chunk(b"")

    return run


def events(*pieces: Json | bytes) -> Behaviour:
    """A stream of exactly these events."""

    async def run(exchange: Exchange) -> None:
        exchange.begin_stream()
        await exchange.events([piece if isinstance(piece, bytes) else sse(piece) for piece in pieces])
        exchange.chunk(b"")

    return run


def served(answer: Answer, deltas: Sequence[Delta] = ()) -> Behaviour:
    """What our server side makes of this answer: a reply, or a stream of these deltas."""

    async def run(exchange: Exchange) -> None:
        if not streams(exchange.request):
            return exchange.whole(200, encode_reply(answer, id="resp-1", model=VERSION))
        encoder = StreamEncoder(id="resp-1", model=VERSION)
        exchange.begin_stream()
        await exchange.events([piece for delta in deltas if (piece := encoder.encode(delta))])
        exchange.chunk(encoder.finish(answer))
        return exchange.chunk(b"")

    return run


def failing(error: Exception, *deltas: Delta) -> Behaviour:
    """What our server side makes of this error: at once, or after these deltas of a stream."""

    async def run(exchange: Exchange) -> None:
        if not deltas:
            return exchange.whole(*encode_error(error))
        encoder = StreamEncoder(id="resp-1", model=VERSION)
        exchange.begin_stream()
        await exchange.events([*map(encoder.encode, deltas), encoder.fail(error)])
        return exchange.chunk(b"")

    return run


def fault(code: int, status: str, message: str, *details: Json) -> Behaviour:
    """An error as Google words it."""

    async def run(exchange: Exchange) -> None:
        exchange.whole(code, json.dumps(error(code, status, message, *details)).encode())

    return run


def error(code: int, status: str, message: str, *details: Json) -> Json:
    told = {"details": list(details)} if details else {}
    return {"error": {"code": code, "message": message, "status": status, **told}}


# --- what the API would reject --------------------------------------------------------------------------------------


def checked(behaviour: Behaviour) -> Behaviour:
    """The behaviour, unless the request is one that the API rejects; then its error."""

    async def run(exchange: Exchange) -> None:
        problem = next(complaints(exchange.request.json), None)
        await (fault(400, "INVALID_ARGUMENT", problem) if problem else behaviour)(exchange)

    return run


OUT_OF_TURN = (
    "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
)
NOT_AS_MANY = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the "
    "function call turn."
)
_KINDS = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_TOP = {
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
}


def complaints(body: Json) -> Iterator[str]:
    """What the API says against this request; nothing if it takes it."""
    yield from (
        f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in body.keys() - _TOP
    )
    contents = body.get("contents") or []
    if not contents:
        yield "* GenerateContentRequest.contents: contents is not specified"
    for n, content in enumerate(contents):
        yield from _of_content(content, f"* GenerateContentRequest.contents[{n}]")
    yield from _of_turns(contents)
    yield from _of_signatures(contents)
    yield from _of_settings(body)


def _of_content(content: Json, place: str) -> Iterator[str]:
    if content.get("role") not in ("user", "model"):
        yield "Please use a valid role: user, model."
    if not content.get("parts"):
        yield f"{place}.parts: contents.parts must not be empty."
    for n, part in enumerate(content.get("parts") or ()):
        yield from _of_part(part, content.get("role"), f"{place}.parts[{n}]")


def _of_part(part: Json, role: str | None, place: str) -> Iterator[str]:
    if len(_KINDS & part.keys()) != 1:
        yield f"{place}.data: required oneof field 'data' must have one initialized field"
    if not _is_base64(part.get("thoughtSignature", "")):
        yield "Invalid value at 'thought_signature' (TYPE_BYTES), Base64 decoding failed"
    for field, of in (("functionCall", "model"), ("functionResponse", "user")):
        if field in part and role != of:
            yield f"{place}.{field}: not in a content of role {role}"
        if field in part and not _NAME.fullmatch(part[field].get("name") or ""):
            yield f"{place}.{field}.name: Name cannot be empty, and must be a valid one."
    if "functionResponse" in part and not isinstance(part["functionResponse"].get("response"), dict):
        yield f"{place}.function_response.response: must be an object"
    if "functionCall" in part and not isinstance(part["functionCall"].get("args", {}), dict):
        yield f"{place}.function_call.args: must be an object"
    for blob in _blobs(part):
        if not blob.get("mimeType") or not _is_base64(blob.get("data", "")):
            yield f"{place}.inline_data: needs mime_type and data"


def _blobs(part: Json) -> Iterator[Json]:
    for each in (part, *part.get("functionResponse", {}).get("parts", ())):
        if "inlineData" in each:
            yield each["inlineData"]


def _is_base64(text: str) -> bool:
    """Of either alphabet, as proto3's JSON takes bytes."""
    try:
        base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return True


def _count(content: Json, field: str) -> int:
    return sum(field in part for part in content.get("parts") or ())


def _of_turns(contents: list[Json]) -> Iterator[str]:
    before: Json = {}
    for content in contents:
        calls, responses = _count(before, "functionCall"), _count(content, "functionResponse")
        if _count(content, "functionCall") and before.get("role") != "user":
            yield OUT_OF_TURN
        if responses and not calls:
            yield "Please ensure that function response turn comes immediately after a function call turn."
        elif responses != calls:
            yield NOT_AS_MANY
        before = content


def _of_signatures(contents: list[Json]) -> Iterator[str]:
    """Gemini 3 wants the first call of each step signed, from the last words of the user on."""
    asked = [n for n, each in enumerate(contents) if each.get("role") == "user" and _count(each, "text")]
    for content in contents[asked[-1] if asked else 0 :]:
        calls = [part for part in content.get("parts") or () if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            yield "Function call is missing a thought_signature in functionCall parts."


def _of_settings(body: Json) -> Iterator[str]:
    thinking = body.get("generationConfig", {}).get("thinkingConfig", {})
    if {"thinkingLevel", "thinkingBudget"} <= thinking.keys():
        yield "You can only set only one of thinking budget and thinking level."
    if "toolConfig" in body and not body.get("tools"):
        yield "Function calling config is set without function_declarations."


def alternate(contents: list[Json]) -> bool:
    """Whether the roles do."""
    return all(before["role"] != after["role"] for before, after in pairwise(contents))
