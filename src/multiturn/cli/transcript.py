"""A conversation as a person reads it: the words of both, and what became of a turn where that is not plain."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from multiturn import messages
from multiturn.cli.console import mark, one_line, print_lines, printable, reading_width
from multiturn.cli.prose import prose_lines
from multiturn.messages import Message, Part
from multiturn.turns import Turn, TurnStatus

_AGES = ((60.0, 1.0, "second"), (3600.0, 60.0, "minute"), (86_400.0, 3600.0, "hour"), (2_592_000.0, 86_400.0, "day"))


class _Markdown(NamedTuple):
    text: str
    style: str = "none"


def print_turns(console: Console, turns: Iterable[Turn], *, first: int = 1, before: Turn | None = None) -> None:
    """The turns, an empty line between everything. On a terminal as `multiturn chat` shows them; into a pipe as they
    are. `first` is the number of the first; `before` the one that precedes it."""
    gap = False
    for number, turn in enumerate(turns, start=first):
        for block in (*_changes(turn, before), *_exchange(turn, number)):
            if gap:
                console.print()
            _print(console, block)
            gap = True
        before = turn


def _print(console: Console, block: _Markdown | RenderableType) -> None:
    if not console.is_terminal:
        console.print(block.text if isinstance(block, _Markdown) else block, soft_wrap=True)
        return
    if not isinstance(block, _Markdown):
        print_lines(console, block, width=reading_width(console))
        return
    for line in prose_lines(console, block.text, style=block.style):
        console.file.write(f"{line}\n")


def _changes(turn: Turn, before: Turn | None) -> Iterator[Text]:
    """What is otherwise than in the turn before: who answers, and under which instructions."""
    if (before is None and turn.instructions) or (before and turn.instructions != before.instructions):
        yield Text(f"system: {printable(turn.instructions or 'no instructions')}", style="note")
    if before and turn.model != before.model:
        yield Text(f"{printable(turn.model or 'another model')} answers from here on", style="note")


def _exchange(turn: Turn, number: int) -> Iterator[_Markdown | RenderableType]:
    for message in turn.input:
        yield _said(message, number)
    for message in turn.output:
        yield from _answered(message)
    if words := _fate(turn):
        yield words


def _said(message: Message, number: int | None = None) -> RenderableType:
    """The user's words after their mark, and before it their number."""
    line = Table.grid(padding=0)
    line.add_row(
        Text.assemble((f"{number} " if number else "", "note"), (f"{mark()} ", "mark")),
        Text(printable(message.text or " ".join(_label(part) for part in message.parts)), style="said"),
    )
    return line


def _answered(message: Message) -> Iterator[_Markdown | RenderableType]:
    """What the model, or a tool, said, one block a kind."""
    if message.reasoning:
        yield _Markdown(message.reasoning, "reasoning")
    for part in message.parts:
        match part:
            case messages.Reasoning():
                continue
            case messages.Text(text=text) | messages.Refusal(text=text):
                yield _Markdown(text)
            case _:
                yield Text(printable(_label(part)), style="note")


def _label(part: Part) -> str:
    match part:
        case messages.Text(text=text):
            return text
        case messages.ToolCall():
            return f"→ {part.name}({one_line(part.arguments)})"
        case messages.ToolResult():
            return f"← {one_line(part.text, 200)}"
        case messages.Image(source=messages.Inline() as source):
            return f"[image, {source.media_type}, {len(source.data):,} bytes]"
        case messages.File(name=str(name)):
            return f"[file {name}]"
    return f"[{type(part).__name__.lower()}]"


def _fate(turn: Turn) -> Text | None:
    """What became of a turn, unless it simply was completed."""
    match turn.status:
        case TurnStatus.FAILED:
            why = f": {printable(turn.error.message)}" if turn.error else ""
            return Text(f"failed{why}", style="error")
        case TurnStatus.INCOMPLETE:
            return Text(f"incomplete: {printable(turn.reason or 'stopped')}", style="warning")
        case TurnStatus.IN_PROGRESS:
            return Text("in progress", style="warning")
    return None


def words_of(turn: Turn) -> str:
    """What the user said in this turn."""
    return "\n".join(message.text for message in turn.input if message.text)


def age(moment: float) -> str:
    """How long ago a time was: `3 minutes ago`; a date after a month."""
    seconds = max(0.0, time.time() - moment)
    for limit, unit, name in _AGES:
        if seconds < limit:
            number = int(seconds / unit)
            return "just now" if unit == 1.0 and number < 10 else f"{counted(number, name)} ago"
    return time.strftime("%Y-%m-%d", time.localtime(moment))


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
