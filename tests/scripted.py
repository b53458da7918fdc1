"""A model that says what a test tells it to, for tests of what is above models. It is given by argument, never patched
in; what is below models is tested against a real socket (`upstream.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from multiturn.deltas import Answer, Delta, TextDelta
from multiturn.messages import Message, Origin, Text, ToolCall, Usage
from multiturn.request import Request


class ScriptedModel:
    """Answers with `reply(request)`, word by word if streamed, `delay_s` between the words: a text, or a whole message
    such as `calling`. An exception that `reply` returns is raised after `words_before_error` words. `requests` records
    what it was asked."""

    provider = "scripted"
    name = "scripted"

    def __init__(
        self,
        reply: Callable[[Request], str | Message | Exception] = lambda request: f"heard {request.messages[-1].text}",
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
            whole = said if isinstance(said, Message) else message(said) if isinstance(said, str) else None
            words = self.words_before_error if whole is None else whole.text.split(" ") if whole.text else ()
            for n, word in enumerate(words if request.stream else ()):
                await asyncio.sleep(self.delay_s)
                yield TextDelta(word if n == 0 else f" {word}")
            if isinstance(said, Exception):
                raise said
            assert whole is not None
            yield Answer(whole)
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        pass


def message(text: str, *calls: ToolCall) -> Message:
    return Message(
        role="assistant",
        parts=(*((Text(text),) if text else ()), *calls),
        origin=Origin("scripted", "scripted-1"),
        usage=Usage(input_tokens=10, output_tokens=2, cached_tokens=4),
        finish_reason="tool_calls" if calls else "stop",
    )


def calling(*calls: tuple[str, str, str], text: str = "") -> Message:
    """An answer that calls tools: their call ids, names and arguments."""
    return message(text, *(ToolCall(id, name, arguments) for id, name, arguments in calls))


def in_turn(*answers: str | Message | Exception) -> Callable[[Request], str | Message | Exception]:
    """One answer after the other, the last one for ever; an answer is chosen by how often the model has answered in
    this turn."""

    def reply(request: Request) -> str | Message | Exception:
        said = sum(each.role == "assistant" for each in request.input)
        return answers[min(said, len(answers) - 1)]

    return reply
