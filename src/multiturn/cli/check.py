"""`multiturn check`: whether the store is whole."""

from __future__ import annotations

import click

from multiturn.cli.places import open_for_reading, shown, store_option, store_url


@click.command(
    epilog="""\b
Examples:
  multiturn check
  multiturn check --store sqlite:////var/lib/chats.db && cp chats.db /backup
  multiturn check --json | jq -r '.problems[]'"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@store_option
def check(as_json: bool, store: str | None) -> int:
    """Look for damage in the store.

    Turns that lead nowhere, conversations that stand on nothing, bytes that cannot be read.
    Says so if all is well; else prints each problem on a line, and the status is 1.
    """
    from multiturn import sync
    from multiturn.cli.console import printable

    opened = open_for_reading(store)
    problems = sync.run(opened.check()) if opened else ()
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode({"problems": problems}))
    elif problems:
        click.echo("\n".join(printable(problem) for problem in problems))
    elif opened is None:
        click.echo(f"There is nothing in {shown(store_url(store))} yet.", err=True)
    else:
        click.echo("All is well.")
    return 1 if problems else 0
