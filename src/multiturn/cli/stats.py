"""`multiturn stats`: how much there is, and how it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from multiturn.cli.places import open_for_reading, shown, store_option, store_url, tenant_option

if TYPE_CHECKING:
    from rich.console import Console

    from multiturn.stores.records import Statistics


@click.command(
    epilog="""\b
Examples:
  multiturn stats
  multiturn stats --json | jq .bytes_by_kind"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@store_option
@tenant_option
def stats(as_json: bool, store: str | None, tenant: str | None) -> None:
    """Show how much is kept, and how it grows.

    What takes the space, which conversations are the biggest, and how many turns each day brought.
    """
    from multiturn import sync

    opened = open_for_reading(store, tenant)
    where = shown(store_url(store))
    if opened is None:
        click.echo(f"There is nothing in {where} yet; 'multiturn chat' begins a conversation.", err=True)
        return
    statistics = sync.run(opened.statistics())
    if as_json:
        _print_json(statistics)
    else:
        _print(statistics, where)


def _print_json(statistics: Statistics) -> None:
    import msgspec

    fields = {name: getattr(statistics, name) for name in statistics.__struct_fields__}
    fields["biggest"] = [{"conversation": id, "bytes": size} for id, size in statistics.biggest]
    fields["turns_by_day"] = dict(statistics.turns_by_day)
    click.echo(msgspec.json.encode(fields))


def _print(statistics: Statistics, where: str) -> None:
    from rich.text import Text

    from multiturn.cli import charts
    from multiturn.cli.console import console, printable
    from multiturn.cli.ids import short
    from multiturn.cli.transcript import counted

    out = console()
    if not out.is_terminal:
        out = console(width=120)
    kinds = {kind: size for kind, size in statistics.bytes_by_kind.items() if size}
    facts = [
        counted(statistics.conversations, "conversation"),
        counted(statistics.turns, "turn"),
        *([counted(statistics.attachments, "attachment")] if statistics.attachments else []),
        charts.size(sum(kinds.values())),
    ]
    out.print(Text(printable(where), "note"), soft_wrap=True)
    out.print(Text(" · ".join(facts), "bold"), soft_wrap=True)
    if kinds:
        _section(out, "What takes the space")
        _print_bars(out, sorted(kinds.items(), key=lambda kind: -kind[1]))
    if statistics.biggest:
        name = short if out.is_terminal else str
        _section(out, "The biggest conversations")
        _print_bars(out, [(printable(name(id)), size) for id, size in statistics.biggest[:5]])
    if statistics.turns_by_day:
        _section(out, "New turns a day")
        for line in charts.days(statistics.turns_by_day):
            out.print(line, soft_wrap=True)


def _section(out: Console, title: str) -> None:
    out.print()
    out.print(title, style="bold")


def _print_bars(out: Console, rows: list[tuple[str, int]]) -> None:
    from multiturn.cli import charts
    from multiturn.cli.console import print_lines

    print_lines(out, charts.bars(rows))
