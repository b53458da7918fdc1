"""The events of a WebSocket: what a client's ask for, and how ours are written."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.responses import Response

from multiturn.errors import InvalidInput
from multiturn.formats.decoding import read_request
from multiturn.formats.responses import StreamEncoder
from multiturn.formats.responses.wire import FIELDS

_STREAM_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_OF_EVENT = frozenset(("type", "stream_id", "generate", "background", "stream", "stream_options"))
_encode = msgspec.json.Encoder().encode


class Refused(InvalidInput):
    """What only this protocol can get wrong; `code` is what it has for that."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Create(msgspec.Struct, frozen=True):
    """A `response.create`: the body of the same request over HTTP, and what only the event says. `lane` is its
    `stream_id`; `generate` is whether a model is to answer."""

    body: bytes
    lane: str | None
    generate: bool
    previous: str | None


class _Event(msgspec.Struct):
    type: str = ""
    stream_id: Any = None
    generate: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None


_EVENT = msgspec.json.Decoder(_Event)


def read_event(data: bytes) -> Create | bytes:
    """What a client's event asks for; or our event that answers it, where that can be said at once. Raises
    `InvalidInput`."""
    event = read_request(_EVENT, data)
    fields = read_request(FIELDS, data)
    if event.type == "response.steer":
        return _not_steered(fields)
    if event.type != "response.create":
        raise InvalidInput(f"type: {event.type!r} is not known here; send response.create")
    lane = event.stream_id
    if lane is not None and not (isinstance(lane, str) and _STREAM_ID.fullmatch(lane)):
        raise Refused(
            "invalid_stream_id",
            "stream_id is 1 to 256 letters, digits, underscores, hyphens and periods; leave it out for the one lane "
            "without a name",
            "stream_id",
        )
    if event.background:
        raise InvalidInput("background: there is none over WebSocket; POST this to /v1/responses")
    body = {name: raw for name, raw in fields.items() if name not in _OF_EVENT}
    return Create(_encode({**body, "stream": True}), lane, event.generate is not False, event.previous_response_id)


def _not_steered(fields: dict[str, msgspec.Raw]) -> bytes:
    """What becomes of input for a response that runs already: it is given back, as the protocol has it."""
    steer = {name: fields.get(name) for name in ("input", "previous_response_id")}
    error = {
        "type": "invalid_request_error",
        "code": "steering_not_supported",
        "message": "this server does not steer; send the input with the next response.create",
    }
    return _encode({"type": "response.steer.failed", "sequence_number": 0, "error": error, "steer": steer})


def too_old(after_s: float) -> Refused:
    """Why a connection is closed that has been open for so long."""
    return Refused(
        "websocket_connection_limit_reached",
        f"this connection has been open for {after_s / 60:g} minutes, which is the longest here; open another to go on",
    )


def error_event(error: Exception, answer: Response, lane: str | None) -> bytes:
    """The event that tells what this answer would over HTTP."""
    fields: dict[str, Any] = msgspec.json.decode(answer.body)["error"]
    if isinstance(error, Refused):
        fields |= {"code": error.code, "param": error.param}
    fields["code"] = fields["code"] or fields["type"]  # Open Responses wants one
    if (seconds := answer.headers.get("retry-after")) is not None:
        fields["headers"] = {"retry-after": seconds}
    event = {"type": "error", "status": answer.status_code, "error": fields}
    return _encode(event if lane is None else {**event, "stream_id": lane})


class Pending:
    """The events of one response that are yet to be sent; `frame` is for the `encoder` that makes them, once it is
    there."""

    def __init__(self, lane: str | None) -> None:
        self.encoder: StreamEncoder | None = None
        self._events: list[bytes] = []
        self._end = b"}" if lane is None else b',"stream_id":"%s"}' % lane.encode()

    def frame(self, type: str, event: bytes) -> bytes:
        self._events.append(event[:-1] + self._end)
        return b""

    def take(self) -> list[bytes]:
        events, self._events = self._events, []
        return events
