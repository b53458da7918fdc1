"""Holds one contender's conversation and prints how its database grew: in `benchmarks/`,
`python -m growth.ours FOLDER MARK...`, marks being numbers of turns, ascending.

The contender's file only says how a conversation is opened; the words said and the weighing are the same for all.
"""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

import words

Send = Callable[[str], Awaitable[str]]


def run(open_chat: Callable[[Path], Send]) -> None:
    """Hold the conversation and print a JSON list of what `weigh` gives at each mark.

    `open_chat(folder)` gives back what sends one text and returns the reply; its database is a `*.db` in `folder`.
    """
    asyncio.run(_run(open_chat))


async def _run(open_chat: Callable[[Path], Send]) -> None:
    folder, marks = Path(sys.argv[1]), [int(mark) for mark in sys.argv[2:]]
    send, weights, start, written = open_chat(folder), [], perf_counter(), disk_writes()
    for turn in range(1, marks[-1] + 1):
        heard = await send(words.question(turn))
        if heard != words.answer(turn):
            raise SystemExit(f"not the reply of turn {turn}: {heard!r}")
        if turn in marks:
            so_far = {"turns": turn, "written": disk_writes() - written, "seconds": perf_counter() - start}
            weights.append(so_far | {"bytes": weigh(folder)})
    print(json.dumps(weights))


def weigh(folder: Path) -> int:
    """Bytes of the databases in `folder`, once everything in a write-ahead log has moved into its database."""
    for file in folder.glob("*.db"):
        with sqlite3.connect(file, timeout=30) as database:
            busy, *_ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        database.close()
        if busy:
            raise SystemExit(f"{file} could not be checkpointed")
    return sum(file.stat().st_size for file in folder.glob("*.db"))


def disk_writes() -> int:
    """Bytes that this process and its children have sent to the disk so far, journals included (Linux)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sum(_disk_writes(process) for process in ("self", *children))


def _disk_writes(process: str) -> int:
    lines = Path(f"/proc/{process}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes:")).split()[1])
