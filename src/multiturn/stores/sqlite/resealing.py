"""Everything written again as the seal is now: after a new key, with a first key, or without any."""

from __future__ import annotations

from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import reading, search, writing
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import TurnStatus

_AT_ONCE = 100  # turns in one transaction


def prepare(db: Connection, seal: Seal) -> None:
    """The texts, which are few; and an empty index, which fills again as turns are written. What was noted goes, for it
    cannot be named anew. From now on this connection overwrites whatever it frees."""
    db.execute("PRAGMA secure_delete = ON")
    db.execute("DELETE FROM noted")
    db.execute("INSERT INTO said (said) VALUES ('delete-all')")
    for key, digest, body in db.execute("SELECT key, digest, body FROM texts").fetchall():
        data = seal.open(body, digest)
        new = seal.digest(data)
        taken = db.execute("SELECT 1 FROM texts WHERE digest = ? AND key <> ?", (new, key)).fetchone()
        name = digest if taken else new
        db.execute("UPDATE texts SET digest = ?, body = ? WHERE key = ?", (name, seal.seal(data, name), key))


def some_turns(db: Connection, seal: Seal, after: int) -> tuple[int, int]:
    """Write the next turns behind the key `after`; the last one's key and how many they were, 0 at the end."""
    rows = db.execute("SELECT key FROM turns WHERE key > ? ORDER BY key LIMIT ?", (after, _AT_ONCE)).fetchall()
    for (key,) in rows:
        _turn(db, seal, key)
    search.index(db, seal)
    return (rows[-1][0] if rows else after), len(rows)


def _turn(db: Connection, seal: Seal, key: int) -> None:
    turn = reading.at(db, seal, key)
    if turn.status is TurnStatus.IN_PROGRESS:
        return  # its end is written soon enough
    before = db.execute("DELETE FROM attached WHERE turn = ? RETURNING digest", (key,)).fetchall()
    writing.update(db, seal, key, turn)
    about = turn.id.encode()
    for position, body in db.execute("SELECT position, body FROM deltas WHERE turn = ?", (key,)).fetchall():
        anew = seal.seal(seal.open(body, about), about)
        db.execute("UPDATE deltas SET body = ? WHERE turn = ? AND position = ?", (anew, key, position))
    writing.drop_unused_attachments(db, {digest for (digest,) in before})
