"""Turns in SQL that are found by what was said up to their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multiturn.stores.postgres.session import Session
from multiturn.stores.sealing import note_of

# The lock keeps whoever lets go of the turn from doing so in between.
_NOTE = """
  INSERT INTO noted (tenant, digest, tree, branch, position)
  SELECT n.tenant, n.digest, t.tree, t.branch, t.position
  FROM unnest($1::text[], $2::bytea[], $3::text[]) AS n (tenant, digest, turn), LATERAL (
    SELECT tree, branch, position FROM turns WHERE tenant = n.tenant AND id = n.turn AND NOT withdrawn
    OFFSET 0 FOR SHARE
  ) t
  ON CONFLICT (tenant, digest) DO UPDATE
    SET tree = excluded.tree, branch = excluded.branch, position = excluded.position
"""
_NOTED = """
  SELECT w.number, turn_at($1, n.tree, n.branch, n.position) AS turn
  FROM unnest($2::bytea[]) WITH ORDINALITY AS w (digest, number), LATERAL (
    SELECT tree, branch, position FROM noted WHERE tenant = $1 AND digest = w.digest OFFSET 0
  ) n
  ORDER BY w.number LIMIT 1
"""


async def note(db: Session, notes: Mapping[tuple[str, bytes], str]) -> None:
    """Let turns be found, given by their tenants and digests. See `Store.note`."""
    named = [(tenant, note_of(db.seal, digest), turn_id) for (tenant, digest), turn_id in notes.items()]
    await db.connection.execute(_NOTE, *zip(*named, strict=True))


async def noted(db: Session, digests: Sequence[bytes]) -> tuple[bytes, str] | None:
    """See `Store.noted`."""
    row = await db.row(_NOTED, [note_of(db.seal, digest) for digest in digests])
    return None if row is None else (digests[row["number"] - 1], row["turn"])
