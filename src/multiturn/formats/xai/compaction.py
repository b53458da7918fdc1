"""What `CompactContext` gives: messages that take the place of a long history, in one text that a client carries along
and only this server reads.

The SDK puts it into `encrypted_content` of a message without content. It hides nothing from anybody whose conversation
it is; it says that it is not for people, and it reads the same on every node. What it holds is checked, when it comes
back, as any client's messages are.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence

from multiturn.errors import InvalidInput
from multiturn.formats.xai.wire import DecodeError, Proto, chat_pb2, dumps

_MARK = "mtx1."  # how our own begin
_LONGEST = 16 << 20  # bytes of messages; a short text must not become a huge one


def sealed(messages: Iterable[Proto]) -> str:
    """The `encrypted_content` that stands for these messages."""
    packed = zlib.compress(dumps(chat_pb2.CompactContextRequest(input=messages)))
    return _MARK + base64.urlsafe_b64encode(packed).decode()


def expanded(items: Sequence[Proto]) -> Sequence[Proto]:
    """A client's messages with what the last compaction of ours stands for, in its place and that of all before it.
    Raises `InvalidInput` for a damaged one."""
    for n in range(len(items) - 1, -1, -1):
        if not items[n].content and items[n].encrypted_content.startswith(_MARK):
            return [*_opened(items[n].encrypted_content, f"messages[{n}]"), *items[n + 1 :]]
    return items


def _opened(content: str, place: str) -> Sequence[Proto]:
    try:
        packed = base64.b64decode(content.removeprefix(_MARK), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(packed, _LONGEST)
        if unpacking.eof:
            messages: Sequence[Proto] = chat_pb2.CompactContextRequest.FromString(data).input
            return messages
    except (ValueError, zlib.error, DecodeError):
        pass
    raise InvalidInput(f"{place}.encrypted_content: this compaction is damaged; send the messages that it stands for")
