"""What moves between stores and files, and what a file's format is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from multiturn.messages import Message, system
from multiturn.stores.records import ConversationRecord
from multiturn.turns import Turn

OnConflict: TypeAlias = Literal["error", "skip"]


class Tree(NamedTuple):
    """Conversations on one tree of turns, by id, and its ended turns, by depth and then by id. `line` is where it
    begins in its file."""

    records: tuple[ConversationRecord, ...]
    turns: tuple[Turn, ...]
    line: int = 0

    def path(self, record: ConversationRecord) -> list[Turn]:
        """The turns up to a conversation's head, oldest first."""
        by_id = {turn.id: turn for turn in self.turns}
        path = []
        head = record.head
        while head is not None:
            path.append(by_id[head])
            head = by_id[head].parent
        return path[::-1]

    def said(self, record: ConversationRecord) -> list[Message]:
        """What was said up to a conversation's head, the instructions at its head as the first message."""
        path = self.path(record)
        instructions = path[-1].instructions if path else None
        return [*([system(instructions)] if instructions else ()), *(m for turn in path for m in turn.messages)]


class Imported(msgspec.Struct, frozen=True):
    """How much has come in; `skipped` are the conversations that were left as they are."""

    conversations: int = 0
    turns: int = 0
    skipped: int = 0

    def __add__(self, other: Imported) -> Imported:
        return Imported(
            self.conversations + other.conversations, self.turns + other.turns, self.skipped + other.skipped
        )


class Format(Protocol):
    """A file format; each module here is one."""

    LOSSLESS: bool
    """Whether it holds whole trees as they are. If not, it holds conversations up to their heads."""

    LOSES: str
    """What it does not carry, as a sentence; empty if it carries all."""

    def write(self, trees: AsyncGenerator[Tree, None]) -> AsyncGenerator[bytes, None]:
        """The file, in pieces that are whole lines."""

    def read(self, pieces: Iterable[bytes]) -> Iterator[Tree]:
        """The trees in a file, which comes in pieces of any size. Raises `InvalidInput`, whose message begins with the
        line, after those that are whole."""
