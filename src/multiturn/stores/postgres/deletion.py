"""Letting go in SQL: turns go when no conversation stands on them or has made them, attachments and texts when no turn
has them. What is deleted is free for new rows after the server's next (auto)vacuum."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from multiturn.errors import ConversationBusy, NotFound
from multiturn.stores.postgres import locks, places, writing
from multiturn.stores.postgres.runners import Runner
from multiturn.stores.postgres.session import Record, Session
from multiturn.stores.records import Collected, Retention

# For each branch of the tree, once the conversations $3 are gone: the position from which on nobody needs it, and the
# conversation that needs the most of it. A conversation needs what lies on the way to where it stands and to what it
# has made.
_UNNEEDED = """
  WITH RECURSIVE needed (conversation, branch, position) AS (
    SELECT id, head_branch, head_position FROM conversations
      WHERE tenant = $1 AND tree = $2 AND id <> ALL($3) AND head_branch IS NOT NULL
    UNION
    SELECT id, latest_branch, latest_position FROM conversations
      WHERE tenant = $1 AND tree = $2 AND id <> ALL($3) AND latest_branch IS NOT NULL
    UNION
    SELECT conversation, branch, max(position) FROM turns
      WHERE tenant = $1 AND tree = $2 AND conversation <> ALL($3) GROUP BY conversation, branch
    UNION
    SELECT n.conversation, b.parent_branch, b.parent_position
      FROM needed n JOIN branches b ON b.tenant = $1 AND b.tree = $2 AND b.branch = n.branch
      WHERE b.parent_branch IS NOT NULL
  )
  SELECT b.branch, coalesce(max(n.position) + 1, 0) AS first,
    (array_agg(n.conversation ORDER BY n.position DESC, n.conversation))[1] AS heir
  FROM branches b LEFT JOIN needed n ON n.branch = b.branch
  WHERE b.tenant = $1 AND b.tree = $2 GROUP BY b.branch
"""

# The branches that hold a turn and its descendants, and the first of them on each.
_DESCENDANTS = """
  WITH RECURSIVE below (branch, first) AS (
    SELECT $3::integer, $4::integer
    UNION
    SELECT b.branch, b.parent_position + 1
    FROM below d JOIN branches b
      ON b.tenant = $1 AND b.tree = $2 AND b.parent_branch = d.branch AND b.parent_position >= d.first
  )
  SELECT branch, first FROM below
"""

# The tree's withdrawn turns that nobody follows; there is at most one on a branch.
_ALONE = """
  SELECT t.branch, t.position AS first FROM turns t
  WHERE t.tenant = $1 AND t.tree = $2 AND t.withdrawn AND NOT EXISTS (
    SELECT 1 FROM turns n WHERE n.tenant = $1 AND n.tree = $2 AND n.branch = t.branch AND n.position = t.position + 1
  ) AND NOT EXISTS (
    SELECT 1 FROM branches b
    WHERE b.tenant = $1 AND b.tree = $2 AND b.parent_branch = t.branch AND b.parent_position = t.position)
"""

_DROP = f"""
  WITH gone AS (
    DELETE FROM turns WHERE tenant = $1 AND {places.from_first_on()} RETURNING pg_column_size(body) AS bytes
  ), words AS (
    DELETE FROM said WHERE tenant = $1 AND {places.from_first_on()}
  ), asked AS (
    DELETE FROM keys WHERE tenant = $1 AND {places.from_first_on()}
  ), drafts AS (
    DELETE FROM deltas WHERE tenant = $1 AND {places.from_first_on()}
  ), followed AS (
    DELETE FROM background WHERE tenant = $1 AND {places.from_first_on()}
  ), held AS (
    DELETE FROM attached WHERE tenant = $1 AND {places.from_first_on()} RETURNING digest
  )
  SELECT count(*) AS turns, coalesce(sum(bytes), 0) AS bytes, (SELECT array_agg(DISTINCT digest) FROM held) AS digests
  FROM gone
"""


async def delete(db: Session, runner: Runner, id: str) -> Collected:
    async with db.transaction():
        tree = await places.hold_tree(db, id)
        await locks.refuse_while_running(db, runner, tree, id)
        return await _delete(db, tree, [id])


async def _delete(db: Session, tree: int, ids: list[str]) -> Collected:
    """Delete conversations of one tree, on which no turn runs; what others need becomes theirs. The tree is held."""
    await db.run("DELETE FROM conversations WHERE tenant = $1 AND tree = $2 AND id = ANY($3)", tree, ids)
    await db.run("DELETE FROM names WHERE tenant = $1 AND id = ANY($2)", ids)
    await db.run("DELETE FROM keys WHERE tenant = $1 AND tree = $2 AND conversation = ANY($3)", tree, ids)
    cuts = await db.rows(_UNNEEDED, tree, ids)
    branches, firsts = _columns(cuts)
    gone = await _drop(db, tree, branches, firsts)
    await db.run(
        """DELETE FROM trees WHERE tenant = $1 AND tree = $2
           AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.tenant = $1 AND c.tree = $2)""",
        tree,
    )
    await db.run(
        """UPDATE turns SET conversation = ($4::text[])[array_position($3, branch)]
           WHERE tenant = $1 AND tree = $2 AND branch = ANY($3::integer[]) AND conversation = ANY($5)""",
        tree,
        branches,
        [cut["heir"] for cut in cuts],
        ids,
    )
    left = await _drop_withdrawn(db, tree)
    return Collected(
        conversations=len(ids),
        turns=gone.turns + left.turns,
        attachments=gone.attachments + left.attachments,
        freed_bytes=gone.freed_bytes + left.freed_bytes,
    )


async def delete_turn(db: Session, runner: Runner, id: str) -> int:
    async with db.transaction():
        place = await places.hold_tree_of_turn(db, id)
        branches, firsts = _columns(await db.rows(_DESCENDANTS, *place))
        await locks.refuse_while_one_runs(db, runner, place.tree, branches, firsts)
        await _step_back(db, place, branches, firsts)
        gone = await _drop(db, place.tree, branches, firsts)
        await _drop_withdrawn(db, place.tree)
        return gone.turns


async def above(db: Session, place: places.Place) -> tuple[int | None, int | None]:
    """The branch and position where those stand who stood on this turn: the next above it that can be found."""
    while True:
        parent = await db.row(
            """SELECT CASE WHEN parent_position = $4 - 1 THEN parent_branch WHEN $4 > 0 THEN branch END AS branch,
                 nullif($4 - 1, -1) AS position
               FROM branches WHERE tenant = $1 AND tree = $2 AND branch = $3""",
            *place,
        )
        assert parent is not None
        if parent["branch"] is None:
            return None, None
        place = places.Place(place.tree, *parent)
        if not await db.value(
            "SELECT withdrawn FROM turns WHERE tenant = $1 AND tree = $2 AND branch = $3 AND position = $4", *place
        ):
            return place.branch, place.position


async def _step_back(db: Session, place: places.Place, branches: list[int], firsts: list[int]) -> None:
    """Let the conversations that stand on one of the turns to be deleted stand above the first."""
    standing = await above(db, place)
    cuts = place.tree, branches, firsts
    head = places.from_first_on("head_branch", "head_position")
    latest = places.from_first_on("latest_branch", "latest_position")
    await db.run(
        f"UPDATE conversations SET head_branch = $5, head_position = $6 WHERE tenant = $1 AND {head}", *cuts, *standing
    )
    await db.run(
        f"""UPDATE conversations SET latest_branch = head_branch, latest_position = head_position
            WHERE tenant = $1 AND {latest}""",
        *cuts,
    )


async def delete_user(db: Session, runner: Runner, user: str) -> int:
    async with db.transaction():
        held: dict[int, list[str]] = {}
        for id in await db.column(
            "SELECT id FROM conversations WHERE tenant = $1 AND user_id = $2 ORDER BY tree, id", user
        ):  # all trees first, in one order, so that two of these do not wait for each other
            with contextlib.suppress(NotFound):  # deleted since we looked
                held.setdefault(await places.hold_tree(db, id), []).append(id)
        for tree, ids in held.items():
            for id in ids:
                await locks.refuse_while_running(db, runner, tree, id)
        for tree, ids in held.items():
            await _delete(db, tree, ids)
    return sum(map(len, held.values()))


# --- retention --------------------------------------------------------------------------------------------------------


async def collect(db: Session, runner: Runner, retention: Retention, most: int) -> list[Collected]:
    """Let go of some conversations that the rules let go, each in a transaction of its own; empty if there are none."""
    gone = []
    for id in await _due(db, retention, most):
        try:
            gone.append(await delete(db, runner, id))
        except (ConversationBusy, NotFound):  # begun on, or deleted, since we looked
            gone.append(Collected())
    return gone


async def _due(db: Session, retention: Retention, most: int) -> list[str]:
    """Some conversations that the rules let go, and on which no turn runs; the longest unused first."""
    now = time.time()
    conditions: list[str] = ["false"]
    values: list[Any] = []
    for condition, limit in (
        ("created_at < ", None if retention.age_s is None else now - retention.age_s),
        ("updated_at < ", None if retention.idle_s is None else now - retention.idle_s),
        ("rank > ", retention.keep),
    ):
        if limit is not None:
            values.append(limit)
            conditions.append(f"{condition}${len(values) + 2}")
    ranked = "row_number() OVER (PARTITION BY user_id ORDER BY updated_at DESC, id DESC)"
    return await db.column(
        f"""SELECT id
            FROM (SELECT *, {"0" if retention.keep is None else ranked} AS rank FROM conversations WHERE tenant = $1) c
            WHERE ({" OR ".join(conditions)}) AND NOT EXISTS (
              SELECT 1 FROM running r WHERE r.tenant = c.tenant AND r.tree = c.tree AND r.conversation = c.id)
            ORDER BY updated_at LIMIT $2""",
        most,
        *values,
    )


# --- what goes along --------------------------------------------------------------------------------------------------


async def _drop(db: Session, tree: int, branches: list[int], firsts: list[int]) -> Collected:
    """Delete the turns from `first` on, on each of these branches, and all that only they have."""
    gone = await db.row(_DROP, tree, branches, firsts)
    assert gone is not None
    await db.run(
        """DELETE FROM branches b WHERE b.tenant = $1 AND b.tree = $2 AND b.branch = ANY($3) AND NOT EXISTS (
             SELECT 1 FROM turns t WHERE t.tenant = b.tenant AND t.tree = b.tree AND t.branch = b.branch)""",
        tree,
        branches,
    )
    await db.run(
        """DELETE FROM texts x WHERE x.tenant = $1 AND x.tree = $2
           AND NOT EXISTS (SELECT 1 FROM turns t
             WHERE t.tenant = x.tenant AND t.tree = x.tree AND x.digest IN (t.instructions, t.asked))
           AND NOT EXISTS (SELECT 1 FROM conversations c
             WHERE c.tenant = x.tenant AND c.tree = x.tree AND c.instructions = x.digest)""",
        tree,
    )
    await db.run(f"DELETE FROM noted WHERE tenant = $1 AND {places.from_first_on()}", tree, branches, firsts)
    attachments, freed = await writing.drop_unused_attachments(db, gone["digests"] or [])
    return Collected(turns=gone["turns"], attachments=attachments, freed_bytes=int(gone["bytes"]) + freed)


async def _drop_withdrawn(db: Session, tree: int) -> Collected:
    """Drop the tree's withdrawn turns that nobody follows any more."""
    total = Collected()
    while alone := await db.rows(_ALONE, tree):
        gone = await _drop(db, tree, *_columns(alone))
        total = Collected(
            turns=total.turns + gone.turns,
            attachments=total.attachments + gone.attachments,
            freed_bytes=total.freed_bytes + gone.freed_bytes,
        )
    return total


def _columns(cuts: Sequence[Record]) -> tuple[list[int], list[int]]:
    return [cut["branch"] for cut in cuts], [cut["first"] for cut in cuts]
