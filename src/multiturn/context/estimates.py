"""`estimate`: how many tokens a request's input takes, from what its provider has counted before and our own counts.

A provider says with each answer what it has read. That is exact, and takes in whatever it adds itself, so only what
came after that answer is counted here. Nothing is counted twice: the counts of a path's turns are kept with the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from multiturn.context.tokens import Counter, rules_of
from multiturn.messages import Message, Reasoning
from multiturn.path import Path
from multiturn.request import Request


class Estimate(msgspec.Struct, frozen=True):
    """The `tokens` of a request's input, `reported` of which the provider has counted; the rest is our count."""

    tokens: int
    reported: int = 0


class Anchor(NamedTuple):
    """What a provider has counted: `tokens` of everything up to an answer and this answer, as a later request has them.
    `place` is the answer's among the messages that were looked through."""

    tokens: int
    place: int


def estimate(request: Request, counter: Counter) -> Estimate:
    """The tokens of a request's input. It rests on the last answer that this counter's provider gave by the same rules;
    the tools are taken to be those that it was given with. A request whose `whole` is set shows something else than
    that answer was given for, and is counted anew."""
    new, turns = request.input, request.path.turns
    if request.whole:
        return _counted(request, counter)
    if found := anchor(new, counter):
        return Estimate(found.tokens + counter.messages(new[found.place + 1 :]), found.tokens)
    spoken = _has_user(new)
    for n in range(len(turns) - 1, -1, -1):
        if found := anchor(turns[n].messages, counter, spoken=spoken):
            return Estimate(found.tokens + _since(request, counter, n, found.place), found.tokens)
        if turns[n].window is not None:  # answers before it have read what is no longer shown
            break
        spoken = spoken or _has_user(turns[n].input)
    return _counted(request, counter)


def _counted(request: Request, counter: Counter) -> Estimate:
    history = sum(turn_counts(request.path, counter))
    return Estimate(opening(request, counter) + history + counter.messages(request.input))


def _since(request: Request, counter: Counter, n: int, place: int) -> int:
    """What a request has beyond the message at `place` of its path's turn `n`, and beyond that turn's instructions."""
    turns = request.path.turns
    later = sum(turn_counts(request.path, counter)[n + 1 :]) if n + 1 < len(turns) else 0
    other = counter.instructions(request.instructions) - counter.instructions(turns[n].instructions)
    return other + counter.messages(turns[n].messages[place + 1 :]) + later + counter.messages(request.input)


def opening(request: Request, counter: Counter) -> int:
    """All of a request but its messages."""
    settings = request.settings
    forced = settings.tool_choice not in (None, "auto", "none")
    return counter.opening(request.instructions, request.tools, forced=forced, output=settings.output)


def turn_counts(path: Path, counter: Counter) -> Sequence[int]:
    """The tokens of each turn of a path, oldest first; only turns that are new to it are counted."""
    kept = path.encoded(("tokens", counter), lambda messages: counter.messages(messages).to_bytes(8, "big"))
    return [int.from_bytes(count, "big") for count in kept]


def anchor(messages: Sequence[Message], counter: Counter, *, spoken: bool = False) -> Anchor | None:
    """The last of these messages that `counter`'s provider has counted, if any. `spoken` says that the user speaks
    after them, from when on thinking may no longer be read."""
    for place in range(len(messages) - 1, -1, -1):
        answer, usage = messages[place], messages[place].usage
        spoken = spoken or answer.role == "user"
        if usage is not None and usage.input_tokens and _is_same(answer, counter):
            read = usage.input_tokens + usage.output_tokens + counter.rules.wrapping.reply
            return Anchor(max(0, read - _forgotten(messages[: place + 1], counter, spoken)), place)
    return None


def _is_same(answer: Message, counter: Counter) -> bool:
    origin = answer.origin
    if origin is None or origin.provider != counter.provider:
        return False
    return origin.model is None or rules_of(origin.provider, origin.model, counter.format) == counter.rules


def _has_user(messages: Sequence[Message]) -> bool:
    return any(message.role == "user" for message in messages)


def _forgotten(messages: Sequence[Message], counter: Counter, spoken: bool) -> int:
    """The thinking that the last of these messages was billed for, and that later requests do not hold: its own, where
    it is not sent back at all; and where the user has spoken since, that of all answers since the user last spoke."""
    rule, answer = counter.rules.wrapping.reasoning, messages[-1]
    if rule != "turn" or not spoken:
        return 0 if rule != "never" and _shows_thinking(answer) else _thinking(answer, counter)
    forgotten = _thinking(answer, counter)
    for message in reversed(messages[:-1]):
        if message.role == "user":
            break
        if _shows_thinking(message):
            forgotten += _thinking(message, counter)
    return forgotten


def _shows_thinking(message: Message) -> bool:
    return any(isinstance(part, Reasoning) for part in message.parts)


def _thinking(message: Message, counter: Counter) -> int:
    told = message.usage.reasoning_tokens if message.usage else 0
    return told or counter.text(message.reasoning)
