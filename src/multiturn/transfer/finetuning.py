"""OpenAI's fine-tuning file: JSON Lines, a conversation each, as the messages of Chat Completions.

    {"messages":[{"role":"system","content":"…"},{"role":"user","content":"…"},{"role":"assistant","content":"…"}]}

See https://platform.openai.com/docs/guides/supervised-fine-tuning.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import structs

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions import Dialect, decode_messages, encode_messages
from multiturn.messages import Audio, File, Image, Message, Part, Text, ToolResult, Uploaded, Video
from multiturn.transfer import exchanges
from multiturn.transfer.base import Tree
from multiturn.transfer.pieces import bad_line, lines

LOSSLESS = False
LOSES = (
    "This format holds what was said up to the head of each conversation, and the instructions there; not ids, times, "
    "users, metadata, models, usage, reasoning, citations, the tools that were offered, uploaded files, or turns aside."
)

DIALECT = Dialect(
    provider="fine-tuning", developer_role=False, refusals=False, custom_tools=False, repair_arguments=True
)
"""Whose ids mean nothing, and what fine-tuning takes."""


class _Example(msgspec.Struct):
    messages: list[dict[str, Any]]


_example = msgspec.json.Decoder(_Example)


async def write(trees: AsyncGenerator[Tree, None]) -> AsyncGenerator[bytes, None]:
    async for tree in trees:
        for record in tree.records:
            if record.head is not None:
                yield b'{"messages":[%b]}\n' % encode_messages(sayable(tree.said(record)), DIALECT)


def read(pieces: Iterable[bytes]) -> Iterator[Tree]:
    for number, line in lines(pieces):
        try:
            messages = decode_messages(_example.decode(line).messages)
        except (InvalidInput, msgspec.ValidationError) as error:
            raise bad_line(number, str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_line(number, f"this is not valid JSON: {error}") from error
        yield exchanges.conversation(messages, id=None, line=number)


def sayable(messages: Iterable[Message]) -> list[Message]:
    """The messages with a note in the place of each file that a provider holds, which nobody else can see."""
    return [
        structs.replace(message, parts=tuple(_sayable(part) for part in message.parts))
        if any(isinstance(part, ToolResult | Image | Audio | Video | File) for part in message.parts)
        else message
        for message in messages
    ]


def _sayable(part: Part) -> Part:
    if isinstance(part, ToolResult):
        return structs.replace(part, parts=tuple(_sayable(inner) for inner in part.parts))
    if isinstance(part, Image | Audio | Video | File) and isinstance(part.source, Uploaded):
        return Text(f"[{type(part).__name__.lower()} {part.source.file_id}, not shown]")
    return part
