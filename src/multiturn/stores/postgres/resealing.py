"""Everything written again as the seal is now: after a new key, with a first key, or without any. A tree at a time, a
few turns in one transaction."""

from __future__ import annotations

from multiturn.stores import rows
from multiturn.stores.postgres import reading, writing
from multiturn.stores.postgres.places import Place
from multiturn.stores.postgres.session import Session
from multiturn.turns import Turn

_AT_ONCE = 100  # turns in one transaction


async def trees(db: Session) -> list[tuple[str, int]]:
    """Every tree, each with its tenant."""
    found = await db.connection.fetch("SELECT tenant, tree FROM trees ORDER BY tenant, tree")
    return [(row["tenant"], row["tree"]) for row in found]


async def prepare(db: Session, tree: int) -> None:
    """A tree's texts, which are few, and an empty index, which fills again as turns are written. What was noted goes,
    for it cannot be named anew."""
    async with db.transaction():
        await _hold(db, tree)
        for table in ("said", "noted"):
            await db.run(f"DELETE FROM {table} WHERE tenant = $1 AND tree = $2", tree)
        for old, body in await db.rows("SELECT digest, body FROM texts WHERE tenant = $1 AND tree = $2", tree):
            digest, sealed = writing.text(db.seal, db.seal.open(body, old).decode())
            await db.run("DELETE FROM texts WHERE tenant = $1 AND tree = $2 AND digest = $3", tree, old)
            await db.run("SELECT keep_text($1, $2, $3, $4)", tree, digest, sealed)
            for table, text in (("turns", "instructions"), ("turns", "asked"), ("conversations", "instructions")):
                await db.run(
                    f"UPDATE {table} SET {text} = $4 WHERE tenant = $1 AND tree = $2 AND {text} = $3",
                    tree,
                    old,
                    digest,
                )


async def some_turns(db: Session, after: Place) -> tuple[Place, int]:
    """Write the next ended turns of a tree behind a place; the last one's place and how many they were, 0 at the end.
    Those in progress are left out: their end is written soon enough."""
    async with db.transaction():
        await _hold(db, after.tree)
        found = await db.rows(
            """SELECT branch, position, id FROM turns
               WHERE tenant = $1 AND tree = $2 AND (branch, position) > ($3, $4) AND status <> 'in_progress'
               ORDER BY branch, position LIMIT $5""",
            *after,
            _AT_ONCE,
        )
        places = {row["id"]: Place(after.tree, row["branch"], row["position"]) for row in found}
        for turn in await reading.some(db, list(places), withdrawn=True):
            await _write(db, places[turn.id], turn)
    return max(places.values(), default=after), len(found)


async def _write(db: Session, place: Place, turn: Turn) -> None:
    row = rows.to_row(turn, db.seal.digest)
    at = "tenant = $1 AND tree = $2 AND branch = $3 AND position = $4"
    await db.run(f"UPDATE turns SET body = $5 WHERE {at}", *place, db.seal.seal(row.body, turn.id.encode()))
    for piece, body in await db.rows(f"SELECT piece, body FROM deltas WHERE {at}", *place):
        anew = db.seal.seal(db.seal.open(body, turn.id.encode()), turn.id.encode())
        await db.run(f"UPDATE deltas SET body = $6 WHERE {at} AND piece = $5", *place, piece, anew)
    before = await db.column(f"DELETE FROM attached WHERE {at} RETURNING digest", *place)
    await db.run("SELECT attach($1, $2, $3, $4, $5, $6)", *place, *writing.attachments(db.seal, row))
    await writing.drop_unused_attachments(db, before)
    if words := writing.words(db.seal, rows.indexed(turn)):
        await db.run_many(writing.SAY, [(*place, words)])


async def _hold(db: Session, tree: int) -> None:
    await db.run("SELECT 1 FROM trees WHERE tenant = $1 AND tree = $2 FOR UPDATE", tree)
