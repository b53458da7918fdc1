"""Turns that run in the background, in SQL: followed, asked to stop, taken over."""

from __future__ import annotations

from collections.abc import Callable

from multiturn.deltas import Draft
from multiturn.errors import NotFound
from multiturn.stores.following import START, RunBy, Stretch, not_in_background, not_kept
from multiturn.stores.postgres import background, locks, places, reading
from multiturn.stores.postgres.runners import Mine, Runner
from multiturn.stores.postgres.session import Record, Session
from multiturn.turns import Turn, TurnStatus

_PIECES_AT_ONCE = 256

EVERY_S: dict[RunBy, float] = {"here": 1.0, "elsewhere": 1.0, "gone": 0.05, "awaited": 0.2}
"""How often a follower looks, beside when it is told that there is more."""

# One statement, and so one snapshot: where a turn has ended, all its pieces are there.
_STRETCH = """
  SELECT b.kept, b.cancelled, r.runner, r.gone, d.piece, d.body
  FROM (
    SELECT tree, branch, position, conversation FROM turns WHERE tenant = $1 AND id = $2 AND NOT withdrawn OFFSET 0
  ) t LEFT JOIN LATERAL (
    SELECT true AS kept, cancelled FROM background
    WHERE tenant = $1 AND tree = t.tree AND branch = t.branch AND position = t.position OFFSET 0
  ) b ON true LEFT JOIN LATERAL (
    SELECT runner, is_gone(runner) AS gone FROM running
    WHERE tenant = $1 AND tree = t.tree AND conversation = t.conversation AND branch = t.branch
      AND position = t.position OFFSET 0
  ) r ON true LEFT JOIN LATERAL (
    SELECT piece, body FROM deltas
    WHERE tenant = $1 AND tree = t.tree AND branch = t.branch AND position = t.position AND piece > $3
    ORDER BY piece LIMIT $4
  ) d ON true
  ORDER BY d.piece
"""
_LEFT = """
  SELECT r.tenant, r.tree, r.conversation, r.runner, turn_at(r.tenant, r.tree, r.branch, r.position) AS turn
  FROM background b, LATERAL (
    SELECT * FROM running
    WHERE tenant = b.tenant AND tree = b.tree AND branch = b.branch AND position = b.position OFFSET 0
  ) r
  WHERE b.ended_at IS NULL AND NOT b.cancelled AND is_gone(r.runner) AND NOT EXISTS (
    SELECT 1 FROM deltas d
    WHERE d.tenant = b.tenant AND d.tree = b.tree AND d.branch = b.branch AND d.position = b.position)
  ORDER BY turn
"""


async def stretch(db: Session, own: Runner, id: str, last: int) -> Stretch:
    """What a follower has not seen that knows the pieces up to `last`."""
    found = await db.rows(_STRETCH, id, last, _PIECES_AT_ONCE)
    if not found:
        raise NotFound("turn", id)
    state, pieces = found[0], [(row["piece"], row["body"]) for row in found if row["piece"] is not None]
    if not state["kept"]:
        raise not_kept(id)
    has_ended, more, drafts = state["runner"] is None, len(pieces) == _PIECES_AT_ONCE, list[Draft]()
    for piece, body in pieces:
        opened = locks.opened(db.seal, id, [body])
        if opened and piece != last + 1 and not has_ended:
            more = False  # the one before is being written on another connection; it will be told
            break
        drafts += opened
        last = piece
    if has_ended and not more:
        turn = await reading.turn(db, id)
        ended = None if turn.status is TurnStatus.IN_PROGRESS else turn  # it may be reopened by now
        return Stretch(tuple(drafts), last, more, ended, "elsewhere")
    return Stretch(tuple(drafts), last, more, None, _run_by(db, own, id, state, is_asked=bool(pieces) or last != START))


def _run_by(db: Session, own: Runner, id: str, state: Record, *, is_asked: bool) -> RunBy:
    number = state["runner"]
    if own.runs(db.tenant, id, number):
        return "here"
    if not (state["gone"] or own.has_left(db.tenant, id, number)):
        return "elsewhere"
    return "gone" if is_asked or state["cancelled"] else "awaited"


async def close_left(db: Session, own: Runner, id: str) -> None:
    """End the turn, if it should run and its runner is gone."""
    await locks.close_left(db, own, await places.find_turn(db, id))


async def cancel(db: Session, own: Runner, id: str) -> Turn:
    """Ask whoever runs the turn to stop. See `LiveStore.cancel`."""
    place = await places.find_turn(db, id)
    turn = await reading.turn(db, id)
    if not turn.background:
        raise not_in_background(id)
    if turn.status is not TurnStatus.IN_PROGRESS:
        return turn
    await db.run(
        """UPDATE background SET cancelled = true
           WHERE tenant = $1 AND tree = $2 AND branch = $3 AND position = $4 AND ended_at IS NULL""",
        *place,
    )
    await locks.close_left(db, own, place)
    return await reading.turn(db, id)


async def cancelled(db: Session, own: Runner) -> frozenset[str]:
    """The turns that run here and were asked to stop."""
    found = await db.connection.fetch(
        """SELECT tenant, turn_at(tenant, tree, branch, position) AS turn FROM background
           WHERE cancelled AND ended_at IS NULL"""
    )
    return frozenset(row["turn"] for row in found if (row["tenant"], row["turn"]) in own.turns)


async def take(db: Session, own: Runner, can: Callable[[Turn], bool]) -> tuple[str, Turn] | None:
    """Let this store run a turn that nobody runs any more. See `LiveStore.take`."""
    for left in await db.connection.fetch(_LEFT):
        turn = await _take(db.of(left["tenant"]), own, left, can)
        if turn is not None:
            return left["tenant"], turn
    return None


async def _take(db: Session, own: Runner, left: Record, can: Callable[[Turn], bool]) -> Turn | None:
    """The turn, if it can be run and nobody else has taken it. Whoever holds the row keeps all others from asking the
    model: its first draft would need the row too (`runners`)."""
    tenant, id = db.tenant, left["turn"]
    mine, taken = Mine(background=True), False
    try:
        async with db.transaction():
            place = left["tree"], left["conversation"]
            free = await db.value(
                """SELECT 1 FROM running WHERE tenant = $1 AND tree = $2 AND conversation = $3 AND runner = $4
                   FOR UPDATE SKIP LOCKED""",
                *place,
                left["runner"],
            )
            if free is None or not await background.is_awaited(db, id):
                return None
            turn = await reading.turn(db, id)
            if not can(turn):
                return None
            mine.number = await own.number()
            own.turns[tenant, id] = mine  # before it is written, as in `life.begin`
            await db.run(
                "UPDATE running SET runner = $4 WHERE tenant = $1 AND tree = $2 AND conversation = $3",
                *place,
                mine.number,
            )
        taken = True
        return turn
    finally:
        if not taken and own.turns.get((tenant, id)) is mine:
            del own.turns[tenant, id]
