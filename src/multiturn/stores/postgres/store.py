"""`PostgresStore`: the store's contract on a PostgreSQL database, for any number of processes and machines.

All connections live on one thread; the SQL is in the modules beside this one, the schema in `migrations/`. Durable as
the server is: with its usual settings, what `begin`, `finish` and the others have returned from survives a power loss.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from multiturn.deltas import Draft
from multiturn.errors import InvalidInput
from multiturn.stores import following
from multiturn.stores.ending import Ends
from multiturn.stores.live import any_turn
from multiturn.stores.postgres import (
    addresses,
    api_keys,
    background,
    checking,
    conversations,
    deletion,
    life,
    live,
    locks,
    moving,
    notes,
    places,
    reading,
    resealing,
    search,
    usage,
    withdrawal,
)
from multiturn.stores.records import (
    EVERYTHING,
    HEAD,
    Collected,
    ConversationRecord,
    Cursor,
    Filter,
    Found,
    Head,
    KeyRecord,
    Retention,
    Statistics,
    UsageBy,
    UsageRow,
)
from multiturn.stores.sealing import Plain, Seal
from multiturn.stores.tenants import Tenanted
from multiturn.turns import Turn

if TYPE_CHECKING:
    from multiturn.stores.following import Stretch
    from multiturn.stores.postgres.connections import Connections
    from multiturn.stores.postgres.session import Session

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_COLLECTED_AT_ONCE = 20  # conversations between two looks at what is due


class PostgresStore(Tenanted):
    """`PostgresStore("postgresql://user:password@host/database")` keeps turns in that database.

    As `stores.base.Store`. The tables are in the schema `multiturn`, or in the URL's `?search_path=`; they are made at
    first use, and nothing is connected before. `connections` is the most that work may use at once, beside the one that
    shows that this process lives. `seal` encrypts what is written (`stores.sealing`). The password appears in no error.

    A connection that was lost is replaced. A call that was under way raises `StoreError` if its outcome is unknown;
    reading, `begin` and `finish` are tried once more first.
    """

    def __init__(self, url: str, *, seal: Seal | None = None, connections: int = 10) -> None:
        super().__init__()
        self._address = addresses.read(url)
        self._connections = _connections(self._address, seal or Plain(), connections)
        self._ends = Ends()
        self._close = weakref.finalize(self, self._connections.close)

    def __repr__(self) -> str:
        return f"PostgresStore({self.url!r})"

    @property
    def url(self) -> str:
        return self._address.shown

    @property
    def closed(self) -> bool:
        return self._connections.closed

    # --- tenants and their keys ---------------------------------------------------------------------------------

    async def tenants(self) -> tuple[str, ...]:
        return await self._read(conversations.tenants)

    async def create_key(self, record: KeyRecord) -> None:
        await self._write(lambda db: api_keys.create(db, record))

    async def key(self, digest: bytes) -> KeyRecord | None:
        return await self._read(lambda db: api_keys.find(db, digest))

    async def keys(self) -> tuple[KeyRecord, ...]:
        return await self._read(api_keys.every)

    async def revoke_key(self, id: str) -> None:
        await self._write(lambda db: api_keys.revoke(db, id))

    # --- conversations and turns --------------------------------------------------------------------------------

    async def conversation(self, id: str) -> ConversationRecord:
        return await self._read(lambda db: conversations.conversation(db, id))

    async def conversations(
        self, *, filter: Filter = EVERYTHING, limit: int = 100, after: Cursor | None = None
    ) -> tuple[ConversationRecord, ...]:
        return await self._read(lambda db: conversations.conversations(db, filter, limit, after))

    async def made(
        self,
        kind: str,
        *,
        filter: Filter = EVERYTHING,
        limit: int = 100,
        after: str | None = None,
        newest_first: bool = False,
    ) -> tuple[ConversationRecord, ...]:
        return await self._read(lambda db: conversations.made(db, kind, filter, limit, after, newest_first))

    async def create(self, record: ConversationRecord) -> ConversationRecord:
        return await self._write(lambda db: conversations.create(db, record))

    async def update(self, conversation_id: str, *, metadata: dict[str, str] | None) -> ConversationRecord:
        return await self._write(lambda db: conversations.update(db, conversation_id, metadata))

    async def turn(self, id: str) -> Turn:
        return await self._read(lambda db: reading.turn(db, id))

    async def path(self, head: str, *, after: str | None = None) -> tuple[Turn, ...]:
        return await self._read(lambda db: reading.path(db, head, after))

    async def tree(self, conversation_id: str) -> tuple[Turn, ...]:
        async def tree(db: Session) -> tuple[Turn, ...]:
            return await reading.tree(db, await places.tree_of(db, conversation_id))

        return await self._read(tree)

    async def family(self, conversation_id: str) -> tuple[ConversationRecord, ...]:
        return await self._read(lambda db: conversations.family(db, conversation_id))

    # --- a turn's life ------------------------------------------------------------------------------------------

    async def begin(
        self,
        turn: Turn,
        *,
        parent: str | Head | None = HEAD,
        user: str | None = None,
        metadata: dict[str, str] | None = None,
        key: str | None = None,
        kind: str | None = None,
    ) -> Turn:
        new = ConversationRecord(id=turn.conversation, user=user, metadata=metadata, kind=kind)
        runner = self._connections.runner
        return await self._write(lambda db: life.begin(db, runner, turn, parent=parent, new=new, key=key), again=True)

    def append(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        self._connections.submit_drafts(self._tenant, turn_id, _encode(drafts))

    async def keep(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        runner, body = self._connections.runner, _encode(drafts)
        await self._write(lambda db: runner.keep_durably(db, turn_id, body))

    async def reopen(self, turn_id: str) -> Turn:
        self._ends.forget(self._tenant, turn_id)
        return await self._write(lambda db: life.reopen(db, self._connections.runner, turn_id))

    async def finish(self, turn: Turn) -> None:
        await self._ends.write(self._finish, self._tenant, turn)

    async def _finish(self, tenant: str, turn: Turn) -> None:
        runner = self._connections.runner
        finishing = self._connections.submit(lambda db: life.finish(db, runner, turn), tenant, again=True)
        await asyncio.shield(asyncio.wrap_future(finishing))

    async def move_head(self, conversation_id: str, head: str | None) -> None:
        await self._write(lambda db: life.move_head(db, self._connections.runner, conversation_id, head))

    # --- in the background --------------------------------------------------------------------------------------

    def follow(self, turn_id: str) -> AsyncGenerator[Sequence[Draft] | Turn, None]:
        runner, listener = self._connections.runner, self._connections.listener

        async def stretch(db: Session, last: int) -> Stretch:
            await listener.ready()
            return await live.stretch(db, runner, turn_id, last)

        return following.follow(
            turn_id,
            self._connections.followers,
            lambda last: self._read(lambda db: stretch(db, last)),
            lambda: self._write(lambda db: live.close_left(db, runner, turn_id)),
            every_s=live.EVERY_S,
        )

    async def cancel(self, turn_id: str) -> Turn:
        return await self._write(lambda db: live.cancel(db, self._connections.runner, turn_id))

    async def cancelled(self) -> frozenset[str]:
        return await self._read(lambda db: live.cancelled(db, self._connections.runner))

    async def take(self, can: Callable[[Turn], bool] = any_turn) -> tuple[str, Turn] | None:
        return await self._write(lambda db: live.take(db, self._connections.runner, can))

    async def recover(self) -> None:
        await self._write(lambda db: locks.recover(db, self._connections.runner))

    async def forget_drafts(self, before: float) -> int:
        total = 0
        while count := await self._write(lambda db: background.forget(db, before)):
            total += count
        return total

    async def withdraw(self, turn_id: str) -> None:
        await self._write(lambda db: withdrawal.withdraw(db, self._connections.runner, turn_id))

    # --- finding ------------------------------------------------------------------------------------------------

    def note(self, turn_id: str, digest: bytes) -> None:
        self._connections.submit_note(self._tenant, turn_id, digest)

    async def noted(self, digests: Sequence[bytes]) -> tuple[bytes, str] | None:
        return await self._read(lambda db: notes.noted(db, digests))

    async def search(self, words: str, *, user: str | None = None, limit: int = 20) -> tuple[Found, ...]:
        return await self._read(lambda db: search.search(db, words, user, limit))

    async def usage(
        self, by: UsageBy, *, since: float | None = None, until: float | None = None
    ) -> tuple[UsageRow, ...]:
        return await self._read(lambda db: usage.usage(db, by, since, until))

    async def statistics(self) -> Statistics:
        return await self._read(usage.statistics)

    # --- letting go ---------------------------------------------------------------------------------------------

    async def delete(self, conversation_id: str) -> None:
        await self._write(lambda db: deletion.delete(db, self._connections.runner, conversation_id))

    async def delete_turn(self, turn_id: str) -> int:
        return await self._write(lambda db: deletion.delete_turn(db, self._connections.runner, turn_id))

    async def delete_user(self, user: str) -> int:
        return await self._write(lambda db: deletion.delete_user(db, self._connections.runner, user))

    async def collect(self, retention: Retention) -> Collected:
        """As `Store.collect`; `freed_bytes` are the rows', whose place the server's vacuum makes free."""
        runner, total = self._connections.runner, Collected()
        for view in [self] if self._tenant else [self.tenant(name) for name in await self.tenants()]:
            while gone := await view._write(lambda db: deletion.collect(db, runner, retention, _COLLECTED_AT_ONCE)):
                total = Collected(
                    conversations=total.conversations + sum(each.conversations for each in gone),
                    turns=total.turns + sum(each.turns for each in gone),
                    attachments=total.attachments + sum(each.attachments for each in gone),
                    freed_bytes=total.freed_bytes + sum(each.freed_bytes for each in gone),
                )
        return total

    # --- moving and checking ------------------------------------------------------------------------------------

    async def restore(self, records: Sequence[ConversationRecord], turns: Sequence[Turn]) -> None:
        await self._write(lambda db: moving.restore(db, records, turns))

    async def reseal(self) -> int:
        total = 0
        for tenant, tree in await self._read(resealing.trees):
            view = self.tenant(tenant)
            await view._write(functools.partial(resealing.prepare, tree=tree))
            last, count = places.Place(tree, 0, 0), 1  # branches count from 1
            while count:
                last, count = await view._write(functools.partial(resealing.some_turns, after=last))
                total += count
        return total

    async def check(self) -> tuple[str, ...]:
        return await self._read(checking.check)

    async def aclose(self) -> None:
        if self._whole is None:
            await asyncio.to_thread(self._close)

    async def _read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        return await asyncio.wrap_future(self._connections.submit(work, self._tenant, again=True))

    async def _write(self, work: Callable[[Session], Awaitable[T]], *, again: bool = False) -> T:
        """Goes on to the end where whoever waits for it does not."""
        if self._ends:
            await self._ends.write_waiting(self._finish)
        return await asyncio.shield(asyncio.wrap_future(self._connections.submit(work, self._tenant, again=again)))


def _connections(address: addresses.Address, seal: Seal, most: int) -> Connections:
    try:
        from multiturn.stores.postgres.connections import Connections
    except ImportError as error:
        raise InvalidInput("PostgreSQL needs a driver: pip install 'multiturn[postgres]'") from error
    return Connections(address, seal=seal, most=most)
