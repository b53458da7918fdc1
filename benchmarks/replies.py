"""Replies as the chat completions format reads them from a provider, without any provider: for benchmarks of what is
below the model."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from functools import cache

import words
from multiturn.deltas import Answer, Delta
from multiturn.messages import Message, Origin, Text, Usage, user
from multiturn.request import Request

MODEL = "openai:gpt-5-mini"


@cache
def reply(turn: int) -> Message:
    """The answer of a turn, with everything that a real one has beside its words."""
    usage = Usage(input_tokens=230 * turn, output_tokens=30, cached_tokens=230 * (turn - 1))
    return Message(
        role="assistant",
        parts=(Text(words.answer(turn)),),
        id=f"chatcmpl-{turn:029d}",
        origin=Origin("openai", "gpt-5-mini-2025-08-07", "chat_completions"),
        usage=usage,
        finish_reason="stop",
    )


EXCHANGES = 5_000
"""How many different ones `exchange` has; then they begin again."""


def exchange(turn: int) -> tuple[Message, Message]:
    """What is asked and answered in a turn; made once, so that making it is no part of what is timed."""
    return _exchange(turn % EXCHANGES)


@cache
def _exchange(turn: int) -> tuple[Message, Message]:
    return user(words.question(turn)), reply(turn)


class InstantModel:
    """Answers at once, call after call with the next `reply`."""

    provider, name = "openai", "gpt-5-mini"

    def __init__(self) -> None:
        self._calls = itertools.count(1)

    async def answer(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        yield Answer(reply(next(self._calls)))

    async def aclose(self) -> None:
        pass
