"""Where things are: the keys of turns and of texts.

A turn's key is `branch * 2**24 + position`; a turn that follows its parent on the same branch has the parent's key plus
one.
"""

from __future__ import annotations

from collections.abc import Iterator

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import TurnStatus

POSITION_BITS = 24
POSITIONS = 1 << POSITION_BITS
STATUSES = tuple(TurnStatus)
"""A status is stored as its place here; new ones come last."""

ON_TREE = "(key = :tree AND tree = :tree OR tree = :tree AND tree <> key)"
"""Which branches, or which conversations, are of a tree: the one under the tree's own number is in no index."""


def turn_key(db: Connection, tenant: str, id: str) -> int:
    """The key of a tenant's turn. Raises `NotFound`, also for one that was withdrawn."""
    return turn_and_tree(db, tenant, id)[0]


def turn_and_tree(db: Connection, tenant: str, id: str) -> tuple[int, int]:
    """The same, and the turn's tree."""
    row = db.execute(
        """SELECT t.key, b.tree FROM turns t JOIN branches b ON b.key = t.key >> 24 WHERE t.id = ? AND t.tenant = ?
           AND NOT EXISTS (SELECT 1 FROM withdrawn WHERE turn = t.key)""",
        (id, tenant),
    ).fetchone()
    if row is None:
        raise NotFound("turn", id)
    return int(row[0]), int(row[1])


def find_turn(db: Connection, tenant: str, id: str) -> int | None:
    """The key of a turn, of one that was withdrawn too; None if there is none."""
    row = db.execute("SELECT key FROM turns WHERE id = ? AND tenant = ?", (id, tenant)).fetchone()
    return None if row is None else int(row[0])


def id_at(db: Connection, key: int) -> str:
    (id,) = db.execute("SELECT id FROM turns WHERE key = ?", (key,)).fetchone()
    return str(id)


def first_of(branch: int) -> int:
    return branch * POSITIONS


def last_of(branch: int) -> int:
    return branch * POSITIONS + POSITIONS - 1


def tree_of(db: Connection, key: int) -> int:
    (tree,) = db.execute("SELECT tree FROM branches WHERE key = ?", (key >> POSITION_BITS,)).fetchone()
    return int(tree)


def branches_of(db: Connection, tree: int) -> list[int]:
    """A tree's branches; each is younger than the one that it leaves."""
    return [key for (key,) in db.execute(f"SELECT key FROM branches WHERE {ON_TREE} ORDER BY key", {"tree": tree})]


def parent_of(db: Connection, key: int) -> int | None:
    """The key of the turn that this one follows."""
    if key % POSITIONS and db.execute("SELECT 1 FROM turns WHERE key = ?", (key - 1,)).fetchone():
        return key - 1
    (parent,) = db.execute("SELECT parent FROM branches WHERE key = ?", (key >> POSITION_BITS,)).fetchone()
    return None if parent is None else int(parent)


def has_children(db: Connection, key: int) -> bool:
    """Whether a turn follows this one, on its branch or on one that leaves from there."""
    if (key + 1) % POSITIONS and db.execute("SELECT 1 FROM turns WHERE key = ?", (key + 1,)).fetchone():
        return True
    leaving = db.execute(
        f"SELECT key FROM branches WHERE {ON_TREE} AND parent = :key", {"tree": tree_of(db, key), "key": key}
    ).fetchall()
    return any(
        db.execute("SELECT 1 FROM turns WHERE key BETWEEN ? AND ?", (first_of(branch), last_of(branch))).fetchone()
        for (branch,) in leaving
    )


def branches_to(db: Connection, key: int | None) -> Iterator[tuple[int, int]]:
    """Each branch on the path to a turn and the key of the path's last turn there, the youngest branch first."""
    while key is not None:
        branch = key >> POSITION_BITS
        yield branch, key
        (key,) = db.execute("SELECT parent FROM branches WHERE key = ?", (branch,)).fetchone()


def below(db: Connection, above: int | None, tree: int) -> tuple[int, str | None]:
    """The key for a new child of a turn: the next on its branch, or the first of a new branch if that is taken; and the
    turn's id. Without a turn, the key for a new root."""
    if above is None:
        return first_of(_new_branch(db, tree, None)), None
    if above == last_of(above >> POSITION_BITS):
        raise InvalidInput(f"a conversation can be {POSITIONS} turns long; reset or fork it")
    there = db.execute("SELECT id FROM turns WHERE key BETWEEN ? AND ? ORDER BY key", (above, above + 1)).fetchall()
    key = above + 1 if len(there) == 1 else first_of(_new_branch(db, tree, above)) + (above + 1) % POSITIONS
    return key, there[0][0]


def new_tree(db: Connection, tree: int) -> int:
    """The key for the root of a tree that is younger than all others; its first branch has its number."""
    db.execute("INSERT INTO branches (key, tree, parent) VALUES (?, ?, NULL)", (tree, tree))
    return first_of(tree)


def _new_branch(db: Connection, tree: int, parent: int | None) -> int:
    """A new branch, younger than all others: the first of a new tree under the tree's own number."""
    branch = db.execute(
        """INSERT INTO branches (key, tree, parent) VALUES (
             CASE WHEN :parent IS NULL AND :tree > ifnull((SELECT max(key) FROM branches), 0) THEN :tree END,
             :tree, :parent)""",
        {"tree": tree, "parent": parent},
    ).lastrowid
    assert branch is not None
    return branch


# --- texts ------------------------------------------------------------------------------------------------------------


def text_key(db: Connection, seal: Seal, text: str | None) -> int | None:
    """The key of a text that repeats on many turns; new if it has not been seen. It goes with the last that has it."""
    return None if text is None else _key_of(db, seal, text, is_name=False)


def name_key(db: Connection, seal: Seal, name: str | None) -> int | None:
    """The same for one of few texts, such as the name of a model, which stays."""
    if name is None:
        return None
    key = db.names.get(name)
    if key is None:
        key = db.names[name] = _key_of(db, seal, name, is_name=True)
    return key


def _key_of(db: Connection, seal: Seal, text: str, *, is_name: bool) -> int:
    data = text.encode()
    digest = seal.digest(data)
    row = db.execute("SELECT key FROM texts WHERE digest = ? AND is_name >= ?", (digest, int(is_name))).fetchone()
    if row is None:
        row = db.execute(
            """INSERT INTO texts (digest, body, is_name) VALUES (?, ?, ?)
               ON CONFLICT (digest) DO UPDATE SET is_name = true RETURNING key""",
            (digest, seal.seal(data, digest), is_name),
        ).fetchone()
    return int(row[0])


def text_at(db: Connection, seal: Seal, key: object) -> str | None:
    if key is None:
        return None
    digest, body = db.execute("SELECT digest, body FROM texts WHERE key = ?", (key,)).fetchone()
    return seal.open(body, digest).decode()
