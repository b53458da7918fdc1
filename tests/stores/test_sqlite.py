"""What only the SQLite store can be asked: the file, other processes, crashes, size."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from multiturn.deltas import TextDelta
from multiturn.errors import ConversationBusy, InvalidInput, SchemaTooNew, StoreError
from multiturn.ids import new_id
from multiturn.messages import assistant, user
from multiturn.stores import open_store
from multiturn.stores.records import ConversationRecord
from multiturn.stores.sqlite import SQLiteStore
from multiturn.turns import Totals, Turn, TurnStatus, finished


def new_turn(conversation: str = "c", text: str = "hello") -> Turn:
    return Turn(id=new_id("turn"), conversation=conversation, input=(user(text),), model="m")


async def say(store: SQLiteStore, conversation: str = "c", text: str = "hello") -> Turn:
    turn = await store.begin(new_turn(conversation, text))
    turn = finished(turn, TurnStatus.COMPLETED, before=Totals(), at=1.0, output=(assistant("re: " + text),))
    await store.finish(turn)
    return turn


def in_a_child(code: str, file: Path, *, kill: bool = False) -> None:
    """Run code in a fresh interpreter, with `store` on the file; `kill -9` once it prints."""
    preamble = (
        "import asyncio\n"
        "from multiturn.stores.sqlite import SQLiteStore\n"
        "from multiturn.deltas import TextDelta\nfrom multiturn.ids import new_id\n"
        "from multiturn.messages import user\nfrom multiturn.turns import Turn\n"
        f"store = SQLiteStore({str(file)!r})\n"
    )
    child = subprocess.Popen([sys.executable, "-c", preamble + code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline(), "the child ended before it said anything"
        if kill:
            child.kill()
    assert child.wait(30) == (-signal.SIGKILL if kill else 0)


BEGIN_AND_HANG = """
async def main():
    turn = await store.begin(Turn(id=new_id("turn"), conversation="c", input=(user("are you there?"),), model="p:m"))
    store.append(turn.id, [TextDelta("I a"), TextDelta("m")])
    store.append(turn.id, [TextDelta(" here")])
    await store.turn(turn.id)
    await store._write(lambda db: None)
    print("begun", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_a_killed_process_leaves_an_incomplete_turn_with_the_text_so_far(tmp_path: Path) -> None:
    file = tmp_path / "chats.db"
    await asyncio.to_thread(in_a_child, BEGIN_AND_HANG, file, kill=True)
    store = SQLiteStore(file)
    record = await store.conversation("c")
    assert record.head is not None
    turn = await store.turn(record.head)
    assert (turn.status, turn.reason, turn.text) == (TurnStatus.INCOMPLETE, "crashed", "I am here")
    assert turn.input == (user("are you there?"),)
    assert turn.output[0].origin is not None
    assert turn.output[0].origin.provider == "p"
    assert (await say(store)).parent == turn.id
    await store.aclose()
    assert [path.name for path in tmp_path.iterdir()] == ["chats.db"]


async def test_a_living_process_keeps_its_turn_and_a_dead_one_loses_it(tmp_path: Path) -> None:
    file = tmp_path / "chats.db"
    ours, theirs = SQLiteStore(file), SQLiteStore(file)
    turn = await theirs.begin(new_turn())
    with pytest.raises(ConversationBusy):
        await ours.begin(new_turn())
    assert (await ours.turn(turn.id)).status is TurnStatus.IN_PROGRESS
    await theirs.aclose()  # it has let go of its lock without ending the turn, as a crash does
    assert (await say(ours)).parent is None
    assert (await ours.turn(turn.id)).status is TurnStatus.INCOMPLETE
    await ours.aclose()


async def test_the_same_file_is_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///chats.db")
    assert open_store(f"sqlite:///{tmp_path}/chats.db") is store
    assert store.url == f"sqlite:///{tmp_path}/chats.db"
    assert open_store(store.url) is store
    assert open_store("sqlite://") is not open_store("sqlite://")
    await store.aclose()
    assert open_store("sqlite:///chats.db") is not store


@pytest.mark.parametrize(
    "url", ["", "chats.db", "sqlite:///", "sqlite:chats.db", "mysql://host/db", "sqlite://host/db"]
)
def test_what_is_not_a_store_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"sqlite:///relative\.db"):
        open_store(url)


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "missing" / "chats.db")
    with pytest.raises(StoreError, match=r"missing.*folder"):
        await say(store)
    await store.aclose()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Alice, " * 500)
    store = SQLiteStore(file)
    with pytest.raises(StoreError, match=r"letter\.txt"):
        await say(store)
    await store.aclose()
    assert file.read_text() == "Dear Alice, " * 500


async def test_a_newer_schema_is_refused_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "chats.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    store = SQLiteStore(file)
    with pytest.raises(SchemaTooNew, match=r"999.*upgrade"):
        await store.conversation("c")
    await store.aclose()


async def test_a_failing_job_does_not_undo_those_that_commit_with_it(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    outcomes = await asyncio.gather(*(store.begin(new_turn(f"c{n % 10}")) for n in range(30)), return_exceptions=True)
    assert sum(isinstance(outcome, Turn) for outcome in outcomes) == 10
    assert len(await store.conversations()) == 10
    await store.aclose()


def _hammer(file: Path, start: object, count: int) -> None:
    async def work() -> None:
        store = SQLiteStore(file)
        for n in range(count):
            while True:
                try:
                    await say(store, "shared", f"{n}")
                    break
                except ConversationBusy:
                    await asyncio.sleep(0.001)
        await store.aclose()

    start.wait()  # type: ignore[attr-defined]  # multiprocessing's Barrier has no public type
    asyncio.run(work())


async def test_processes_that_start_together_on_a_new_file_lose_nothing(tmp_path: Path) -> None:
    file, context, workers, each = tmp_path / "chats.db", multiprocessing.get_context("spawn"), 4, 15
    start = context.Barrier(workers)
    children = [context.Process(target=_hammer, args=(file, start, each)) for _ in range(workers)]
    for child in children:
        child.start()
    for child in children:
        await asyncio.to_thread(child.join, 60)
        assert child.exitcode == 0
    store = SQLiteStore(file)
    head = (await store.conversation("shared")).head
    assert head is not None
    path = await store.path(head)
    assert len(path) == workers * each
    assert [turn.parent for turn in path] == [None, *(turn.id for turn in path[:-1])]
    await store.aclose()


async def test_a_fork_of_a_long_conversation_copies_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    for n in range(50):
        turn = await say(store, text=f"{n}" * 500)
    (before,) = await store._read(lambda db: db.execute("SELECT count(*) FROM turns").fetchone())
    await store.create(ConversationRecord(id="fork", head=turn.id))
    (after,) = await store._read(lambda db: db.execute("SELECT count(*) FROM turns").fetchone())
    assert before == after == 50
    assert len(await store.path(turn.id)) == 50
    await store.aclose()


async def test_what_a_turn_adds_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")

    async def size() -> int:
        return int((await store._read(lambda db: db.execute("SELECT sum(length(body)) FROM turns").fetchone()))[0])

    sizes = []
    for _ in range(3):
        for _ in range(40):
            await say(store, text="x" * 800)
        sizes.append(await size())
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1]
    await store.aclose()


async def test_a_store_that_nobody_holds_closes_itself(tmp_path: Path) -> None:
    await say(SQLiteStore(tmp_path / "chats.db"))
    for _ in range(200):
        if [path.name for path in tmp_path.iterdir()] == ["chats.db"]:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("the store is still open")


def test_deltas_are_written_in_the_order_they_came(tmp_path: Path) -> None:
    async def work() -> None:
        store, other = SQLiteStore(tmp_path / "chats.db"), SQLiteStore(tmp_path / "chats.db")
        turn = await store.begin(new_turn())
        for n in range(200):
            store.append(turn.id, [TextDelta(f"{n} ")])
        await store._write(lambda db: None)
        await store.aclose()
        await say(other)
        assert (await other.turn(turn.id)).text == "".join(f"{n} " for n in range(200))
        await other.aclose()

    asyncio.run(work())


@pytest.mark.parametrize("file", [None, "chats.db"])
async def test_a_name_that_was_undone_is_not_taken_for_stored(file: str | None, tmp_path: Path) -> None:
    store = SQLiteStore(file and tmp_path / file)
    turn = await store.begin(new_turn("c"))
    taken = msgspec.structs.replace(new_turn("d"), id=turn.id, model="new")
    begins = [store.begin(each) for each in (taken, msgspec.structs.replace(new_turn("e"), model="new"), taken)]
    refused, begun, again = await asyncio.gather(*begins, return_exceptions=True)
    assert (type(refused), type(again)) == (StoreError, StoreError)
    assert isinstance(begun, Turn)
    assert await store.turn(begun.id) == begun
    assert await store.check() == ()
    await store.aclose()
