"""What is kept in SQL of turns that run in the background, beside the turns: who was asked to stop, and since when the
drafts could go."""

from __future__ import annotations

import time

from multiturn.stores.postgres.places import Place
from multiturn.stores.postgres.session import Session
from multiturn.turns import Turn

CHANNEL = "multiturn"
"""Where followers hear of a turn, by its id: that it has streamed more, or has ended."""

_FORGOTTEN_AT_ONCE = 100  # turns in one transaction
_AT = "tenant = $1 AND tree = $2 AND branch = $3 AND position = $4"
_AT_TURN = """(tenant, tree, branch, position) = (
  SELECT tenant, tree, branch, position FROM turns WHERE tenant = $1 AND id = $2)"""


async def begun(db: Session, turn_id: str) -> None:
    await db.run(
        """INSERT INTO background (tenant, tree, branch, position)
           SELECT tenant, tree, branch, position FROM turns WHERE tenant = $1 AND id = $2 ON CONFLICT DO NOTHING""",
        turn_id,
    )


async def reopened(db: Session, place: Place, turn_id: str) -> int:
    """What the turn had streamed stands in it by now. An empty piece takes the place of all that, so that those who
    follow it count on; the number of the next one."""
    last = await db.value(f"SELECT coalesce(max(piece), -1) FROM deltas WHERE {_AT}", *place)
    await db.run(f"DELETE FROM deltas WHERE {_AT}", *place)
    await db.run(
        "INSERT INTO deltas (tenant, tree, branch, position, piece, body) VALUES ($1, $2, $3, $4, $5, $6)",
        *place,
        last + 1,
        db.seal.seal(b"[]", turn_id.encode()),
    )
    await db.run(
        """INSERT INTO background (tenant, tree, branch, position) VALUES ($1, $2, $3, $4)
           ON CONFLICT (tenant, tree, branch, position) DO UPDATE SET cancelled = false, ended_at = NULL""",
        *place,
    )
    return int(last) + 2


async def ended(db: Session, turn: Turn) -> None:
    at = time.time() if turn.finished_at is None else turn.finished_at
    await db.run(f"UPDATE background SET ended_at = $3 WHERE {_AT_TURN}", turn.id, at)
    await tell(db, turn.id)


async def tell(db: Session, turn_id: str) -> None:
    """Wake those who follow a turn, wherever they are, once this transaction is committed."""
    await db.connection.execute("SELECT pg_notify($1, $2)", CHANNEL, turn_id)


async def is_cancelled(db: Session, turn_id: str) -> bool:
    return bool(await db.value(f"SELECT cancelled FROM background WHERE {_AT_TURN}", turn_id))


async def is_awaited(db: Session, turn_id: str) -> bool:
    """Whether the turn, where its runner is gone, is one that somebody else may run: its model was not asked, for that
    is the first draft of all."""
    kept = await db.value(f"SELECT NOT cancelled FROM background WHERE {_AT_TURN}", turn_id)
    return bool(kept) and await db.value(f"SELECT 1 FROM deltas WHERE {_AT_TURN} LIMIT 1", turn_id) is None


async def forget(db: Session, before: float) -> int:
    """Let go of the drafts of some turns that ended before this time, whichever tenant's; how many turns, 0 if there
    are no more."""
    gone = await db.connection.fetchval(
        """WITH due AS (
             SELECT tenant, tree, branch, position FROM background WHERE ended_at < $1
             ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
           ), gone AS (
             DELETE FROM background b USING due s
             WHERE b.tenant = s.tenant AND b.tree = s.tree AND b.branch = s.branch AND b.position = s.position
             RETURNING 1
           ), drafts AS (
             DELETE FROM deltas d USING due s
             WHERE d.tenant = s.tenant AND d.tree = s.tree AND d.branch = s.branch AND d.position = s.position
           )
           SELECT count(*) FROM gone""",
        before,
        _FORGOTTEN_AT_ONCE,
    )
    return int(gone)
