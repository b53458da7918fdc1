"""`multiturn delete`: for good, and only when asked twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from multiturn.cli.console import is_terminal
from multiturn.cli.places import open_for_reading, store_option, tenant_option

if TYPE_CHECKING:
    from multiturn.stores.base import Store
    from multiturn.stores.records import ConversationRecord
    from multiturn.turns import Turn

_PAGE = 500


class _Step(NamedTuple):
    """Something to delete: what it is called, and how that is done."""

    what: str
    delete: Callable[[], Coroutine[Any, Any, object]]


@click.command(
    epilog="""\b
Examples:
  multiturn delete trip
  multiturn delete trip --turn 3            message 3 and what follows it
  multiturn delete --user bob               all that is kept of a user
  multiturn delete --yes old-1 old-2        without being asked, for scripts"""
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--turn", metavar="TURN", help="Delete a turn and what follows it: its id, or with ID as 'fork --at'.")
@click.option("--user", metavar="USER", help="Delete every conversation of this user.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal to ask on.")
@store_option
@tenant_option
def delete(
    ids: tuple[str, ...], turn: str | None, user: str | None, yes: bool, store: str | None, tenant: str | None
) -> None:
    """Delete conversations for good. Turns that another conversation shares stay with that one.

    If one of the IDs is not there, nothing is deleted.
    """
    from multiturn import sync

    _check(ids, turn, user)
    if not yes and not is_terminal(sys.stdin, sys.stderr):
        raise click.UsageError("nobody to ask here; say --yes to delete", click.get_current_context())
    opened = open_for_reading(store, tenant)
    if user is not None:
        steps = sync.run(_all_of(opened, user))
    elif turn is not None:
        steps = sync.run(_turn(opened, ids, turn))
    else:
        steps = sync.run(_conversations(opened, ids))
    if not yes:
        _ask(steps, "this conversation" if turn is None and user is None else "this")
    for step in steps:
        sync.run(step.delete())
        click.echo(f"Deleted {step.what}.")


def _check(ids: tuple[str, ...], turn: str | None, user: str | None) -> None:
    problem = None
    if not ids and turn is None and user is None:
        problem = "say what to delete: an ID, --turn or --user"
    elif user is not None and (ids or turn is not None):
        problem = "--user stands alone; it deletes all that is kept of a user"
    elif turn is not None and len(ids) > 1:
        problem = "--turn goes with one ID, or with none"
    if problem:
        raise click.UsageError(problem, click.get_current_context())


async def _conversations(store: Store | None, ids: tuple[str, ...]) -> list[_Step]:
    """The conversations, each once."""
    from multiturn.cli.console import printable
    from multiturn.cli.ids import find_conversation
    from multiturn.cli.transcript import counted

    records = {record.id: record for record in [await find_conversation(store, id) for id in ids]}
    assert store is not None
    steps = []
    for record in records.values():
        turns = (await store.turn(record.head)).totals.turns if record.head else 0
        steps.append(_Step(f"{printable(record.id)} ({counted(turns, 'turn')})", _deletion(store, record)))
    return steps


def _deletion(store: Store, record: ConversationRecord) -> Callable[[], Coroutine[Any, Any, None]]:
    return lambda: store.delete(record.id)


async def _turn(store: Store | None, ids: tuple[str, ...], given: str) -> list[_Step]:
    from multiturn.cli.console import one_line
    from multiturn.cli.transcript import counted, words_of

    if store is None:
        raise click.ClickException(f"there is no turn '{given}'")
    turn = await _find_turn(store, ids, given)
    gone = {turn.id}
    for other in await store.tree(turn.conversation):  # a parent before its children
        if other.parent in gone:
            gone.add(other.id)
    after = f" and {counted(len(gone) - 1, 'turn')} after it" if len(gone) > 1 else ""
    return [_Step(f"“{one_line(words_of(turn), 40)}”{after}", lambda: store.delete_turn(turn.id))]


async def _find_turn(store: Store, ids: tuple[str, ...], given: str) -> Turn:
    from multiturn.cli.ids import find_conversation, find_turn

    if not ids:
        return await store.turn(given)
    record = await find_conversation(store, ids[0])
    return find_turn(await store.tree(record.id), await store.path(record.head) if record.head else (), given)


async def _all_of(store: Store | None, user: str) -> list[_Step]:
    from multiturn.cli.console import printable
    from multiturn.cli.transcript import counted
    from multiturn.stores.records import Cursor, Filter

    number, after = 0, None
    while store and (page := await store.conversations(filter=Filter(user=user), limit=_PAGE, after=after)):
        number += len(page)
        after = Cursor(page[-1].updated_at, page[-1].id)
    if store is None or not number:
        raise click.ClickException(f"there is no conversation of user '{user}'")
    what = f"all that is kept of user {printable(user)} ({counted(number, 'conversation')})"
    return [_Step(what, lambda: store.delete_user(user))]


def _ask(steps: list[_Step], this: str) -> None:
    for step in steps:
        click.echo(f"  {step.what}", err=True)
    these = this if len(steps) == 1 else f"these {len(steps)} conversations"
    if not click.confirm(f"Delete {these} for good?", err=True):
        raise click.ClickException("nothing was deleted")
