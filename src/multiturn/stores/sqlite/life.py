"""A turn's life in SQL: begun, streamed, finished; and heads that are moved by hand."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from multiturn.errors import ConversationBusy, NotFound
from multiturn.stores.records import ConversationRecord, Head
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import background, conversations, reading, search, writing
from multiturn.stores.sqlite.locks import IsGone, unlocked
from multiturn.stores.sqlite.places import id_at, key_below, text_key, tree_of, turn_key
from multiturn.turns import Turn, answered, check_reopens


def begin(
    db: sqlite3.Connection,
    seal: Seal,
    tenant: str,
    turn: Turn,
    *,
    parent: str | Head | None,
    new: ConversationRecord,
    key: str | None,
    runner: str,
    is_gone: IsGone,
) -> Turn:
    """Write a new turn and take the lock on its conversation. See `Store.begin`."""
    try:
        row = unlocked(db, seal, tenant, turn.conversation, is_gone)
    except NotFound:
        conversations.create_if_absent(db, tenant, new)
        row = conversations.find(db, tenant, turn.conversation)
    if key is not None and (earlier := _under(db, seal, row.key, key)):
        return earlier
    if isinstance(parent, Head):
        above = row.head
    else:
        above = None if parent is None else _key_on_tree(db, tenant, parent, row.tree)
    turn = msgspec.structs.replace(turn, parent=None if above is None else id_at(db, above))
    place = key_below(db, above, row.tree)
    instructions = text_key(db, seal, turn.instructions)
    writing.insert(db, seal, tenant, place, row.key, instructions, turn)
    db.execute("INSERT INTO running (turn, conversation, runner) VALUES (?, ?, ?)", (place, row.key, runner))
    if turn.background:
        background.begun(db, place)
    if key is not None:
        db.execute("INSERT OR REPLACE INTO keys (conversation, key, turn) VALUES (?, ?, ?)", (row.key, key, place))
    db.execute(
        "UPDATE conversations SET latest = ?, model = ?, instructions = ?, updated_at = ? WHERE key = ?",
        (place, turn.model, instructions, turn.created_at, row.key),
    )
    return turn


def _under(db: sqlite3.Connection, seal: Seal, conversation: int, key: str) -> Turn | None:
    """The turn that has begun under an idempotency key, if it was answered."""
    row = db.execute("SELECT turn FROM keys WHERE conversation = ? AND key = ?", (conversation, key)).fetchone()
    earlier = None if row is None else reading.at(db, seal, row[0])
    return earlier if earlier and answered(earlier) else None


def append(db: sqlite3.Connection, seal: Seal, tenant: str, turn_id: str, body: bytes) -> None:
    db.execute(
        """INSERT INTO deltas (turn, position, body)
           SELECT r.turn, (SELECT ifnull(max(position), -1) + 1 FROM deltas d WHERE d.turn = r.turn), ?
           FROM turns t JOIN running r ON r.conversation = t.conversation AND r.turn = t.key
           WHERE t.id = ? AND t.tenant = ?""",
        (seal.seal(body, turn_id.encode()), turn_id, tenant),
    )


def reopen(db: sqlite3.Connection, seal: Seal, tenant: str, id: str, runner: str, is_gone: IsGone) -> Turn:
    """Set a turn in progress again. See `Store.reopen`."""
    row = unlocked(db, seal, tenant, reading.turn(db, seal, tenant, id).conversation, is_gone)
    key = turn_key(db, tenant, id)
    (latest,) = db.execute("SELECT latest FROM conversations WHERE key = ?", (row.key,)).fetchone()
    stored = reading.at(db, seal, key)
    turn = check_reopens(stored, is_latest=latest == key)
    search.remove(db, seal, key)
    writing.update(db, seal, key, turn)  # without the words of an answer that failed
    if turn.background:
        background.reopened(db, seal, key, turn)
    db.execute("INSERT INTO running (turn, conversation, runner) VALUES (?, ?, ?)", (key, row.key, runner))
    return turn


def finish(db: sqlite3.Connection, seal: Seal, tenant: str, turn: Turn, *, runner: str) -> None:
    """Write the ended turn, give the lock back, move the head. See `Store.finish`."""
    key = turn_key(db, tenant, turn.id)
    held = db.execute(
        """DELETE FROM running WHERE conversation = (SELECT conversation FROM turns WHERE key = :key)
           AND turn = :key AND runner = :runner""",
        {"key": key, "runner": runner},
    )
    if not held.rowcount:
        raise ConversationBusy(turn.conversation)
    writing.close(db, seal, key, turn)


def move_head(db: sqlite3.Connection, seal: Seal, tenant: str, id: str, head: str | None, is_gone: IsGone) -> None:
    row = unlocked(db, seal, tenant, id, is_gone)
    key = None if head is None else _key_on_tree(db, tenant, head, row.tree)
    db.execute(
        "UPDATE conversations SET head = ?, latest = ?, updated_at = ? WHERE key = ?", (key, key, time.time(), row.key)
    )


def _key_on_tree(db: sqlite3.Connection, tenant: str, id: str, tree: int) -> int:
    """The key of a turn that must be on this tree. Raises `NotFound`."""
    key = turn_key(db, tenant, id)
    if tree_of(db, key) != tree:
        raise NotFound("turn", id)
    return key
