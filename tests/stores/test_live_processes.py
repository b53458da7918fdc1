"""Turns in the background that several stores of one database have to do with: two in this process, each with its own
connections, and other processes, which are killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from multiturn.deltas import ModelAsked, TextDelta
from multiturn.errors import ConversationBusy, InvalidInput
from multiturn.stores.base import Store
from multiturn.stores.postgres import PostgresStore
from multiturn.stores.postgres.session import Connection
from multiturn.stores.sqlite import SQLiteStore
from multiturn.turns import Turn, TurnStatus
from stores import postgres_server
from stores.live import asked, begun, followed, words
from stores.saying import ended, new_turn
from stores.urls import ON_DISK, fresh_url

PATIENCE_S = 20.0

Client = Callable[[], Store]


@pytest.fixture(params=ON_DISK)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return fresh_url(request.param, tmp_path)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    """Makes one more store on the database, with connections and a runner of its own."""
    async with AsyncExitStack() as stores:

        def another() -> Store:
            store: Store
            store = SQLiteStore(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else PostgresStore(url)
            stores.push_async_callback(store.aclose)
            return store

        yield another
        assert await another().check() == ()


async def until_taken(store: Store) -> tuple[str, Turn]:
    """What there is to take; PostgreSQL may take a moment to notice that a client is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while (taken := await store.take()) is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return taken


# --- several stores ---------------------------------------------------------------------------------------------------


async def test_a_turn_is_followed_from_another_store_while_it_runs(client: Client) -> None:
    mine, other = client(), client()
    turn = await begun(mine)
    items = other.follow(turn.id)
    first = asyncio.ensure_future(anext(items))
    await mine.keep(turn.id, [ModelAsked()])
    assert await first == (ModelAsked(),)
    mine.append(turn.id, [TextDelta("hi")])
    assert await anext(items) == (TextDelta("hi"),)
    followers = [asyncio.create_task(followed(store, turn.id)) for store in (mine, other, other)]
    for number in range(300):
        mine.append(turn.id, [TextDelta(str(number))])
        await asyncio.sleep(0.001)
    await mine.finish(end := ended(turn))
    for follower in followers:
        drafts, last = await follower
        assert (words(drafts), last) == (["hi", *map(str, range(300))], end)
    await items.aclose()


async def test_a_turn_is_stopped_from_another_store(client: Client) -> None:
    mine, other = client(), client()
    turn = await asked(mine)
    assert await other.cancel(turn.id) == turn
    assert [await store.cancelled() for store in (mine, other)] == [{turn.id}, frozenset()]
    await mine.finish(ended(turn, TurnStatus.INCOMPLETE, reason="interrupted"))
    assert await mine.cancelled() == frozenset()


async def test_what_a_gone_store_was_asked_to_run_is_taken_once(client: Client) -> None:
    gone, tenants = client(), ["", "acme"]
    turns = [await begun(gone.tenant(tenants[n % 2]), f"c{n}") for n in range(12)]
    await gone.aclose()
    takers = [client() for _ in range(4)]
    for taker in takers:
        await taker.recover()

    async def take_all(store: Store) -> list[tuple[str, str]]:
        taken = []
        while (each := await store.take()) is not None:
            tenant, turn = each
            taken.append((tenant, turn.id))
            assert turn.status is TurnStatus.IN_PROGRESS
            await store.tenant(tenant).keep(turn.id, [ModelAsked()])
            await store.tenant(tenant).finish(ended(turn))
        return taken

    taken = [each for some in await asyncio.gather(*map(take_all, takers)) for each in some]
    assert sorted(taken) == sorted((tenants[n % 2], turn.id) for n, turn in enumerate(turns))


async def test_a_follower_goes_on_with_whoever_takes_the_turn(client: Client) -> None:
    gone, taker, other = client(), client(), client()
    turn = await begun(gone)
    follower = asyncio.create_task(followed(other, turn.id))
    await asyncio.sleep(0.02)
    await gone.aclose()
    await asyncio.sleep(0.1)
    tenant, taken = await until_taken(taker)
    assert (tenant, taken) == ("", turn)
    await taker.keep(turn.id, [ModelAsked()])
    taker.append(turn.id, [TextDelta("hi")])
    await taker.finish(end := ended(turn))
    assert await follower == ([ModelAsked(), TextDelta("hi")], end)
    assert await taker.take() is None


async def test_a_turn_whose_model_was_asked_is_closed_and_not_taken(client: Client) -> None:
    gone, other = client(), client()
    turn = await asked(gone, "c", "so ", "far")
    follower = asyncio.create_task(followed(other, turn.id))
    await asyncio.sleep(0.02)
    await gone.aclose()
    drafts, end = await asyncio.wait_for(follower, PATIENCE_S)
    assert (end.status, end.reason, end.text) == (TurnStatus.INCOMPLETE, "crashed", "so far")
    assert "".join(words(drafts)) == end.text
    assert await other.take() is None
    assert await followed(other, turn.id) == (drafts, end)


async def test_what_gone_stores_have_left_is_closed_for_all_tenants(client: Client) -> None:
    other, gone = client(), client()
    await other.conversations()
    turns = [(view, await asked(view, f"c{n}")) for n, view in enumerate((gone, gone.tenant("acme"), gone))]
    ordinary = await gone.begin(new_turn("ordinary"))
    waiting = await begun(gone, "waiting")
    await gone.aclose()
    await other.recover()
    for view, turn in turns:
        theirs = other.tenant("acme" if view is not gone else "")
        assert (await theirs.turn(turn.id)).reason == "crashed"
    assert (await other.turn(ordinary.id)).reason == "crashed"
    assert (await other.turn(waiting.id)).status is TurnStatus.IN_PROGRESS
    assert (await until_taken(other))[1] == waiting
    await other.finish(ended(waiting))


async def test_whoever_begins_on_the_conversation_closes_a_turn_that_nobody_took(client: Client) -> None:
    gone, other = client(), client()
    turn = await begun(gone)
    await gone.aclose()
    after = await other.begin(new_turn())
    assert (await other.turn(turn.id)).reason == "crashed"
    assert await other.take() is None
    await other.finish(ended(after))


async def test_a_turn_that_nobody_runs_is_stopped_at_once(client: Client) -> None:
    gone, other = client(), client()
    await other.conversations()
    turns = [await begun(gone, "c0"), await asked(gone, "c1", "so far")]
    await gone.aclose()
    for turn in turns:
        end = await other.cancel(turn.id)
        assert (end.status, end.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    assert await other.take() is None


async def test_a_turn_that_was_stopped_is_taken_by_nobody(client: Client) -> None:
    gone, other = client(), client()
    turn = await begun(gone)
    await other.cancel(turn.id)
    await gone.aclose()
    assert await other.take() is None
    await other.recover()
    assert (await other.turn(turn.id)).reason == "interrupted"


async def test_what_runs_nowhere_is_closed_and_withdrawn(client: Client) -> None:
    gone, other = client(), client()
    turn = await asked(gone, "c", "so far")
    with pytest.raises(ConversationBusy):
        await other.withdraw(turn.id)
    await gone.aclose()
    await other.withdraw(turn.id)
    assert await other.tree("c") == ()


async def test_drafts_are_followed_after_a_restart_until_they_are_forgotten(client: Client) -> None:
    first = client()
    turn = await asked(first, "c", "hi")
    await first.finish(end := ended(turn))
    await first.aclose()
    second, third = client(), client()
    assert await followed(second, turn.id) == ([ModelAsked(), TextDelta("hi")], end)
    assert await third.forget_drafts(time.time()) == 1
    with pytest.raises(InvalidInput, match="any more"):
        await followed(second, turn.id)


# --- processes that are killed ----------------------------------------------------------------------------------------


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "stores.live_crashing", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as child:
        try:
            yield child
        finally:
            child.kill()


@asynccontextmanager
async def running(url: str, *how: str) -> AsyncIterator[tuple[subprocess.Popen[str], str]]:
    """A process that runs a turn, and the turn's id."""
    with process("run", url, *how) as child:
        assert child.stdout is not None
        yield child, (await asyncio.to_thread(child.stdout.readline)).strip()


async def test_those_who_follow_see_a_killed_runner_s_turn_to_its_end(url: str, client: Client) -> None:
    other = client()
    async with running(url, "ask") as (runner, id):
        assert runner.stdout is not None
        with process("follow", url, id) as follower:
            here = asyncio.create_task(followed(other, id))
            shown = [await asyncio.to_thread(runner.stdout.readline) for _ in range(60)]
            runner.kill()
            assert follower.stdout is not None
            told = (await asyncio.to_thread(follower.stdout.read)).splitlines()
            drafts, end = await asyncio.wait_for(here, PATIENCE_S)
    assert (end.status, end.reason) == (TurnStatus.INCOMPLETE, "crashed")
    assert "".join(words(drafts)) == end.text
    assert told == [f"word {word}" for word in words(drafts)] + [f"end incomplete {end.text.replace(' ', '_')}"]
    numbers = [int(word) for word in words(drafts)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > len(shown) / 2  # what it had handed over just before may be lost with it
    assert await followed(other, id) == (drafts, end)


async def test_what_a_killed_process_had_not_begun_to_ask_is_run_by_another(url: str, client: Client) -> None:
    other = client()
    async with running(url) as (runner, id):
        assert await other.take() is None
        with process("follow", url, id) as follower:
            runner.kill()
            _, turn = await until_taken(other)
            assert turn.id == id
            await other.keep(id, [ModelAsked()])
            other.append(id, [TextDelta("hi")])
            await other.finish(ended(turn))
            assert follower.stdout is not None
            told = (await asyncio.to_thread(follower.stdout.read)).splitlines()
    assert told == ["word hi", "end completed hi"]


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def end_sessions(which: str) -> None:
    postgres_server.shared().sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity a WHERE application_name = 'multiturn' AND {which}"
    )


async def nowhere() -> Connection:
    raise OSError("the network is gone")


async def test_who_has_lost_its_turn_may_not_ask_the_model_any_more(tmp_path: Path) -> None:
    url = fresh_url("postgres", tmp_path)
    mine, other = PostgresStore(url), PostgresStore(url)
    turn = await begun(mine)
    mine._connections.runner._connect = nowhere  # its lock is lost for good
    end_sessions("EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory')")
    await mine.recover()
    assert (await mine.turn(turn.id)).status is TurnStatus.IN_PROGRESS
    assert (await until_taken(other))[1] == turn
    with pytest.raises(ConversationBusy):
        await mine.keep(turn.id, [ModelAsked()])
    with pytest.raises(ConversationBusy):
        await mine.finish(ended(turn))
    await other.keep(turn.id, [ModelAsked()])
    await other.finish(ended(turn))
    for store in (mine, other):
        assert await store.check() == ()
        await store.aclose()


async def test_followers_miss_nothing_where_the_connection_is_lost_that_tells_them(tmp_path: Path) -> None:
    url = fresh_url("postgres", tmp_path)
    mine, other = PostgresStore(url), PostgresStore(url)
    turn = await asked(mine)
    follower = asyncio.create_task(followed(other, turn.id))
    for number in range(6):
        mine.append(turn.id, [TextDelta(str(number))])
        await asyncio.sleep(0.05)
        end_sessions("query LIKE 'LISTEN%'")
    await mine.finish(end := ended(turn))
    drafts, last = await follower
    assert (words(drafts), last) == ([str(number) for number in range(6)], end)
    for store in (mine, other):
        await store.aclose()


async def test_a_piece_that_never_arrives_keeps_nobody_from_the_end(tmp_path: Path) -> None:
    url = fresh_url("postgres", tmp_path)
    mine, other = PostgresStore(url), PostgresStore(url)
    turn = await asked(mine, "c", "a", "b", "c")
    schema = url.partition("search_path=")[2]
    postgres_server.shared().sql(f"DELETE FROM {schema}.deltas WHERE piece = 0")
    follower = asyncio.create_task(followed(other, turn.id))
    await asyncio.sleep(0.1)
    assert not follower.done()
    await mine.aclose()
    drafts, end = await asyncio.wait_for(follower, PATIENCE_S)
    assert (words(drafts), end.text, end.reason) == (["a", "b", "c"], "abc", "crashed")
    await other.aclose()
