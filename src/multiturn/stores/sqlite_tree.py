"""The tree of turns in SQL: plain functions on a connection that is inside a transaction.

A turn's key is `branch * 2**24 + position`; a turn that follows its parent directly has the parent's key plus one. A
conversation's key is never shown outside; its id is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from multiturn.deltas import Delta, fold
from multiturn.errors import ConversationBusy, InvalidInput, NotFound
from multiturn.messages import Origin
from multiturn.stores.base import ConversationRecord, Head
from multiturn.turns import Totals, Turn, TurnStatus, continues, finished

_POSITION_BITS = 24
_POSITIONS = 1 << _POSITION_BITS

_encode = msgspec.json.Encoder().encode
_decode_turn = msgspec.json.Decoder(Turn).decode
_decode_turns = msgspec.json.Decoder(tuple[Turn, ...]).decode
_decode_deltas = msgspec.json.Decoder(tuple[Delta, ...]).decode
_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode


class _Row(NamedTuple):
    """A conversation as its row holds it; `head` is a turn's key."""

    key: int
    tree: int
    head: int | None


# --- conversations --------------------------------------------------------------------------------------------------

_RECORD = """
  SELECT c.id, h.id, l.id, c.model, i.text, c.metadata, c.created_at, c.updated_at
  FROM conversations c
  LEFT JOIN turns h ON h.key = c.head
  LEFT JOIN turns l ON l.key = c.latest
  LEFT JOIN instructions i ON i.key = c.instructions
"""


def conversation(db: sqlite3.Connection, id: str) -> ConversationRecord:
    row = db.execute(f"{_RECORD} WHERE c.id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("conversation", id)
    return _record(row)


def conversations(db: sqlite3.Connection, limit: int, before: float | None) -> tuple[ConversationRecord, ...]:
    rows = db.execute(
        f"{_RECORD} WHERE c.updated_at < ? ORDER BY c.updated_at DESC LIMIT ?",
        (float("inf") if before is None else before, limit),
    )
    return tuple(_record(row) for row in rows)


def create(db: sqlite3.Connection, record: ConversationRecord) -> ConversationRecord:
    head = None if record.head is None else turn_key(db, record.head)
    tree = None if head is None else _tree_of(db, head)
    if not _create_if_absent(db, record.id, record.metadata, tree=tree, head=head):
        raise InvalidInput(f"there is a conversation {record.id!r} already; choose another id")
    db.execute(
        "UPDATE conversations SET model = ?, instructions = ? WHERE id = ?",
        (record.model, _instructions_key(db, record.instructions), record.id),
    )
    return conversation(db, record.id)


def _create_if_absent(
    db: sqlite3.Connection,
    id: str,
    metadata: dict[str, str] | None,
    *,
    tree: int | None = None,
    head: int | None = None,
) -> bool:
    """Whether there was none of this id."""
    now = time.time()
    created = db.execute(
        """INSERT INTO conversations (key, id, tree, head, latest, metadata, created_at, updated_at)
           SELECT next, ?, coalesce(?, next), ?, ?, ?, ?, ?
           FROM (SELECT coalesce(max(key), 0) + 1 AS next FROM conversations) WHERE true
           ON CONFLICT (id) DO NOTHING""",
        (id, tree, head, head, _encode(metadata).decode() if metadata else None, now, now),
    )
    return created.rowcount > 0


def _find(db: sqlite3.Connection, id: str) -> _Row:
    row = db.execute("SELECT key, tree, head FROM conversations WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("conversation", id)
    return _Row(*row)


def _record(row: tuple[str, str, str, str, str, str, float, float]) -> ConversationRecord:
    id, head, latest, model, instructions, metadata, created_at, updated_at = row
    return ConversationRecord(
        id=id,
        head=head,
        latest=latest,
        model=model,
        instructions=instructions,
        metadata=_decode_metadata(metadata) if metadata else None,
        created_at=created_at,
        updated_at=updated_at,
    )


def _instructions_key(db: sqlite3.Connection, text: str | None) -> int | None:
    if text is None:
        return None
    db.execute("INSERT INTO instructions (text) VALUES (?) ON CONFLICT DO NOTHING", (text,))
    (key,) = db.execute("SELECT key FROM instructions WHERE text = ?", (text,)).fetchone()
    return int(key)


# --- reading turns --------------------------------------------------------------------------------------------------


def turn_key(db: sqlite3.Connection, id: str) -> int:
    row = db.execute("SELECT key FROM turns WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("turn", id)
    return int(row[0])


def turn(db: sqlite3.Connection, id: str) -> Turn:
    return _turn_at(db, turn_key(db, id))


def path(db: sqlite3.Connection, head: str) -> tuple[Turn, ...]:
    """The turns from the root to `head`: one range read for each branch on the way."""
    stretches = [
        _turns(db, "key BETWEEN ? AND ? ORDER BY key", (branch * _POSITIONS, last))
        for branch, last in _branches_to(db, turn_key(db, head))
    ]
    return tuple(turn for stretch in reversed(stretches) for turn in stretch)


def tree(db: sqlite3.Connection, conversation_id: str) -> tuple[Turn, ...]:
    row = _find(db, conversation_id)
    branches = [key for (key,) in db.execute("SELECT key FROM branches WHERE tree = ? ORDER BY key", (row.tree,))]
    return tuple(
        turn
        for branch in branches  # a branch is younger than the one that it leaves
        for turn in _turns(db, "key BETWEEN ? AND ? ORDER BY key", (branch * _POSITIONS, _last_of(branch)))
    )


def _branches_to(db: sqlite3.Connection, key: int | None) -> Iterator[tuple[int, int]]:
    """Each branch on the path to a turn and the key of the path's last turn there, the youngest branch first."""
    while key is not None:
        branch = key >> _POSITION_BITS
        yield branch, key
        (key,) = db.execute("SELECT parent FROM branches WHERE key = ?", (branch,)).fetchone()


def _turns(db: sqlite3.Connection, where: str, values: Sequence[object]) -> tuple[Turn, ...]:
    rows = db.execute(f"SELECT body, instructions FROM turns WHERE {where}", values).fetchall()
    turns = _decode_turns(b"[" + b",".join(body for body, _ in rows) + b"]")
    keys = {key for _, key in rows if key is not None}
    if not keys:
        return turns
    texts = {key: db.execute("SELECT text FROM instructions WHERE key = ?", (key,)).fetchone()[0] for key in keys}
    return tuple(
        turn if key is None else msgspec.structs.replace(turn, instructions=texts[key])
        for turn, (_, key) in zip(turns, rows, strict=True)
    )


def _turn_at(db: sqlite3.Connection, key: int) -> Turn:
    (found,) = _turns(db, "key = ?", (key,))
    return found


def _last_of(branch: int) -> int:
    return branch * _POSITIONS + _POSITIONS - 1


def _tree_of(db: sqlite3.Connection, key: int) -> int:
    (tree,) = db.execute("SELECT tree FROM branches WHERE key = ?", (key >> _POSITION_BITS,)).fetchone()
    return int(tree)


# --- a turn's life --------------------------------------------------------------------------------------------------


def begin(
    db: sqlite3.Connection,
    turn: Turn,
    *,
    parent: str | Head | None,
    metadata: dict[str, str] | None,
    runner: str,
    is_gone: Callable[[str], bool],
) -> Turn:
    """Write a new turn and take the lock on its conversation. See `Store.begin`."""
    _create_if_absent(db, turn.conversation, metadata)
    row = _unlocked(db, turn.conversation, is_gone)
    above = row.head if isinstance(parent, Head) else _parent_key(db, parent, row)
    key = _key_below(db, above, row.tree)
    turn = msgspec.structs.replace(turn, parent=None if above is None else _id_at(db, above))
    instructions = _instructions_key(db, turn.instructions)
    db.execute(
        "INSERT INTO turns (key, id, conversation, instructions, body) VALUES (?, ?, ?, ?, ?)",
        (key, turn.id, row.key, instructions, _body(turn)),
    )
    db.execute("INSERT INTO running (turn, conversation, runner) VALUES (?, ?, ?)", (key, row.key, runner))
    db.execute(
        "UPDATE conversations SET latest = ?, model = ?, instructions = ?, updated_at = ? WHERE key = ?",
        (key, turn.model, instructions, turn.created_at, row.key),
    )
    return turn


def append(db: sqlite3.Connection, turn_id: str, body: bytes) -> None:
    db.execute(
        """INSERT INTO deltas (turn, position, body)
           SELECT r.turn, (SELECT count(*) FROM deltas d WHERE d.turn = r.turn), ?
           FROM running r JOIN turns t ON t.key = r.turn WHERE t.id = ?""",
        (body, turn_id),
    )


def finish(db: sqlite3.Connection, turn: Turn, *, runner: str) -> None:
    """Write the ended turn, give the lock back, move the head. See `Store.finish`."""
    key = turn_key(db, turn.id)
    held = db.execute("DELETE FROM running WHERE turn = ? AND runner = ?", (key, runner))
    if not held.rowcount:
        raise ConversationBusy(turn.conversation)
    _close(db, key, turn)


def _close(db: sqlite3.Connection, key: int, turn: Turn) -> None:
    db.execute("UPDATE turns SET body = ? WHERE key = ?", (_body(turn), key))
    db.execute("DELETE FROM deltas WHERE turn = ?", (key,))
    db.execute(
        """UPDATE conversations SET updated_at = ?, head = CASE WHEN ? THEN ? ELSE head END
           WHERE key = (SELECT conversation FROM turns WHERE key = ?)""",
        (turn.finished_at, continues(turn), key, key),
    )


def recover(db: sqlite3.Connection, is_gone: Callable[[str], bool]) -> None:
    """Close every turn whose runner is gone."""
    rows = db.execute("SELECT turn, runner FROM running").fetchall()
    gone = {runner for runner in {runner for _, runner in rows} if is_gone(runner)}
    for key, runner in rows:
        if runner in gone:
            _close_crashed(db, key)


def _close_crashed(db: sqlite3.Connection, key: int) -> None:
    turn = _turn_at(db, key)
    bodies = db.execute("SELECT body FROM deltas WHERE turn = ? ORDER BY position", (key,))
    message = fold((delta for (body,) in bodies for delta in _decode_deltas(body)), origin=_origin(turn))
    before = Totals() if turn.parent is None else _turn_at(db, turn_key(db, turn.parent)).totals
    output = (message,) if message.parts else ()
    ended = finished(turn, TurnStatus.INCOMPLETE, before=before, at=time.time(), output=output, reason="crashed")
    db.execute("DELETE FROM running WHERE turn = ?", (key,))
    _close(db, key, ended)


def _origin(turn: Turn) -> Origin | None:
    """As much of a crashed answer's origin as the model's name tells."""
    if turn.model is None:
        return None
    provider, colon, name = turn.model.partition(":")
    return Origin(provider=provider, model=name) if colon else Origin(provider=turn.model)


def _unlocked(db: sqlite3.Connection, conversation_id: str, is_gone: Callable[[str], bool]) -> _Row:
    """The conversation, on which no turn runs: one whose runner is gone is closed here."""
    row = _find(db, conversation_id)
    running = db.execute("SELECT turn, runner FROM running WHERE conversation = ?", (row.key,)).fetchone()
    if running is None:
        return row
    key, runner = running
    if not is_gone(runner):
        raise ConversationBusy(conversation_id)
    _close_crashed(db, key)
    return _find(db, conversation_id)


def _parent_key(db: sqlite3.Connection, parent: str | None, row: _Row) -> int | None:
    if parent is None:
        return None
    key = turn_key(db, parent)
    if _tree_of(db, key) != row.tree:
        raise NotFound("turn", parent)
    return key


def _key_below(db: sqlite3.Connection, parent: int | None, tree: int) -> int:
    """The key for a new child: the next on the parent's branch, or the first of a new branch if that is taken."""
    position = 0
    if parent is not None:
        if parent == _last_of(parent >> _POSITION_BITS):
            raise InvalidInput(f"a conversation can be {_POSITIONS} turns long; reset or fork it")
        if not db.execute("SELECT 1 FROM turns WHERE key = ?", (parent + 1,)).fetchone():
            return parent + 1
        position = (parent + 1) % _POSITIONS
    branch = db.execute("INSERT INTO branches (tree, parent) VALUES (?, ?)", (tree, parent)).lastrowid
    assert branch is not None
    return branch * _POSITIONS + position


def _id_at(db: sqlite3.Connection, key: int) -> str:
    (id,) = db.execute("SELECT id FROM turns WHERE key = ?", (key,)).fetchone()
    return str(id)


def _body(turn: Turn) -> bytes:
    return _encode(msgspec.structs.replace(turn, instructions=None))


# --- heads and deletion ---------------------------------------------------------------------------------------------


def move_head(db: sqlite3.Connection, id: str, head: str | None, is_gone: Callable[[str], bool]) -> None:
    row = _unlocked(db, id, is_gone)
    key = _parent_key(db, head, row)
    db.execute(
        "UPDATE conversations SET head = ?, latest = ?, updated_at = ? WHERE key = ?", (key, key, time.time(), row.key)
    )


def delete(db: sqlite3.Connection, id: str, is_gone: Callable[[str], bool]) -> None:
    row = _unlocked(db, id, is_gone)
    db.execute("DELETE FROM conversations WHERE key = ?", (row.key,))
    keep = _kept(db, row.tree)
    instructions: set[int] = set()
    for (branch,) in db.execute("SELECT key FROM branches WHERE tree = ?", (row.tree,)).fetchall():
        first = keep.get(branch, branch * _POSITIONS - 1) + 1
        gone = db.execute(
            "DELETE FROM turns WHERE key BETWEEN ? AND ? RETURNING instructions", (first, _last_of(branch))
        )
        instructions.update(key for (key,) in gone if key is not None)
        if branch not in keep:
            db.execute("DELETE FROM branches WHERE key = ?", (branch,))
    _drop_unused(db, instructions)


def _kept(db: sqlite3.Connection, tree: int) -> dict[int, int]:
    """For each branch that a conversation of this tree stands on or has made turns on: the last key to keep."""
    tips: Iterable[tuple[int | None]] = db.execute(
        """SELECT head FROM conversations WHERE tree = :tree
           UNION SELECT latest FROM conversations WHERE tree = :tree
           UNION SELECT max(t.key) FROM branches b
             JOIN turns t ON t.key BETWEEN b.key << 24 AND (b.key << 24) + 16777215
             JOIN conversations c ON c.key = t.conversation
             WHERE b.tree = :tree GROUP BY b.key""",
        {"tree": tree},
    ).fetchall()
    keep: dict[int, int] = {}
    for (tip,) in tips:
        for branch, last in _branches_to(db, tip):
            if keep.get(branch, -1) >= last:
                break
            keep[branch] = last
    return keep


def _drop_unused(db: sqlite3.Connection, instructions: Iterable[int]) -> None:
    db.executemany(
        """DELETE FROM instructions WHERE key = :key
           AND NOT EXISTS (SELECT 1 FROM turns WHERE instructions = :key)
           AND NOT EXISTS (SELECT 1 FROM conversations WHERE instructions = :key)""",
        [{"key": key} for key in instructions],
    )
