"""Runs one contender in its own process: in `benchmarks/`, `python -m windows.ours SIZES TURNS BUDGET` prints a JSON
list, for each turn the messages that its request had: 2n is question n, 2n+1 its answer, -1 anything else. `SIZES` is a
file with the tokens of message 0, 1, …, so that all count alike."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import words

INSTRUCTIONS = "You are a helpful assistant. Answer in one sentence."

Choose = Callable[[int], Awaitable[Iterable[str]]]
"""Has turn n asked and answered; the texts of the request's messages, the system's left out."""


class Sizes:
    """Tokens by text."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tokens
        self._numbers: dict[str, int] = {}

    def learn(self, turn: int) -> None:
        self._numbers[words.question(turn)] = 2 * turn
        self._numbers[words.answer(turn)] = 2 * turn + 1

    def number(self, text: str) -> int:
        return self._numbers.get(text, -1)

    def items_within(self, budget: int) -> int:
        """How many messages the budget holds on average."""
        return int(budget / (sum(self._tokens) / len(self._tokens)))

    def tokens(self, text: str) -> int:
        return self._tokens[self._numbers[text]] if text in self._numbers else len(text) // 4


def run(opened: Callable[[Sizes, int], Choose]) -> None:
    """Hold the conversation, and print what was asked. `opened(sizes, budget)` gives back what does one turn."""
    file, turns, budget = sys.argv[1:]
    sizes = Sizes(json.loads(Path(file).read_text()))
    asyncio.run(_run(opened(sizes, int(budget)), sizes, int(turns)))


async def _run(choose: Choose, sizes: Sizes, turns: int) -> None:
    asked: list[list[int]] = []
    for turn in range(turns):
        sizes.learn(turn)
        asked.append([sizes.number(text) for text in await choose(turn)])
    json.dump(asked, sys.stdout)
