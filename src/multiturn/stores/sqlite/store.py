"""`SQLiteStore`: the store's contract on a SQLite file, or in memory.

One thread writes, one reads; the SQL is in the modules beside this one, the schema in `migrations/`. Durable as
SQLite's WAL mode with `synchronous=FULL` is: what `begin`, `finish` and the others have returned from survives a power
loss.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from multiturn.deltas import Draft
from multiturn.stores import following
from multiturn.stores.ending import Ends
from multiturn.stores.live import any_turn
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
from multiturn.stores.sqlite import (
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
    reading,
    resealing,
    search,
    usage,
    withdrawal,
)
from multiturn.stores.sqlite.inline import InlineWorker
from multiturn.stores.sqlite.runners import Runner
from multiturn.stores.sqlite.schema import Connection, connect
from multiturn.stores.sqlite.worker import Duties, Worker
from multiturn.stores.tenants import Tenanted
from multiturn.turns import Turn

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_COLLECTED_AT_ONCE = 20  # conversations in one transaction


class SQLiteStore(Tenanted):
    """`SQLiteStore("chats.db")` keeps turns in that file; `SQLiteStore()` in memory, for as long as it lives.

    As `stores.base.Store`. Any number of processes of one machine may use one file. The file is opened at first use.
    `seal` encrypts what is written (`stores.sealing`).
    """

    def __init__(self, database: str | Path | None = None, *, seal: Seal | None = None) -> None:
        super().__init__()
        self._database = None if database is None else Path(database).absolute()
        self._seal = seal or Plain()
        self._runner = Runner(self._database)
        self._followers = following.Followers()
        self._reader, self._writer = reader, _ = _workers(self._database, _duties(self._seal, self._followers))
        self._ends = Ends()
        self._running: dict[tuple[str, str], life.Running] = {}  # what was begun here, by tenant and id
        self._recovery = self._writer.submit(_recovery(self._seal, self._runner))
        self._recovery.add_done_callback(lambda _: reader.submit(_open))
        self._close = weakref.finalize(self, _close, self._reader, self._writer, self._runner)

    @property
    def url(self) -> str:
        return "sqlite://" if self._database is None else f"sqlite:///{self._database}"

    @property
    def closed(self) -> bool:
        return not self._close.alive

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
        return await self._read(lambda db: conversations.conversation(db, self._seal, self._tenant, id))

    async def conversations(
        self, *, filter: Filter = EVERYTHING, limit: int = 100, after: Cursor | None = None
    ) -> tuple[ConversationRecord, ...]:
        tenant = self._tenant
        return await self._read(lambda db: conversations.conversations(db, self._seal, tenant, filter, limit, after))

    async def made(
        self,
        kind: str,
        *,
        filter: Filter = EVERYTHING,
        limit: int = 100,
        after: str | None = None,
        newest_first: bool = False,
    ) -> tuple[ConversationRecord, ...]:
        seal, tenant = self._seal, self._tenant
        return await self._read(
            lambda db: conversations.made(db, seal, tenant, kind, filter, limit, after, newest_first)
        )

    async def create(self, record: ConversationRecord) -> ConversationRecord:
        return await self._write(lambda db: conversations.create(db, self._seal, self._tenant, record))

    async def update(self, conversation_id: str, *, metadata: dict[str, str] | None) -> ConversationRecord:
        return await self._write(
            lambda db: conversations.update(db, self._seal, self._tenant, conversation_id, metadata)
        )

    async def turn(self, id: str) -> Turn:
        return await self._read(lambda db: reading.turn(db, self._seal, self._tenant, id))

    async def path(self, head: str, *, after: str | None = None) -> tuple[Turn, ...]:
        return await self._read(lambda db: reading.path(db, self._seal, self._tenant, head, after))

    async def tree(self, conversation_id: str) -> tuple[Turn, ...]:
        return await self._read(lambda db: reading.tree(db, self._seal, self._tenant, conversation_id))

    async def family(self, conversation_id: str) -> tuple[ConversationRecord, ...]:
        return await self._read(lambda db: conversations.family(db, self._seal, self._tenant, conversation_id))

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
        begun, running = await self._write(
            lambda db: life.begin(
                db,
                self._seal,
                self._tenant,
                turn,
                parent=parent,
                new=new,
                key=key,
                runner=self._runner.id,
                is_gone=self._runner.is_gone,
            )
        )
        if running is not None:
            self._running[self._tenant, begun.id] = running
        return begun

    def append(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        self._writer.stream((self._tenant, turn_id, _encode(drafts)))

    async def keep(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        piece = self._tenant, turn_id, _encode(drafts)
        await self._write(lambda db: life.append(db, self._seal, [piece]))
        self._followers.wake(turn_id)

    async def reopen(self, turn_id: str) -> Turn:
        runner, tenant = self._runner, self._tenant
        self._ends.forget(tenant, turn_id)
        return await self._write(lambda db: life.reopen(db, self._seal, tenant, turn_id, runner.id, runner.is_gone))

    async def finish(self, turn: Turn) -> None:
        await self._ends.write(self._finish, self._tenant, turn)

    async def _finish(self, tenant: str, turn: Turn) -> None:
        runner, running = self._runner.id, self._running.get((tenant, turn.id))
        await self._writer.do(lambda db: life.finish(db, self._seal, tenant, turn, runner=runner, running=running))
        self._running.pop((tenant, turn.id), None)
        self._followers.wake(turn.id)

    async def move_head(self, conversation_id: str, head: str | None) -> None:
        is_gone, tenant = self._runner.is_gone, self._tenant
        await self._write(lambda db: life.move_head(db, self._seal, tenant, conversation_id, head, is_gone))

    # --- in the background --------------------------------------------------------------------------------------

    def follow(self, turn_id: str) -> AsyncGenerator[Sequence[Draft] | Turn, None]:
        seal, tenant, is_gone = self._seal, self._tenant, self._runner.is_gone
        stretch = live.following(seal, tenant, turn_id, self._runner)

        async def close() -> None:
            await self._write(lambda db: live.close_left(db, seal, tenant, turn_id, is_gone))
            self._followers.wake(turn_id)

        return following.follow(
            turn_id,
            self._followers,
            lambda last: self._read(lambda db: stretch(db, last)),
            close,
            every_s=live.EVERY_S,
        )

    async def cancel(self, turn_id: str) -> Turn:
        is_gone, tenant = self._runner.is_gone, self._tenant
        return await self._write(lambda db: live.cancel(db, self._seal, tenant, turn_id, is_gone))

    async def cancelled(self) -> frozenset[str]:
        return await self._read(lambda db: live.cancelled(db, self._runner.runs))

    async def take(self, can: Callable[[Turn], bool] = any_turn) -> tuple[str, Turn] | None:
        runner = self._runner
        return await self._write(lambda db: live.take(db, self._seal, runner.id, runner.is_gone, can))

    async def recover(self) -> None:
        await self._write(lambda db: locks.recover(db, self._seal, self._runner.is_gone))

    async def forget_drafts(self, before: float) -> int:
        total = 0
        while count := await self._write(lambda db: background.forget(db, before)):
            total += count
        return total

    async def withdraw(self, turn_id: str) -> None:
        is_gone, tenant = self._runner.is_gone, self._tenant
        await self._write(lambda db: withdrawal.withdraw(db, self._seal, tenant, turn_id, is_gone))

    # --- finding ------------------------------------------------------------------------------------------------

    def note(self, turn_id: str, digest: bytes) -> None:
        seal, tenant = self._seal, self._tenant
        self._writer.submit(lambda db: notes.note(db, seal, tenant, turn_id, digest), durable=False)

    async def noted(self, digests: Sequence[bytes]) -> tuple[bytes, str] | None:
        return await self._read(lambda db: notes.noted(db, self._seal, self._tenant, digests))

    async def search(self, words: str, *, user: str | None = None, limit: int = 20) -> tuple[Found, ...]:
        return await self._read(lambda db: search.search(db, self._seal, self._tenant, words, user, limit))

    async def usage(
        self, by: UsageBy, *, since: float | None = None, until: float | None = None
    ) -> tuple[UsageRow, ...]:
        return await self._read(lambda db: usage.usage(db, self._seal, self._tenant, by, since, until))

    async def statistics(self) -> Statistics:
        return await self._read(lambda db: usage.statistics(db, self._tenant))

    # --- letting go ---------------------------------------------------------------------------------------------

    async def delete(self, conversation_id: str) -> None:
        is_gone, tenant = self._runner.is_gone, self._tenant
        await self._write(lambda db: deletion.delete(db, self._seal, tenant, conversation_id, is_gone))

    async def delete_turn(self, turn_id: str) -> int:
        return await self._write(lambda db: deletion.delete_turn(db, self._seal, self._tenant, turn_id))

    async def delete_user(self, user: str) -> int:
        is_gone, tenant = self._runner.is_gone, self._tenant
        return await self._write(lambda db: deletion.delete_user(db, self._seal, tenant, user, is_gone))

    async def collect(self, retention: Retention) -> Collected:
        total = Collected()
        while gone := await self._write(lambda db: self._collect_some(db, retention)):
            total = Collected(
                conversations=total.conversations + sum(each.conversations for each in gone),
                turns=total.turns + sum(each.turns for each in gone),
                attachments=total.attachments + sum(each.attachments for each in gone),
            )
        freed_bytes = await self._write(deletion.shrink)
        return msgspec.structs.replace(total, freed_bytes=freed_bytes)

    def _collect_some(self, db: Connection, retention: Retention) -> list[Collected]:
        due = deletion.due(db, self._tenant or None, retention, _COLLECTED_AT_ONCE)
        return [deletion.delete(db, self._seal, tenant, id, self._runner.is_gone) for tenant, id in due]

    # --- moving and checking ------------------------------------------------------------------------------------

    async def restore(self, records: Sequence[ConversationRecord], turns: Sequence[Turn]) -> None:
        await self._write(lambda db: moving.restore(db, self._seal, self._tenant, records, turns))

    async def reseal(self) -> int:
        await self._write(lambda db: resealing.prepare(db, self._seal))
        last = total = 0
        while True:
            last, count = await self._write(functools.partial(resealing.some_turns, seal=self._seal, after=last))
            if not count:
                return total
            total += count

    async def check(self) -> tuple[str, ...]:
        return await self._read(lambda db: checking.check(db, self._seal))

    async def aclose(self) -> None:
        if self._whole is None:
            await asyncio.to_thread(self._close)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        if not self._recovery.done():
            await asyncio.wrap_future(self._recovery)
        return await self._reader.do(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        if self._ends:
            await self._ends.write_waiting(self._finish)
        return await self._writer.do(work)


def _workers(database: Path | None, duties: Duties) -> tuple[Worker | InlineWorker, Worker | InlineWorker]:
    """The reader and the writer; one and the same for a database in memory."""
    if database is None:
        inline = InlineWorker(lambda: connect(None), duties)
        return inline, inline
    return (
        Worker(lambda: connect(database), begin="BEGIN", name="multiturn-read"),
        Worker(lambda: connect(database), begin="BEGIN IMMEDIATE", name="multiturn-write", duties=duties),
    )


def _duties(seal: Seal, followers: following.Followers) -> Duties:
    """What the writer does beside what is asked of it; without the store itself, so that it can be collected."""
    return Duties(
        write=lambda db, pieces: life.append(db, seal, pieces),
        written=followers.wake_all,
        chore=lambda db: search.index(db, seal),
    )


def _open(_: Connection) -> None:
    """Nothing, but that the connection is there afterwards: its first reader would wait for it."""


def _recovery(seal: Seal, runner: Runner) -> Callable[[Connection], None]:
    """What a store does first: end what crashed processes have left."""

    def recover(db: Connection) -> None:
        locks.recover(db, seal, runner.is_gone)
        runner.sweep()

    return recover


def _close(reader: Worker | InlineWorker, writer: Worker | InlineWorker, runner: Runner) -> None:
    """Without the store itself, so that it can run when the store is collected, and at the interpreter's exit."""
    writer.close()
    reader.close()
    runner.close()
