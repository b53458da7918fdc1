"""What upstreams do wrong, and what is told of it and stored; for every door."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from multiturn.turns import Turn
from serving import Server
from upstream import (
    Behaviour,
    context_overflow,
    cut_after,
    drop,
    empty_answer,
    hang,
    hang_after,
    invalid_json,
    raw,
    sse,
    sse_raw,
    status,
)


class Fault(NamedTuple):
    """What goes wrong before there is a word of an answer. `code` is what the error says, `stored` what the stored
    response does, and `kind` the class of the turn's error; `streams` whether it is one of streams or of whole answers,
    None for both."""

    name: str
    behaviour: Behaviour
    status: int
    code: str
    stored: str
    kind: str
    streams: bool | None = None


HTML, MALFORMED = b"<html>this is no stream</html>", b"data: {not json}\n\n"
OVERLOADED = sse({"error": {"message": "out of memory", "type": "server_error"}})
BEFORE = [
    Fault("wrong key", status(401), 502, "upstream_error", "server_error", "AuthenticationFailed"),
    Fault("forbidden", status(403), 502, "upstream_error", "server_error", "AuthenticationFailed"),
    Fault("no such model", status(404), 404, "model_not_found", "server_error", "ModelNotFound"),
    Fault("too large", status(413), 413, "request_too_large", "server_error", "RequestTooLarge"),
    Fault(
        "too often", status(429, headers={"retry-after": "7"}), 429, "scripted", "rate_limit_exceeded", "RateLimited"
    ),
    Fault("server error", status(500), 502, "upstream_error", "server_error", "ProviderFailed"),
    Fault("unavailable", status(503), 502, "upstream_error", "server_error", "ProviderFailed"),
    Fault("no first byte", hang(), 504, "timeout", "server_error", "FirstByteTimedOut"),
    Fault("hung up", drop(), 502, "upstream_error", "server_error", "ConnectionFailed"),
    Fault("no HTTP", raw(b"hello\r\n\r\n"), 502, "upstream_error", "server_error", "InvalidReply"),
    Fault("empty answer", empty_answer(), 502, "upstream_error", "server_error", "EmptyAnswer"),
    Fault(
        "overflow",
        context_overflow(),
        400,
        "context_length_exceeded",
        "context_length_exceeded",
        "ContextOverflow",
    ),
    Fault("bad request", status(400), 400, "scripted", "invalid_prompt", "RequestRejected"),
    Fault("unprocessable", status(422), 422, "scripted", "invalid_prompt", "RequestRejected"),
    Fault("HTML", status(200, HTML), 502, "upstream_error", "server_error", "InvalidReply"),
    Fault("half a JSON", invalid_json(), 502, "upstream_error", "server_error", "InvalidReply", streams=False),
    Fault("no events", sse_raw(HTML), 502, "upstream_error", "server_error", "MalformedStream", streams=True),
    Fault("no JSON", sse_raw(MALFORMED), 502, "upstream_error", "server_error", "MalformedStream", streams=True),
    Fault("an error event", sse_raw(OVERLOADED), 502, "upstream_error", "server_error", "ProviderFailed", streams=True),
]
WORDS = sse({"choices": [{"index": 0, "delta": {"content": "one two "}}]})
AFTER: list[tuple[str, Behaviour, str]] = [
    ("cut", cut_after(3, "one ", "two "), "StreamCut"),
    ("reset", cut_after(3, "one ", "two ", reset=True), "StreamCut"),
    ("silent", hang_after(3, "one ", "two "), "IdleTimedOut"),
    ("malformed", sse_raw(WORDS, MALFORMED), "MalformedStream"),
    ("error event", sse_raw(WORDS, OVERLOADED), "ProviderFailed"),
]

CASES = [
    pytest.param(fault, stream, id=f"{fault.name}{', streamed' if stream else ''}")
    for fault in BEFORE
    for stream in (False, True)
    if fault.streams in (None, stream)
]
STREAMED = [fault for fault in BEFORE if fault.streams is not False]


def broken(server: Server) -> Turn:
    """The newest turn there is."""
    store = server.service.store
    turns = [turn for record in server.run(store.conversations()) for turn in server.run(store.tree(record.id))]
    return max(turns, key=lambda turn: turn.created_at)
