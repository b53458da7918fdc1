"""Whole trees in SQL, brought in from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores import rows
from multiturn.stores.days import day_of
from multiturn.stores.postgres import conversations, writing
from multiturn.stores.postgres.session import Session
from multiturn.stores.records import ConversationRecord
from multiturn.turns import Turn, answered

_Spot = tuple[int, int] | None  # a turn's branch and position; above a root there is none


async def restore(db: Session, records: Sequence[ConversationRecord], made: Sequence[Turn]) -> None:
    """Write the conversations of one tree and their turns. See `Store.restore`."""
    if not records:
        raise InvalidInput("turns come with the conversations that they are of")
    branches: list[_Spot] = []
    spots = _spots(made, branches)
    for record in records:
        for id in (record.head, record.latest):
            if id not in spots:
                raise NotFound("turn", id or "")
    async with db.transaction():
        tree = await _plant(db, records, len(branches))
        taken = await db.value("SELECT id FROM turns WHERE tenant = $1 AND id = ANY($2)", [turn.id for turn in made])
        if taken is not None:
            raise InvalidInput(f"there is a turn {taken!r} already")
        await _write_turns(db, tree, records, made, spots, branches)
        await _write_conversations(db, tree, records, spots)


def _spots(made: Sequence[Turn], branches: list[_Spot]) -> dict[str | None, _Spot]:
    """Where each turn goes: on its parent's branch, or where that is taken on a new one. `branches` is filled with the
    turns that they leave, the first branch's first."""
    spots: dict[str | None, _Spot] = {None: None}
    taken: set[_Spot] = {None}
    for turn in made:
        if turn.parent not in spots:
            raise NotFound("turn", turn.parent or "")
        above = spots[turn.parent]
        spot = None if above is None else (above[0], above[1] + 1)
        if spot in taken:
            branches.append(above)
            spot = (len(branches), 0 if above is None else above[1] + 1)
        taken.add(spot)
        spots[turn.id] = spot
    return spots


async def _plant(db: Session, records: Sequence[ConversationRecord], branches: int) -> int:
    """A new tree that bears the names of these conversations."""
    tree = None
    for record in records:
        if tree is None:
            tree = await db.value("SELECT plant($1, $2)", record.id)
            new = tree is not None
        else:
            new = bool(
                await db.run(
                    "INSERT INTO names (tenant, id, tree) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", record.id, tree
                )
            )
        if not new:
            raise InvalidInput(f"there is a conversation {record.id!r} already")
    assert tree is not None
    await db.run("UPDATE trees SET branches = $3 WHERE tenant = $1 AND tree = $2", tree, branches)
    return int(tree)


async def _write_turns(
    db: Session,
    tree: int,
    records: Sequence[ConversationRecord],
    made: Sequence[Turn],
    spots: dict[str | None, _Spot],
    branches: Sequence[_Spot],
) -> None:
    ids = {record.id for record in records}
    seal = db.seal
    await db.run_many(
        """INSERT INTO branches (tenant, tree, branch, parent_branch, parent_position) VALUES ($1, $2, $3, $4, $5)""",
        [(tree, number, *(above or (None, None))) for number, above in enumerate(branches, start=1)],
    )
    turns, texts, words, attachments = [], set(), [], []
    for turn in made:
        row, spot = rows.to_row(turn, seal.digest), spots[turn.id]
        assert spot is not None
        turns.append(
            (
                tree,
                *spot,
                turn.id,
                turn.conversation if turn.conversation in ids else records[0].id,
                turn.status,
                answered(turn),
                day_of(turn.created_at),
                turn.model,
                writing.text(seal, turn.instructions)[0],
                writing.text(seal, row.asked)[0],
                *writing.tokens(turn),
                seal.seal(row.body, turn.id.encode()),
            )
        )
        texts |= {turn.instructions, row.asked}
        if found := writing.words(seal, rows.indexed(turn)):
            words.append((tree, *spot, found))
        if row.attachments:
            attachments.append((tree, *spot, *writing.attachments(seal, row)))
    await db.run_many(
        """INSERT INTO turns (tenant, tree, branch, position, id, conversation, status, answered, day, model,
             instructions, asked, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
             cost_usd, body)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)""",
        turns,
    )
    await _write_texts(db, tree, texts)
    await db.run_many("SELECT attach($1, $2, $3, $4, $5, $6)", attachments)
    await db.run_many(writing.SAY, words)


async def _write_texts(db: Session, tree: int, texts: set[str | None]) -> None:
    await db.run_many(
        "SELECT keep_text($1, $2, $3, $4)", [(tree, *writing.text(db.seal, text)) for text in texts if text is not None]
    )


async def _write_conversations(
    db: Session, tree: int, records: Sequence[ConversationRecord], spots: dict[str | None, _Spot]
) -> None:
    await db.run_many(
        """INSERT INTO conversations (tenant, tree, id, user_id, head_branch, head_position, latest_branch,
             latest_position, model, instructions, metadata, created_at, updated_at, kind)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)""",
        [
            (
                tree,
                record.id,
                record.user,
                *(spots[record.head] or (None, None)),
                *(spots[record.latest] or (None, None)),
                record.model,
                writing.text(db.seal, record.instructions)[0],
                conversations.encoded(record.metadata),
                record.created_at,
                record.updated_at,
                record.kind,
            )
            for record in records
        ],
    )
    await _write_texts(db, tree, {record.instructions for record in records})
