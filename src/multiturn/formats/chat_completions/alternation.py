"""Strict alternation, for chat templates that know nothing but system, user, assistant, user, …

- System words that come before all others are one system message; later ones are said by the user, in their place.
- Neighbours of one role, user or assistant, become one message, their texts a blank line apart.
- Tool messages stay as they are and stand between others.
- A history that starts with the assistant gets a user's line before it.

Histories are kept as encoded turns, so merging within a turn is done once; `fits` says whether the turns fit together
as they are or the history must be encoded afresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec import structs

from multiturn.formats.chat_completions.wire import Content, OutgoingMessage, TextPart
from multiturn.messages import Message, Refusal, Text
from multiturn.request import Request

OPENING = "(The conversation begins.)"
_SYSTEM = ("system", "developer")


def merged(made: Sequence[OutgoingMessage], *, whole: bool = False) -> list[OutgoingMessage]:
    """The same words in alternating messages; `whole` where nothing comes before them."""
    result: list[OutgoingMessage] = []
    begun = False
    for message in made:
        if message.role in _SYSTEM:
            message = structs.replace(message, role="user" if begun else "system")
        elif not begun:
            begun = True
            if whole and message.role == "assistant":
                result.append(OutgoingMessage(role="user", content=OPENING))
        if result and result[-1].role == message.role != "tool":
            result[-1] = _joined(result[-1], message)
        else:
            result.append(message)
    return result


def fits(request: Request) -> bool:
    """Whether the turns' messages, each merged on its own, alternate when they are strung together. Looks at each
    turn's first and last message only, and says no where that does not tell."""
    turns = [turn.messages for turn in request.path.turns]
    if request.input:
        turns.append(request.input)
    if not turns:
        return True
    return _opens(turns[0], request.instructions) and all(
        _ends_with_answer(before) and _asks(after) for before, after in pairwise(turns)
    )


def _opens(messages: Sequence[Message], instructions: str | None) -> bool:
    has_system = bool(messages) and messages[0].role in _SYSTEM
    first = next((message for message in messages if message.role not in _SYSTEM), None)
    return first is not None and first.role == "user" and not (has_system and instructions)


def _asks(messages: Sequence[Message]) -> bool:
    return bool(messages) and (messages[0].role == "user" or bool(messages[0].tool_results))


def _ends_with_answer(messages: Sequence[Message]) -> bool:
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant" or last.tool_results:
        return False
    return bool(last.tool_calls) or any(isinstance(part, (Text, Refusal)) and part.text for part in last.parts)


def _joined(first: OutgoingMessage, second: OutgoingMessage) -> OutgoingMessage:
    content = _contents(first.content or "", second.content or "")
    return structs.replace(
        first,
        content=content or (None if first.role == "assistant" else ""),
        refusal="\n\n".join(filter(None, (first.refusal, second.refusal))) or None,
        reasoning_content="\n\n".join(filter(None, (first.reasoning_content, second.reasoning_content))) or None,
        reasoning="\n\n".join(filter(None, (first.reasoning, second.reasoning))) or None,
        name=first.name if first.name == second.name else None,
        audio=second.audio or first.audio,
        tool_calls=[*(first.tool_calls or ()), *(second.tool_calls or ())] or None,
    )


def _contents(
    first: str | list[Content], second: str | list[Content]
) -> str | list[Content]:
    if isinstance(first, str) and isinstance(second, str):
        return "\n\n".join(filter(None, (first, second)))
    return [*_items(first), *_items(second)]


def _items(content: str | list[Content]) -> list[Content]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return content
