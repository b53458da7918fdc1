"""What a caller may say, and the messages that it means."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from multiturn.errors import InvalidInput
from multiturn.messages import Message, Part, ToolResult, user

Piece: TypeAlias = str | Part
Input: TypeAlias = Piece | Message | Mapping[str, Any] | Sequence[Piece | Message | Mapping[str, Any]]
"""A text; a part, such as an image; texts and parts in order, which make one user message; a `Message`, or a dict as
in OpenAI's Chat Completions; or several of these in order."""


def as_messages(said: Input) -> tuple[Message, ...]:
    """The messages that this means, oldest first, at least one. Nothing of the caller's is kept or changed. Raises
    `InvalidInput` for what is not in `Input`."""
    items: object = [said] if isinstance(said, str | Message | Mapping | Part) else said
    if not isinstance(items, list | tuple) or not items:
        raise InvalidInput(f"nothing to say in {reprlib.repr(said)}; give a text, parts, messages, or a list of these")
    if all(isinstance(item, str | Part) and not isinstance(item, ToolResult) for item in items):
        return (user(*items),)
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
        case _ if isinstance(item, str | Part):
            return user(item)
    raise InvalidInput(f"cannot say {reprlib.repr(item)}; give a text, a part, a Message or a dict with a role")
