"""Turns in SQL, read: one, a path, a whole tree. One statement each, and so one snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.errors import NotFound
from multiturn.stores import rows
from multiturn.stores.postgres.session import Record, Session
from multiturn.turns import Turn, TurnStatus


def _read(source: str, order: str, *, parent: str = "NULL") -> str:
    """The statement that reads these turns in this order, with instructions only where they change."""
    return f"""
      SELECT t.id, t.conversation, t.status, t.model, t.instructions, t.body,
        {parent} AS parent,
        CASE WHEN t.instructions IS DISTINCT FROM lag(t.instructions) OVER (ORDER BY {order}) THEN
          (SELECT x.body FROM texts x WHERE x.tenant = $1 AND x.tree = t.tree AND x.digest = t.instructions)
        END AS text
      FROM {source} ORDER BY {order}
    """


# A turn's parent is one position up, on the same branch or on the one that its branch leaves.
_PARENT = """
  (SELECT p.id FROM turns p
   WHERE p.tenant = $1 AND p.tree = t.tree AND p.position = t.position - 1 AND p.branch = (
     SELECT CASE WHEN b.parent_position = t.position - 1 THEN b.parent_branch ELSE t.branch END
     FROM branches b WHERE b.tenant = $1 AND b.tree = t.tree AND b.branch = t.branch))
"""

_TURNS = _read("turns t WHERE t.tenant = $1 AND t.id = ANY($2)", "t.id DESC", parent=_PARENT)

_TREE = _read("turns t WHERE t.tenant = $1 AND t.tree = $2", "t.branch, t.position", parent=_PARENT)

# The stretches of the path, the last one first, each one range of the primary key. `OFFSET 0` keeps the planner from
# making joins of what are look-ups by whole keys; see `migrations/0001_turns.sql`.
_STRETCH = """
  SELECT * FROM turns WHERE tenant = $1 AND tree = s.tree AND branch = s.branch AND position <= s.last OFFSET 0
"""
_PATH = f"""
  WITH RECURSIVE stretches (tree, branch, last, back) AS (
    SELECT tree, branch, position, 0 FROM turns WHERE tenant = $1 AND id = $2
    UNION ALL
    SELECT s.tree, b.parent_branch, b.parent_position, s.back + 1
    FROM stretches s, LATERAL (
      SELECT parent_branch, parent_position FROM branches
      WHERE tenant = $1 AND tree = s.tree AND branch = s.branch AND parent_branch IS NOT NULL OFFSET 0
    ) b
  )
  {_read(f"stretches s, LATERAL ({_STRETCH}) t", "s.back DESC, t.position")}
"""

_ATTACHMENTS = """
  SELECT DISTINCT a.digest, a.body
  FROM unnest($2::text[]) AS wanted (id),
    LATERAL (SELECT tree, branch, position FROM turns WHERE tenant = $1 AND id = wanted.id OFFSET 0) t,
    LATERAL (
      SELECT digest FROM attached
      WHERE tenant = $1 AND tree = t.tree AND branch = t.branch AND position = t.position OFFSET 0
    ) h,
    LATERAL (SELECT digest, body FROM attachments WHERE tenant = $1 AND digest = h.digest OFFSET 0) a
"""


async def turn(db: Session, id: str) -> Turn:
    found = await some(db, [id])
    if not found:
        raise NotFound("turn", id)
    return found[0]


async def some(db: Session, ids: Sequence[str]) -> tuple[Turn, ...]:
    """Those of these turns that are there, the newest first."""
    found = await db.rows(_TURNS, ids)
    return await _made(db, found, [row["parent"] for row in found])


async def path(db: Session, head: str) -> tuple[Turn, ...]:
    """The turns from the root to `head`: one range read for each branch on the way."""
    found = await db.rows(_PATH, head)
    if not found:
        raise NotFound("turn", head)
    return await _made(db, found, [None, *(row["id"] for row in found[:-1])])


async def tree(db: Session, number: int) -> tuple[Turn, ...]:
    """A tree's turns; each branch is younger than the one that it leaves."""
    found = await db.rows(_TREE, number)
    return await _made(db, found, [row["parent"] for row in found])


async def _made(db: Session, found: Sequence[Record], parents: Sequence[str | None]) -> tuple[Turn, ...]:
    if not found:
        return ()
    texts = _texts(db, found)
    fields = {
        "id": [row["id"] for row in found],
        "conversation": [row["conversation"] for row in found],
        "parent": parents,
        "status": [_STATUS[row["status"]] for row in found],
        "instructions": [texts[row["instructions"]] for row in found],
        "model": [row["model"] for row in found],
    }
    bodies = [row["body"] for row in found]
    held = await _attachments(db, [row["id"] for row in found if rows.may_hold_attachments(row["body"])])

    def attachment(name: str) -> bytes:
        if name not in held:
            raise NotFound("attachment", name)  # deleted since the rows were read
        return held[name]

    return rows.to_turns(bodies, fields, db.seal.open, attachment)


_STATUS = {status.value: status for status in TurnStatus}


def _texts(db: Session, found: Sequence[Record]) -> dict[bytes | None, str | None]:
    """The instructions by their digest; the rows have each at least once."""
    texts: dict[bytes | None, str | None] = {None: None}
    for row in found:
        if row["text"] is not None and row["instructions"] not in texts:
            texts[row["instructions"]] = db.seal.open(row["text"], row["instructions"]).decode()
    return texts


async def _attachments(db: Session, ids: Sequence[str]) -> dict[str, bytes]:
    """All that these turns hold, by the hex of their digests."""
    held = await db.rows(_ATTACHMENTS, ids) if ids else []
    return {row["digest"].hex(): db.seal.open(row["body"], row["digest"]) for row in held}
