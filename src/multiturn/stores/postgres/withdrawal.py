"""One turn let go in SQL, and what follows it left: it is not found any more, and goes when nobody follows it."""

from __future__ import annotations

from multiturn.stores.postgres import deletion, locks, places
from multiturn.stores.postgres.runners import Runner
from multiturn.stores.postgres.session import Session

_AT = "tenant = $1 AND tree = $2 AND branch = $3 AND position = $4"
_IS_FOLLOWED = """
  SELECT EXISTS (SELECT 1 FROM turns WHERE tenant = $1 AND tree = $2 AND branch = $3 AND position = $4 + 1)
    OR EXISTS (
      SELECT 1 FROM branches b
      WHERE b.tenant = $1 AND b.tree = $2 AND b.parent_branch = $3 AND b.parent_position = $4)
"""


async def withdraw(db: Session, runner: Runner, id: str) -> None:
    """See `LiveStore.withdraw`."""
    async with db.transaction():
        place = await places.hold_tree_of_turn(db, id)
        await locks.refuse_while_this_runs(db, runner, place)
        if not await db.value(_IS_FOLLOWED, *place):
            await deletion.delete_turn(db, runner, id)
            return
        await _step_back(db, place)
        await db.run(f"UPDATE turns SET withdrawn = true WHERE {_AT}", *place)
        for table in ("keys", "deltas", "background", "noted"):
            await db.run(f"DELETE FROM {table} WHERE {_AT}", *place)


async def _step_back(db: Session, place: places.Place) -> None:
    """Let the conversations that stand on the turn stand above it."""
    standing = await deletion.above(db, place)
    await db.run(
        """UPDATE conversations SET head_branch = $5, head_position = $6
           WHERE tenant = $1 AND tree = $2 AND head_branch = $3 AND head_position = $4""",
        *place,
        *standing,
    )
    await db.run(
        """UPDATE conversations SET latest_branch = head_branch, latest_position = head_position
           WHERE tenant = $1 AND tree = $2 AND latest_branch = $3 AND latest_position = $4""",
        *place,
    )
