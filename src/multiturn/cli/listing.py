"""`multiturn list`: what there is to come back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from multiturn.cli.places import open_for_reading, shown, store_option, store_url

if TYPE_CHECKING:
    from rich.table import Table

    from multiturn.stores.base import ConversationRecord, Store
    from multiturn.turns import Turn

_WIDE = 110  # columns from which there is room for whole ids


class _Row(NamedTuple):
    record: ConversationRecord
    head: Turn | None
    latest: Turn | None


@click.command(
    "list",
    epilog="""\b
Examples:
  multiturn list
  multiturn chat --conversation 3kf0a1b2     the id, or its end, as shown here
  multiturn list --json | jq -r .id          one object a line, for scripts""",
)
@store_option
@click.option("--limit", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(store: str | None, limit: int, as_json: bool) -> None:
    """Show conversations, the last used first."""
    from multiturn import sync

    opened = open_for_reading(store)
    rows = sync.run(_rows(opened, limit)) if opened else []
    if as_json:
        _print_json(rows)
    elif rows:
        _print_table(rows, may_be_more=len(rows) == limit)
    else:
        click.echo(f"No conversations in {shown(store_url(store))} yet; 'multiturn chat' begins one.", err=True)


async def _rows(store: Store, limit: int) -> list[_Row]:
    records = await store.conversations(limit=limit)
    return [
        _Row(
            record,
            await store.turn(record.head) if record.head else None,
            await store.turn(record.latest) if record.latest else None,
        )
        for record in records
    ]


def _print_json(rows: list[_Row]) -> None:
    import msgspec

    for record, head, latest in rows:
        fields = {
            "id": record.id,
            "turns": head.totals.turns if head else 0,
            "model": record.model,
            "created_at": record.created_at,
            "updated_at": record.updated_at,
            "tokens": head.totals.usage.total_tokens if head else 0,
            "last": _last_words(latest),
            "metadata": record.metadata or {},
        }
        click.echo(msgspec.json.encode(fields))


def _print_table(rows: list[_Row], *, may_be_more: bool) -> None:
    from multiturn.cli.console import console, print_lines

    out = console()
    if not out.is_terminal:
        out = console(width=1000)
    print_lines(out, _table(rows, whole_ids=out.width >= _WIDE))
    if may_be_more and out.is_terminal:
        out.print(f"\nThe last {len(rows)}; --limit shows more.", style="note")


def _table(rows: list[_Row], *, whole_ids: bool) -> Table:
    from rich.table import Table

    from multiturn.cli.console import one_line, printable
    from multiturn.cli.ids import short
    from multiturn.cli.transcript import age

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="note")
    table.add_column("id", style="cyan", overflow="fold")
    table.add_column("turns", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True, max_width=20)
    table.add_column("updated", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("last words", no_wrap=True, overflow="ellipsis", ratio=1)
    for record, head, latest in rows:
        table.add_row(
            printable(record.id if whole_ids else short(record.id)),
            f"{head.totals.turns:,}" if head else "0",
            printable(record.model or ""),
            age(record.updated_at),
            f"{head.totals.usage.total_tokens:,}" if head else "0",
            one_line(_last_words(latest)),
        )
    return table


def _last_words(turn: Turn | None) -> str:
    """What was said last, by whoever said it."""
    if turn is None:
        return ""
    return turn.text or " ".join(message.text for message in turn.input)
