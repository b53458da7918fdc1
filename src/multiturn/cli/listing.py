"""`multiturn list`: what there is to come back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from multiturn.cli.places import open_for_reading, shown, store_option, store_url, tenant_option
from multiturn.cli.times import Moment

if TYPE_CHECKING:
    from rich.table import Table

    from multiturn.stores.base import Store
    from multiturn.stores.records import ConversationRecord, Filter
    from multiturn.turns import Turn

_WIDE = 110  # columns from which there is room for whole ids
_TITLES = ("id", "turns", "model", "updated", "tokens")
_STATUSES = ("completed", "incomplete", "failed", "in_progress")


class _Row(NamedTuple):
    record: ConversationRecord
    head: Turn | None
    latest: Turn | None


class _Page(NamedTuple):
    rows: list[_Row]
    is_first: bool
    has_more: bool


@click.command(
    "list",
    epilog="""\b
Examples:
  multiturn list
  multiturn list --user bob --since 7d
  multiturn list --metadata project=x --status failed
  multiturn chat --conversation 3kf0a1b2     the id, or its end, as shown here
  multiturn list --json | jq -r .id          one object a line, for scripts

\b
Times are those of the last use: 2026-11-01, '2026-11-01 14:30', or 7d or 12h
for so long ago. --until takes a date to its end. The status is that of the
last turn.""",
)
@store_option
@tenant_option
@click.option("--user", metavar="USER", help="Only those of this user.")
@click.option("--metadata", metavar="K=V", multiple=True, help="Only those with this metadata; may be repeated.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those that ended so.")
@click.option("--since", metavar="TIME", type=Moment(), help="Only those used since then.")
@click.option("--until", metavar="TIME", type=Moment(end=True), help="Only those not used after that.")
@click.option("--limit", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@click.option("--after", metavar="ID", help="The next page: those that come after this one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(
    store: str | None,
    tenant: str | None,
    user: str | None,
    metadata: tuple[str, ...],
    status: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """Show conversations, the last used first."""
    from multiturn import sync
    from multiturn.stores.records import Filter
    from multiturn.turns import TurnStatus

    filter = Filter(
        user=user,
        metadata=_pairs(metadata) or None,
        status=TurnStatus(status) if status else None,
        since=since,
        until=until,
    )
    opened = open_for_reading(store, tenant)
    page = sync.run(_page(opened, filter, limit, after)) if opened else _Page([], after is None, False)
    if as_json:
        _print_json(page.rows)
    elif page.rows:
        _print_table(page)
    elif filter != Filter() or after:
        click.echo("No such conversations.", err=True)
    else:
        click.echo(f"No conversations in {shown(store_url(store))} yet; 'multiturn chat' begins one.", err=True)


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    for pair in given:
        if "=" not in pair:
            raise click.UsageError(f"--metadata {pair!r} is no K=V", click.get_current_context())
    return dict(pair.split("=", 1) for pair in given)


async def _page(store: Store, filter: Filter, limit: int, after: str | None) -> _Page:
    from multiturn.cli.ids import find_conversation
    from multiturn.stores.records import Cursor

    cursor = None
    if after:
        last = await find_conversation(store, after)
        cursor = Cursor(last.updated_at, last.id)
    records = await store.conversations(filter=filter, limit=limit + 1, after=cursor)
    rows = [
        _Row(
            record,
            await store.turn(record.head) if record.head else None,
            await store.turn(record.latest) if record.latest else None,
        )
        for record in records[:limit]
    ]
    return _Page(rows, after is None, len(records) > limit)


def _print_json(rows: list[_Row]) -> None:
    import msgspec

    for record, head, latest in rows:
        fields = {
            "id": record.id,
            "user": record.user,
            "turns": head.totals.turns if head else 0,
            "model": record.model,
            "created_at": record.created_at,
            "updated_at": record.updated_at,
            "tokens": head.totals.usage.total_tokens if head else 0,
            "status": latest.status if latest else None,
            "last": _last_words(latest),
            "metadata": record.metadata or {},
        }
        click.echo(msgspec.json.encode(fields))


def _print_table(page: _Page) -> None:
    from multiturn.cli.console import console, print_lines, printable
    from multiturn.cli.ids import short

    out = console()
    if not out.is_terminal:
        out = console(width=1000)
    print_lines(out, _table(page.rows, out.width))
    if page.has_more and out.is_terminal:
        these = f"The last {len(page.rows)}" if page.is_first else f"{len(page.rows)} more"
        next_page = f"The next page: --after {printable(short(page.rows[-1].record.id))}"
        out.print(f"\n{these}; --limit shows more. {next_page}", style="note")


def _table(rows: list[_Row], width: int) -> Table:
    from rich.table import Table

    from multiturn.cli.console import one_line

    cells = [_cells(row, whole_id=width >= _WIDE) for row in rows]
    beside = sum(2 + max(len(title), *(len(row[n]) for row in cells)) for n, title in enumerate(_TITLES))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="note")
    for title in _TITLES:
        table.add_column(
            title,
            justify="right" if title in ("turns", "tokens") else "left",
            style="cyan" if title == "id" else "",
            no_wrap=title != "id",
            overflow="fold" if title == "id" else "ellipsis",
        )
    table.add_column("last words", no_wrap=True, overflow="ellipsis", max_width=max(width - beside, 12))
    for row, cell in zip(rows, cells, strict=True):
        table.add_row(*cell, one_line(_last_words(row.latest)))
    return table


def _cells(row: _Row, *, whole_id: bool) -> list[str]:
    from multiturn.cli.console import one_line, printable
    from multiturn.cli.ids import short
    from multiturn.cli.transcript import age

    record, head, _ = row
    return [
        printable(record.id if whole_id else short(record.id)),
        f"{head.totals.turns:,}" if head else "0",
        one_line(record.model or "", 20),
        age(record.updated_at),
        f"{head.totals.usage.total_tokens:,}" if head else "0",
    ]


def _last_words(turn: Turn | None) -> str:
    """What was said last, by whoever said it."""
    if turn is None:
        return ""
    return turn.text or " ".join(message.text for message in turn.input)
