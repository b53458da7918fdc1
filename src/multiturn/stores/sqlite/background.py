"""What is kept in SQL of turns that run in the background, beside the turns: who was asked to stop, and since when the
drafts could go."""

from __future__ import annotations

import time

from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import Turn

_FORGOTTEN_AT_ONCE = 100  # turns in one transaction

AWAITED = "NOT b.cancelled AND NOT EXISTS (SELECT 1 FROM deltas d WHERE d.turn = b.turn)"
"""Whether a turn `b`, where its runner is gone, is one that somebody else may run: its model was not asked, for that is
the first draft of all."""


def begun(db: Connection, key: int) -> None:
    db.execute("INSERT INTO background (turn) VALUES (?)", (key,))


def reopened(db: Connection, seal: Seal, key: int, turn: Turn) -> None:
    """What the turn had streamed stands in it by now. An empty piece takes the place of all that, so that those who
    follow it count on."""
    (last,) = db.execute("SELECT ifnull(max(position), -1) FROM deltas WHERE turn = ?", (key,)).fetchone()
    db.execute("DELETE FROM deltas WHERE turn = ?", (key,))
    body = seal.seal(b"[]", turn.id.encode())
    db.execute("INSERT INTO deltas (turn, position, body) VALUES (?, ?, ?)", (key, last + 1, body))
    db.execute("INSERT OR REPLACE INTO background (turn) VALUES (?)", (key,))


def ended(db: Connection, key: int, turn: Turn) -> None:
    at = time.time() if turn.finished_at is None else turn.finished_at
    db.execute("UPDATE background SET ended_at = ? WHERE turn = ?", (at, key))


def is_cancelled(db: Connection, key: int) -> bool:
    return db.execute("SELECT 1 FROM background WHERE turn = ? AND cancelled", (key,)).fetchone() is not None


def is_awaited(db: Connection, key: int) -> bool:
    return db.execute(f"SELECT 1 FROM background b WHERE turn = ? AND {AWAITED}", (key,)).fetchone() is not None


def forget(db: Connection, before: float) -> int:
    """Let go of the drafts of some turns that ended before this time; how many turns, 0 if there are no more."""
    found = db.execute("SELECT turn FROM background WHERE ended_at < ? LIMIT ?", (before, _FORGOTTEN_AT_ONCE))
    keys = found.fetchall()
    for table in ("deltas", "background"):
        db.executemany(f"DELETE FROM {table} WHERE turn = ?", keys)
    return len(keys)
