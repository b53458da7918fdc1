"""What of a history a request needs to hold, and what its reader is not shown as it was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

import msgspec

from multiturn.deltas import Answer, Delta, Deltas
from multiturn.errors import StateLost
from multiturn.formats.switching import RULES, Target, check_input, is_home, switched
from multiturn.messages import Message
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request


def continued(request: Request, target: Target) -> Request | None:
    """The same request with only what came after the last answer, which names that answer; None where its provider
    does not hold it: another provider's, one that was stopped half-way, or none at all; and None where it holds more
    than the model is to see."""
    if not target.keeps_answers or request.settings.store is False or request.whole:
        return None
    since: list[Message] = []
    for messages in (request.input, *(turn.messages for turn in reversed(request.path.turns))):
        for message in reversed(messages):
            if message.role != "assistant":
                since.append(message)
            elif message.id and message.origin and is_home(message.origin, target):
                new = tuple(reversed(since))
                return msgspec.structs.replace(request, path=Path(), input=new, previous_answer=message.id)
            else:
                return None
    return None


D = TypeVar("D", bound=Target)
MAX_LOSSES = 2  # in a row, before a provider that never keeps anything is sent the whole history at once


class Continuing(Generic[D]):
    """What a model knows of its provider's memory: how often in a row an answer was lost. `shorten` makes the request
    that names the last answer, as `continued` does."""

    def __init__(self, target: D, shorten: Callable[[Request, D], Request | None] = continued) -> None:
        self._target = target
        self._shorten = shorten
        self._losses = 0

    def answer(
        self, request: Request, model: str, ask: Callable[[Request], AsyncGenerator[Delta | Deltas | Answer, None]]
    ) -> AsyncGenerator[Delta | Deltas | Notice | Answer, None]:
        """As `Model.answer` says, `ask` being how the model is asked: for what is new alone where its provider holds
        the rest, and once more with all of it where that was lost. Raises `InvalidInput`, as `ask` does."""
        notices = translations(request, self._target)
        if not notices and not self._target.keeps_answers:
            return ask(request)
        check_input(request.input, self._target, model)  # as `ask` does, but before a notice is told
        return self._answer(request, notices, ask)

    async def _answer(
        self,
        request: Request,
        notices: Sequence[Notice],
        ask: Callable[[Request], AsyncGenerator[Delta | Deltas | Answer, None]],
    ) -> AsyncGenerator[Delta | Deltas | Notice | Answer, None]:
        for notice in notices:
            yield notice
        shorter = self._shorten(request, self._target) if self._losses < MAX_LOSSES else None
        try:
            async with aclosing(ask(shorter or request)) as items:
                async for item in items:
                    self._losses = 0 if shorter else self._losses
                    yield item
            return
        except StateLost:
            if shorter is None:
                raise
        self._losses += 1
        provider = self._target.provider
        yield Notice("resent", f"{provider} no longer holds the earlier answers; the whole history was sent again")
        async with aclosing(ask(request)) as items:
            async for item in items:
                yield item


def translations(request: Request, target: Target) -> list[Notice]:
    """A notice for each rule of `multiturn.formats.switching` that changes what is shown: of the input in every turn,
    of the history in the first turn after a switch. None once the model has begun to answer the turn."""
    if any(message.role == "assistant" for message in request.input):
        return []
    applied: list[str] = []
    switched(request.input, target, applied.append)
    answers = (message for turn in reversed(request.path.turns) for message in reversed(turn.messages))
    last = next((message for message in answers if message.role == "assistant"), None)
    if last is not None and not is_home(last.origin, target):
        switched(request.path.messages, target, applied.append)
    if not applied:
        return []
    return [Notice("translated", f"{RULES[rule]} ({_times(count)})") for rule, count in Counter(applied).items()]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
