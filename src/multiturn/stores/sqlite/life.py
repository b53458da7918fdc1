"""A turn's life in SQL: begun, streamed, finished; and heads that are moved by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from multiturn.errors import ConversationBusy, NotFound
from multiturn.stores.records import ConversationRecord, Head
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import background, conversations, deletion, locks, reading, search, writing
from multiturn.stores.sqlite.locks import IsGone
from multiturn.stores.sqlite.places import below, new_tree, text_key, turn_and_tree, turn_key
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import Turn, answered, check_reopens


class Running(NamedTuple):
    """Where a turn runs: the keys of its conversation and of itself."""

    conversation: int
    turn: int


_UNLOCK = "DELETE FROM running WHERE conversation = ? AND turn = ? AND runner = ?"


def begin(
    db: Connection,
    seal: Seal,
    tenant: str,
    turn: Turn,
    *,
    parent: str | Head | None,
    new: ConversationRecord,
    key: str | None,
    runner: str,
    is_gone: IsGone,
) -> tuple[Turn, Running | None]:
    """Write a new turn and take the lock on its conversation; where it runs now, if it does. See `Store.begin`."""
    row = locks.free(db, seal, tenant, turn.conversation, is_gone)
    if row is not None and key is not None and (earlier := _under(db, seal, row.key, key)):
        return earlier, None
    conversation = conversations.next_key(db) if row is None else row.key
    above, tree = _above(db, tenant, row, parent)
    if row is None and tree is None:
        place, id_above = new_tree(db, conversation), None
    else:
        place, id_above = below(db, above, tree or conversation)
    turn = msgspec.structs.replace(turn, parent=id_above)
    instructions = text_key(db, seal, turn.instructions)
    if row is None:
        conversations.insert(
            db,
            tenant,
            msgspec.structs.replace(new, model=turn.model, updated_at=turn.created_at),
            key=conversation,
            tree=tree or conversation,
            head=above,
            latest=place,
            instructions=instructions,
        )
    else:
        db.execute(
            "UPDATE conversations SET latest = ?, model = ?, updated_at = ? WHERE key = ?",
            (place, turn.model, turn.created_at, conversation),
        )
        if instructions != row.instructions:
            db.execute("UPDATE conversations SET instructions = ? WHERE key = ?", (instructions, conversation))
            deletion.drop_texts(db, [row.instructions])
    writing.insert(db, seal, tenant, place, conversation, instructions, turn)
    db.execute("INSERT INTO running (turn, conversation, runner) VALUES (?, ?, ?)", (place, conversation, runner))
    if turn.background:
        background.begun(db, place)
    if key is not None:
        db.execute("INSERT OR REPLACE INTO keys (conversation, key, turn) VALUES (?, ?, ?)", (conversation, key, place))
    return turn, Running(conversation, place)


def _above(
    db: Connection, tenant: str, row: conversations.Row | None, parent: str | Head | None
) -> tuple[int | None, int | None]:
    """The key of the turn that a new one of this conversation follows, and the tree that it goes on; None for a new
    one. Raises `NotFound`."""
    if isinstance(parent, Head):
        return (None, None) if row is None else (row.head, row.tree)
    if parent is None:
        return None, row and row.tree
    key, tree = turn_and_tree(db, tenant, parent)
    if row is not None and tree != row.tree:
        raise NotFound("turn", parent)
    return key, tree


def _under(db: Connection, seal: Seal, conversation: int, key: str) -> Turn | None:
    """The turn that has begun under an idempotency key, if it was answered."""
    row = db.execute("SELECT turn FROM keys WHERE conversation = ? AND key = ?", (conversation, key)).fetchone()
    earlier = None if row is None else reading.at(db, seal, row[0])
    return earlier if earlier and answered(earlier) else None


def append(db: Connection, seal: Seal, pieces: Sequence[tuple[str, str, bytes]]) -> None:
    """Write pieces of what turns have streamed: the tenant, the turn's id, the drafts. One for a turn that does not run
    is let go."""
    db.executemany(
        """INSERT INTO deltas (turn, position, body)
           SELECT r.turn, (SELECT ifnull(max(position), -1) + 1 FROM deltas d WHERE d.turn = r.turn), ?
           FROM turns t JOIN running r ON r.conversation = t.conversation AND r.turn = t.key
           WHERE t.id = ? AND t.tenant = ?""",
        [(seal.seal(body, turn_id.encode()), turn_id, tenant) for tenant, turn_id, body in pieces],
    )


def reopen(db: Connection, seal: Seal, tenant: str, id: str, runner: str, is_gone: IsGone) -> Turn:
    """Set a turn in progress again. See `Store.reopen`."""
    row = locks.unlocked(db, seal, tenant, reading.turn(db, seal, tenant, id).conversation, is_gone)
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


def finish(db: Connection, seal: Seal, tenant: str, turn: Turn, *, runner: str, running: Running | None = None) -> None:
    """Write the ended turn, give the lock back, move the head; `running` is what `begin` gave, where that was here. See
    `Store.finish`."""
    if running is not None and db.execute(_UNLOCK, (*running, runner)).rowcount:
        writing.close(db, seal, running.turn, running.conversation, turn)
        return
    held = db.execute(
        """DELETE FROM running WHERE (conversation, turn) = (
             SELECT conversation, key FROM turns WHERE id = ? AND tenant = ?
           ) AND runner = ? RETURNING turn, conversation""",
        (turn.id, tenant, runner),
    ).fetchall()
    if not held:
        turn_key(db, tenant, turn.id)  # there is none, or it is not ours
        raise ConversationBusy(turn.conversation)
    ((key, conversation),) = held
    writing.close(db, seal, key, conversation, turn)


def move_head(db: Connection, seal: Seal, tenant: str, id: str, head: str | None, is_gone: IsGone) -> None:
    row = locks.unlocked(db, seal, tenant, id, is_gone)
    key, _ = _above(db, tenant, row, head)
    db.execute(
        "UPDATE conversations SET head = ?, latest = ?, updated_at = ? WHERE key = ?", (key, key, time.time(), row.key)
    )
