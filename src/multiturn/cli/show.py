"""`multiturn show`: one conversation, to read or to process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from multiturn.cli.places import open_for_reading, store_option, tenant_option

if TYPE_CHECKING:
    from multiturn.stores.base import Store
    from multiturn.stores.records import ConversationRecord
    from multiturn.turns import Turn


@click.command(
    epilog="""\b
Examples:
  multiturn show trip             read it
  multiturn show trip --tree      forks, retries, edits and failures too
  multiturn show trip --json      every turn as one JSON object a line
  multiturn show trip --window    how much of it the model is shown next"""
)
@click.argument("id")
@store_option
@tenant_option
@click.option(
    "--tree", "as_tree", is_flag=True, help="Draw every turn of the tree, not just those of this conversation."
)
@click.option("--json", "as_json", is_flag=True, help="One turn a line, as JSON.")
@click.option("--window", "as_window", is_flag=True, help="What the next request will hold, in tokens.")
@click.option("--context", metavar="TOKENS", type=click.IntRange(1), help="With --window: how much the model reads.")
def show(
    id: str, store: str | None, tenant: str | None, as_tree: bool, as_json: bool, as_window: bool, context: int | None
) -> None:
    """Show what was said in a conversation.

    ID is its id, or the end of it as 'multiturn list' shows it.
    """
    from multiturn import sync
    from multiturn.cli.ids import find_conversation

    opened = open_for_reading(store, tenant)
    record = sync.run(find_conversation(opened, id))
    assert opened is not None
    if as_window:
        from multiturn.cli.window import print_window

        print_window(opened, record, context, as_json=as_json)
    elif as_json:
        _print_json(sync.run(opened.tree(record.id) if as_tree else _said(opened, record)))
    elif as_tree:
        from multiturn.cli.tree import print_tree

        sync.run(print_tree(opened, record))
    else:
        _print(record, sync.run(_said(opened, record)))


async def _said(store: Store, record: ConversationRecord) -> tuple[Turn, ...]:
    """The turns up to the head, and the one begun last where it failed there."""
    turns = await store.path(record.head) if record.head else ()
    if record.latest is None or record.latest == record.head:
        return turns
    latest = await store.turn(record.latest)
    return (*turns, latest) if latest.parent == record.head else turns


def _print_json(turns: tuple[Turn, ...]) -> None:
    import msgspec

    for turn in turns:
        click.echo(msgspec.json.encode(turn))


def _print(record: ConversationRecord, turns: tuple[Turn, ...]) -> None:
    from multiturn.cli.console import console, printable
    from multiturn.cli.transcript import age, counted, print_turns

    out = console()
    facts = [counted(len(turns), "turn"), record.model or "", age(record.updated_at)]
    if turns:
        facts.append(counted(turns[-1].totals.usage.total_tokens, "token"))
    out.print(f"{printable(record.id)} · {' · '.join(filter(None, facts))}\n", style="note", soft_wrap=True)
    print_turns(out, turns)
