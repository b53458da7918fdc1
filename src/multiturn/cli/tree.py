"""`multiturn show --tree`: every turn, and where the conversations that share them stand.

    ● My name is Alice
    ├─✗ What's my nme?            failed: ConnectionFailed
    ├─● What is 15 * 23?          a turn that another was said in the place of, or a fork
    │ ● Now divide that by 5      ← fork-1
    ● What's my name?             ← alice-1

A turn's line stands under that of the turn it follows, so that a long conversation does not wander off to the right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from multiturn.cli.console import console, one_line, print_lines, printable
from multiturn.cli.ids import short
from multiturn.cli.transcript import counted, words_of
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord
from multiturn.turns import Turn, TurnStatus

_MARKS = {
    TurnStatus.COMPLETED: ("●", ""),
    TurnStatus.INCOMPLETE: ("◐", "warning"),
    TurnStatus.FAILED: ("✗", "error"),
    TurnStatus.IN_PROGRESS: ("○", "warning"),
}


async def print_tree(store: Store, record: ConversationRecord) -> None:
    """Draw the tree that the conversation stands on."""
    turns = await store.tree(record.id)
    others = [other for other in await store.family(record.id) if other.head]
    path = {turn.id for turn in await store.path(record.head)} if record.head else set()
    heads: dict[str, list[str]] = defaultdict(list)
    for other in others:
        heads[other.head or ""].append(other.id)
    out = console()
    if not out.is_terminal:
        out = console(width=1000)
    title = f"{record.id} · {counted(len(turns), 'turn')} · {counted(len(others) or 1, 'conversation')}"
    out.print(f"{printable(title)}\n", style="note")
    print_lines(out, _drawn(Drawing(turns, path, heads, record.id), out.width, whole_ids=not out.is_terminal))


class Drawing(NamedTuple):
    """What there is to draw: turns, a parent before its children; which of them are on the path of `this`
    conversation; and the conversations that stand on each."""

    turns: tuple[Turn, ...]
    path: set[str]
    heads: dict[str, list[str]]
    this: str


def _drawn(drawing: Drawing, width: int, *, whole_ids: bool) -> Table:
    name = str if whole_ids else short
    rows = [(branches, turn, name(turn.id), _remarks(turn, drawing)) for branches, turn in lines(drawing)]
    beside = max((len(id) + len(remarks) + 4 for _, _, id, remarks in rows), default=0)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="ellipsis", no_wrap=True, max_width=max(width - beside, 10))
    table.add_column(no_wrap=True, style="note")
    table.add_column()
    for branches, turn, id, remarks in rows:
        table.add_row(_words(branches, turn, on_path=turn.id in drawing.path), id, remarks)
    return table


def _words(branches: str, turn: Turn, *, on_path: bool) -> Text:
    mark, style = _MARKS[turn.status]
    line = Text.assemble((branches, "note"), (mark, style or ("mark" if on_path else "note")))
    return line.append(f" {one_line(words_of(turn), 70)}", style="said" if on_path else "note")


def lines(drawing: Drawing) -> Iterator[tuple[str, Turn]]:
    """Every turn in the order of the drawing, and the branches before it."""
    children: dict[str | None, list[Turn]] = defaultdict(list)
    for turn in drawing.turns:
        children[turn.parent].append(turn)
    waiting: list[tuple[str, str, Turn]] = []  # what its own line begins with, what those below it do, and the turn

    def expect(parent: str | None, indent: str) -> None:
        if siblings := children[parent]:
            straight = next((turn for turn in siblings if turn.id in drawing.path), siblings[-1])
            waiting.append((indent, indent, straight))
            aside = [turn for turn in siblings if turn is not straight]
            waiting.extend((f"{indent}├─", f"{indent}│ ", turn) for turn in reversed(aside))

    expect(None, "")
    while waiting:
        branches, indent, turn = waiting.pop()
        yield branches, turn
        expect(turn.id, indent)


def _remarks(turn: Turn, drawing: Drawing) -> Text:
    remarks = Text()
    if turn.status is TurnStatus.FAILED:
        remarks.append(f"failed: {turn.error.kind if turn.error else 'unknown'} ", style="error")
    elif turn.status is not TurnStatus.COMPLETED:
        remarks.append(f"{turn.status.value.replace('_', ' ')} ", style="warning")
    for id in drawing.heads.get(turn.id, ()):
        remarks.append(f"← {printable(short(id))} ", style="mark" if id == drawing.this else "note")
    remarks.rstrip()
    return remarks
