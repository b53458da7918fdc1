"""What only the PostgreSQL store can be asked: servers that go and come, other processes, lost connections, races."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from multiturn.deltas import TextDelta
from multiturn.errors import ConversationBusy, InvalidInput, SchemaTooNew, StoreError
from multiturn.messages import File, Inline, Usage
from multiturn.stores.postgres import PostgresStore
from multiturn.stores.postgres.session import Connection
from multiturn.stores.records import ConversationRecord
from multiturn.turns import TurnStatus
from stores import postgres_server
from stores.postgres_server import Server
from stores.saying import ended, new_turn, say, texts

PATIENCE_S = 20.0


@pytest.fixture
def url() -> str:
    return postgres_server.fresh()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    yield store
    if not store.closed:
        assert await store.check() == ()
    await store.aclose()


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that tests may stop."""
    server = Server()
    yield server
    server.close()


def schema_of(url: str) -> str:
    return url.partition("search_path=")[2]


def end_sessions(url: str, which: str = "true") -> None:
    """Let the server end the sessions of the stores on this schema's URL."""
    postgres_server.shared().sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity a WHERE application_name = 'multiturn' AND {which}"
    )


HOLDS_A_LOCK = "EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory')"


# --- the server goes and comes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_it_goes_on_after_the_server_has_restarted(mortal: Server, mode: str) -> None:
    store = PostgresStore(mortal.fresh())
    first = await say(store, "c", "1")
    running = await store.begin(new_turn("d"))
    mortal.restart("fast" if mode == "fast" else "immediate")
    assert await store.path(first.id) == (first,)
    second = await say(store, "c", "2")
    await store.finish(ended(running))  # its lock was lost, and nobody has minded
    assert await texts(store, second.id) == ["1", "2"]
    assert (await store.turn(running.id)).status is TurnStatus.COMPLETED
    assert await store.check() == ()
    await store.aclose()


async def test_a_turn_runs_on_where_the_server_restarts(mortal: Server) -> None:
    url = mortal.fresh()
    mine, other = PostgresStore(url), PostgresStore(url)
    turn = await mine.begin(new_turn("c"))
    with pytest.raises(ConversationBusy):
        await other.begin(new_turn("c"))
    mortal.restart()
    await other.recover()
    with pytest.raises(ConversationBusy):
        await other.begin(new_turn("c"))
    await mine.finish(ended(turn))
    assert (await other.begin(new_turn("c"))).parent == turn.id
    await mine.aclose()
    await other.aclose()


async def test_a_turn_whose_lock_is_lost_for_good_is_closed_by_another_store(store: PostgresStore, url: str) -> None:
    turn = await store.begin(new_turn("c"))
    store.append(turn.id, [TextDelta("so far")])
    await appended(store, url, postgres_server.shared())
    without_its_lock(store, url)
    other = PostgresStore(url)
    after = await other.begin(new_turn("c"))
    closed = await store.turn(turn.id)
    assert (closed.status, closed.reason, closed.text) == (TurnStatus.INCOMPLETE, "crashed", "so far")
    assert after.parent == turn.id
    with pytest.raises(ConversationBusy):
        await store.finish(ended(turn))
    await other.aclose()


def without_its_lock(store: PostgresStore, url: str) -> None:
    """Cut the connection of a store's lock, where it can make no new one."""

    async def nowhere() -> Connection:
        raise OSError("the network is gone")

    store._connections.runner._connect = nowhere
    end_sessions(url, HOLDS_A_LOCK)


async def test_a_call_under_way_fails_when_the_server_goes(mortal: Server) -> None:
    url = mortal.fresh()
    store, other = PostgresStore(url), PostgresStore(url)
    await say(store, "c")
    async with held_tree(other, "c"):
        waiting = asyncio.create_task(store.begin(new_turn("c")))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        mortal.stop()
        with pytest.raises(StoreError, match="PostgreSQL"):
            await asyncio.wait_for(waiting, PATIENCE_S)
    with pytest.raises(StoreError):
        await asyncio.wait_for(store.conversations(), PATIENCE_S)
    mortal.start()
    assert len(await store.conversations()) == 1
    await store.aclose()
    await other.aclose()


class held_tree:
    """Somebody holds the tree of a conversation, for as long as this is entered."""

    def __init__(self, store: PostgresStore, conversation: str) -> None:
        self._store, self._conversation = store, conversation
        self._enough = threading.Event()

    async def __aenter__(self) -> None:
        held = threading.Event()

        async def hold(db: object) -> None:
            async with db.transaction():  # type: ignore[attr-defined]
                await db.value("SELECT hold_tree($1, $2)", self._conversation)  # type: ignore[attr-defined]
                held.set()
                while not self._enough.is_set():
                    await asyncio.sleep(0.01)

        self._holding = asyncio.create_task(self._store._write(hold))
        assert await asyncio.to_thread(held.wait, PATIENCE_S)

    async def __aexit__(self, *_: object) -> None:
        self._enough.set()
        await asyncio.wait([self._holding])
        self._holding.exception()


async def test_sessions_that_the_server_ends_are_replaced_unseen(store: PostgresStore, url: str) -> None:
    for number in range(5):
        await say(store, "c", str(number))
        end_sessions(url)
        assert len(await texts(store, (await store.conversation("c")).head)) == number + 1


async def test_a_turn_whose_end_could_not_be_written_is_closed_by_the_next(store: PostgresStore) -> None:
    turn = await store.begin(new_turn("c"))
    with pytest.raises(InvalidInput, match="cannot keep"):
        await store.finish(ended(turn, usage=Usage(input_tokens=1 << 63)))
    after = await store.begin(new_turn("c"))
    assert (await store.turn(turn.id)).reason == "crashed"
    await store.finish(ended(after))


# --- other processes --------------------------------------------------------------------------------------------------


def in_a_child(code: str, url: str) -> subprocess.Popen[str]:
    """A fresh interpreter that runs code with `store` on the URL."""
    preamble = (
        "import asyncio, os, sys\nfrom multiturn.deltas import TextDelta\n"
        "from multiturn.stores.postgres import PostgresStore\n"
        f"from stores.saying import ended, new_turn, say\nstore = PostgresStore({url!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", preamble + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        text=True,
    )


async def appended(store: PostgresStore, url: str, server: Server) -> None:
    """Wait until what a turn streams has reached the database."""
    deadline = time.monotonic() + PATIENCE_S
    while not int(await asyncio.to_thread(server.sql, f"SELECT count(*) FROM {schema_of(url)}.deltas")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_killed_process_leaves_an_incomplete_turn_with_the_text_so_far(url: str) -> None:
    child = in_a_child(
        """
async def main():
    turn = await store.begin(new_turn("c", "are you there?", model="p:m"))
    store.append(turn.id, [TextDelta("I a"), TextDelta("m")])
    store.append(turn.id, [TextDelta(" here")])
    print(turn.id, flush=True)
    await asyncio.sleep(100)
asyncio.run(main())
""",
        url,
    )
    with child:
        assert child.stdout is not None
        id = child.stdout.readline().strip()
        store = PostgresStore(url)
        with pytest.raises(ConversationBusy):
            await store.begin(new_turn("c"))
        while int(postgres_server.shared().sql(f"SELECT count(*) FROM {schema_of(url)}.deltas")) < 1:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        child.kill()
    next_turn = await until_free(store)
    turn = await store.turn(id)
    assert (turn.status, turn.reason, turn.text) == (TurnStatus.INCOMPLETE, "crashed", "I am here")
    assert turn.output[0].origin is not None
    assert turn.output[0].origin.provider == "p"
    assert next_turn == id
    await store.aclose()


async def until_free(store: PostgresStore) -> str | None:
    """The parent of the turn that begins, as soon as the server has seen that the other process is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            turn = await store.begin(new_turn("c"))
        except ConversationBusy:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        else:
            await store.finish(ended(turn))
            return turn.parent


async def test_of_two_stores_one_waits_until_the_other_is_closed(url: str) -> None:
    one, other = PostgresStore(url), PostgresStore(url)
    turn = await one.begin(new_turn("c"))
    one.append(turn.id, [TextDelta("hi")])
    with pytest.raises(ConversationBusy):
        await other.begin(new_turn("c"))
    with pytest.raises(ConversationBusy):
        await other.delete("c")
    await one.aclose()
    assert (await other.begin(new_turn("c"))).parent == turn.id
    assert (await other.turn(turn.id)).text == "hi"
    await other.aclose()


def test_many_processes_that_open_an_empty_database_at_once_all_can(url: str) -> None:
    code = "sys.stdin.readline()\nasync def main():\n    await say(store, str(os.getpid()))\n    await store.aclose()\n"
    children = [in_a_child(code + "asyncio.run(main())", url) for _ in range(6)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert "".join(child.communicate(timeout=60)[1] for child in children) == ""
    assert postgres_server.shared().sql(f"SELECT count(*) FROM {schema_of(url)}.turns") == "6"


def test_a_store_that_is_only_dropped_goes_quietly(url: str) -> None:
    child = in_a_child("import gc\nasyncio.run(say(store))\nasyncio.run(say(store))\ndel store\ngc.collect()\n", url)
    assert child.communicate(timeout=60) == ("", "")
    assert child.returncode == 0


def test_a_store_that_is_left_open_goes_quietly_with_its_process(url: str) -> None:
    child = in_a_child("asyncio.run(say(store))\nturn = asyncio.run(store.begin(new_turn('d')))\n", url)
    assert child.communicate(timeout=60) == ("", "")
    assert child.returncode == 0


# --- threads and loops ------------------------------------------------------------------------------------------------


async def test_it_works_from_many_threads_and_loops_at_once(store: PostgresStore) -> None:
    def work(number: int) -> None:
        for _ in range(5):
            asyncio.run(say(store, f"c{number}"))

    await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(8)))
    assert {record.id for record in await store.conversations()} == {f"c{number}" for number in range(8)}


async def test_a_begin_that_nobody_waits_for_any_more_comes_to_its_end(store: PostgresStore) -> None:
    turn = new_turn("c")
    task = asyncio.create_task(store.begin(turn))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadline = time.monotonic() + PATIENCE_S
    while not await store.conversations():
        assert time.monotonic() < deadline
    await store.finish(ended(turn))


async def test_attachments_that_come_and_go_at_once_are_never_missing(store: PostgresStore) -> None:
    picture = File(Inline(b"x" * 2000, "image/png"))

    async def come_and_go(number: int) -> None:
        for _ in range(15):
            await say(store, f"c{number}", picture)
            await store.delete(f"c{number}")

    await asyncio.gather(*(come_and_go(number) for number in range(8)))
    assert (await store.statistics()).attachments == 0


async def test_forks_that_come_while_a_conversation_goes_stand_on_something(store: PostgresStore) -> None:
    for round in range(10):
        turns = [await say(store, f"c{round}") for _ in range(3)]
        forks = (store.create(ConversationRecord(id=f"f{round}.{n}", head=turns[n].id)) for n in range(3))
        await asyncio.gather(store.delete(f"c{round}"), *forks, return_exceptions=True)
    assert await store.check() == ()


# --- what is refused, and how -----------------------------------------------------------------------------------------


async def test_nothing_is_connected_before_the_first_call() -> None:
    store = PostgresStore("postgresql://somebody:secret@localhost:1/nowhere")
    assert store.url == "postgresql://somebody@localhost:1/nowhere"
    with pytest.raises(StoreError, match="localhost:1/nowhere"):
        await store.conversations()
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await store.conversations()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://somebody:s3cr%40t@localhost:1/nowhere",
        "postgresql://somebody@localhost:1/nowhere?password=s3cr%40t",
        "postgres://somebody:s3cr@t@localhost:1/nowhere",
    ],
)
async def test_the_password_is_never_shown(url: str) -> None:
    store = PostgresStore(url)
    with pytest.raises(StoreError) as caught:
        await store.conversations()
    shown = f"{store!r} {store.url} {store._address!r} {caught.value!r} {caught.value.__cause__!r}"
    assert "somebody@localhost" in shown
    assert "s3cr" not in shown
    await store.aclose()


@pytest.mark.parametrize("url", ["postgresql://somebody:secret@host:port/x", "postgresql://a:secret@[::1/x", "secret"])
def test_what_is_no_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidInput, match="postgresql://user") as caught:
        PostgresStore(url)
    assert "secret" not in repr(caught.value)


async def test_a_wrong_password_is_a_store_error(mortal: Server) -> None:
    mortal.sql("DROP ROLE IF EXISTS guest")
    mortal.sql("CREATE ROLE guest LOGIN CONNECTION LIMIT 0")
    store = PostgresStore(mortal.url().replace("postgres@", "guest:s3cret@"))
    with pytest.raises(StoreError, match="guest") as caught:
        await store.conversations()
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    await store.aclose()


async def test_a_newer_schema_is_refused(store: PostgresStore, url: str) -> None:
    await say(store)
    postgres_server.shared().sql(f"UPDATE {schema_of(url)}.schema_version SET version = 99")
    newer = PostgresStore(url)
    with pytest.raises(SchemaTooNew, match="upgrade multiturn"):
        await newer.conversations()
    await newer.aclose()


async def test_without_the_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "multiturn.stores.postgres.connections", raising=False)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(InvalidInput, match=r"pip install 'multiturn\[postgres\]'"):
        PostgresStore("postgresql://localhost/x")


@pytest.mark.parametrize("id", ["a\0b", random.Random(1).randbytes(5000).hex()])
async def test_what_postgresql_cannot_keep_is_the_callers_mistake(store: PostgresStore, id: str) -> None:
    with pytest.raises(InvalidInput, match="cannot keep"):
        await store.begin(new_turn(id))


# --- search -----------------------------------------------------------------------------------------------------------


async def test_any_text_can_be_stored_and_what_comes_first_in_it_found(store: PostgresStore) -> None:
    huge = " ".join(f"wort{number:07}" for number in range(200_000))
    turn = await say(store, "c", f"anfang {huge} \0 ' \\ & | ! <-> :* {'x' * 5000}")
    for words in ("anfang", "wort0000001", '"wort0000001 wort0000002"', "wort000000*"):
        assert [found.turn.id for found in await store.search(words)] == [turn.id]


async def test_a_phrase_is_found_behind_many_that_only_have_its_words(store: PostgresStore) -> None:
    wanted = await say(store, "c", "red green blue")
    for _ in range(120):
        await say(store, "c", "blue green red")
    assert [found.turn.id for found in await store.search('"red green"')] == [wanted.id]
    assert len(await store.search("green", limit=200)) == 121
