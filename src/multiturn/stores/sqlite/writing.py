"""Turns in SQL, written: a row when a turn begins, once more when it ends.

A statement that many turns need is given as few `None` and `bytes` as can be: the driver first asks for adapters of
these, which takes longer than to store them. A `bytearray` it stores as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from multiturn.errors import ConversationBusy
from multiturn.stores import rows
from multiturn.stores.days import day_of
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import background, search
from multiturn.stores.sqlite.places import STATUSES, name_key, text_key
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import Turn, continues

_encode = msgspec.json.Encoder().encode
_NUMBERS = {status: number for number, status in enumerate(STATUSES)}

_UPDATE = f"""
  UPDATE turns SET status = ?, input_tokens = nullif(?, 0), output_tokens = nullif(?, 0),
    cached_tokens = nullif(?, 0), cache_write_tokens = nullif(?, 0), reasoning_tokens = nullif(?, 0), cost_usd = ?,
    answered = ?, body = ?, document = CASE WHEN ? THEN {search.NEXT_DOCUMENT} END
  WHERE key = ? AND id = ?
"""


def insert(
    db: Connection,
    seal: Seal,
    tenant: str,
    key: int,
    conversation: int,
    instructions: int | None,
    turn: Turn,
) -> None:
    """Write the row of a turn that begins; of one that has ended, `update` writes the rest."""
    row = rows.to_row(turn, seal.digest)
    model, asked = name_key(db, seal, turn.model), text_key(db, seal, row.asked)
    db.execute(
        """INSERT INTO turns (key, id, tenant, conversation, instructions, status, day, model, asked, body)
           VALUES (?, ?, ?, ?, nullif(?, 0), ?, ?, nullif(?, 0), nullif(?, 0), ?)""",
        (
            key,
            turn.id,
            tenant,
            conversation,
            instructions or 0,
            _NUMBERS[turn.status],
            day_of(turn.created_at),
            model or 0,
            asked or 0,
            bytearray(seal.seal(row.body, turn.id.encode())),
        ),
    )
    _attach(db, seal, key, row)


def update(db: Connection, seal: Seal, key: int, turn: Turn) -> None:
    """Write what a turn has become, and let it be found by its words once it has ended."""
    usage = turn.usage
    bare, shared = rows.taken_out(turn)
    row = rows.to_row(bare, seal.digest)
    answered = None if shared is None else name_key(db, seal, _encode(shared).decode())
    written = db.execute(
        _UPDATE,
        (
            _NUMBERS[turn.status],
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            usage.cost_usd,
            answered,
            bytearray(seal.seal(row.body, turn.id.encode())),
            rows.is_indexed(turn) and not seal.on,
            key,
            turn.id,
        ),
    )
    if not written.rowcount:
        raise ConversationBusy(turn.conversation)  # another turn has its place by now
    _attach(db, seal, key, row)


def _attach(db: Connection, seal: Seal, key: int, row: rows.Row) -> None:
    for name, data in row.attachments.items():
        digest = bytes.fromhex(name)
        if not db.execute("SELECT 1 FROM attachments WHERE digest = ?", (digest,)).fetchone():
            db.execute("INSERT INTO attachments (digest, body) VALUES (?, ?)", (digest, seal.seal(data, digest)))
        db.execute("INSERT OR IGNORE INTO attached (turn, digest) VALUES (?, ?)", (key, digest))


def close(db: Connection, seal: Seal, key: int, conversation: int, turn: Turn) -> None:
    """Write what an ended turn has become, and move the head of its conversation to it if it goes on from there."""
    update(db, seal, key, turn)
    if turn.background:
        background.ended(db, key, turn)
    else:
        db.execute("DELETE FROM deltas WHERE turn = ?", (key,))
    if continues(turn):
        db.execute(
            "UPDATE conversations SET updated_at = ?, head = ? WHERE key = ?", (turn.finished_at, key, conversation)
        )
    else:
        db.execute("UPDATE conversations SET updated_at = ? WHERE key = ?", (turn.finished_at, conversation))


def drop_unused_attachments(db: Connection, digests: Iterable[bytes]) -> int:
    """Drop those of these attachments that no turn holds; how many that were."""
    return sum(
        db.execute(
            """DELETE FROM attachments WHERE digest = :digest
               AND NOT EXISTS (SELECT 1 FROM attached WHERE digest = :digest)""",
            {"digest": digest},
        ).rowcount
        for digest in digests
    )
