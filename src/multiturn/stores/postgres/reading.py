"""Turns in SQL, read: one, a path, a whole tree. One statement each, and so one snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.errors import NotFound
from multiturn.stores import rows
from multiturn.stores.postgres.session import Record, Session
from multiturn.turns import Turn, TurnStatus

_COLUMNS = "t.tree, t.branch, t.position, t.id, t.conversation, t.status, t.model, t.body, t.instructions"

# A turn's parent is one position up, on the same branch or on the one that its branch leaves.
_TURNS = f"""
  SELECT {_COLUMNS}, x.body AS text, p.id AS parent
  FROM turns t
  JOIN branches b USING (tenant, tree, branch)
  LEFT JOIN turns p ON p.tenant = t.tenant AND p.tree = t.tree AND p.position = t.position - 1
    AND p.branch = CASE WHEN b.parent_position = t.position - 1 THEN b.parent_branch ELSE t.branch END
  LEFT JOIN texts x ON x.tenant = t.tenant AND x.tree = t.tree AND x.digest = t.instructions
  WHERE t.tenant = $1
"""

# The stretches of the path, the last one first, each one range of the primary key; instructions only where they change.
_PATH = f"""
  WITH RECURSIVE stretches (tree, branch, last, back) AS (
    SELECT tree, branch, position, 0 FROM turns WHERE tenant = $1 AND id = $2
    UNION ALL
    SELECT s.tree, b.parent_branch, b.parent_position, s.back + 1
    FROM stretches s JOIN branches b ON b.tenant = $1 AND b.tree = s.tree AND b.branch = s.branch
    WHERE b.parent_branch IS NOT NULL
  ), path AS (
    SELECT {_COLUMNS}, s.back, lag(t.instructions) OVER (ORDER BY s.back DESC, t.position) AS instructions_above
    FROM stretches s JOIN turns t
      ON t.tenant = $1 AND t.tree = s.tree AND t.branch = s.branch AND t.position <= s.last
  )
  SELECT {_COLUMNS}, CASE WHEN instructions IS DISTINCT FROM instructions_above THEN
      (SELECT x.body FROM texts x WHERE x.tenant = $1 AND x.tree = t.tree AND x.digest = t.instructions)
    END AS text
  FROM path t ORDER BY back DESC, position
"""

_ATTACHMENTS = """
  SELECT DISTINCT a.digest, a.body
  FROM unnest($2::bigint[], $3::integer[], $4::integer[]) AS t (tree, branch, position)
  JOIN attached h ON h.tenant = $1 AND h.tree = t.tree AND h.branch = t.branch AND h.position = t.position
  JOIN attachments a ON a.tenant = $1 AND a.digest = h.digest
"""


async def turn(db: Session, id: str) -> Turn:
    found = await db.rows(f"{_TURNS} AND t.id = $2", id)
    if not found:
        raise NotFound("turn", id)
    (made,) = await _made(db, found, [row["parent"] for row in found])
    return made


async def some(db: Session, ids: Sequence[str]) -> dict[str, Turn]:
    """Those of these turns that are there, by id."""
    found = await db.rows(f"{_TURNS} AND t.id = ANY($2)", ids)
    return {turn.id: turn for turn in await _made(db, found, [row["parent"] for row in found])}


async def path(db: Session, head: str) -> tuple[Turn, ...]:
    """The turns from the root to `head`: one range read for each branch on the way."""
    found = await db.rows(_PATH, head)
    if not found:
        raise NotFound("turn", head)
    return await _made(db, found, [None, *(row["id"] for row in found[:-1])])


async def tree(db: Session, number: int) -> tuple[Turn, ...]:
    """A tree's turns; each branch is younger than the one that it leaves."""
    found = await db.rows(f"{_TURNS} AND t.tree = $2 ORDER BY t.branch, t.position", number)
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
    held = await _attachments(db, [row for row in found if rows.may_hold_attachments(row["body"])])

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


async def _attachments(db: Session, found: Sequence[Record]) -> dict[str, bytes]:
    """All that these turns hold, by the hex of their digests."""
    if not found:
        return {}
    places = [[row[name] for row in found] for name in ("tree", "branch", "position")]
    held = await db.rows(_ATTACHMENTS, *places)
    return {row["digest"].hex(): db.seal.open(row["body"], row["digest"]) for row in held}
