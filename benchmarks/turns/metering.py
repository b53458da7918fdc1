"""Runs one contender in its own process and prints what each turn cost: in `benchmarks/`,
`python -m turns.ours BASE_URL FOLDER TURNS`.

The contender's file only says how a conversation is opened; counting and the words said are the same for all.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time

LENGTH = 800  # characters, of each user message and of each reply


def question(turn: int) -> str:
    """What the user says in a turn: `LENGTH` characters, different in each turn."""
    return (f"This is turn {turn}. " * LENGTH)[:LENGTH]


def run(open_chat: Callable[[str, Path], Callable[[str], str]]) -> None:
    """Hold the conversation and print a JSON list: CPU seconds (user + system, all threads) of each turn, in order.

    `open_chat(base_url, folder)` gives back what sends one text and returns the reply; what it keeps goes in `folder`.
    """
    base_url, folder, turns = _arguments()
    send = open_chat(base_url, folder)
    spent = []
    for turn in range(1, turns + 1):
        text, start = question(turn), process_time()
        reply = send(text)
        spent.append(process_time() - start)
        _check(reply)
    print(json.dumps(spent))


def run_async(open_chat: Callable[[str, Path], Callable[[str], Awaitable[str]]]) -> None:
    """The same as `run`, for a contender whose `send` is awaited; one event loop holds the whole conversation."""
    asyncio.run(_run_async(open_chat))


async def _run_async(open_chat: Callable[[str, Path], Callable[[str], Awaitable[str]]]) -> None:
    base_url, folder, turns = _arguments()
    send = open_chat(base_url, folder)
    spent = []
    for turn in range(1, turns + 1):
        text, start = question(turn), process_time()
        reply = await send(text)
        spent.append(process_time() - start)
        _check(reply)
    print(json.dumps(spent))


def _arguments() -> tuple[str, Path, int]:
    base_url, folder, turns = sys.argv[1:]
    return base_url, Path(folder), int(turns)


def _check(reply: str) -> None:
    if len(reply) != LENGTH:
        raise SystemExit(f"not the upstream's reply: {reply!r}")
