"""The blocks of a streamed answer while they grow: one class for each kind that streams, and one for all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from multiturn.deltas import Delta, PartDelta, ReasoningDelta, TextDelta, ToolCallDelta
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.readings import call_of, part_of, text_of, thinking_of
from multiturn.formats.anthropic.wire import REPLY_BLOCK, ReplyBlock
from multiturn.formats.decoding import read
from multiturn.ids import new_id
from multiturn.messages import Part

_ANY = msgspec.json.Decoder()


class Growing(Protocol):
    """A block between its start and its end."""

    def begin(self) -> Iterator[Delta]:
        """What it has from the start; the API's text and thinking have nothing yet, other servers' may."""

    def add(self, delta: dict[str, Any]) -> Iterator[Delta]:
        """What a delta brings; nothing for one of a kind that the block does not know."""

    def end(self) -> Iterator[Delta]:
        """What could not be told before."""

    @property
    def part(self) -> Part | None:
        """What it is so far; None for a block with nothing in it."""


def growing(data: bytes, calls_before: int, dialect: Dialect) -> Growing:
    """The block that begins like this. Raises `UNREADABLE` if it is no JSON object."""
    start = read(REPLY_BLOCK, data)
    match start.type:
        case "text":
            return GrowingText(start)
        case "thinking":
            return GrowingThought(start)
        case "tool_use":
            return GrowingCall(start, calls_before)
    return GrowingOther(data, dialect)


class GrowingText:
    def __init__(self, start: ReplyBlock) -> None:
        self._pieces: list[str] = []
        self._start = start
        self._citations: list[Any] = [*start.citations] if isinstance(start.citations, list) else []

    def begin(self) -> Iterator[Delta]:
        return self.add({"text": self._start.text})

    def add(self, delta: dict[str, Any]) -> Iterator[Delta]:
        match delta:
            case {"text": str(text)} if text:
                self._pieces.append(text)
                yield TextDelta(text)
            case {"citation": citation}:
                self._citations.append(citation)

    def end(self) -> Iterator[Delta]:
        yield from ()

    @property
    def part(self) -> Part | None:
        return text_of("".join(self._pieces), self._citations)


class GrowingThought:
    """Thinking that is not shown has a signature alone, and goes out whole when it ends."""

    def __init__(self, start: ReplyBlock) -> None:
        self._pieces: list[str] = []
        self._start = start
        self._signature = ""

    def begin(self) -> Iterator[Delta]:
        yield from self.add({"signature": self._start.signature})
        yield from self.add({"thinking": self._start.thinking})

    def add(self, delta: dict[str, Any]) -> Iterator[Delta]:
        match delta:
            case {"thinking": str(text)} if text:
                self._pieces.append(text)
                yield ReasoningDelta(text)
            case {"signature": str(signature)}:
                self._signature += signature

    def end(self) -> Iterator[Delta]:
        if not self._pieces and (part := self.part):
            yield PartDelta(part)

    @property
    def part(self) -> Part | None:
        return thinking_of("".join(self._pieces), self._signature)


class GrowingCall:
    """A call without arguments brings no piece of them: it has those that its start shows, `{}`."""

    def __init__(self, start: ReplyBlock, index: int) -> None:
        self._pieces: list[str] = []
        self._start = start
        self._index = index
        if not (isinstance(start.id, str) and start.id):
            start.id = new_id("toolu")

    def begin(self) -> Iterator[Delta]:
        name = self._start.name
        yield ToolCallDelta(self._index, self._start.id, name if isinstance(name, str) else "")

    def add(self, delta: dict[str, Any]) -> Iterator[Delta]:
        match delta:
            case {"partial_json": str(text)} if text:
                self._pieces.append(text)
                yield ToolCallDelta(self._index, arguments=text)

    def end(self) -> Iterator[Delta]:
        if not self._pieces:
            yield ToolCallDelta(self._index, arguments=self._arguments)

    @property
    def _arguments(self) -> str:
        return "".join(self._pieces) or bytes(self._start.input).decode() or "{}"

    @property
    def part(self) -> Part | None:
        return call_of(self._start, self._arguments)


class GrowingOther:
    """A block that we do not understand, or that comes whole: its own bytes, unless deltas change it. Of a delta,
    `partial_json` is the block's `input`; other texts are appended to the block's own of that name, and anything else
    takes its place."""

    def __init__(self, data: bytes, dialect: Dialect) -> None:
        self._data = data
        self._dialect = dialect
        self._texts: dict[str, list[str]] = {}
        self._values: dict[str, Any] = {}

    def begin(self) -> Iterator[Delta]:
        yield from ()

    def add(self, delta: dict[str, Any]) -> Iterator[Delta]:
        for name, value in delta.items():
            if isinstance(value, str) and name != "type":
                self._texts.setdefault(name, []).append(value)
            elif name != "type":
                self._values[name] = value
        yield from ()

    def end(self) -> Iterator[Delta]:
        if part := self.part:
            yield PartDelta(part)

    @property
    def part(self) -> Part | None:
        return part_of(Raw(self._whole()), self._dialect)

    def _whole(self) -> bytes:
        if not self._texts and not self._values:
            return self._data
        block: dict[str, Any] = {**read(_ANY, self._data), **self._values}
        for name, pieces in self._texts.items():
            text = "".join(pieces)
            if name == "partial_json":
                block["input"] = _value(text)
            else:
                before = block.get(name)
                block[name] = (before if isinstance(before, str) else "") + text
        return msgspec.json.encode(block)


def _value(text: str) -> Any:
    """The JSON value of this text; the text itself where it was cut."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text
