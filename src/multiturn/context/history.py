"""Histories that somebody else keeps, as messages: the exchanges they are made of, and what of them is shown.

Such a history says nothing of the window that it was shown through. But policies are pure, so that it can be found
again: exchange by exchange, what would have been left out is left out, and the next request begins like the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from multiturn.context.framing import Framing
from multiturn.context.policies import Situation
from multiturn.messages import Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from multiturn.models.base import Model
from multiturn.request import Request
from multiturn.turns import Mark, Turn

_MEDIUM_LETTERS = 8000
"""What a picture or a file counts for in `_letters`, generously."""


def exchanges(messages: Sequence[Message]) -> Iterator[Turn]:
    """The turns that these messages would have been: one begins where a user, or the system, speaks after a model."""
    start = 0
    for n in range(1, len(messages) + 1):
        if n == len(messages) or _begins(messages[n], messages[n - 1]):
            said = messages[start:n]
            asked = next((n for n, message in enumerate(said) if message.role == "assistant"), len(said))
            yield Turn(input=tuple(said[:asked]), output=tuple(said[asked:]))
            start = n


def _begins(message: Message, before: Message) -> bool:
    asks = message.role in ("user", "system", "developer") and not message.tool_results
    return asks and before.role in ("assistant", "tool")


def replayed(framing: Framing, model: Model, request: Request) -> Mark:
    """The mark that a conversation would have by now which has had the turns of this request's path."""
    turns, mark = request.path.turns, Mark()
    sizes, budget = framing.sizes(model), framing.room(model, request).budget
    if budget is not None and sum(map(_letters, turns)) < budget // 2:
        budget = None
    fixed = 0 if budget is None else sizes.opening(request)
    total = fixed + (0 if budget is None or not turns else sizes.turn(turns[0]))
    for n in range(1, len(turns)):
        total += 0 if budget is None else sizes.turn(turns[n])
        situation = Situation(
            turns=turns[:n], mark=mark, size=sizes.turn, total=total, budget=budget, share=framing.window.share
        )
        cut = framing.window.policy(situation)
        if cut.mark != mark:
            total, mark = situation.under(cut.mark).total, cut.mark
    return mark


def _letters(turn: Turn) -> int:
    return sum(_part_letters(part) for message in turn.messages for part in message.parts)


def _part_letters(part: object) -> int:
    match part:
        case Text() | Refusal() | Reasoning():
            return len(part.text)
        case ToolCall():
            return len(part.name) + len(part.arguments)
        case ToolResult():
            return sum(map(_part_letters, part.parts))
    return _MEDIUM_LETTERS
