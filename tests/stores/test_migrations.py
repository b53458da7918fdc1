"""Stores that an older multiturn has written are read, and written on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from multiturn.deltas import TextDelta
from multiturn.errors import NotFound
from multiturn.messages import Image, Inline
from multiturn.stores import open_store, rows
from multiturn.stores.postgres import schema as postgres_schema
from multiturn.stores.records import ConversationRecord, Filter
from multiturn.stores.sealing import Plain
from multiturn.stores.sqlite import schema as sqlite_schema
from multiturn.turns import Turn, TurnStatus
from stores.saying import ended, new_turn, say, texts
from stores.urls import fresh_url

PICTURE = Inline(b"\x89PNG" + bytes(2000), "image/png")
HEAD = 7 << 24  # the first place on branch 7


def file_of_version_2(file: Path, said: Turn, running: Turn) -> None:
    """A file as it was before there were tenants: two turns of conversation `c`, one of them in progress."""
    db = sqlite3.connect(file, isolation_level=None)
    for step in sqlite_schema._migrations()[:2]:
        for statement in sqlite_schema._statements(step):
            db.execute(statement)
    for key, text in enumerate((b"be brief", b"m", _answered(said), b"left over"), start=1):
        db.execute("INSERT INTO texts VALUES (?, ?, ?)", (key, Plain().digest(text), text))
    db.execute(
        "INSERT INTO conversations VALUES (4, 'c', 4, 'u', ?, ?, 'm', 1, '{\"k\":\"v\"}', 1.0, 2.0)", (HEAD, HEAD + 1)
    )
    db.execute("INSERT INTO branches VALUES (7, 4, NULL)")
    for key, turn, status, answered in ((HEAD, said, 1, 3), (HEAD + 1, running, 0, None)):
        row = rows.to_row(rows.taken_out(turn)[0], Plain().digest)
        db.execute(
            "INSERT INTO turns VALUES (?, ?, 4, 1, ?, 0, 2, 5, 6, NULL, NULL, NULL, NULL, ?, ?)",
            (key, turn.id, status, row.body, answered),
        )
        for name, data in row.attachments.items():
            db.execute("INSERT INTO attachments VALUES (?, ?)", (bytes.fromhex(name), data))
            db.execute("INSERT INTO attached VALUES (?, ?)", (key, bytes.fromhex(name)))
    db.execute("INSERT INTO said (rowid, text) VALUES (?, ?)", (HEAD, rows.text_of(said)))
    db.execute("INSERT INTO running VALUES (4, ?, 'runner_gone')", (HEAD + 1,))
    db.execute("INSERT INTO deltas VALUES (?, 0, ?)", (HEAD + 1, msgspec.json.encode([TextDelta("I was")])))
    db.execute("INSERT INTO keys VALUES (4, 'once', ?)", (HEAD,))
    db.execute("PRAGMA user_version = 2")
    db.close()


def _answered(turn: Turn) -> bytes:
    return msgspec.json.encode(rows.taken_out(turn)[1])


async def test_a_file_from_before_tenants_is_that_of_the_tenant_without_a_name(tmp_path: Path) -> None:
    first = msgspec.structs.replace(ended(new_turn("c", "look here", Image(PICTURE))), instructions="be brief")
    file_of_version_2(tmp_path / "chats.db", first, new_turn("c", "are you there?"))
    store = open_store(f"sqlite:///{tmp_path}/chats.db")
    record = await store.conversation("c")
    assert (record.user, record.metadata, record.kind) == ("u", {"k": "v"}, None)
    assert await store.conversations(filter=Filter(user="u", kind="conversation")) == (record,)
    kept, closed = await store.tree("c")
    assert (kept.input, kept.instructions, kept.output[0].origin) == (first.input, "be brief", first.output[0].origin)
    assert kept.usage.input_tokens == 5
    assert (closed.status, closed.text, closed.parent) == (TurnStatus.INCOMPLETE, "I was", first.id)
    assert [hit.turn.id for hit in await store.search("look")] == [first.id]
    assert (await store.begin(new_turn("c"), key="once")).id == first.id
    await say(store, "c", "and now?")
    assert await texts(store, (await store.conversation("c")).head) == ["look here", "are you there?", "and now?"]
    assert await store.tenants() == ("",)
    with pytest.raises(NotFound):
        await store.tenant("acme").turn(first.id)
    await store.tenant("acme").create(ConversationRecord(id="c"))
    assert await store.check() == ()
    await store.tenant("acme").delete("c")  # whose turn was under `m` too
    await store.delete("c")
    assert (await store.statistics()).turns == 0
    await store.aclose()


async def test_a_database_from_before_kinds_has_conversations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, steps = fresh_url("postgres", tmp_path), postgres_schema._migrations()
    import asyncpg  # which is there where a PostgreSQL is

    connection = await asyncpg.connect(url)
    with monkeypatch.context() as old:
        old.setattr(postgres_schema, "_migrations", lambda: steps[:1])
        await postgres_schema.migrate(connection, url.partition("search_path=")[2])
    await connection.execute("SELECT enter('', 'c', 'u', NULL, 1.0, NULL)")
    await connection.close()
    store = open_store(url)
    assert (await store.conversation("c")).kind is None
    turn = await say(store, "c")
    assert (turn.parent, await store.tenants()) == (None, ("",))
    assert await store.check() == ()
    await store.aclose()
