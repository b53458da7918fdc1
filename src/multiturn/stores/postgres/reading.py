"""Turns in SQL, read: one, a path, a whole tree. Each is one statement, and so one snapshot; attachments, which never
change, are asked for after that."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

from multiturn.errors import NotFound
from multiturn.stores import rows
from multiturn.stores.postgres.session import Record, Session
from multiturn.turns import Turn, TurnStatus

_ROW = "tree, branch, position, id, conversation, status, model, instructions, asked, body"
_COLUMNS = "t.id, t.conversation, t.status, t.model, t.instructions, t.asked, t.body"

# Texts only where they change along a branch.
_ABOVE = """
  lag(instructions) OVER (ORDER BY branch, position) AS instructions_above,
  lag(asked) OVER (ORDER BY branch, position) AS asked_above
"""
_TEXTS = """
  CASE WHEN t.instructions IS DISTINCT FROM t.instructions_above THEN
    (SELECT x.body FROM texts x WHERE x.tenant = $1 AND x.tree = t.tree AND x.digest = t.instructions)
  END AS instructions_text,
  CASE WHEN t.asked IS DISTINCT FROM t.asked_above THEN
    (SELECT x.body FROM texts x WHERE x.tenant = $1 AND x.tree = t.tree AND x.digest = t.asked)
  END AS asked_text
"""
# A turn's parent is one position up, on the same branch or on the one that its branch leaves.
_PARENT = """
  (SELECT p.id FROM turns p
   WHERE p.tenant = $1 AND p.tree = t.tree AND p.position = t.position - 1 AND p.branch = (
     SELECT CASE WHEN b.parent_position = t.position - 1 THEN b.parent_branch ELSE t.branch END
     FROM branches b WHERE b.tenant = $1 AND b.tree = t.tree AND b.branch = t.branch)) AS parent
"""

_TURNS = f"""
  SELECT {_COLUMNS}, {_PARENT}, {_TEXTS}
  FROM (SELECT {_ROW}, NULL::bytea AS instructions_above, NULL::bytea AS asked_above FROM turns
    WHERE tenant = $1 AND id = ANY($2) AND ($3 OR NOT withdrawn)) t
  ORDER BY t.id DESC
"""
_TREE = f"""
  SELECT {_COLUMNS}, {_PARENT}, {_TEXTS}
  FROM (SELECT {_ROW}, {_ABOVE} FROM turns WHERE tenant = $1 AND tree = $2) t
  ORDER BY t.branch, t.position
"""
# The stretches of the path, each one range of the primary key; we put them in order afterwards, which is cheaper. A
# subquery with `OFFSET 0` or with a window stays a look-up by the whole key, which a join might not; see
# `migrations/0001_turns.sql`.
_PATH = f"""
  WITH RECURSIVE known (tree, branch, position) AS (
    SELECT tree, branch, position FROM turns WHERE tenant = $1 AND id = $3
  ), stretches (tree, branch, last) AS (
    SELECT tree, branch, position FROM turns WHERE tenant = $1 AND id = $2 AND NOT withdrawn
    UNION ALL
    SELECT s.tree, b.parent_branch, b.parent_position
    FROM stretches s, LATERAL (
      SELECT parent_branch, parent_position FROM branches
      WHERE tenant = $1 AND tree = s.tree AND branch = s.branch AND parent_branch IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM known k WHERE k.tree = s.tree AND k.branch = s.branch AND k.position <= s.last)
      OFFSET 0
    ) b
  )
  SELECT {_COLUMNS}, {_TEXTS}, t.position
  FROM stretches s, LATERAL (
    SELECT {_ROW}, {_ABOVE} FROM turns
    WHERE tenant = $1 AND tree = s.tree AND branch = s.branch AND position <= s.last AND position > COALESCE(
      (SELECT k.position FROM known k WHERE k.tree = s.tree AND k.branch = s.branch AND k.position <= s.last), -1)
  ) t
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


async def some(db: Session, ids: Sequence[str], *, withdrawn: bool = False) -> tuple[Turn, ...]:
    """Those of these turns that are there, the newest first; with those that were withdrawn, if they are wanted."""
    found = await db.rows(_TURNS, ids, withdrawn)
    return await _made(db, found, [row["parent"] for row in found])


async def warm(db: Session) -> None:
    """Have this connection's server read what it needs to know of the tables, and plan the path: 4 ms once, which the
    first reader of a path would wait for."""
    await db.rows(_PATH, "", None)


async def path(db: Session, head: str, after: str | None) -> tuple[Turn, ...]:
    """The turns from the root, or from `after` on, to `head`: one range read for each branch on the way."""
    found = sorted(await db.rows(_PATH, head, after), key=_position)
    if not found and (after is None or await some(db, [head]) == ()):
        raise NotFound("turn", head)
    above = after if found and found[0]["position"] else None
    return await _made(db, found, [above, *(row["id"] for row in found[:-1])])


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
    turns = rows.to_turns(bodies, fields, db.seal.open, held.__getitem__)
    rows.put_asked(turns, [texts[row["asked"]] for row in found])
    return turns


_position = operator.itemgetter("position")
_STATUS = {status.value: status for status in TurnStatus}


def _texts(db: Session, found: Sequence[Record]) -> dict[bytes | None, str | None]:
    """The texts by their digests; the rows have each at least once."""
    texts: dict[bytes | None, str | None] = {None: None}
    for row in found:
        for digest, body in ((row["instructions"], row["instructions_text"]), (row["asked"], row["asked_text"])):
            if body is not None and digest not in texts:
                texts[digest] = db.seal.open(body, digest).decode()
    return texts


async def _attachments(db: Session, ids: Sequence[str]) -> Mapping[str, bytes]:
    """All that these turns hold, by the hex of their digests."""
    held = await db.rows(_ATTACHMENTS, ids) if ids else []
    return _Held({row["digest"].hex(): db.seal.open(row["body"], row["digest"]) for row in held})


class _Held(dict[str, bytes]):
    """Attachments by their names. What is not there has been deleted since its turns were read, and they with it."""

    def __missing__(self, name: str) -> bytes:
        raise NotFound("attachment", name)
