"""`SQLiteStore`: the store's contract on a SQLite file, or in memory.

One thread writes, one reads; the SQL is in the modules beside this one, the schema in `migrations/`. Durable as
SQLite's WAL mode with `synchronous=FULL` is: what `begin`, `finish` and the others have returned from survives a power
loss.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from multiturn.deltas import Draft
from multiturn.stores.records import (
    EVERYTHING,
    HEAD,
    Collected,
    ConversationRecord,
    Cursor,
    Filter,
    Found,
    Head,
    Retention,
    Statistics,
    UsageBy,
    UsageRow,
)
from multiturn.stores.sealing import Plain, Seal
from multiturn.stores.sqlite import (
    checking,
    conversations,
    deletion,
    life,
    locks,
    moving,
    reading,
    resealing,
    search,
    usage,
)
from multiturn.stores.sqlite.runners import Runner
from multiturn.stores.sqlite.schema import connect
from multiturn.stores.sqlite.worker import InlineWorker, Worker
from multiturn.turns import Turn

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_COLLECTED_AT_ONCE = 20  # conversations in one transaction


class SQLiteStore:
    """`SQLiteStore("chats.db")` keeps turns in that file; `SQLiteStore()` in memory, for as long as it lives.

    As `stores.base.Store`. Any number of processes of one machine may use one file. The file is opened at first use.
    `seal` encrypts what is written (`stores.sealing`).
    """

    def __init__(self, database: str | Path | None = None, *, seal: Seal | None = None) -> None:
        self._database = None if database is None else Path(database).absolute()
        self._seal = seal or Plain()
        self._runner = Runner(self._database)
        self._reader, self._writer = _workers(self._database)
        self._recovery = self._writer.submit(_recovery(self._seal, self._runner))
        self._close = weakref.finalize(self, _close, self._reader, self._writer, self._runner)

    @property
    def url(self) -> str:
        return "sqlite://" if self._database is None else f"sqlite:///{self._database}"

    @property
    def closed(self) -> bool:
        return not self._close.alive

    # --- conversations and turns --------------------------------------------------------------------------------

    async def conversation(self, id: str) -> ConversationRecord:
        return await self._read(lambda db: conversations.conversation(db, self._seal, id))

    async def conversations(
        self, *, filter: Filter = EVERYTHING, limit: int = 100, after: Cursor | None = None
    ) -> tuple[ConversationRecord, ...]:
        return await self._read(lambda db: conversations.conversations(db, self._seal, filter, limit, after))

    async def create(self, record: ConversationRecord) -> ConversationRecord:
        return await self._write(lambda db: conversations.create(db, self._seal, record))

    async def turn(self, id: str) -> Turn:
        return await self._read(lambda db: reading.turn(db, self._seal, id))

    async def path(self, head: str, *, after: str | None = None) -> tuple[Turn, ...]:
        return await self._read(lambda db: reading.path(db, self._seal, head, after))

    async def tree(self, conversation_id: str) -> tuple[Turn, ...]:
        return await self._read(lambda db: reading.tree(db, self._seal, conversation_id))

    async def family(self, conversation_id: str) -> tuple[ConversationRecord, ...]:
        return await self._read(lambda db: conversations.family(db, self._seal, conversation_id))

    # --- a turn's life ------------------------------------------------------------------------------------------

    async def begin(
        self,
        turn: Turn,
        *,
        parent: str | Head | None = HEAD,
        user: str | None = None,
        metadata: dict[str, str] | None = None,
        key: str | None = None,
    ) -> Turn:
        new = ConversationRecord(id=turn.conversation, user=user, metadata=metadata)
        return await self._write(
            lambda db: life.begin(
                db,
                self._seal,
                turn,
                parent=parent,
                new=new,
                key=key,
                runner=self._runner.id,
                is_gone=self._runner.is_gone,
            )
        )

    def append(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        body, seal = _encode(drafts), self._seal
        self._writer.submit(lambda db: life.append(db, seal, turn_id, body), durable=False)

    async def keep(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        body = _encode(drafts)
        await self._write(lambda db: life.append(db, self._seal, turn_id, body))

    async def reopen(self, turn_id: str) -> Turn:
        runner = self._runner
        return await self._write(lambda db: life.reopen(db, self._seal, turn_id, runner.id, runner.is_gone))

    async def finish(self, turn: Turn) -> None:
        await self._write(lambda db: life.finish(db, self._seal, turn, runner=self._runner.id))

    async def move_head(self, conversation_id: str, head: str | None) -> None:
        is_gone = self._runner.is_gone
        await self._write(lambda db: life.move_head(db, self._seal, conversation_id, head, is_gone))

    # --- finding ------------------------------------------------------------------------------------------------

    async def search(self, words: str, *, user: str | None = None, limit: int = 20) -> tuple[Found, ...]:
        return await self._read(lambda db: search.search(db, self._seal, words, user, limit))

    async def usage(
        self, by: UsageBy, *, since: float | None = None, until: float | None = None
    ) -> tuple[UsageRow, ...]:
        return await self._read(lambda db: usage.usage(db, self._seal, by, since, until))

    async def statistics(self) -> Statistics:
        return await self._read(usage.statistics)

    # --- letting go ---------------------------------------------------------------------------------------------

    async def delete(self, conversation_id: str) -> None:
        await self._write(lambda db: deletion.delete(db, self._seal, conversation_id, self._runner.is_gone))

    async def delete_turn(self, turn_id: str) -> int:
        return await self._write(lambda db: deletion.delete_turn(db, self._seal, turn_id))

    async def delete_user(self, user: str) -> int:
        return await self._write(lambda db: deletion.delete_user(db, self._seal, user, self._runner.is_gone))

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

    def _collect_some(self, db: sqlite3.Connection, retention: Retention) -> list[Collected]:
        ids = deletion.due(db, retention, _COLLECTED_AT_ONCE)
        return [deletion.delete(db, self._seal, id, self._runner.is_gone) for id in ids]

    # --- moving and checking ------------------------------------------------------------------------------------

    async def restore(self, records: Sequence[ConversationRecord], turns: Sequence[Turn]) -> None:
        await self._write(lambda db: moving.restore(db, self._seal, records, turns))

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
        await asyncio.to_thread(self._close)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self._recovery.done():
            await asyncio.wrap_future(self._recovery)
        return await self._reader.do(work)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._writer.do(work)


def _workers(database: Path | None) -> tuple[Worker | InlineWorker, Worker | InlineWorker]:
    """The reader and the writer; one and the same for a database in memory."""
    if database is None:
        inline = InlineWorker(lambda: connect(None))
        return inline, inline
    return (
        Worker(lambda: connect(database), begin="BEGIN", name="multiturn-read"),
        Worker(lambda: connect(database), begin="BEGIN IMMEDIATE", name="multiturn-write"),
    )


def _recovery(seal: Seal, runner: Runner) -> Callable[[sqlite3.Connection], None]:
    """What a store does first: end what crashed processes have left."""

    def recover(db: sqlite3.Connection) -> None:
        locks.recover(db, seal, runner.is_gone)
        runner.sweep()

    return recover


def _close(reader: Worker | InlineWorker, writer: Worker | InlineWorker, runner: Runner) -> None:
    """Without the store itself, so that it can run when the store is collected, and at the interpreter's exit."""
    writer.close()
    reader.close()
    runner.close()
