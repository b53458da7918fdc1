"""How many tokens turns and requests take, each turn counted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from multiturn.context.view import shortened, summary_turn
from multiturn.messages import Audio, File, Image, Message, Reasoning, Refusal, Text, ToolCall, ToolResult, Video
from multiturn.request import Request, ToolSpec
from multiturn.turns import Turn


class Counter(Protocol):
    """Counts as a model's provider does, or nearly so."""

    def message(self, message: Message) -> int: ...

    def text(self, text: str) -> int: ...

    def tools(self, tools: Sequence[ToolSpec]) -> int: ...


_MOST_KEPT = 10_000  # messages that are no turn of ours


class Sizes:
    """What turns take, by one counter. Turns never change, so that their sizes are kept by their ids."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._turns: dict[tuple[str, bool], int] = {}
        self._said: dict[int, tuple[Message, int]] = {}

    def turn(self, turn: Turn, cut: bool = False) -> int:
        """A turn, as it is or with its results and media cut short. One without an id is counted by its messages."""
        if not turn.id:
            return self.messages(shortened(turn).messages if cut else turn.messages)
        known = self._turns.get((turn.id, cut))
        if known is None:
            messages = shortened(turn).messages if cut else turn.messages
            known = self._turns[turn.id, cut] = sum(map(self._counter.message, messages))
        return known

    def messages(self, messages: Sequence[Message]) -> int:
        """Messages that are no turn yet; each is counted once while it is new."""
        return sum(map(self._message, messages))

    def _message(self, message: Message) -> int:
        known = self._said.get(id(message))
        if known is None or known[0] is not message:
            if len(self._said) >= _MOST_KEPT:
                self._said.clear()
            known = self._said[id(message)] = (message, self._counter.message(message))
        return known[1]

    def instructions(self, text: str | None) -> int:
        return self._counter.text(text) if text else 0

    def tools(self, request: Request) -> int:
        """The tools, and the schema of the answer."""
        schema = request.settings.output.schema if request.settings.output else None
        words = self._counter.text(bytes(schema).decode()) if schema else 0
        return words + (self._counter.tools(request.tools) if request.tools else 0)

    def summary(self, text: str) -> int:
        """The exchange by which a model is told it."""
        return self.messages(summary_turn(text).messages) if text else 0

    def text(self, text: str) -> int:
        return self._counter.text(text)


def counter_for(provider: str, model: str) -> Counter:
    return _Rough()


class _Rough:
    def text(self, text: str) -> int:
        return (len(text.encode(errors="replace")) + 3) // 4

    def tools(self, tools: Sequence[ToolSpec]) -> int:
        return sum(8 + self.text(f"{t.name}{t.description}{bytes(t.parameters).decode()}") for t in tools)

    def message(self, message: Message) -> int:
        return 4 + sum(map(self._part, message.parts))

    def _part(self, part: object) -> int:
        match part:
            case Text() | Refusal() | Reasoning():
                return self.text(part.text)
            case ToolCall():
                return 8 + self.text(part.name + part.arguments)
            case ToolResult():
                return 8 + sum(map(self._part, part.parts))
            case Image() | Audio() | Video() | File():
                return 1000
        return 0
