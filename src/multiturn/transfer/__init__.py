"""Conversations from a store into a file and back: without loss from store to store (`jsonl`), and in the formats of
other tools (`openai`, `sharegpt`).

    with open("chats.jsonl", "wb") as file:
        await export(open_store("sqlite:///chats.db"), file)
    with open("chats.jsonl", "rb") as file:
        await import_(open_store("sqlite:///copy.db"), file)
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, closing
from typing import BinaryIO, Literal, TypeAlias

from multiturn.stores.base import Store
from multiturn.transfer import finetuning, jsonl, sharegpt
from multiturn.transfer.base import Format, Imported, OnConflict, Tree
from multiturn.transfer.storing import Importing
from multiturn.transfer.trees import Ids, all_ids, trees

__all__ = [
    "FORMATS",
    "FormatName",
    "Imported",
    "Importing",
    "OnConflict",
    "Progress",
    "export",
    "exported",
    "guess",
    "import_",
]

FormatName: TypeAlias = Literal["jsonl", "openai", "sharegpt"]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many conversations are done, and of how many."""

FORMATS: dict[FormatName, Format] = {"jsonl": jsonl, "openai": finetuning, "sharegpt": sharegpt}


async def export(
    store: Store,
    out: BinaryIO,
    *,
    format: FormatName = "jsonl",
    conversation_ids: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> int:
    """Write these conversations, or all, into a file; how many they were. See `exported`."""
    done = 0

    def note(now: int, total: int) -> None:
        nonlocal done
        done = now
        if progress:
            progress(now, total)

    async with aclosing(exported(store, format=format, conversation_ids=conversation_ids, progress=note)) as pieces:
        async for piece in pieces:
            out.write(piece)
    return done


async def exported(
    store: Store,
    *,
    format: FormatName = "jsonl",
    conversation_ids: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> AsyncGenerator[bytes, None]:
    """The file of these conversations, or of all that there are as this begins, in pieces that are whole lines. No
    more than one tree is held at a time. Turns in progress are left out. Raises `NotFound`.

    In `jsonl`, a conversation comes with those that share turns with it, for they are one tree.
    """
    form = FORMATS[format]
    with closing(Ids()) as ids:
        if conversation_ids is None:
            await all_ids(store, ids)
        else:
            ids.add([(await store.conversation(id)).id for id in conversation_ids])
        report = _Report(ids, progress)
        async with aclosing(form.write(report.counted(trees(store, ids, whole=form.LOSSLESS)))) as pieces:
            async for piece in pieces:
                yield piece


class _Report:
    """Tells how far an export has come."""

    def __init__(self, ids: Ids, progress: Progress | None) -> None:
        self._ids, self._total, self._tell = ids, len(ids), progress
        self._say()

    def _say(self) -> None:
        if self._tell:
            self._tell(self._total - len(self._ids), self._total)

    async def counted(self, trees: AsyncGenerator[Tree, None]) -> AsyncGenerator[Tree, None]:
        async with aclosing(trees):
            async for tree in trees:
                yield tree
                self._say()


async def import_(
    store: Store, pieces: Iterable[bytes], *, format: FormatName = "jsonl", on_conflict: OnConflict = "error"
) -> Imported:
    """Store what is in a file, which comes in pieces of any size: an open file, for one. Each tree is stored whole, as
    it comes, and what is in the store already is passed over, so that a file can be imported again.

    Raises `InvalidInput`, whose message begins with the line, for what cannot be read, and for an id under which
    something else is in the store, unless `on_conflict` is `skip`. What stands before that line is stored."""
    work = Importing(store, FORMATS[format], on_conflict)
    for batch in work.batches(pieces):
        await work.put(batch)
    return work.total


def guess(start: bytes) -> FormatName:
    """The format of a file that begins so."""
    names = re.search(rb'"(kind|messages|conversations)"\s*:', start)
    match names and names[1]:
        case b"messages":
            return "openai"
        case b"conversations":
            return "sharegpt"
    return "jsonl"
