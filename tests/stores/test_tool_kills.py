"""`kill -9` of a process that runs tools, at random moments: no tool that has answered is called twice, whatever was
called and did not answer is not called again either, and no call is left without a result."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from multiturn import Conversation, TurnStatus
from multiturn.runs import INTERRUPTED
from multiturn.turns import Turn, pending_calls
from scripted import ScriptedModel
from stores.urls import ON_DISK, fresh_url


def run_and_kill(url: str, marks: Path, chance: random.Random) -> None:
    """Let the process run until a random moment soon after one of its events."""
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "stores.tool_crashing", url, str(marks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 40)):
            assert child.stdout.readline(), "it ended by itself"
        time.sleep(chance.uniform(0, 0.004))
        child.kill()


async def left(url: str) -> list[Turn]:
    """All turns, once the last one has gone on to its end."""
    chat = Conversation(ScriptedModel(lambda request: "the end"), store=url, id="c")
    latest = await chat.alatest()
    if latest is not None and latest.status is TurnStatus.PAUSED:
        await chat.aresume()
    turns = list(await chat.store.tree("c"))
    assert await chat.store.check() == ()
    await chat.store.aclose()
    return turns


def killed(kind: str, folder: Path, times: int) -> int:
    """How many calls were broken off, after every check."""
    url, marks, chance = fresh_url(kind, folder), folder / "marks", random.Random(7)
    for _ in range(times):
        run_and_kill(url, marks, chance)
    turns = asyncio.run(left(url))
    called = Counter(marks.read_text().split())
    results = {result.call_id: result for turn in turns for message in turn.output for result in message.tool_results}
    assert all(pending_calls(turn.output) == () for turn in turns)
    assert all(turn.status in (TurnStatus.COMPLETED, TurnStatus.INCOMPLETE) for turn in turns)
    assert set(called.values()) == {1}, "a tool was called twice"
    assert called.keys() <= results.keys()
    for id, result in results.items():
        assert result.text == (INTERRUPTED if result.is_error else f"marked {id}")
        assert result.is_error or called[id] == 1
    return sum(result.is_error for result in results.values())


@pytest.mark.parametrize("kind", ON_DISK)
def test_no_tool_is_called_twice(kind: str, tmp_path: Path) -> None:
    killed(kind, tmp_path, times=3)


@pytest.mark.torture
@pytest.mark.parametrize("kind", ON_DISK)
def test_no_tool_is_called_twice_in_a_hundred_kills(kind: str, tmp_path: Path) -> None:
    print(kind, killed(kind, tmp_path, times=100), "calls were broken off")
