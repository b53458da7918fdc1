"""Runs one contender in its own process and prints what each turn cost: in `benchmarks/`,
`python -m loops.ours BASE_URL FOLDER TURNS`. A turn is a question, a call of a tool, its result, and the answer."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time

QUESTION = "What is the weather in Lima?"
ANSWER = "Sunny in Lima, 21 degrees"
LENGTH = 800  # characters of the upstream's last answer

called = 0


def weather(city: str) -> str:
    """The weather in a city, now."""
    global called
    called += 1
    return f"Sunny in {city}, 21 degrees"


async def aweather(city: str) -> str:
    """The weather in a city, now."""
    return weather(city)


def run(open_agent: Callable[[str, Path], Callable[[str], Awaitable[str]]]) -> None:
    """Ask again and again, each time afresh, and print a JSON list: CPU seconds (user + system, all threads) of each
    turn, in order. `open_agent(base_url, folder)` gives back what answers one question."""
    base_url, folder, turns = sys.argv[1:]
    asyncio.run(_run(open_agent(base_url, Path(folder)), int(turns)))


async def _run(ask: Callable[[str], Awaitable[str]], turns: int) -> None:
    spent = []
    for turn in range(1, turns + 1):
        start = process_time()
        reply = await ask(QUESTION)
        spent.append(process_time() - start)
        if len(reply) != LENGTH or called != turn:
            raise SystemExit(f"not the same work: {called} calls in {turn} turns, {reply!r}")
    print(json.dumps(spent))
