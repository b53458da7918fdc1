"""`SQLiteStore`: turns in a SQLite file, the default store, or in memory.

One thread writes, one reads; the SQL is in `sqlite_tree.py`, the schema in `migrations/sqlite/`. Durable as SQLite's
WAL mode with `synchronous=FULL` is: what `begin`, `finish` and the others have returned from survives a power loss.
"""

from __future__ import annotations

import asyncio
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from multiturn.deltas import Delta
from multiturn.stores import sqlite_tree as tree
from multiturn.stores.base import HEAD, ConversationRecord, Head
from multiturn.stores.runners import Runner
from multiturn.stores.schema import connect
from multiturn.stores.worker import InlineWorker, Worker
from multiturn.turns import Turn

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class SQLiteStore:
    """`SQLiteStore("chats.db")` keeps turns in that file; `SQLiteStore()` in memory, for as long as it lives.

    As `stores.base.Store`. Any number of processes of one machine may use one file. The file is opened at first use.
    """

    def __init__(self, database: str | Path | None = None) -> None:
        self._database = None if database is None else Path(database).absolute()
        self._runner = Runner(self._database)
        self._reader, self._writer = _workers(self._database)
        self._recovery = self._writer.submit(_recovery(self._runner))
        self._close = weakref.finalize(self, _close, self._reader, self._writer, self._runner)

    @property
    def url(self) -> str:
        return "sqlite://" if self._database is None else f"sqlite:///{self._database}"

    @property
    def closed(self) -> bool:
        return not self._close.alive

    async def conversation(self, id: str) -> ConversationRecord:
        return await self._read(lambda db: tree.conversation(db, id))

    async def conversations(self, *, limit: int = 100, before: float | None = None) -> tuple[ConversationRecord, ...]:
        return await self._read(lambda db: tree.conversations(db, limit, before))

    async def create(self, record: ConversationRecord) -> ConversationRecord:
        return await self._write(lambda db: tree.create(db, record))

    async def turn(self, id: str) -> Turn:
        return await self._read(lambda db: tree.turn(db, id))

    async def path(self, head: str) -> tuple[Turn, ...]:
        return await self._read(lambda db: tree.path(db, head))

    async def tree(self, conversation_id: str) -> tuple[Turn, ...]:
        return await self._read(lambda db: tree.tree(db, conversation_id))

    async def begin(
        self, turn: Turn, *, parent: str | Head | None = HEAD, metadata: dict[str, str] | None = None
    ) -> Turn:
        runner = self._runner
        return await self._write(
            lambda db: tree.begin(db, turn, parent=parent, metadata=metadata, runner=runner.id, is_gone=runner.is_gone)
        )

    def append(self, turn_id: str, deltas: Sequence[Delta]) -> None:
        body = _encode(deltas)
        self._writer.submit(lambda db: tree.append(db, turn_id, body), durable=False)

    async def finish(self, turn: Turn) -> None:
        runner = self._runner
        await self._write(lambda db: tree.finish(db, turn, runner=runner.id))

    async def move_head(self, conversation_id: str, head: str | None) -> None:
        is_gone = self._runner.is_gone
        await self._write(lambda db: tree.move_head(db, conversation_id, head, is_gone))

    async def delete(self, conversation_id: str) -> None:
        is_gone = self._runner.is_gone
        await self._write(lambda db: tree.delete(db, conversation_id, is_gone))

    async def aclose(self) -> None:
        await asyncio.to_thread(self._close)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self._recovery.done():
            await asyncio.wrap_future(self._recovery)
        return await asyncio.wrap_future(self._reader.submit(work))

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(work))


def _workers(database: Path | None) -> tuple[Worker | InlineWorker, Worker | InlineWorker]:
    """The reader and the writer; one and the same for a database in memory."""
    if database is None:
        inline = InlineWorker(lambda: connect(None))
        return inline, inline
    return (
        Worker(lambda: connect(database), begin="BEGIN", name="multiturn-read"),
        Worker(lambda: connect(database), begin="BEGIN IMMEDIATE", name="multiturn-write"),
    )


def _recovery(runner: Runner) -> Callable[[sqlite3.Connection], None]:
    """What a store does first: end what crashed processes have left."""

    def recover(db: sqlite3.Connection) -> None:
        tree.recover(db, runner.is_gone)
        runner.sweep()

    return recover


def _close(reader: Worker | InlineWorker, writer: Worker | InlineWorker, runner: Runner) -> None:
    """Without the store itself, so that it can run when the store is collected, and at the interpreter's exit."""
    writer.close()
    reader.close()
    runner.close()
