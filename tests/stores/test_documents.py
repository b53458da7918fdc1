"""What SQLite's index has of what was said, and when; what is written soon and not at once."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

from multiturn.deltas import TextDelta
from multiturn.stores import rows
from multiturn.stores.base import Store
from multiturn.stores.records import Retention
from multiturn.stores.sqlite import SQLiteStore, schema, search
from multiturn.turns import Turn
from stores.saying import ended, new_turn, say

PLACE = 7 << 24  # the first place on branch 7


def asked(file: Path, statement: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(file)
    with db:
        rows = db.execute(statement).fetchall()
    db.close()
    return rows


def indexed(file: Path, word: str) -> int:
    return len(asked(file, f"SELECT rowid FROM said WHERE said MATCH '{word}'"))


async def found(store: Store, words: str) -> list[str]:
    return [hit.turn.id for hit in await store.search(words)]


async def test_what_was_said_is_found_before_it_is_indexed_and_after(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    first, second = await say(store, "c", "apples and pears"), await say(store, "c", "apples alone")
    assert indexed(tmp_path / "chats.db", "apples") == 0
    assert await found(store, "apples") == [second.id, first.id]
    await store.aclose()
    assert indexed(tmp_path / "chats.db", "apples") == 2
    store = SQLiteStore(tmp_path / "chats.db")
    third = await say(store, "c", "more apples")
    assert await found(store, "apples") == [third.id, second.id, first.id]
    assert await found(store, "pears") == [first.id]
    await store.aclose()


async def test_what_a_killed_process_has_not_indexed_is_found_all_the_same(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    turn = await say(store, "c", "apples")
    for file in tmp_path.glob("chats.db*"):
        if "runner" not in file.name:
            shutil.copy(file, tmp_path / file.name.replace("chats", "left"))
    await store.aclose()
    store = SQLiteStore(tmp_path / "left.db")
    assert await found(store, "apples") == [turn.id]
    await store.aclose()
    assert indexed(tmp_path / "left.db", "apples") == 1


async def test_what_is_deleted_is_in_the_index_no_more_nor_comes_in(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    await say(store, "old", "apples")
    await store.aclose()
    store = SQLiteStore(tmp_path / "chats.db")
    await say(store, "new", "apples")
    await store.delete("old")
    await store.delete("new")
    after = await say(store, "c", "apples, again")
    await store.aclose()
    assert indexed(tmp_path / "chats.db", "apples") == 1
    store = SQLiteStore(tmp_path / "chats.db")
    assert await found(store, "apples") == [after.id]
    await store.aclose()


async def test_a_turn_that_cannot_be_read_does_not_keep_others_out_of_the_index(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    broken, whole = await say(store, "b", "apples"), await say(store, "c", "apples")
    await store._write(lambda db: db.execute("UPDATE turns SET body = x'80ff' WHERE id = ?", (broken.id,)))
    await store.aclose()
    assert indexed(tmp_path / "chats.db", "apples") == 1
    store = SQLiteStore(tmp_path / "chats.db")
    assert await found(store, "apples") == [whole.id]
    await store.aclose()


async def test_more_is_indexed_than_fits_into_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_AT_ONCE", 2)
    store = SQLiteStore(tmp_path / "chats.db")
    for number in range(5):
        await say(store, "c", f"apple {number}")
    await store.aclose()
    assert indexed(tmp_path / "chats.db", "apple") == 5


async def test_pieces_are_kept_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    file = tmp_path / "chats.db"
    store = SQLiteStore(file)
    turns = [await store.begin(new_turn(name)) for name in ("c", "d")]
    for number in range(0, 30, 2):
        for turn in turns:
            store.append(turn.id, [TextDelta(str(number))])
            if number % 3 == 0:
                await store.keep(turn.id, [TextDelta(str(number + 1))])
            else:
                store.append(turn.id, [TextDelta(str(number + 1))])
    await store._write(lambda db: None)
    pieces = asked(file, "SELECT turn, body FROM deltas ORDER BY turn, position")
    said = [msgspec.json.decode(body)[0]["text"] for _, body in pieces]  # type: ignore[call-overload]
    assert said == [str(number) for number in range(30)] * 2
    for turn in turns:
        await store.finish(ended(turn))
    assert asked(file, "SELECT * FROM deltas") == []
    await store.aclose()


async def test_collecting_gives_every_free_page_back(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    for number in range(20):
        await say(store, f"c{number}", "pears " * 5000)
    freed = (await store.collect(Retention(keep=0))).freed_bytes
    assert freed > 20 * 6 * 5000
    await store.aclose()
    assert asked(tmp_path / "chats.db", "PRAGMA freelist_count") == [(0,)]


# --- from before ------------------------------------------------------------------------------------------------------


def file_of_version_3(file: Path, turn: Turn) -> None:
    """A file as it was when documents had the keys of their turns: one turn of a text and an answer, its row begun in
    short; on a branch whose number is not that of its tree."""
    db = sqlite3.connect(file, isolation_level=None)
    for step in schema._migrations()[:3]:
        for statement in schema._statements(step):
            db.execute(statement)
    values = "'c', '', 4, 'response', NULL, ?, ?, NULL, NULL, NULL, 1.0, 2.0"
    db.execute(f"INSERT INTO conversations VALUES (4, {values})", (PLACE, PLACE))
    db.execute("INSERT INTO branches VALUES (7, 4, NULL)")
    fields = msgspec.to_builtins(turn)
    body = msgspec.msgpack.encode({name: fields[name] for name in ("input", "output", "created_at", "finished_at")})
    begun = b"\x84" + rows._OPENING[3:]
    assert body.startswith(begun)
    totals = msgspec.msgpack.encode("totals") + msgspec.msgpack.encode(turn.totals)
    db.execute("INSERT INTO texts (key, digest, body, is_name) VALUES (1, x'00', CAST('m' AS BLOB), 1)")
    db.execute(
        "INSERT INTO turns (key, id, tenant, conversation, status, day, model, body) VALUES (?, ?, '', 4, 1, 0, 1, ?)",
        (PLACE, turn.id, b"\x03" + body[len(begun) :] + totals),
    )
    db.execute("INSERT INTO said (rowid, text) VALUES (?, ?)", (PLACE, rows.text_of(turn)))
    db.execute("PRAGMA user_version = 3")
    db.close()


async def test_a_file_from_before_documents_is_searched_written_and_deleted_from(tmp_path: Path) -> None:
    file, first = tmp_path / "chats.db", ended(new_turn("c", "apples"))
    file_of_version_3(file, first)
    store = SQLiteStore(file)
    assert await store.turn(first.id) == first
    assert await found(store, "apples") == [first.id]
    second, fork = await say(store, "c", "apples too"), await say(store, "c", "other apples", parent=first.id)
    root, elsewhere = await say(store, "c", "a root", parent=None), await say(store, "d", "pears")
    assert await store.tree("c") == (first, second, fork, root)
    assert [record.id for record in await store.family("c")] == ["c"]
    await store.aclose()
    store = SQLiteStore(file)
    assert await found(store, "apples") == [fork.id, second.id, first.id]
    assert await store.check() == ()
    await store.delete("c")
    assert await store.tree("d") == (elsewhere,)
    assert (await store.statistics()).turns == 1
    await store.aclose()
    assert indexed(file, "apples") == 0
    assert indexed(file, "pears") == 1
