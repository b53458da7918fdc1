"""Turns in SQL, written: what the functions of the schema are given."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from multiturn.stores import expressions, rows
from multiturn.stores.postgres import background
from multiturn.stores.postgres.session import Session
from multiturn.stores.rows import Row
from multiturn.stores.sealing import Seal
from multiturn.turns import Turn, answered, continues

_LONGEST_WORD = 500
_MOST_WORDS_BYTES = 900_000  # PostgreSQL's own limit is a million for one turn

_FINISH = "SELECT finish_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"


async def finish(db: Session, turn: Turn, holder: int, there: Collection[str] = ()) -> bool:
    """Write what an ended turn has become, give the lock back that `holder` has on its conversation, and move the head
    if the turn goes on from there. Whether it had the lock. `there` are attachments that need not be sent again."""
    if not turn.background:
        return await _finish(db, turn, holder, there)
    async with db.transaction():
        done = await _finish(db, turn, holder, there)
        if done:
            await background.ended(db, turn)
        return done


async def _finish(db: Session, turn: Turn, holder: int, there: Collection[str]) -> bool:
    row = rows.to_row(turn, db.seal.digest)
    return bool(
        await db.value(
            _FINISH,
            turn.id,
            holder,
            turn.status,
            answered(turn),
            continues(turn),
            turn.finished_at,
            *tokens(turn),
            db.seal.seal(row.body, turn.id.encode()),
            words(db.seal, rows.indexed(turn)),
            *attachments(db.seal, row, there),
        )
    )


def tokens(turn: Turn) -> tuple[Any, ...]:
    """What a turn used, in the order of its columns."""
    usage = turn.usage
    return (
        usage.input_tokens or None,
        usage.output_tokens or None,
        usage.cached_tokens or None,
        usage.cache_write_tokens or None,
        usage.reasoning_tokens or None,
        usage.cost_usd,
    )


def text(seal: Seal, words: str | None) -> tuple[bytes | None, bytes | None]:
    """The digest and the body of instructions."""
    if words is None:
        return None, None
    data = words.encode()
    digest = seal.digest(data)
    return digest, seal.seal(data, digest)


def attachments(seal: Seal, row: Row, there: Collection[str] = ()) -> tuple[list[bytes], list[bytes]]:
    """The digests and the bodies of what a row holds."""
    held = [(bytes.fromhex(name), data) for name, data in row.attachments.items() if name not in there]
    return [digest for digest, _ in held], [seal.seal(data, digest) for digest, data in held]


def words(seal: Seal, text: str) -> list[str]:
    """The words under which a turn is found that says this; none where it is sealed."""
    if seal.on:
        return []
    found, size = [], 0
    for word in sorted({as_indexed(word) for word in expressions.words_of(text)}):
        size += len(word.encode())
        if size > _MOST_WORDS_BYTES:
            break
        found.append(word)
    return found


def as_indexed(word: str) -> str:
    """A word as the index has it."""
    return word[:_LONGEST_WORD]


SAY = """
  INSERT INTO said (tenant, tree, branch, position, words)
  VALUES ($1, $2, $3, $4, array_to_tsvector($5::text[])) ON CONFLICT DO NOTHING
"""
"""Make the turn at a place findable by these words."""


async def drop_unused_attachments(db: Session, digests: Collection[bytes]) -> tuple[int, int]:
    """Delete those of these that no turn holds any more; how many, and how many bytes. They are locked first, and
    looked for after that, so that a turn that is just taking one either has it or brings it again."""
    if not digests:
        return 0, 0
    await db.run("SELECT 1 FROM attachments WHERE tenant = $1 AND digest = ANY($2) ORDER BY digest FOR UPDATE", digests)
    sizes = await db.column(
        """DELETE FROM attachments a WHERE a.tenant = $1 AND a.digest = ANY($2)
           AND NOT EXISTS (SELECT 1 FROM attached h WHERE h.tenant = a.tenant AND h.digest = a.digest)
           RETURNING pg_column_size(a.body)""",
        digests,
    )
    return len(sizes), sum(sizes)
