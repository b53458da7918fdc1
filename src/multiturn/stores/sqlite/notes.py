"""Turns in SQL that are found by what was said up to their end."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.stores.sealing import Seal, note_of
from multiturn.stores.sqlite.schema import Connection


def note(db: Connection, seal: Seal, tenant: str, turn_id: str, digest: bytes) -> None:
    """See `Store.note`."""
    db.execute(
        """INSERT OR REPLACE INTO noted (digest, tenant, turn) SELECT ?, tenant, key FROM turns
           WHERE id = ? AND tenant = ? AND NOT EXISTS (SELECT 1 FROM withdrawn WHERE turn = turns.key)""",
        (note_of(seal, digest), turn_id, tenant),
    )


def noted(db: Connection, seal: Seal, tenant: str, digests: Sequence[bytes]) -> tuple[bytes, str] | None:
    """See `Store.noted`."""
    for digest in digests:
        found = db.execute(
            "SELECT t.id FROM noted n JOIN turns t ON t.key = n.turn WHERE n.digest = ? AND n.tenant = ?",
            (note_of(seal, digest), tenant),
        ).fetchone()
        if found is not None:
            return digest, found[0]
    return None
