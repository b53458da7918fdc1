"""A summary of what is left out: asked for in the conversation itself, so that a provider's cache serves again."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from multiturn.deltas import Answer
from multiturn.errors import ModelError
from multiturn.messages import Message, Usage, user
from multiturn.models.base import Model
from multiturn.request import Request, Settings

WORDS = (
    "Summarise our conversation so far, for it will go on without its beginning. Keep every name, number, date, "
    "decision, wish and open question, what tools have returned that may matter again, and whatever an earlier summary "
    "says. Leave out greetings and what was withdrawn. Write the summary and nothing else."
)


class Summary(msgspec.Struct, frozen=True):
    """What a model has made of it: `text`, empty where it has failed, and then `problem` says how."""

    text: str = ""
    usage: Usage | None = None
    problem: str = ""


def asking(request: Request, words: str | None, most_tokens: int) -> Request:
    """The request for a summary of this one's path. Tools and instructions stay, for a provider's cache begins with
    them and some refuse results of tools without; none of the tools may be called."""
    settings = Settings(
        max_output_tokens=most_tokens,
        tool_choice="none" if request.tools else None,
        store=False,
        extra=request.settings.extra,
    )
    said = (user(words or WORDS),)
    return msgspec.structs.replace(request, input=said, settings=settings, stream=False)


async def summary_of(model: Model, request: Request) -> Summary:
    """What the model answers. Never raises a `ModelError`: a conversation goes on without its summary."""
    try:
        message = await answer_of(model, request)
    except ModelError as error:
        return Summary(problem=f"{type(error).__name__}: {error}")
    text = message.text.strip()
    return Summary(text, message.usage, "" if text else "the model wrote none")


async def answer_of(model: Model, request: Request) -> Message:
    """The model's answer. Raises a `ModelError`."""
    async with aclosing(model.answer(request)) as items:
        async for item in items:
            if isinstance(item, Answer):
                return item.message
    raise AssertionError("a model ends with its answer")
