"""Where things are: the keys of turns and of texts.

A turn's key is `branch * 2**24 + position`; a turn that follows its parent on the same branch has the parent's key plus
one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.sealing import Seal
from multiturn.turns import TurnStatus

POSITION_BITS = 24
POSITIONS = 1 << POSITION_BITS
STATUSES = tuple(TurnStatus)
"""A status is stored as its place here; new ones come last."""


def turn_key(db: sqlite3.Connection, tenant: str, id: str) -> int:
    """The key of a tenant's turn. Raises `NotFound`, also for one that was withdrawn."""
    row = db.execute(
        """SELECT key FROM turns WHERE id = ? AND tenant = ?
           AND NOT EXISTS (SELECT 1 FROM withdrawn WHERE turn = turns.key)""",
        (id, tenant),
    ).fetchone()
    if row is None:
        raise NotFound("turn", id)
    return int(row[0])


def find_turn(db: sqlite3.Connection, tenant: str, id: str) -> int | None:
    """The same, and of one that was withdrawn too; None if there is none."""
    row = db.execute("SELECT key FROM turns WHERE id = ? AND tenant = ?", (id, tenant)).fetchone()
    return None if row is None else int(row[0])


def id_at(db: sqlite3.Connection, key: int) -> str:
    (id,) = db.execute("SELECT id FROM turns WHERE key = ?", (key,)).fetchone()
    return str(id)


def first_of(branch: int) -> int:
    return branch * POSITIONS


def last_of(branch: int) -> int:
    return branch * POSITIONS + POSITIONS - 1


def tree_of(db: sqlite3.Connection, key: int) -> int:
    (tree,) = db.execute("SELECT tree FROM branches WHERE key = ?", (key >> POSITION_BITS,)).fetchone()
    return int(tree)


def branches_of(db: sqlite3.Connection, tree: int) -> list[int]:
    """A tree's branches; each is younger than the one that it leaves."""
    return [key for (key,) in db.execute("SELECT key FROM branches WHERE tree = ? ORDER BY key", (tree,))]


def parent_of(db: sqlite3.Connection, key: int) -> int | None:
    """The key of the turn that this one follows."""
    if key % POSITIONS and db.execute("SELECT 1 FROM turns WHERE key = ?", (key - 1,)).fetchone():
        return key - 1
    (parent,) = db.execute("SELECT parent FROM branches WHERE key = ?", (key >> POSITION_BITS,)).fetchone()
    return None if parent is None else int(parent)


def has_children(db: sqlite3.Connection, key: int) -> bool:
    """Whether a turn follows this one, on its branch or on one that leaves from there."""
    if (key + 1) % POSITIONS and db.execute("SELECT 1 FROM turns WHERE key = ?", (key + 1,)).fetchone():
        return True
    leaving = db.execute("SELECT key FROM branches WHERE tree = ? AND parent = ?", (tree_of(db, key), key)).fetchall()
    return any(
        db.execute("SELECT 1 FROM turns WHERE key BETWEEN ? AND ?", (first_of(branch), last_of(branch))).fetchone()
        for (branch,) in leaving
    )


def branches_to(db: sqlite3.Connection, key: int | None) -> Iterator[tuple[int, int]]:
    """Each branch on the path to a turn and the key of the path's last turn there, the youngest branch first."""
    while key is not None:
        branch = key >> POSITION_BITS
        yield branch, key
        (key,) = db.execute("SELECT parent FROM branches WHERE key = ?", (branch,)).fetchone()


def key_below(db: sqlite3.Connection, parent: int | None, tree: int) -> int:
    """The key for a new child: the next on the parent's branch, or the first of a new branch if that is taken."""
    position = 0
    if parent is not None:
        if parent == last_of(parent >> POSITION_BITS):
            raise InvalidInput(f"a conversation can be {POSITIONS} turns long; reset or fork it")
        if not db.execute("SELECT 1 FROM turns WHERE key = ?", (parent + 1,)).fetchone():
            return parent + 1
        position = (parent + 1) % POSITIONS
    branch = db.execute("INSERT INTO branches (tree, parent) VALUES (?, ?)", (tree, parent)).lastrowid
    assert branch is not None
    return branch * POSITIONS + position


# --- texts ------------------------------------------------------------------------------------------------------------


def text_key(db: sqlite3.Connection, seal: Seal, text: str | None) -> int | None:
    """The key of a text that repeats on many turns; new if it has not been seen."""
    if text is None:
        return None
    data = text.encode()
    digest = seal.digest(data)
    row = db.execute("SELECT key FROM texts WHERE digest = ?", (digest,)).fetchone()
    if row is not None:
        return int(row[0])
    return db.execute("INSERT INTO texts (digest, body) VALUES (?, ?)", (digest, seal.seal(data, digest))).lastrowid


def text_at(db: sqlite3.Connection, seal: Seal, key: object) -> str | None:
    if key is None:
        return None
    digest, body = db.execute("SELECT digest, body FROM texts WHERE key = ?", (key,)).fetchone()
    return seal.open(body, digest).decode()
