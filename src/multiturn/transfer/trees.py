"""Every tree of a store, one after another, while the store goes on changing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Iterable

from msgspec import structs

from multiturn.errors import NotFound
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord, Cursor, Filter
from multiturn.transfer.base import Tree
from multiturn.turns import Turn, TurnStatus

_PAGE = 500
_CLOCKS_S = 60.0  # by how much the clocks of those who write may differ, or a transaction be late
_ATTEMPTS = 10


class Ids:
    """Ids of conversations, taken out in their order. They are in a temporary file, for there may be many."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM ids").fetchone()[0])

    def add(self, ids: Iterable[str]) -> int:
        """How many of these were not there yet."""
        before = self._db.total_changes
        self._db.executemany("INSERT OR IGNORE INTO ids VALUES (?)", ((id,) for id in ids))
        return self._db.total_changes - before

    def first(self) -> str | None:
        row = self._db.execute("SELECT min(id) FROM ids").fetchone()
        return None if row[0] is None else str(row[0])

    def take(self, id: str) -> bool:
        """Take this one out; whether it was there."""
        return self._db.execute("DELETE FROM ids WHERE id = ?", (id,)).rowcount > 0

    def close(self) -> None:
        self._db.close()


async def all_ids(store: Store, ids: Ids) -> None:
    """Note every conversation that there is. One that is used while we page moves to the front of the listing, past
    us; so look again at what was used since we began, until there is nothing new."""
    since = None
    while True:
        began = time.time()
        if not await _note(store, ids, since):
            return
        since = began - _CLOCKS_S


async def _note(store: Store, ids: Ids, since: float | None) -> int:
    new, after = 0, None
    while page := await store.conversations(filter=Filter(since=since), limit=_PAGE, after=after):
        new += ids.add(record.id for record in page)
        after = Cursor(page[-1].updated_at, page[-1].id)
    return new


async def trees(store: Store, ids: Ids, *, whole: bool) -> AsyncGenerator[Tree, None]:
    """The trees of these conversations, by the smallest id among them, each once, and the ids are taken out. With
    `whole`, a tree comes with all of its conversations; else only with these. What has been deleted is left out."""
    while (id := ids.first()) is not None:
        try:
            tree = await read_tree(store, id)
        except NotFound:
            ids.take(id)
            continue
        asked = tuple(record for record in tree.records if ids.take(record.id))
        ids.take(id)
        yield tree if whole else tree._replace(records=asked)


async def read_tree(store: Store, id: str) -> Tree:
    """The tree of a conversation at one moment. Raises `NotFound`."""
    records = await store.family(id)
    for _ in range(_ATTEMPTS):
        turns = await store.tree(id)
        again = await store.family(id)
        if again == records:
            break
        records = again
    return _ended(records, turns)


def _ended(records: tuple[ConversationRecord, ...], turns: tuple[Turn, ...]) -> Tree:
    """The tree without turns in progress, in order. A conversation that stands on one stands on what that follows."""
    depths: dict[str | None, int] = {None: -1}
    stands: dict[str | None, str | None] = {}
    for turn in turns:
        if turn.status is TurnStatus.IN_PROGRESS or turn.parent not in depths:
            stands[turn.id] = stands.get(turn.parent)
        else:
            depths[turn.id] = depths[turn.parent] + 1
            stands[turn.id] = turn.id
    ended = sorted((turn for turn in turns if turn.id in depths), key=lambda turn: (depths[turn.id], turn.id))
    return Tree(tuple(_standing(record, stands) for record in records), tuple(ended))


def _standing(record: ConversationRecord, stands: dict[str | None, str | None]) -> ConversationRecord:
    head = stands.get(record.head)
    latest = record.latest if stands.get(record.latest) == record.latest else head
    if (head, latest) == (record.head, record.latest):
        return record
    return structs.replace(record, head=head, latest=latest)
