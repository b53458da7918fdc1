"""Whole trees in SQL, brought in from elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.records import ConversationRecord
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import conversations, writing
from multiturn.stores.sqlite.places import find_turn, key_below, text_key
from multiturn.turns import Turn


def restore(
    db: sqlite3.Connection, seal: Seal, tenant: str, records: Sequence[ConversationRecord], made: Sequence[Turn]
) -> None:
    """Write the conversations of one tree and their turns. See `Store.restore`."""
    keys = _conversations(db, tenant, records)
    tree = next(iter(keys.values()))
    places: dict[str | None, int | None] = {None: None}
    for turn in made:
        if find_turn(db, tenant, turn.id) is not None:
            raise InvalidInput(f"there is a turn {turn.id!r} already")
        if turn.parent not in places:
            raise NotFound("turn", turn.parent or "")
        place = places[turn.id] = key_below(db, places[turn.parent], tree)
        made_in, instructions = keys.get(turn.conversation, tree), text_key(db, seal, turn.instructions)
        writing.insert(db, seal, tenant, place, made_in, instructions, turn)
    for record in records:
        _place(db, seal, record, keys[record.id], tree, places)


def _conversations(db: sqlite3.Connection, tenant: str, records: Sequence[ConversationRecord]) -> dict[str, int]:
    """The new conversations' keys by id, the first one's first."""
    if not records:
        raise InvalidInput("turns come with the conversations that they are of")
    for record in records:
        if not conversations.create_if_absent(db, tenant, record):
            raise InvalidInput(f"there is a conversation {record.id!r} already")
    return {record.id: conversations.find(db, tenant, record.id).key for record in records}


def _place(
    db: sqlite3.Connection,
    seal: Seal,
    record: ConversationRecord,
    key: int,
    tree: int,
    places: dict[str | None, int | None],
) -> None:
    for id in (record.head, record.latest):
        if id not in places:
            raise NotFound("turn", id or "")
    db.execute(
        "UPDATE conversations SET tree = ?, head = ?, latest = ?, model = ?, instructions = ? WHERE key = ?",
        (
            tree,
            places[record.head],
            places[record.latest],
            record.model,
            text_key(db, seal, record.instructions),
            key,
        ),
    )
