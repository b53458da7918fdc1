"""A turn's end that could not be written, and a lock that was lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multiturn.errors import ConversationBusy, StoreError
from multiturn.stores.postgres import PostgresStore
from multiturn.stores.sqlite import SQLiteStore
from multiturn.turns import TurnStatus
from stores.saying import ended, new_turn, say
from stores.urls import fresh_url

LONG = "so it was " * 20_000
PATIENCE_S = 20.0


@pytest.fixture
async def on_disk(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "chats.db")
    yield store
    await store.aclose()


@pytest.fixture
async def in_postgres(tmp_path: Path) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(fresh_url("postgres", tmp_path))
    yield store
    await store.aclose()


async def fill(store: SQLiteStore, *, full: bool) -> None:
    """Let SQLite find no room any more, or let it have room again."""
    await store._write(lambda db: db.execute(f"PRAGMA max_page_count = {1 if full else 1_000_000}").fetchone())


async def test_a_turn_that_ends_on_a_full_disk_ends_as_soon_as_there_is_room(on_disk: SQLiteStore) -> None:
    turn = await on_disk.begin(new_turn("c"))
    await fill(on_disk, full=True)
    with pytest.raises(StoreError, match="full"):
        await on_disk.finish(ended(turn, text=LONG))
    await on_disk.recover()
    assert (await on_disk.turn(turn.id)).status is TurnStatus.IN_PROGRESS
    await fill(on_disk, full=False)
    await on_disk.recover()
    assert await on_disk.turn(turn.id) == ended(turn, text=LONG)
    assert await on_disk.check() == ()


async def test_whoever_comes_next_need_not_wait_for_the_sweep(on_disk: SQLiteStore) -> None:
    turn = await on_disk.begin(new_turn("c"))
    await fill(on_disk, full=True)
    with pytest.raises(StoreError):
        await on_disk.finish(ended(turn, text=LONG))
    await fill(on_disk, full=False)
    assert (await say(on_disk, "c")).parent == turn.id


async def test_of_two_ends_that_could_not_be_written_the_last_counts(on_disk: SQLiteStore) -> None:
    turn = await on_disk.begin(new_turn("c"))
    await fill(on_disk, full=True)
    for status in (TurnStatus.COMPLETED, TurnStatus.FAILED):
        with pytest.raises(StoreError):
            await on_disk.finish(ended(turn, status, text=LONG))
    await fill(on_disk, full=False)
    await on_disk.recover()
    assert (await on_disk.turn(turn.id)).status is TurnStatus.FAILED


async def test_an_end_that_nobody_waits_for_is_written_once(on_disk: SQLiteStore) -> None:
    turn = await on_disk.begin(new_turn("c"))
    finishing = asyncio.create_task(on_disk.finish(ended(turn)))
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.wait([finishing])
    await on_disk.recover()
    assert await on_disk.turn(turn.id) == ended(turn)
    assert (await on_disk.conversation("c")).head == turn.id


async def test_a_paused_turn_that_goes_on_is_not_ended_by_what_was_left(on_disk: SQLiteStore) -> None:
    turn = await on_disk.begin(new_turn("c"))
    finishing = asyncio.create_task(on_disk.finish(ended(turn, TurnStatus.PAUSED)))
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.wait([finishing])
    await on_disk.reopen(turn.id)
    await on_disk.recover()
    assert (await on_disk.turn(turn.id)).status is TurnStatus.IN_PROGRESS


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def sql(store: PostgresStore, statement: str) -> str:
    """What the tests' own server says to a statement on this store's schema."""
    from stores import postgres_server

    schema = store.url.partition("search_path=")[2]
    return postgres_server.shared().sql(statement.replace("SCHEMA", schema))


SESSIONS = "FROM pg_stat_activity a WHERE application_name = 'multiturn'"
LOCKS = "FROM pg_locks l WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted"


async def test_an_end_that_postgresql_would_not_take_is_written_when_it_does(in_postgres: PostgresStore) -> None:
    store = in_postgres
    turn = await store.begin(new_turn("c"))
    sql(store, "ALTER TABLE SCHEMA.running RENAME TO away")
    sql(store, f"SELECT pg_terminate_backend(pid) {SESSIONS}")
    with pytest.raises(StoreError):
        await store.finish(ended(turn))
    sql(store, "ALTER TABLE SCHEMA.away RENAME TO running")
    await store.recover()
    assert await store.turn(turn.id) == ended(turn)


async def test_a_turn_runs_on_where_the_connection_of_its_lock_is_cut(in_postgres: PostgresStore) -> None:
    turn = await in_postgres.begin(new_turn("c"))
    number = in_postgres._connections.runner._number
    mine = f"{LOCKS} AND (classid::bigint << 32) | objid::bigint = {number}"
    holder = sql(in_postgres, f"SELECT pid {mine}")
    sql(in_postgres, f"SELECT pg_terminate_backend({holder})")
    deadline = time.monotonic() + PATIENCE_S
    while sql(in_postgres, f"SELECT count(*) {mine} AND pid <> {holder}").strip() != "1":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    other = PostgresStore(in_postgres.url)
    await other.recover()
    with pytest.raises(ConversationBusy):
        await other.begin(new_turn("c"))
    await other.aclose()
    await in_postgres.finish(ended(turn))
    assert await in_postgres.turn(turn.id) == ended(turn)


async def test_a_lock_that_a_lost_session_still_holds_is_taken_from_it(in_postgres: PostgresStore) -> None:
    turn = await in_postgres.begin(new_turn("c"))
    runner = in_postgres._connections.runner
    number, kept = runner._number, runner._connection
    runner._connection = None  # as where the network is cut, and the server has not noticed
    await say(in_postgres, "d")
    assert runner._number == number
    await in_postgres.finish(ended(turn))
    assert kept is not None
    kept.terminate()


async def test_who_has_lost_its_connections_gives_others_time_to_come_back(in_postgres: PostgresStore) -> None:
    gone = PostgresStore(in_postgres.url)
    turn = await gone.begin(new_turn("c"))
    with pytest.raises(ConversationBusy):
        await in_postgres.begin(new_turn("c"))
    sql(in_postgres, f"SELECT pg_terminate_backend(pid) {SESSIONS}")
    await gone.aclose()  # it does not come back
    with pytest.raises(ConversationBusy):
        await in_postgres.begin(new_turn("c"))
    in_postgres._connections._pool._lost_at -= 60  # type: ignore[union-attr]
    in_postgres._connections._pool.drop()  # type: ignore[union-attr]
    assert (await in_postgres.begin(new_turn("c"))).parent is None
    assert (await in_postgres.turn(turn.id)).reason == "crashed"
