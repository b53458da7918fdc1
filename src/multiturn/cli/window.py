"""What the next request of a conversation will hold, drawn for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from multiturn.context.contents import Contents
    from multiturn.models.base import Model
    from multiturn.stores.base import Store
    from multiturn.stores.records import ConversationRecord

_COLOURS = {
    "instructions": "magenta",
    "tools": "yellow",
    "summary": "green",
    "pinned": "red",
    "history": "cyan",
    "new": "bold cyan",
    "free": "dim",
    "reserve": "blue",
}
_SAID = {
    "instructions": "instructions",
    "tools": "tools and schema",
    "summary": "summary of what was left out",
    "pinned": "pinned turns",
    "history": "history",
    "new": "new input",
    "free": "free",
    "reserve": "kept for the answer",
}
_EDGE = 2  # columns at both sides of the bar


def print_window(store: Store, record: ConversationRecord, context: int | None, *, as_json: bool) -> None:
    """Print it, for people or as a JSON object. Tools and settings are the program's own, and so not known here."""
    from multiturn.context.window import Window
    from multiturn.conversation import Conversation

    model = cast("Model", _Named(record.model or "offline"))
    held = Conversation(model, store=store, id=record.id, window=Window(context_tokens=context)).window()
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode({**msgspec.structs.asdict(held), "used": held.used, "free": held.free}))
    else:
        _draw(held)


def _draw(held: Contents) -> None:
    from rich.table import Table
    from rich.text import Text

    from multiturn.cli.console import WIDEST, console, printable

    out = console()
    has_blocks = (out.encoding or "").lower().replace("-", "").startswith("utf")
    blocks = {"free": "·", "reserve": "░"} if has_blocks else {"free": ".", "reserve": "-"}
    full = "█" if has_blocks else "#"
    out.print(printable(held.headline), style="said", soft_wrap=True)
    bar = Text(" " * _EDGE)
    for part, wide in held.columns(min(out.width, WIDEST) - 2 * _EDGE):
        bar.append(blocks.get(part, full) * wide, _COLOURS[part])
    out.print(bar)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right", style="note")
    whole = held.context or max(held.used, 1)
    for part, tokens in held.parts():
        name = Text.assemble(" " * _EDGE, (blocks.get(part, full), _COLOURS[part]), f" {_SAID[part]}")
        table.add_row(name, f"{tokens:,}", f"{tokens / whole:.0%}")
    out.print(table)
    if held.budget is None:
        out.print("Nobody knows how much this model reads; --context says it.", style="note", soft_wrap=True)


class _Named:
    """A model by its name alone: to count for it, nobody needs its key."""

    def __init__(self, named: str) -> None:
        provider, colon, name = named.partition(":")
        self.provider, self.name = (provider, name) if colon else (named, named)
