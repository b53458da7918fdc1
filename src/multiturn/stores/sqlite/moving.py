"""Whole trees in SQL, brought in from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.records import ConversationRecord
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import conversations, search, writing
from multiturn.stores.sqlite.places import below, find_turn, text_key
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import Turn


def restore(
    db: Connection, seal: Seal, tenant: str, records: Sequence[ConversationRecord], made: Sequence[Turn]
) -> None:
    """Write the conversations of one tree and their turns. See `Store.restore`."""
    keys = _conversations(db, seal, tenant, records)
    tree = next(iter(keys.values()))
    places: dict[str | None, int | None] = {None: None}
    for turn in made:
        if find_turn(db, tenant, turn.id) is not None:
            raise InvalidInput(f"there is a turn {turn.id!r} already")
        if turn.parent not in places:
            raise NotFound("turn", turn.parent or "")
        place, _ = below(db, places[turn.parent], tree)
        places[turn.id] = place
        made_in, instructions = keys.get(turn.conversation, tree), text_key(db, seal, turn.instructions)
        writing.insert(db, seal, tenant, place, made_in, instructions, turn)
        writing.update(db, seal, place, turn)
    for record in records:
        _place(db, record, keys[record.id], places)
    while search.index(db, seal):
        pass


def _conversations(db: Connection, seal: Seal, tenant: str, records: Sequence[ConversationRecord]) -> dict[str, int]:
    """The new conversations' keys by id, the first one's first; its key is that of their tree."""
    if not records:
        raise InvalidInput("turns come with the conversations that they are of")
    keys: dict[str, int] = {}
    for record in records:
        key, instructions = conversations.next_key(db), text_key(db, seal, record.instructions)
        tree = next(iter(keys.values()), key)
        if not conversations.insert(db, tenant, record, key=key, tree=tree, instructions=instructions):
            raise InvalidInput(f"there is a conversation {record.id!r} already")
        keys[record.id] = key
    return keys


def _place(db: Connection, record: ConversationRecord, key: int, places: dict[str | None, int | None]) -> None:
    for id in (record.head, record.latest):
        if id not in places:
            raise NotFound("turn", id or "")
    db.execute(
        "UPDATE conversations SET head = ?, latest = ? WHERE key = ?", (places[record.head], places[record.latest], key)
    )
