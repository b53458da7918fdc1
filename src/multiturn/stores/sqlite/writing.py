"""Turns in SQL, written: a row when a turn begins, once more when it ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from multiturn.stores import rows
from multiturn.stores.days import day_of
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import background, search
from multiturn.stores.sqlite.places import STATUSES, text_key
from multiturn.turns import Turn, continues


def insert(
    db: sqlite3.Connection,
    seal: Seal,
    tenant: str,
    key: int,
    conversation: int,
    instructions: int | None,
    turn: Turn,
) -> None:
    """Write a turn's row, whatever its status."""
    row, changing = _row(db, seal, turn)
    day, model = day_of(turn.created_at), text_key(db, seal, turn.model)
    db.execute(
        f"""INSERT INTO turns (key, id, tenant, conversation, instructions, day, model, {", ".join(_CHANGING)})
            VALUES ({", ".join("?" * (7 + len(_CHANGING)))})""",
        (key, turn.id, tenant, conversation, instructions, day, model, *changing),
    )
    _beside(db, seal, key, row)


def update(db: sqlite3.Connection, seal: Seal, key: int, turn: Turn) -> None:
    """Write what a turn has become."""
    row, changing = _row(db, seal, turn)
    db.execute(
        f"UPDATE turns SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE key = ?",
        (*changing, key),
    )
    _beside(db, seal, key, row)


_CHANGING = (
    "status",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "body",
    "answered",
)


def _row(db: sqlite3.Connection, seal: Seal, turn: Turn) -> tuple[rows.Row, tuple[object, ...]]:
    """The turn's row, and the values of the columns that its end changes."""
    usage = turn.usage
    bare, shared = rows.taken_out(turn)
    row = rows.to_row(bare, seal.digest)
    answered = None if shared is None else text_key(db, seal, msgspec.json.encode(shared).decode())
    return row, (
        STATUSES.index(turn.status),
        usage.input_tokens or None,
        usage.output_tokens or None,
        usage.cached_tokens or None,
        usage.cache_write_tokens or None,
        usage.reasoning_tokens or None,
        usage.cost_usd,
        seal.seal(row.body, turn.id.encode()),
        answered,
    )


def _beside(db: sqlite3.Connection, seal: Seal, key: int, row: rows.Row) -> None:
    """What is kept beside a turn: its attachments, and its words once it has ended."""
    for name, data in row.attachments.items():
        digest = bytes.fromhex(name)
        if not db.execute("SELECT 1 FROM attachments WHERE digest = ?", (digest,)).fetchone():
            db.execute("INSERT INTO attachments (digest, body) VALUES (?, ?)", (digest, seal.seal(data, digest)))
        db.execute("INSERT OR IGNORE INTO attached (turn, digest) VALUES (?, ?)", (key, digest))
    if not seal.on:
        search.add(db, key, row.text)


def close(db: sqlite3.Connection, seal: Seal, key: int, turn: Turn) -> None:
    """Write what an ended turn has become, and move the head to it if it goes on from there."""
    update(db, seal, key, turn)
    if turn.background:
        background.ended(db, key, turn)
    else:
        db.execute("DELETE FROM deltas WHERE turn = ?", (key,))
    db.execute(
        """UPDATE conversations SET updated_at = ?, head = CASE WHEN ? THEN ? ELSE head END
           WHERE key = (SELECT conversation FROM turns WHERE key = ?)""",
        (turn.finished_at, continues(turn), key, key),
    )


def drop_unused_attachments(db: sqlite3.Connection, digests: Iterable[bytes]) -> int:
    """Drop those of these attachments that no turn holds; how many that were."""
    return sum(
        db.execute(
            """DELETE FROM attachments WHERE digest = :digest
               AND NOT EXISTS (SELECT 1 FROM attached WHERE digest = :digest)""",
            {"digest": digest},
        ).rowcount
        for digest in digests
    )
