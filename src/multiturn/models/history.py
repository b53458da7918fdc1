"""What of a history a request needs to hold, and what its reader is not shown as it was said."""

from __future__ import annotations

from collections import Counter

import msgspec

from multiturn.formats.switching import RULES, Target, is_home, switched
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


def translations(request: Request, target: Target) -> list[Notice]:
    """A notice for each rule of `multiturn.formats.switching` that changes what is shown: of the input in every turn,
    of the history in the first turn after a switch. None once the model has begun to answer the turn."""
    if any(message.role == "assistant" for message in request.input):
        return []
    applied: Counter[str] = Counter()
    switched(request.input, target, lambda rule: applied.update((rule,)))
    answers = (message for turn in reversed(request.path.turns) for message in reversed(turn.messages))
    last = next((message for message in answers if message.role == "assistant"), None)
    if last is not None and not is_home(last.origin, target):
        switched(request.path.messages, target, lambda rule: applied.update((rule,)))
    return [Notice("translated", f"{RULES[rule]} ({_times(count)})") for rule, count in applied.items()]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
