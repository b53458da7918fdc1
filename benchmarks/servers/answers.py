"""What the upstream answers, at every request the same: 120 characters whole, or about 800 in 201 pieces as a stream.
Where an answer has an id of its own stands `ID`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import words
from growth.upstream import MODEL, completion, response

ID = "@ID@"
PIECES = 201
EVENTS = PIECES + 8
"""Events of a Responses stream: the deltas, four before them and four after them."""
_TEXT = " ".join(words.answer(turn) for turn in range(1, 8))[: 4 * PIECES]
_COMPLETION = f"chatcmpl-{ID}"
_USAGE = {"prompt_tokens": 230, "completion_tokens": PIECES, "total_tokens": 230 + PIECES}


def whole_completion() -> bytes:
    return json.dumps(completion(1) | {"id": _COMPLETION}).encode()


def whole_response() -> bytes:
    return json.dumps(_response()).encode()


def _response() -> dict[str, Any]:
    whole = response(1)
    return whole | {"id": f"resp_{ID}", "output": [whole["output"][0] | {"id": f"msg_{ID}"}]}


def streamed_completion() -> bytes:
    """As Chat Completions streams it, with usage at the end."""
    pieces = [{"content": piece} for piece in _pieces()]
    chunks = [chunk(delta) for delta in ({"role": "assistant", "content": ""}, *pieces)]
    return b"".join([*chunks, chunk({}, "stop"), LAST])


def streamed_response() -> bytes:
    """As the Responses API streams it."""
    done = _response()
    item = done["output"][0]
    part = item["content"][0] | {"text": _TEXT}
    begun = done | {"status": "in_progress", "output": [], "usage": None}
    ended = done | {"output": [item | {"content": [part]}]}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    unsaid = {"output_index": 0, "item": item | {"status": "in_progress", "content": []}}
    events: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": begun}),
        ("in_progress", {"response": begun}),
        ("output_item.added", unsaid),
        ("content_part.added", at | {"part": part | {"text": ""}}),
        *(("output_text.delta", at | {"delta": piece, "logprobs": []}) for piece in _pieces()),
        ("output_text.done", at | {"text": _TEXT, "logprobs": []}),
        ("content_part.done", at | {"part": part}),
        ("output_item.done", {"output_index": 0, "item": ended["output"][0]}),
        ("completed", {"response": ended}),
    ]
    return b"".join(_event(f"response.{name}", number, fields) for number, (name, fields) in enumerate(events))


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    """One event of a Chat Completions stream."""
    return _chunk(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}], usage=None)


def _chunk(**fields: Any) -> bytes:
    known = {"id": _COMPLETION, "object": "chat.completion.chunk", "created": 1760000001, "model": MODEL}
    return f"data: {json.dumps(known | fields, separators=(',', ':'))}\n\n".encode()


LAST = _chunk(choices=[], usage=_USAGE) + b"data: [DONE]\n\n"
"""The usage and the end of a Chat Completions stream."""


def _event(name: str, number: int, fields: dict[str, Any]) -> bytes:
    data = json.dumps({"type": name, "sequence_number": number} | fields, separators=(",", ":"))
    return f"event: {name}\ndata: {data}\n\n".encode()


def _pieces() -> Iterator[str]:
    return (_TEXT[at : at + 4] for at in range(0, len(_TEXT), 4))
