"""What becomes of what a function gives back, of its exceptions, and of too much of either."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import pathlib
import types
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from multiturn.messages import Audio, File, Image, Inline, Message, Text, Url, Video, decode, encode, tool_result
from multiturn.tools import ToolFailed, tool
from multiturn.tools.results import parts_of
from tools.asking import ask

PNG = b"\x89PNG\r\n\x1a\n" + bytes(9)
MP4 = b"\0\0\0\x14ftypisom\0\0\0\0isom"
IMAGE = Image(Url("https://example.com/a.png"))
CYCLE: list[object] = []
CYCLE.append(CYCLE)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Place:
    name: str


class Box(msgspec.Struct):
    width: int


class Odd:
    def __str__(self) -> str:
        return "an odd thing"


class Number:
    """As numpy's."""

    def tolist(self) -> list[float]:
        return [1.5]


TEXTS: list[tuple[Any, str]] = [
    ("sunny", "sunny"),
    ("", ""),
    ("sunny ☀\n", "sunny ☀\n"),
    (None, "null"),
    (True, "true"),
    (5, "5"),
    (2**70, str(2**70)),
    (1.5, "1.5"),
    (float("nan"), "null"),
    ([], "[]"),
    (["a", "b"], '["a","b"]'),  # joined, they could not be told apart
    (("a", 1), '["a",1]'),
    ({"b": 1, "a": "☀"}, '{"b":1,"a":"☀"}'),
    ({1: 2}, '{"1":2}'),
    ({3}, "[3]"),
    (Colour.RED, "red"),
    (Place("x"), '{"name":"x"}'),
    ([Box(1)], '[{"width":1}]'),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (decimal.Decimal("1.50"), "1.50"),
    (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
    (msgspec.Raw(b'{"a":1}'), '{"a":1}'),
    (Number(), "[1.5]"),
    (range(3), "[0,1,2]"),
    (pathlib.PurePosixPath("/a"), "/a"),
    ({"odd": Odd()}, '{"odd":"an odd thing"}'),
    (Odd(), "an odd thing"),
    ([Colour.RED, Odd()], '["red","an odd thing"]'),
    ({(1, 2): 3, None: 4}, '{"(1, 2)":3,"None":4}'),
    (CYCLE, "[[...]]"),
    (b"plain", "plain"),
    (bytearray(b"plain"), "plain"),
    (b"ID3 tags are text here", "ID3 tags are text here"),
    (memoryview(b"plain"), "plain"),
    (b"\0 and more", "\0 and more"),
    (iter(["a", "b"]), "ab"),
    (map(str, [1, 2]), "12"),
    ((n for n in (1, 2)), "[1,2]"),
    (iter([]), ""),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
async def test_values_are_read_as(value: Any, text: str) -> None:
    result = await ask(tool(lambda: value, name="give"))
    assert (result.text, result.is_error) == (text, False)
    message = Message("tool", (result,))
    assert decode(encode(message)) == message


PARTS: list[tuple[Any, tuple[Any, ...]]] = [
    ("", ()),
    (IMAGE, (IMAGE,)),
    (Text("x"), (Text("x"),)),
    (
        ["see", IMAGE, Audio(Url("https://a")), Video(Url("https://v"))],
        (Text("see"), IMAGE, Audio(Url("https://a")), Video(Url("https://v"))),
    ),
    ((IMAGE, ""), (IMAGE,)),
    (iter(["see", IMAGE]), (Text("see"), IMAGE)),
    ([IMAGE, 1], (Text('[{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}},1]'),)),
    (PNG, (Image(Inline(PNG, "image/png")),)),
    (b"\xff\xd8\xff\xe0", (Image(Inline(b"\xff\xd8\xff\xe0", "image/jpeg")),)),
    (b"GIF89a", (Image(Inline(b"GIF89a", "image/gif")),)),
    (b"RIFF\0\0\0\0WEBPVP8 ", (Image(Inline(b"RIFF\0\0\0\0WEBPVP8 ", "image/webp")),)),
    (b"RIFF\0\0\0\0WAVEfmt ", (Audio(Inline(b"RIFF\0\0\0\0WAVEfmt ", "audio/wav")),)),
    (b"ID3\x04", (Audio(Inline(b"ID3\x04", "audio/mpeg")),)),
    (MP4, (Video(Inline(MP4, "video/mp4")),)),
    (b"%PDF-1.7", (File(Inline(b"%PDF-1.7", "application/pdf")),)),
    (bytearray(PNG), (Image(Inline(PNG, "image/png")),)),
]


@pytest.mark.parametrize(("value", "parts"), PARTS)
async def test_parts_are_made_of(value: Any, parts: tuple[Any, ...]) -> None:
    result = await ask(tool(lambda: value, name="give"))
    assert result.parts == parts
    assert not result.is_error


async def test_bytes_of_an_unknown_kind_are_refused() -> None:
    result = await ask(tool(lambda: b"\xfe\xed\xfa\xce", name="give"))
    assert result.is_error
    assert result.text.startswith("the tool gave back 4 bytes of a kind that is not known; it should give a part")


async def test_a_function_that_says_it_gives_nothing_is_done() -> None:
    def says() -> None: ...

    def finds() -> str | None:
        return None

    assert (await ask(says)).text == "done"
    assert (await ask(finds)).text == "null"
    assert (await ask(tool(says, name="x"))).text == "done"


async def test_generators_of_every_kind_are_joined() -> None:
    def lines() -> Iterator[str]:
        yield "a\n"
        yield "b\n"

    async def pieces() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def rows() -> AsyncIterator[dict[str, int]]:
        yield {"n": 1}
        yield {"n": 2}

    assert (await ask(lines)).text == "a\nb\n"
    assert (await ask(pieces)).text == "ab"
    assert (await ask(rows)).text == '[{"n":1},{"n":2}]'


async def test_a_generator_that_raises_is_an_error() -> None:
    def lines() -> Iterator[str]:
        yield "a"
        raise ValueError("no more")

    async def pieces() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("no more")

    for func in (lines, pieces):
        result = await ask(func)
        assert (result.text, result.is_error) == ("ValueError: no more", True)


async def test_half_a_surrogate_pair_cannot_poison_the_history() -> None:
    result = await ask(tool(lambda: "a\udcffb", name="give"))
    assert result.text == "a?b"
    encode(tool_result("x", result.text))
    assert (await ask(tool(lambda: {"a": "\udcff"}, name="give"))).text == "{'a': '\\udcff'}"


# --- too much -------------------------------------------------------------------------------------------------------


async def test_ten_megabytes_are_cut_and_the_rest_is_counted() -> None:
    result = await ask(tool(lambda: "x" * 10_000_000, name="give"))
    assert not result.is_error
    assert result.text == "x" * 262_144 + "\n[9737856 more bytes were cut off here]"


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc\n[1 more bytes were cut off here]"),
        ("a☀b", 3, "a\n[4 more bytes were cut off here]"),  # at a character's border
        ("☀", 1, "\n[3 more bytes were cut off here]"),
        ([1, 2, 3], 4, "[1,2\n[3 more bytes were cut off here]"),
        (b"abcd", 3, "abc\n[1 more bytes were cut off here]"),
    ],
)
def test_text_is_cut_between_characters(value: object, limit: int, text: str) -> None:
    assert "".join(part.text for part in parts_of(value, limit_bytes=limit) if isinstance(part, Text)) == text


def test_the_limit_is_for_all_texts_together_and_not_for_media() -> None:
    image = Image(Inline(bytes(100), "image/png"))
    assert parts_of(["abc", image, "def", "g"], limit_bytes=4) == (
        Text("abc"),
        image,
        Text("d"),
        Text("\n[3 more bytes were cut off here]"),
    )


async def test_the_limit_is_an_option_and_holds_for_errors_too() -> None:
    def fail() -> None:
        raise ValueError("x" * 1000)

    result = await ask(tool(fail, max_result_bytes=20))
    assert result.text == "ValueError: xxxxxxxx\n[992 more bytes were cut off here]"


# --- exceptions -----------------------------------------------------------------------------------------------------


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken")


def raising(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such city"), "ValueError: no such city"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError"),
        (StopIteration(5), "StopIteration: 5"),
        (TimeoutError("its own"), "TimeoutError: its own"),
        (Unprintable(), "Unprintable"),
        (ToolFailed("There is no such city."), "There is no such city."),
        (ToolFailed(), "the tool failed"),
        (
            ExceptionGroup("several", [ValueError("a"), ExceptionGroup("x", [OSError("b"), ValueError("a")])]),
            "ValueError: a; OSError: b",
        ),
        (ValueError("half \udcff"), "ValueError: half ?"),
    ],
)
async def test_an_exception_is_a_result(error: Exception, text: str) -> None:
    async def fail_async() -> None:
        raise error

    for func in (raising(error), fail_async):
        result = await ask(func)
        # In a coroutine Python itself turns StopIteration into a RuntimeError.
        assert result.is_error
        assert result.text == text or (isinstance(error, StopIteration) and "StopIteration" in result.text)


async def test_only_the_type_is_told_if_one_wants() -> None:
    assert (await ask(tool(raising(ValueError("secret")), errors="type"))).text == "ValueError"
    assert (await ask(tool(raising(ToolFailed("say this")), errors="type"))).text == "say this"


async def test_the_full_traceback_is_told_if_one_wants_without_our_own_lines() -> None:
    text = (await ask(tool(raising(ValueError("deep")), errors="full"))).text
    assert text.startswith("Traceback (most recent call last):")
    assert "raise error" in text
    assert text.endswith("ValueError: deep")
    assert "multiturn/tools" not in text


def test_what_is_made_of_a_module_or_a_function_is_its_str() -> None:
    (part,) = parts_of(types, limit_bytes=1000)
    assert isinstance(part, Text)
    assert part.text.startswith("<module 'types'")
