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

from msgspec import structs

from multiturn.formats.chat_completions.wire import Content, OutgoingMessage, TextPart
from multiturn.messages import Message, Refusal, Text, ToolCall
from multiturn.request import Request

OPENING = "(The conversation begins.)"
_SYSTEM = ("system", "developer")
_REGULAR = b"qa"


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
    """Whether the turns' messages, each merged on its own, alternate when they are strung together. Each turn is
    looked at once in its life, as it is encoded once; says no where its first and last message do not tell."""
    edges = [*request.path.encoded("chat_completions.alternation", _edges)]
    if request.input:
        edges.append(_edges(request.input))
    opening = request.path.turns[0].messages if request.path.turns else request.input
    if len(edges) < 2:
        return not edges or _opens(opening, request.instructions)
    regular = edges[1:-1].count(_REGULAR) == len(edges) - 2
    return regular and edges[0].endswith(b"a") and edges[-1].startswith(b"q") and _opens(opening, request.instructions)


def _edges(messages: Sequence[Message]) -> bytes:
    """`q` for a turn that surely begins with a question or a tool's result, `a` for one that ends with an answer."""
    return (b"q" if _asks(messages[:1]) else b"-") + (b"a" if _answers(messages[-1:]) else b"-")


def _opens(messages: Sequence[Message], instructions: str | None) -> bool:
    has_system = bool(messages) and messages[0].role in _SYSTEM
    first = next((message for message in messages if message.role not in _SYSTEM), None)
    return first is not None and first.role == "user" and not (has_system and instructions)


def _asks(first: Sequence[Message]) -> bool:
    return any(message.role == "user" or (message.role == "tool" and message.tool_results) for message in first)


def _answers(last: Sequence[Message]) -> bool:
    """Whether it is an assistant's message that is sure to be sent, and sent as one."""
    return any(
        message.role == "assistant"
        and not message.tool_results
        and any(
            isinstance(part, ToolCall) or (isinstance(part, (Text, Refusal)) and part.text) for part in message.parts
        )
        for message in last
    )


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


def _contents(first: str | list[Content], second: str | list[Content]) -> str | list[Content]:
    if isinstance(first, str) and isinstance(second, str):
        return "\n\n".join(filter(None, (first, second)))
    return [*_items(first), *_items(second)]


def _items(content: str | list[Content]) -> list[Content]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return content
