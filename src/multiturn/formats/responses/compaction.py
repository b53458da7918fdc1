"""Compaction items: what stands for the beginning of a conversation, in one item that a client carries along and only
this server reads.

Its text is what a model is told. `encrypted_content` hides it from nobody whose conversation it is; it says that the
text is not for people, and it reads the same on every node.
"""

from __future__ import annotations

import base64
import zlib

from multiturn.messages import Message, Text

_MARK = "mt1."  # how the content of our own items begins
_LONGEST = 16 << 20  # bytes of a text; a short item must not become a huge one
_KIND = {"item": "compaction"}


def compaction(text: str) -> Message:
    """The message that says this text to a model, and is shown as a compaction item."""
    return Message("user", (Text(text),), metadata=dict(_KIND))


def is_compaction(message: Message) -> bool:
    """Whether the message is shown as a compaction item."""
    return message.metadata is not None and message.metadata.get("item") == "compaction"


def as_compaction(message: Message) -> Message:
    """A model's summary, from now on shown as a compaction item."""
    return Message(message.role, message.parts, None, message.id, message.origin, message.usage, metadata=dict(_KIND))


def sealed(text: str) -> str:
    """The `encrypted_content` of an item with this text."""
    return _MARK + base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode()


def opened(content: str) -> str | None:
    """The text of an item with this `encrypted_content`; None if no server of ours made it."""
    if not content.startswith(_MARK):
        return None
    try:
        packed = base64.b64decode(content.removeprefix(_MARK), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(packed, _LONGEST).decode("utf-8", "surrogatepass")
        return text if unpacking.eof else None
    except (ValueError, zlib.error):
        return None
