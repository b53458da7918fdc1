"""`kill -9` at random moments of a streaming run: what a caller was told is stored is still there, and it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from multiturn import Conversation, TurnStatus, open_store
from multiturn.turns import Turn

QUESTION = "count to 40"


def run_and_kill(url: str, after_s: float) -> list[str]:
    """The lines that a streaming child said until it was killed, `after_s` seconds after its first."""
    env = os.environ | {"MULTITURN_OFFLINE_DELAY_MS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-m", "crashing", url, QUESTION]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(after_s)
        child.kill()
        rest = child.stdout.read()
        assert child.wait() == -signal.SIGKILL
    lines = (first + rest).split("\n")
    return lines[:-1]  # without the line that the kill cut


def check(url: str, lines: list[str], acknowledged: set[str]) -> None:
    """Everything that was acknowledged is whole and on the path, nothing is in progress, and what broke off is there
    as far as it went."""
    acknowledged |= {line.split()[1] for line in lines if line.startswith("acknowledged")}
    path, tree = asyncio.run(read(url))
    assert all(turn.status is not TurnStatus.IN_PROGRESS for turn in tree)
    complete = {turn.id for turn in path if turn.status is TurnStatus.COMPLETED}
    assert acknowledged <= complete
    assert {line.split()[1] for line in lines if line.startswith("begun")} <= {turn.id for turn in tree}
    assert [turn.parent for turn in path] == [None, *(turn.id for turn in path[:-1])]
    last = tree[-1]
    if last.status is TurnStatus.INCOMPLETE:
        assert last.reason == "crashed"
        shown = words_of(lines, last.id)
        assert shown.startswith(last.text) or last.text.startswith(shown)
    asyncio.run(open_store(url).aclose())


async def read(url: str) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    store = open_store(url)
    head = (await store.conversation("crashing")).head
    path = await store.path(head) if head else ()
    return path, tuple(sorted(await store.tree("crashing"), key=lambda turn: turn.created_at))


def words_of(lines: list[str], turn_id: str) -> str:
    """What was shown of a turn."""
    begun = f"begun {turn_id}"
    if begun not in lines:
        return ""
    after = lines[lines.index(begun) + 1 :]
    return "".join(json.loads(line.split(" ", 1)[1]) for line in after if line.startswith("shown"))


def kill_repeatedly(tmp_path: Path, rounds: int, seed: int) -> None:
    url, acknowledged, moment = f"sqlite:///{tmp_path}/chats.db", set[str](), random.Random(seed)
    for _ in range(rounds):
        lines = run_and_kill(url, moment.uniform(0, 0.25))
        check(url, lines, acknowledged)
    assert acknowledged, "no turn was ever acknowledged: the test has tested nothing"
    chat = Conversation("offline", store=url, id="crashing")
    assert chat.send("are you still there?").status == "completed"
    asyncio.run(chat.store.aclose())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chats.db"]


def test_nothing_acknowledged_is_lost_to_a_kill(tmp_path: Path) -> None:
    kill_repeatedly(tmp_path, rounds=10, seed=1)


@pytest.mark.torture
def test_nothing_acknowledged_is_lost_to_200_kills(tmp_path: Path) -> None:
    kill_repeatedly(tmp_path, rounds=200, seed=2)
