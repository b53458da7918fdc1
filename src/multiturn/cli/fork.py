"""`multiturn fork`: another way on from something that was said."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from multiturn.cli.console import is_terminal
from multiturn.cli.places import open_for_reading, store_option, tenant_option

if TYPE_CHECKING:
    from multiturn.stores.base import Store


@click.command(
    epilog="""\b
Examples:
  multiturn fork trip                   share all of it
  multiturn fork trip --at 2            up to message 2, as 'show trip' counts
  multiturn fork trip --at 3kf0a1b2     up to any turn of 'show trip --tree'
  multiturn chat --conversation "$(multiturn fork trip)" "And by train?"
""",
)
@click.argument("id")
@click.option("--at", metavar="TURN", help="The last turn to share: its number, its id, or the end of its id.")
@click.option("--id", "new", metavar="NEW", help="The id of the fork; made up if not given.")
@store_option
@tenant_option
def fork(id: str, at: str | None, new: str | None, store: str | None, tenant: str | None) -> None:
    """Begin another conversation from one there is.

    The fork shares every turn of the conversation ID so far, and goes its own way from there. Nothing is copied, and
    ID stays as it is. Prints the id of the fork.
    """
    from multiturn import sync

    made, shares = sync.run(_fork(id, at, new, open_for_reading(store, tenant)))
    click.echo(made)
    if is_terminal(sys.stdout):
        from multiturn.cli.console import console
        from multiturn.cli.opening import Asked
        from multiturn.cli.transcript import counted

        way = Asked(store=store, tenant=tenant).way_back(made)
        console(stderr=True).print(
            f"It shares {counted(shares, 'turn')}. Go on with: {way}", style="note", soft_wrap=True
        )


async def _fork(id: str, at: str | None, new: str | None, opened: Store | None) -> tuple[str, int]:
    """The fork's id, and how many turns it shares."""
    from multiturn.cli.ids import find_conversation, find_turn
    from multiturn.conversation import Conversation

    record = await find_conversation(opened, id)
    assert opened is not None
    path = await opened.path(record.head) if record.head else ()
    turn = find_turn(await opened.tree(record.id), path, at) if at else path[-1] if path else None
    made = await Conversation(store=opened, id=record.id).afork(turn.id if turn else None, id=new)
    return made.id, turn.totals.turns if turn else 0
