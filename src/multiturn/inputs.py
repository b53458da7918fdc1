"""What a caller may say, and the messages that it means."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from multiturn.errors import InvalidInput
from multiturn.messages import Message, Part, ToolResult, user

Piece: TypeAlias = str | Part | os.PathLike[str]
Input: TypeAlias = Piece | Message | Mapping[str, Any] | Sequence[Piece | Message | Mapping[str, Any]]
"""A text; a part, such as an image; a path, which is read and made the part that it holds; texts, parts and paths in
order, which make one user message; a `Message`, or a dict as in OpenAI's Chat Completions; or several of these in
order."""


def as_messages(said: Input) -> tuple[Message, ...]:
    """The messages that this means, oldest first, at least one. Nothing of the caller's is kept or changed. Raises
    `InvalidInput` for what is not in `Input`, and for a path of what cannot be read."""
    items: object = [said] if isinstance(said, str | Message | Mapping | Part | os.PathLike) else said
    if not isinstance(items, list | tuple) or not items:
        raise InvalidInput(f"nothing to say in {reprlib.repr(said)}; give a text, parts, messages, or a list of these")
    if all(isinstance(item, str | Part | os.PathLike) and not isinstance(item, ToolResult) for item in items):
        return (user(*map(_piece, items)),)
    return tuple(_message(item) for item in items)


def _message(item: Piece | Message | Mapping[str, Any]) -> Message:
    match item:
        case Message():
            return item
        case ToolResult():
            return Message(role="tool", parts=(item,))
        case Mapping():
            from multiturn.formats.chat_completions import decode_messages

            (message,) = decode_messages([item])
            return message
        case _ if isinstance(item, str | Part | os.PathLike):
            return user(_piece(item))
    raise InvalidInput(
        f"cannot say {reprlib.repr(item)}; give a text, a part such as image(…), a Message or a dict with a role"
    )


def _piece(piece: Piece) -> str | Part:
    if not isinstance(piece, os.PathLike):
        return piece
    from multiturn.media import part_of

    return part_of(piece)
