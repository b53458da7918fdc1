"""Who runs a turn on a conversation. A row in `running` is the lock; whoever finds one whose runner is gone closes the
turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import msgspec

from multiturn.deltas import Draft
from multiturn.errors import ConversationBusy, NotFound
from multiturn.stores.crashes import crashed
from multiturn.stores.postgres import background, places, reading, writing
from multiturn.stores.postgres.runners import Runner
from multiturn.stores.postgres.session import Record, Session
from multiturn.stores.sealing import Seal
from multiturn.turns import Totals

_decode_drafts = msgspec.json.Decoder(tuple[Draft, ...]).decode

_RUNNING = """
  SELECT turn_at(r.tenant, r.tree, r.branch, r.position) AS turn, r.conversation, r.runner, is_gone(r.runner) AS gone
  FROM running r
  WHERE r.tenant = $1
"""


_AT = f"{_RUNNING} AND r.tree = $2 AND r.branch = $3 AND r.position = $4"


async def refuse_while_running(db: Session, runner: Runner, tree: int, conversation: str) -> None:
    """Raise `ConversationBusy` if a turn runs on the conversation. One whose runner is gone is closed instead."""
    held = await db.row(f"{_RUNNING} AND r.tree = $2 AND r.conversation = $3", tree, conversation)
    if held is not None:
        await _close_or_refuse(db, runner, held)


async def refuse_while_one_runs(db: Session, runner: Runner, tree: int, branches: list[int], firsts: list[int]) -> None:
    """The same for the turns from `first` on, on each of these branches."""
    for held in await db.rows(f"{_RUNNING} AND {places.from_first_on()}", tree, branches, firsts):
        await _close_or_refuse(db, runner, held)


async def refuse_while_this_runs(db: Session, runner: Runner, place: places.Place) -> None:
    """The same for the turn at a place."""
    for held in await db.rows(_AT, *place):
        await _close_or_refuse(db, runner, held)


async def close_left(db: Session, runner: Runner, place: places.Place) -> None:
    """Close the turn at a place, if it should run and its runner is gone."""
    with contextlib.suppress(ConversationBusy):
        await refuse_while_this_runs(db, runner, place)


async def recover(db: Session, runner: Runner) -> None:
    """Close every turn whose runner is gone, whichever tenant's, but for those that somebody may take over, and those
    that run here, though the connection has been lost by which others know that."""
    for (tenant,) in await db.connection.fetch("SELECT DISTINCT tenant FROM running"):
        for held in await db.of(tenant).rows(_RUNNING):
            runs_here = runner.runs(tenant, held["turn"], held["runner"])
            if held["gone"] and not runs_here and not await background.is_awaited(db.of(tenant), held["turn"]):
                await close_crashed(db.of(tenant), held["turn"], held["runner"])


async def _close_or_refuse(db: Session, runner: Runner, held: Record) -> None:
    if not (held["gone"] or runner.has_left(db.tenant, held["turn"], held["runner"])):
        raise ConversationBusy(held["conversation"])
    await close_crashed(db, held["turn"], held["runner"])


async def close_crashed(db: Session, turn_id: str, holder: int) -> None:
    """End a turn whose runner is gone, with what it had streamed; nothing if another has done so meanwhile."""
    try:
        turn = await reading.turn(db, turn_id)
        above = await reading.some(db, [turn.parent or ""], withdrawn=True)
    except NotFound:
        return
    before = above[0].totals if above else Totals()
    bodies = await db.column(
        """SELECT body FROM deltas WHERE tenant = $1 AND (tree, branch, position) = (
             SELECT tree, branch, position FROM turns WHERE tenant = $1 AND id = $2) ORDER BY piece""",
        turn_id,
    )
    drafts = opened(db.seal, turn_id, bodies)
    cancelled = turn.background and await background.is_cancelled(db, turn_id)
    closed = crashed(turn, drafts, before=before, at=time.time(), cancelled=cancelled)
    await writing.finish(db, closed, holder)


def opened(seal: Seal, turn_id: str, bodies: Iterable[bytes]) -> tuple[Draft, ...]:
    """The drafts in these pieces of a turn."""
    about = turn_id.encode()
    return tuple(draft for body in bodies for draft in _decode_drafts(seal.open(body, about)))
