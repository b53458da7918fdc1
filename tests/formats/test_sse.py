"""Server-sent events: each corner of the standard, and each point where we differ from it."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import MalformedStream
from multiturn.formats.sse import KEEP_ALIVE, ServerSentEvent, SSEReader, encode_event


def read(pieces: Iterable[bytes], *, flush: bool = True) -> list[ServerSentEvent]:
    reader = SSEReader()
    events = [event for piece in pieces for event in reader.decode(piece)]
    return events + reader.flush() if flush else events


def data(*values: str) -> list[ServerSentEvent]:
    return [ServerSentEvent(value.encode()) for value in values]


TABLE = [
    # one event
    (b"data: a\n\n", data("a")),
    # the space after the colon is optional, and only one of them belongs to the syntax
    (b"data:a\n\ndata:  b\n\n", data("a", " b")),
    # CR, and CRLF, end lines like LF
    (b"data: a\r\rdata: b\r\n\r\n", data("a", "b")),
    # all three mixed
    (b"data: a\r\n\ndata: b\n\r\ndata: c\r\n\r", data("a", "b", "c")),
    # several data lines are joined by LF
    (b"data: a\ndata: b\n\n", data("a\nb")),
    # a data line without a colon is an empty one
    (b"data\ndata\n\n", data("\n")),
    # an empty data line makes an event without data
    (b"data:\n\n", data("")),
    # a byte order mark before the first line
    (b"\xef\xbb\xbfdata: a\n\n", data("a")),
    # comments
    (b": keep-alive\n\n:\n\ndata: a\n\n", data("a")),
    # blank lines without data are no event
    (b"\n\n\ndata: a\n\n\n\n", data("a")),
    # U+2028, U+0085 and form feed end no line
    ("data: a\u2028b\u0085c\x0cd\n\n".encode(), data("a\u2028b\u0085c\x0cd")),
    # the type of an event, which the next one does not inherit
    (b"event: error\ndata: a\n\ndata: b\n\n", [ServerSentEvent(b"a", "error"), ServerSentEvent(b"b")]),
    # an event without data is none, and its type is forgotten
    (b"event: ping\n\ndata: a\n\n", data("a")),
    # an id stays until the next one; one with a NUL is ignored
    (
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid\ndata: c\n\n",
        [ServerSentEvent(b"a", id="1"), ServerSentEvent(b"b", id="1"), ServerSentEvent(b"c", id="")],
    ),
    # retry, and fields that nobody knows
    (b"retry: 100\nfoo: bar\nx-trace.id\ndata: a\n\n", data("a")),
    # colons and quotes within data are data
    (b'data: {"a": "b: c"}\n\n', data('{"a": "b: c"}')),
    # the last blank line is missing
    (b"data: a\n\ndata: b\n", data("a", "b")),
    # ... and so is the end of the last line: a cut, which is dropped
    (b"data: a\n\ndata: b", data("a")),
    # nothing but a comment, or nothing at all, is an empty stream
    (b": hello\n", []),
    (b"", []),
    (b"\r\n", []),
    # cut within the very first field
    (b"dat", []),
    (b"event: pi", []),
]


@pytest.mark.parametrize(("stream", "expected"), TABLE)
def test_a_stream_is_read_the_same_cut_at_every_position(stream: bytes, expected: list[ServerSentEvent]) -> None:
    assert read([stream]) == expected
    assert read(stream[n : n + 1] for n in range(len(stream))) == expected
    for cut in range(len(stream)):
        assert read([stream[:cut], stream[cut:]]) == expected


def test_an_event_comes_out_as_soon_as_its_blank_line_is_in() -> None:
    assert read([b"data: a\r\n", b"\r"], flush=False) == data("a")


@pytest.mark.parametrize(
    "body",
    [
        # a gateway's page
        b"<html><head><title>502 Bad Gateway</title></head>\n<body></body></html>\n",
        # ... on one line without an end
        b"<html>",
        # a JSON body in place of a stream
        b'{"error": {"message": "boom"}}',
        b'{\n  "error": "boom"\n}\n',
        # a sentence
        b"Internal Server Error",
        b"Internal Server Error\n",
        b"upstream connect error: reset\n",
        # a single word could be an unknown field, so only the end of the stream tells
        b"Unauthorized",
        b"Unauthorized\n",
        b"foo: bar\n\n",
        # binary
        b"\x00\xff\x1f\x8b\x08",
        b"\x1f\x8b\x08\x00\n\n",
        # fine at first, then a page
        b"data: a\n\n<html>\n",
    ],
)
def test_what_is_no_stream_is_noticed(body: bytes) -> None:
    with pytest.raises(MalformedStream, match="server-sent events") as caught:
        read([body])
    assert caught.value.body
    with pytest.raises(MalformedStream):
        read(body[n : n + 1] for n in range(len(body)))


def test_the_error_shows_how_the_stream_begins_and_not_all_of_it() -> None:
    with pytest.raises(MalformedStream, match="<html>") as caught:
        read([b"<html>" + b"x" * 10_000 + b"\n"])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "pieces",
    [
        # one line without an end
        [b"data: ", *[b"x" * 10] * 11],
        # many data lines
        [b"data: xxxxxxxxx\n"] * 11,
        # one piece
        [b"data: " + b"x" * 110 + b"\n\n"],
    ],
)
def test_an_event_has_a_bound(pieces: list[bytes]) -> None:
    reader = SSEReader(max_event_bytes=100)
    with pytest.raises(MalformedStream, match="longer than 100 bytes"):
        list(map(reader.decode, pieces))


def test_the_bound_is_for_one_event_and_not_for_the_stream() -> None:
    reader = SSEReader(max_event_bytes=100)
    assert len(reader.decode(b"data: xxxxxxxxx\n\n" * 1000)) == 1000


def test_a_long_line_byte_by_byte_costs_no_more_than_its_length() -> None:
    def seconds(size: int) -> float:
        reader = SSEReader()
        reader.decode(b"data: ")
        start = time.process_time()
        for _ in range(size):
            reader.decode(b"x")
        assert len(reader.decode(b"\n\n")[0].data) == size
        return time.process_time() - start

    once = min(seconds(20_000) for _ in range(3))
    assert min(seconds(160_000) for _ in range(3)) < 8 * once * 4  # a scan of the whole line each time: 64 * once


@given(
    st.lists(
        st.tuples(
            st.text(max_size=20),
            st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=5),
        ),
        max_size=5,
    ),
    st.data(),
)
def test_what_is_written_is_read_back(said: list[tuple[str, str | None]], draw: st.DataObject) -> None:
    stream = b"".join(encode_event(text, event) + KEEP_ALIVE for text, event in said)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = [
        ServerSentEvent(text.replace("\r\n", "\n").replace("\r", "\n").encode(), event or "message")
        for text, event in said
    ]
    assert read(pieces) == expected


def test_an_event_as_bytes() -> None:
    assert encode_event(b'{"a":1}') == b'data: {"a":1}\n\n'
    assert encode_event("ü\n\nb", event="error", id="7") == "event: error\nid: 7\ndata: ü\ndata: \ndata: b\n\n".encode()


@pytest.mark.parametrize("name", ["event", "id"])
def test_a_line_end_in_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"an event's {name}"):
        encode_event(b"a", **{name: "x\ny"})
