"""What a client says again though it is stored already, as many do that keep the history themselves and chain as well.
Said twice, it would be stored, sent and paid for twice, and twice more with every turn."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeAlias

from multiturn.context.view import without
from multiturn.messages import Image, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from multiturn.path import Path

_Piece: TypeAlias = tuple[str, Hashable]


def new_of(messages: tuple[Message, ...], path: Path) -> tuple[Message, ...]:
    """The messages without the beginning that says again how the path ends: its whole, or its last messages. Such a
    beginning holds an answer, for a user may well say the same thing twice; and something is left after it. Thinking,
    and what only one provider understands, need not be the same, for clients leave it out."""
    if not path.turns or all(message.role != "assistant" for message in messages[:-1]):
        return messages
    pieces, ends = _pieces(messages)
    tail = _tail(path, max(ends.values()))
    for count in sorted(ends, reverse=True):
        said = pieces[: ends[count]]
        has_answer = any(role == "assistant" for role, _ in said)
        if count < len(messages) and has_answer and said == tail[-len(said) :]:
            return messages[count:]
    return messages


def _pieces(messages: Sequence[Message]) -> tuple[list[_Piece], dict[int, int]]:
    """What the messages say, piece by piece, and how many pieces that are after so many messages; an answer that is
    told in several messages is one."""
    pieces: list[_Piece] = []
    ends: dict[int, int] = {}
    for n, message in enumerate(messages):
        goes_on = n > 0 and message.role == "assistant" == messages[n - 1].role
        if goes_on:
            ends.pop(n, None)
        for piece in _said(message):
            if goes_on and _is_text(piece) and pieces and _is_text(pieces[-1]):
                pieces[-1] = ("assistant", f"{pieces[-1][1]}{piece[1]}")
            else:
                pieces.append(piece)
        ends[n + 1] = len(pieces)
    return pieces, ends


def _tail(path: Path, count: int) -> list[_Piece]:
    """The last pieces of the path: at least so many, if there are."""
    messages: list[Message] = []
    found: list[_Piece] = []
    for turn in reversed(path.turns):
        messages[:0] = without(turn, path.mark).messages
        if len(messages) >= count and len(found := _pieces(messages)[0]) >= count:
            return found
    return _pieces(messages)[0]


def _said(message: Message) -> Iterator[_Piece]:
    """The words of a message as one piece, as it is shown as one item; anything else a piece each."""
    words = [part.text for part in message.parts if isinstance(part, Text | Refusal)]
    if words:
        yield message.role, "".join(words)
    for part in message.parts:
        if not isinstance(part, Text | Refusal | Reasoning | Opaque):
            yield message.role, _key(part)


def _key(part: Part) -> Hashable:
    match part:
        case ToolCall():
            return part.call_id, part.name, part.arguments
        case ToolResult():
            return part.call_id, tuple(map(_key, part.parts))
        case Text():
            return part.text
        case Image():
            return part.source
    return part


def _is_text(piece: _Piece) -> bool:
    return piece[0] == "assistant" and isinstance(piece[1], str)
