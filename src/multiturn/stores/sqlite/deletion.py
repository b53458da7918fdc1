"""Letting go in SQL: turns go when no conversation stands on them or has made them, attachments and texts when no turn
has them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from multiturn.errors import ConversationBusy
from multiturn.stores.records import Collected, Retention
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import search, writing
from multiturn.stores.sqlite.conversations import Row
from multiturn.stores.sqlite.locks import IsGone, unlocked
from multiturn.stores.sqlite.places import (
    ON_TREE,
    POSITION_BITS,
    branches_of,
    branches_to,
    first_of,
    has_children,
    last_of,
    parent_of,
    tree_of,
    turn_key,
)
from multiturn.stores.sqlite.schema import Connection, give_back


def delete(db: Connection, seal: Seal, tenant: str, id: str, is_gone: IsGone) -> Collected:
    row = unlocked(db, seal, tenant, id, is_gone)
    gone = _prune(db, seal, row)
    db.execute("DELETE FROM keys WHERE conversation = ?", (row.key,))
    (instructions,) = db.execute(
        "DELETE FROM conversations WHERE key = ? RETURNING instructions", (row.key,)
    ).fetchone()
    drop_texts(db, [instructions])
    left = _drop_withdrawn(db, seal, row.tree)
    return Collected(conversations=1, turns=gone.turns + left.turns, attachments=gone.attachments + left.attachments)


def _prune(db: Connection, seal: Seal, deleted: Row) -> Collected:
    """Delete the turns of a tree that nobody needs once a conversation is gone; what others need becomes theirs."""
    keep = _kept(db, deleted)
    turns = attachments = 0
    for branch in branches_of(db, deleted.tree):
        last, heir = keep.get(branch, (first_of(branch) - 1, None))
        gone = _drop_turns(db, seal, _keys(db, last + 1, last_of(branch)))
        turns, attachments = turns + gone.turns, attachments + gone.attachments
        if heir is None:
            db.execute("DELETE FROM branches WHERE key = ?", (branch,))
        db.execute(
            "UPDATE turns SET conversation = ? WHERE key BETWEEN ? AND ? AND conversation = ?",
            (heir, first_of(branch), last, deleted.key),
        )
    return Collected(turns=turns, attachments=attachments)


def _kept(db: Connection, deleted: Row) -> dict[int, tuple[int, int]]:
    """For each branch that a conversation of the tree still needs: the last key to keep, and the conversation that
    needs that much. A conversation needs what lies on the way to where it stands and to what it has made."""
    tips = db.execute(
        f"""SELECT c.key, tip FROM conversations c JOIN (
             SELECT key AS conversation, head AS tip FROM conversations WHERE {ON_TREE}
             UNION SELECT key, latest FROM conversations WHERE {ON_TREE}
             UNION SELECT t.conversation, max(t.key) FROM (SELECT key FROM branches WHERE {ON_TREE}) b
               JOIN turns t ON t.key BETWEEN b.key << 24 AND (b.key << 24) + 16777215
               GROUP BY b.key, t.conversation
           ) ON conversation = c.key WHERE c.key <> :gone AND tip IS NOT NULL ORDER BY c.id""",
        {"tree": deleted.tree, "gone": deleted.key},
    ).fetchall()
    keep: dict[int, tuple[int, int]] = {}
    for conversation, tip in tips:
        for branch, last in branches_to(db, tip):
            if branch in keep and keep[branch][0] >= last:
                break
            keep[branch] = last, conversation
    return keep


def delete_turn(db: Connection, seal: Seal, tenant: str, id: str) -> int:
    key = turn_key(db, tenant, id)
    standing = above(db, key)
    keys = _descendants(db, key)
    for (conversation,) in db.execute(
        f"SELECT c.id FROM running r JOIN conversations c ON c.key = r.conversation WHERE r.turn IN ({_list(keys)})"
    ):
        raise ConversationBusy(conversation)
    tree = tree_of(db, key)
    step_back(db, tree, keys, standing)
    gone = _drop_turns(db, seal, keys)
    _drop_withdrawn(db, seal, tree)
    return gone.turns


def above(db: Connection, key: int) -> int | None:
    """The turn on which those stand who stood on this one: the next above it that can be found."""
    parent = parent_of(db, key)
    while parent is not None and db.execute("SELECT 1 FROM withdrawn WHERE turn = ?", (parent,)).fetchone():
        parent = parent_of(db, parent)
    return parent


def step_back(db: Connection, tree: int, keys: Iterable[int], standing: int | None) -> None:
    """Let the conversations that stand on one of these turns stand there."""
    gone, values = _list(keys), {"tree": tree, "standing": standing}
    db.execute(f"UPDATE conversations SET head = :standing WHERE {ON_TREE} AND head IN ({gone})", values)
    db.execute(f"UPDATE conversations SET latest = head WHERE {ON_TREE} AND latest IN ({gone})", values)


def _descendants(db: Connection, key: int) -> list[int]:
    """A turn and all that follow it, on its branch and on those that leave from there; those branches go."""
    branch, found = key >> POSITION_BITS, _keys(db, key, last_of(key >> POSITION_BITS))
    leaving = db.execute(
        f"SELECT key FROM branches WHERE {ON_TREE} AND parent BETWEEN :key AND :last",
        {"tree": tree_of(db, key), "key": key, "last": last_of(branch)},
    ).fetchall()
    for (child,) in leaving:
        first = db.execute("SELECT min(key) FROM turns WHERE key BETWEEN ? AND ?", (first_of(child), last_of(child)))
        (start,) = first.fetchone()
        found += [] if start is None else _descendants(db, start)
        db.execute("DELETE FROM branches WHERE key = ?", (child,))
    return found


def delete_user(db: Connection, seal: Seal, tenant: str, user: str, is_gone: IsGone) -> int:
    found = db.execute("SELECT id FROM conversations WHERE tenant = ? AND user = ?", (tenant, user)).fetchall()
    for (id,) in found:
        delete(db, seal, tenant, id, is_gone)
    return len(found)


# --- retention --------------------------------------------------------------------------------------------------------


def due(db: Connection, tenant: str | None, retention: Retention, limit: int) -> list[tuple[str, str]]:
    """Some conversations, each with its tenant, that the rules let go, and on which no turn runs; the longest unused
    first. Of this tenant, or of all for None."""
    now = time.time()
    conditions: list[str] = ["false"]
    values: list[object] = [tenant]
    if retention.age_s is not None:
        conditions.append("created_at < ?")
        values.append(now - retention.age_s)
    if retention.idle_s is not None:
        conditions.append("updated_at < ?")
        values.append(now - retention.idle_s)
    if retention.keep is not None:
        conditions.append("rank > ?")
        values.append(retention.keep)
    ranked = "row_number() OVER (PARTITION BY tenant, user ORDER BY updated_at DESC, id DESC)"
    rows = db.execute(
        f"""SELECT tenant, id
            FROM (SELECT *, {ranked if retention.keep is not None else "0"} AS rank FROM conversations)
            WHERE tenant = ifnull(?, tenant) AND ({" OR ".join(conditions)})
              AND key NOT IN (SELECT conversation FROM running)
            ORDER BY updated_at LIMIT ?""",
        (*values, limit),
    )
    return rows.fetchall()


# --- what goes along --------------------------------------------------------------------------------------------------


def _keys(db: Connection, first: int, last: int) -> list[int]:
    return [key for (key,) in db.execute("SELECT key FROM turns WHERE key BETWEEN ? AND ?", (first, last)).fetchall()]


def _list(keys: Iterable[int]) -> str:
    """Keys for `IN (…)`: our own integers, and more than SQLite takes as parameters."""
    return ",".join(map(str, keys))


def _drop_turns(db: Connection, seal: Seal, keys: list[int]) -> Collected:
    if not keys:
        return Collected()
    for key in keys:
        search.remove(db, seal, key)
    digests = db.execute(f"DELETE FROM attached WHERE turn IN ({_list(keys)}) RETURNING digest").fetchall()
    attachments = writing.drop_unused_attachments(db, {digest for (digest,) in digests})
    db.execute(
        f"""DELETE FROM keys WHERE turn IN ({_list(keys)})
            AND conversation IN (SELECT conversation FROM turns WHERE key IN ({_list(keys)}))"""
    )
    for table in ("deltas", "background", "withdrawn", "noted"):
        db.execute(f"DELETE FROM {table} WHERE turn IN ({_list(keys)})")
    texts = db.execute(f"DELETE FROM turns WHERE key IN ({_list(keys)}) RETURNING instructions, asked").fetchall()
    drop_texts(db, {text for texts_of_turn in texts for text in texts_of_turn})
    return Collected(turns=len(keys), attachments=attachments)


def _drop_withdrawn(db: Connection, seal: Seal, tree: int) -> Collected:
    """Drop the tree's withdrawn turns that nobody follows any more."""
    turns = attachments = 0
    while True:
        withdrawn = db.execute(
            f"""SELECT w.turn FROM (SELECT key FROM branches WHERE {ON_TREE}) b
                JOIN withdrawn w ON w.turn BETWEEN b.key << 24 AND (b.key << 24) + 16777215""",
            {"tree": tree},
        ).fetchall()
        alone = [key for (key,) in withdrawn if not has_children(db, key)]
        if not alone:
            return Collected(turns=turns, attachments=attachments)
        gone = _drop_turns(db, seal, [each for key in alone for each in _descendants(db, key)])
        turns, attachments = turns + gone.turns, attachments + gone.attachments


def drop_texts(db: Connection, keys: Iterable[int | None]) -> None:
    """Drop those of these texts that no turn and no conversation has any more."""
    db.executemany(
        """DELETE FROM texts WHERE key = :key AND NOT is_name
           AND NOT EXISTS (SELECT 1 FROM turns WHERE instructions = :key)
           AND NOT EXISTS (SELECT 1 FROM turns WHERE asked = :key)
           AND NOT EXISTS (SELECT 1 FROM conversations WHERE instructions = :key)""",
        [{"key": key} for key in keys if key is not None],
    )


def shrink(db: Connection) -> int:
    """Give free pages back to the file system; how many bytes that are."""
    (page,), (free,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "freelist_count"))
    give_back(db, free)
    (left,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(page * (free - left))
