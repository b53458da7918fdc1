"""Who runs a turn on a conversation. A row in `running` is the lock; whoever finds one whose runner is gone closes the
turn."""

from __future__ import annotations

import time

import msgspec

from multiturn.deltas import Draft
from multiturn.errors import ConversationBusy, NotFound
from multiturn.stores.crashes import crashed
from multiturn.stores.postgres import places, reading, writing
from multiturn.stores.postgres.runners import Runner
from multiturn.stores.postgres.session import Record, Session
from multiturn.turns import Totals

_decode_drafts = msgspec.json.Decoder(tuple[Draft, ...]).decode

_RUNNING = """
  SELECT turn_at(r.tenant, r.tree, r.branch, r.position) AS turn, r.conversation, r.runner, is_gone(r.runner) AS gone
  FROM running r
  WHERE r.tenant = $1
"""


async def refuse_while_running(db: Session, runner: Runner, tree: int, conversation: str) -> None:
    """Raise `ConversationBusy` if a turn runs on the conversation. One whose runner is gone is closed instead."""
    held = await db.row(f"{_RUNNING} AND r.tree = $2 AND r.conversation = $3", tree, conversation)
    if held is not None:
        await _close_or_refuse(db, runner, held)


async def refuse_while_one_runs(db: Session, runner: Runner, tree: int, branches: list[int], firsts: list[int]) -> None:
    """The same for the turns from `first` on, on each of these branches."""
    for held in await db.rows(f"{_RUNNING} AND {places.from_first_on()}", tree, branches, firsts):
        await _close_or_refuse(db, runner, held)


async def recover(db: Session, runner: Runner) -> None:
    """Close every turn whose runner is gone."""
    for held in await db.rows(_RUNNING):
        if held["gone"]:
            await close_crashed(db, held["turn"], held["runner"])


async def _close_or_refuse(db: Session, runner: Runner, held: Record) -> None:
    if not (held["gone"] or runner.has_left(held["turn"], held["runner"])):
        raise ConversationBusy(held["conversation"])
    await close_crashed(db, held["turn"], held["runner"])


async def close_crashed(db: Session, turn_id: str, holder: int) -> None:
    """End a turn whose runner is gone, with what it had streamed; nothing if another has done so meanwhile."""
    try:
        turn = await reading.turn(db, turn_id)
        before = Totals() if turn.parent is None else (await reading.turn(db, turn.parent)).totals
    except NotFound:
        return
    bodies = await db.column(
        """SELECT body FROM deltas WHERE tenant = $1 AND (tree, branch, position) = (
             SELECT tree, branch, position FROM turns WHERE tenant = $1 AND id = $2) ORDER BY piece""",
        turn_id,
    )
    drafts = [draft for body in bodies for draft in _decode_drafts(db.seal.open(body, turn_id.encode()))]
    await writing.finish(db, crashed(turn, drafts, before=before, at=time.time()), holder)
