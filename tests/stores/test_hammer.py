"""Eight processes at once, on one conversation and on many: every acknowledged turn is there once, the order is a
line, and no error reaches a caller. Threads stand for the processes where the store is in memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from multiturn import open_store
from multiturn.stores.base import Store
from multiturn.turns import TurnStatus
from stores.hammering import hammer
from stores.urls import KINDS, fresh_url

WORKERS = 8
ONE, MANY = ["c"], [f"c{number}" for number in range(40)]


def by_threads(store: Store, conversations: list[str], seconds: float) -> list[str]:
    """The ids of the turns that were acknowledged."""
    told: list[str] = []

    def work(number: int) -> None:
        asyncio.run(hammer(store, f"worker{number}", conversations, seconds, told.append))

    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(work, range(WORKERS)))
    return told


def by_processes(url: str, conversations: list[str], seconds: float) -> list[str]:
    """The ids of the turns that were acknowledged."""
    command = [sys.executable, "-m", "stores.hammering", url]
    workers = [
        subprocess.Popen(
            [*command, f"worker{number}", str(seconds), *conversations],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
            text=True,
        )
        for number in range(WORKERS)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
    with ThreadPoolExecutor(WORKERS) as threads:
        outcomes = list(threads.map(lambda worker: worker.communicate("go\n"), workers))
    assert [(worker.returncode, errors) for worker, (_, errors) in zip(workers, outcomes, strict=True)] == [
        (0, "")
    ] * WORKERS
    return [id for told, _ in outcomes for id in told.split()]


async def check(store: Store, conversations: list[str], told: list[str]) -> None:
    there: list[str] = []
    said: list[str] = []
    for record in await store.conversations():
        assert record.id in conversations
        assert record.head == record.latest
        path = await store.path(record.head or "")
        assert set(await store.tree(record.id)) == set(path), "a turn stands beside the line"
        assert all(turn.status is TurnStatus.COMPLETED for turn in path)
        there += [turn.id for turn in path]
        said += [turn.input[0].text for turn in path]
    assert sorted(there) == sorted(told)
    assert len(set(said)) == len(said)
    assert {text.split()[0] for text in said} == {f"worker{number}" for number in range(WORKERS)}
    assert await store.check() == ()


def hammered(kind: str, folder: Path, conversations: list[str], seconds: float) -> int:
    """How many turns were stored, after every check."""
    url = fresh_url(kind, folder)
    store = open_store(url)
    told = by_threads(store, conversations, seconds) if kind == "memory" else by_processes(url, conversations, seconds)

    async def look() -> None:
        await check(store, conversations, told)
        await store.aclose()

    asyncio.run(look())
    return len(told)


@pytest.mark.parametrize("conversations", [ONE, MANY], ids=["one", "many"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled_under_eight_hammers(kind: str, conversations: list[str], tmp_path: Path) -> None:
    assert hammered(kind, tmp_path, conversations, seconds=0.7) >= WORKERS


@pytest.mark.torture
@pytest.mark.parametrize("conversations", [ONE, MANY], ids=["one", "many"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled_in_a_minute(kind: str, conversations: list[str], tmp_path: Path) -> None:
    print(kind, hammered(kind, tmp_path, conversations, seconds=60), "turns")
