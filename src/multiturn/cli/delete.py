"""`multiturn delete`: for good, and only when asked twice."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from multiturn.cli.console import is_terminal
from multiturn.cli.places import open_for_reading, store_option

if TYPE_CHECKING:
    from multiturn.stores.base import ConversationRecord, Store


@click.command(
    epilog="""\b
Examples:
  multiturn delete trip
  multiturn delete --yes old-1 old-2        without being asked, for scripts"""
)
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal to ask on.")
@store_option
def delete(ids: tuple[str, ...], yes: bool, store: str | None) -> None:
    """Delete conversations for good. Turns that another conversation shares stay with that one.

    If one of the IDs is not there, nothing is deleted.
    """
    from multiturn import sync

    if not yes and not is_terminal(sys.stdin, sys.stderr):
        raise click.UsageError("nobody to ask here; say --yes to delete", click.get_current_context())
    opened = open_for_reading(store)
    found = sync.run(_find(opened, ids))
    assert opened is not None
    if not yes:
        _ask(found)
    for record, what in found:
        sync.run(opened.delete(record.id))
        click.echo(f"Deleted {what}.")


async def _find(store: Store | None, ids: tuple[str, ...]) -> list[tuple[ConversationRecord, str]]:
    """The conversations, each once, and what to call them."""
    from multiturn.cli.console import printable
    from multiturn.cli.ids import find_conversation
    from multiturn.cli.transcript import counted

    records = {record.id: record for record in [await find_conversation(store, id) for id in ids]}
    found = []
    for record in records.values():
        turns = (await store.turn(record.head)).totals.turns if store and record.head else 0
        found.append((record, f"{printable(record.id)} ({counted(turns, 'turn')})"))
    return found


def _ask(found: list[tuple[ConversationRecord, str]]) -> None:
    for _, what in found:
        click.echo(f"  {what}", err=True)
    these = "this conversation" if len(found) == 1 else f"these {len(found)} conversations"
    if not click.confirm(f"Delete {these} for good?", err=True):
        raise click.ClickException("nothing was deleted")
