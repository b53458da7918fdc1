"""One run: a request to a model, until there is an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from multiturn.deltas import Answer, Delta
from multiturn.errors import EmptyAnswer
from multiturn.messages import Message, Reasoning
from multiturn.models.base import Model
from multiturn.notices import Notice
from multiturn.request import Request

CUT_SHORT = ("length", "content_filter")
"""The finish reasons of an answer that is there in part; its turn is `incomplete`."""


async def run(model: Model, request: Request) -> AsyncGenerator[Delta | Notice | Answer, None]:
    """Notices and deltas as they come, then the answer, as `Model.answer` gives them. Raises `EmptyAnswer` for an
    answer with nothing in it, for it would be a turn that says nothing and that some providers refuse to read."""
    async with aclosing(model.answer(request)) as items:
        async for item in items:
            if isinstance(item, Answer):
                _check(item.message, model)
            yield item


def _check(message: Message, model: Model) -> None:
    thought_only = all(isinstance(part, Reasoning) for part in message.parts)
    if thought_only and message.finish_reason not in CUT_SHORT:
        raise EmptyAnswer(
            f"{model.provider}:{model.name} answered with nothing at all "
            f"(finish reason: {message.finish_reason or 'none given'}); retry, or ask in other words",
            provider=model.provider,
            model=model.name,
        )
