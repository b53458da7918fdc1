"""The order that a dialect insists on.

Strict alternation (`Dialect.alternate`), for chat templates that know nothing but system, user, assistant, user, …

- System words that come before all others are one system message; later ones are said by the user, in their place.
- Neighbours of one role, user or assistant, become one message, their texts a blank line apart.
- Tool messages stay as they are and stand between others.
- A history that starts with the assistant gets a user's line before it.

An answer to every tool (`Dialect.answers_tools`): between a tool's result and the user's next words, which follow where
a turn was stopped or the result held an image, stands a line of the assistant.

Histories are kept as encoded turns, so merging within a turn is done once; `fits` says whether the turns fit together
as they are or the history must be encoded afresh.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.wire import Content, OutgoingMessage, TextPart
from multiturn.messages import Message, Refusal, Text, ToolCall
from multiturn.request import Request

OPENING = "(The conversation begins.)"
BRIDGE = "(The tools have answered.)"
_SYSTEM = ("system", "developer")
_REGULAR = b"qa"


def arranged(made: list[OutgoingMessage], dialect: Dialect, *, whole: bool = False) -> list[OutgoingMessage]:
    """The same words in the order that the dialect insists on; `whole` where nothing comes before them."""
    if dialect.alternate:
        made = _merged(made, whole=whole)
    return _bridged(made) if dialect.answers_tools else made


def _bridged(made: Sequence[OutgoingMessage]) -> list[OutgoingMessage]:
    result: list[OutgoingMessage] = []
    for message in made:
        if message.role == "user" and result and result[-1].role == "tool":
            result.append(OutgoingMessage(role="assistant", content=BRIDGE))
        result.append(message)
    return result


def _merged(made: Sequence[OutgoingMessage], *, whole: bool) -> list[OutgoingMessage]:
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


def fits(request: Request, instructions: str) -> bool:
    """Whether the turns' messages, each arranged on its own, are in order when they are strung together after these
    instructions. Each turn is looked at once in its life, as it is encoded once; says no where its first and last
    message do not tell."""
    edges = [*request.path.encoded("chat_completions.alternation", _edges)]
    if request.input:
        edges.append(_edges(request.input))
    opening = request.path.turns[0].messages if request.path.turns else request.input
    if len(edges) < 2:
        return not edges or _opens(opening, instructions)
    regular = edges[1:-1].count(_REGULAR) == len(edges) - 2
    return regular and edges[0].endswith(b"a") and edges[-1].startswith(b"q") and _opens(opening, instructions)


def _edges(messages: Sequence[Message]) -> bytes:
    """`q` for a turn that surely begins with a question or a tool's result, `a` for one that ends with an answer."""
    return (b"q" if _asks(messages[:1]) else b"-") + (b"a" if _answers(messages[-1:]) else b"-")


def _opens(messages: Sequence[Message], instructions: str) -> bool:
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
        content=content or (first.content if first.role == "assistant" else ""),
        refusal=_paragraphs(first.refusal, second.refusal),
        reasoning_content=_paragraphs(first.reasoning_content, second.reasoning_content),
        reasoning=_paragraphs(first.reasoning, second.reasoning),
        name=first.name if first.name == second.name else None,
        audio=second.audio or first.audio,
        tool_calls=[*(first.tool_calls or ()), *(second.tool_calls or ())] or None,
    )


def _paragraphs(first: str | None, second: str | None) -> str | None:
    return first if second is None else "\n\n".join(filter(None, (first, second)))


def _contents(first: str | list[Content], second: str | list[Content]) -> str | list[Content]:
    if isinstance(first, str) and isinstance(second, str):
        return "\n\n".join(filter(None, (first, second)))
    return [*_items(first), *_items(second)]


def _items(content: str | list[Content]) -> list[Content]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return content
