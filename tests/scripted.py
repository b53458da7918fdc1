"""A model that says what a test tells it to, for tests of what is above models. It is given by argument, never patched
in; what is below models is tested against a real socket (`upstream.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from multiturn.deltas import Answer, Delta, TextDelta
from multiturn.messages import Message, Origin, Text, Usage
from multiturn.request import Request


class ScriptedModel:
    """Answers with `reply(request)`, word by word if streamed, `delay_s` between the words. An exception that `reply`
    returns is raised after `words_before_error` words. `requests` records what it was asked."""

    provider = "scripted"
    name = "scripted"

    def __init__(
        self,
        reply: Callable[[Request], str | Exception] = lambda request: f"heard {request.messages[-1].text}",
        *,
        delay_s: float = 0.0,
        words_before_error: tuple[str, ...] = (),
    ) -> None:
        self.reply = reply
        self.delay_s = delay_s
        self.words_before_error = words_before_error
        self.requests: list[Request] = []
        self.running = 0

    async def answer(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        self.requests.append(request)
        self.running += 1
        try:
            said = self.reply(request)
            words = self.words_before_error if isinstance(said, Exception) else said.split(" ")
            for n, word in enumerate(words if request.stream else ()):
                await asyncio.sleep(self.delay_s)
                yield TextDelta(word if n == 0 else f" {word}")
            if isinstance(said, Exception):
                raise said
            yield Answer(message(said))
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        pass


def message(text: str) -> Message:
    return Message(
        role="assistant",
        parts=(Text(text),),
        origin=Origin("scripted", "scripted-1"),
        usage=Usage(input_tokens=10, output_tokens=2, cached_tokens=4),
        finish_reason="stop",
    )
