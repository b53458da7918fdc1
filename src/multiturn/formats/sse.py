"""Server-sent events, read and written (WHATWG HTML, section 9.2 "Server-sent events").

The reader takes bytes in pieces of any size, cut anywhere, even inside a UTF-8 character or between CR and LF. It
differs from the standard in two points, both because here a stream is a model's answer and a loss must be noticed:

- What is no stream at all raises `MalformedStream`: a line that could not be a field (`<html>`, `{"error": …`, a
  sentence, binary), and a body that ends without one known field or comment in it. Unknown fields are ignored.
- At the end of the stream the last event counts even if its blank line is missing (some servers leave it out), as
  long as its lines are complete. A line without its end is a cut and is dropped.
"""

from __future__ import annotations

import re

import msgspec

from multiturn.errors import MalformedStream

MAX_EVENT_BYTES = 16 * 1024 * 1024
KEEP_ALIVE = b": keep-alive\n\n"  # a comment, to send while there is nothing to say

_FIELDS = (b"data", b"event", b"id", b"retry")
_FIELD_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]*")
_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event. `data` is None-free: lines are joined by LF, as the standard says; `event` is its type if named."""

    data: bytes
    event: str = "message"
    id: str | None = None


class SSEReader:
    """Bytes in, events out. Each byte is looked at once, however small the pieces; no event may be longer than
    `max_event_bytes`."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()  # the start of a line whose end has not come
        self._after_cr = False  # the last byte was a CR: an LF that follows belongs to it
        self._first_line = True
        self._recognised = False  # one known field or comment has come
        self._unknown = b""  # the first line that was ignored
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = ""
        self._id: str | None = None

    def decode(self, piece: bytes) -> list[ServerSentEvent]:
        """The events that this piece completes. Raises `MalformedStream`."""
        if (events := self._whole_events(piece)) is not None:
            return events
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in piece:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *rest = piece.split(b"\n")
        self._line += first
        if not rest:
            self._check_size()
            return []
        lines = [bytes(self._line), *rest[:-1]]
        self._line = bytearray(rest[-1])
        events = []
        for line in lines:
            if line.startswith(b"data: ") and not self._first_line:  # what nearly all lines are
                self._data.append(line[6:])
                self._data_bytes += len(line)
                self._recognised = True
            elif (event := self._take(line)) is not None:
                events.append(event)
        self._check_size()
        return events

    def _whole_events(self, piece: bytes) -> list[ServerSentEvent] | None:
        """The events of a piece that is nothing but whole ones, each a line of data: what most pieces are. None for any
        other piece."""
        if not piece.startswith(b"data: ") or not piece.endswith(b"\n\n") or b"\r" in piece:
            return None
        if self._line or self._data or self._event or self._after_cr:
            return None
        ends = piece.count(b"\n")
        lines = [piece[6:-2]] if ends == 2 else piece[6:-2].split(b"\n\ndata: ")
        if ends != 2 * len(lines):
            return None
        self._first_line, self._recognised = False, True
        if len(piece) > self._max_event_bytes and max(map(len, lines)) >= self._max_event_bytes:
            return None
        return [ServerSentEvent(line, "message", self._id) for line in lines]

    def flush(self) -> list[ServerSentEvent]:
        """What remains when the stream has ended: the last event, if only its blank line is missing. Raises
        `MalformedStream` if nothing that came was server-sent events; no bytes at all are an empty stream."""
        cut = bytes(self._line.removeprefix(_BOM) if self._first_line else self._line)
        strange = self._unknown or (b"" if _may_become_field(cut) else cut)
        if strange and not self._recognised:
            raise _malformed(strange)
        event = self._dispatch()
        return [] if event is None else [event]

    def _take(self, line: bytes) -> ServerSentEvent | None:
        """Handle one whole line; the event that it ends, if it ends one."""
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            self._recognised = True
            self._add_data(line[6:] if line.startswith(b" ", 5) else line[5:])
            return None
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if not name or name in _FIELDS:
            self._recognised = True
            self._set(name, value.removeprefix(b" "))
        elif _FIELD_NAME.fullmatch(name):
            self._unknown = self._unknown or line
        else:
            raise _malformed(line)
        return None

    def _set(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._add_data(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._data_bytes += len(value) + 1

    def _dispatch(self) -> ServerSentEvent | None:
        self._check_size()
        data, kind = self._data, self._event
        self._data, self._data_bytes, self._event = [], 0, ""
        return ServerSentEvent(b"\n".join(data), kind or "message", self._id) if data else None

    def _check_size(self) -> None:
        if self._data_bytes + len(self._line) > self._max_event_bytes:
            raise MalformedStream(f"one event of the stream is longer than {self._max_event_bytes} bytes")


def _may_become_field(cut: bytes) -> bool:
    """Whether more bytes could make this start of a line a field or a comment."""
    name, colon, _ = cut.partition(b":")
    return name in (*_FIELDS, b"") if colon else any(field.startswith(name) for field in _FIELDS)


def _malformed(line: bytes) -> MalformedStream:
    start = line[:200].decode("utf-8", "replace")
    return MalformedStream(f"the stream is not server-sent events; it says {start!r}", body=start)


def encode_event(data: bytes | str, event: str | None = None, id: str | None = None) -> bytes:
    """One event as bytes, its blank line included. Line ends within `data` all become LF at the reader. Raises
    `ValueError` for a line end in `event` or `id`."""
    if isinstance(data, str):
        data = data.encode()
    head = b"".join(_field(name, value) for name, value in (("event", event), ("id", id)) if value is not None)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return b"%sdata: %s\n\n" % (head, data.replace(b"\n", b"\ndata: "))


def _field(name: str, value: str) -> bytes:
    if "\n" in value or "\r" in value:
        raise ValueError(f"an event's {name} cannot hold a line end: {value!r}")
    return f"{name}: {value}\n".encode()
