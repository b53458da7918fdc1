"""`multiturn usage`: how many tokens, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from multiturn.cli.places import open_for_reading, store_option, tenant_option
from multiturn.cli.times import Moment

if TYPE_CHECKING:
    from rich.table import Table

    from multiturn.messages import Usage
    from multiturn.stores.records import UsageRow

_LONGEST = 20  # rows that a person wants to see
_NOBODY = {"user": "(no user)", "model": "(no model)"}
_COLUMNS = {
    "input_tokens": "tokens in",
    "cached_tokens": "cached",
    "cache_write_tokens": "cache written",
    "output_tokens": "out",
    "reasoning_tokens": "reasoning",
    "cost_usd": "cost",
}


@click.command(
    epilog="""\b
Examples:
  multiturn usage                                a line a model
  multiturn usage --by user --since 30d
  multiturn usage --by day --since 2026-11-01 --until 2026-11-30
  multiturn usage --by conversation --json | jq .cost_usd

\b
Times are days in UTC. Tokens are as the providers counted them; the cost is
there where the provider states it."""
)
@click.option("--by", type=click.Choice(["conversation", "user", "model", "day"]), default="model", show_default=True)
@click.option("--since", metavar="DAY", type=Moment(utc_day=True), help="From this day on: 2026-11-01, or 7d ago.")
@click.option("--until", metavar="DAY", type=Moment(utc_day=True), help="Up to this day, inclusive.")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="How many lines; 20 on a terminal, else all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@store_option
@tenant_option
def usage(
    by: Literal["conversation", "user", "model", "day"],
    since: float | None,
    until: float | None,
    limit: int | None,
    as_json: bool,
    store: str | None,
    tenant: str | None,
) -> None:
    """Show the tokens used, and their cost, the most first."""
    from multiturn import sync

    opened = open_for_reading(store, tenant)
    rows = sync.run(opened.usage(by, since=since, until=until)) if opened else ()
    if as_json:
        _print_json(by, rows[:limit])
    elif rows:
        _print_table(by, rows, limit)
    else:
        click.echo("Nothing was used.", err=True)


def _print_json(by: str, rows: tuple[UsageRow, ...]) -> None:
    import msgspec

    for row in rows:
        tokens = {name: getattr(row.usage, name) for name in row.usage.__struct_fields__}
        click.echo(msgspec.json.encode({by: row.name or None, "turns": row.turns, **tokens}))


def _print_table(by: str, rows: tuple[UsageRow, ...], limit: int | None) -> None:
    from multiturn.cli.console import console, print_lines

    out = console()
    shown = limit or (_LONGEST if out.is_terminal else len(rows))
    if not out.is_terminal:
        out = console(width=1000)
    some = rows[-shown:] if by == "day" else rows[:shown]
    print_lines(out, _table(by, some, rows))
    if out.is_terminal and len(rows) > shown:
        which = "The last" if by == "day" else "The first"
        out.print(f"\n{which} {shown} of {len(rows):,}; the sum is of all. --limit shows more.", style="note")


def _table(by: str, rows: tuple[UsageRow, ...], all_rows: tuple[UsageRow, ...]) -> Table:
    from rich.table import Table

    from multiturn.messages import Usage

    whole = sum((row.usage for row in all_rows), start=Usage())
    columns = [name for name in _COLUMNS if name in ("input_tokens", "output_tokens") or getattr(whole, name)]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="note")
    table.add_column(by, style="cyan", overflow="ellipsis", no_wrap=True)
    for title in ("turns", *(_COLUMNS[name] for name in columns)):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(_name(by, row.name), f"{row.turns:,}", *_figures(row.usage, columns))
    if len(all_rows) > 1:
        table.add_row("all", f"{sum(row.turns for row in all_rows):,}", *_figures(whole, columns), style="bold")
    return table


def _name(by: str, name: str) -> str:
    from multiturn.cli.console import printable
    from multiturn.cli.ids import short

    return _NOBODY.get(by, "") if not name else printable(short(name) if by == "conversation" else name)


def _figures(usage: Usage, columns: list[str]) -> list[str]:
    figures = [getattr(usage, name) for name in columns]
    return [
        "" if figure is None else f"${figure:,.4f}" if isinstance(figure, float) else f"{figure:,}"
        for figure in figures
    ]
