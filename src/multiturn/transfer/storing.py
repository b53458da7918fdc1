"""Trees from a file into a store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.base import Store
from multiturn.transfer import jsonl
from multiturn.transfer.base import Format, Imported, OnConflict, Tree
from multiturn.transfer.pieces import bad_line
from multiturn.transfer.trees import read_tree

_BATCH_TREES, _BATCH_TURNS = 64, 500


class Importing:
    """An import under way. `total` is what has come in so far."""

    def __init__(self, store: Store, form: Format, on_conflict: OnConflict) -> None:
        self._store, self._form, self._on_conflict = store, form, on_conflict
        self.total = Imported()

    def batches(self, pieces: Iterable[bytes]) -> Iterator[list[Tree]]:
        """The trees in a file, in lists that are small enough to be held and big enough for a store to write in one
        go. Where the file is broken, what comes before that is given first."""
        waiting: list[Tree] = []
        ids: set[str] = set()
        try:
            for tree in self._form.read(pieces):
                here = {record.id for record in tree.records}
                if len(waiting) == _BATCH_TREES or _size(waiting) >= _BATCH_TURNS or ids & here:
                    yield waiting
                    waiting, ids = [], set()
                waiting.append(tree)
                ids |= here
        except InvalidInput:
            if waiting:
                yield waiting
            raise
        if waiting:
            yield waiting

    async def put(self, trees: Sequence[Tree]) -> None:
        """Store these, each in one transaction. Raises the error of the first that cannot be stored; the others are."""
        outcomes = await asyncio.gather(*(self._put(tree) for tree in trees), return_exceptions=True)
        for error in outcomes:
            if error is not None:
                raise error

    async def _put(self, tree: Tree) -> None:
        try:
            await self._store.restore(tree.records, tree.turns)
            self.total += Imported(len(tree.records), len(tree.turns))
        except InvalidInput as error:
            taken = await _taken(self._store, tree)
            if taken is None:
                raise bad_line(tree.line, str(error)) from error
            if self._on_conflict == "error" and not await _is_there(self._store, tree, exact=self._form.LOSSLESS):
                raise bad_line(
                    tree.line, f"there is a {taken} in the store already, and not the same; skip conflicts to keep it"
                ) from error
            self.total += Imported(skipped=len(tree.records))


def _size(trees: Sequence[Tree]) -> int:
    return sum(len(tree.turns) for tree in trees)


async def _is_there(store: Store, tree: Tree, *, exact: bool) -> bool:
    """Whether the store holds the same already. Not `exact`: whether it holds all these turns, whatever followed."""
    try:
        there = await read_tree(store, tree.records[0].id)
    except NotFound:
        return False
    if exact:
        return jsonl.encode(there) == jsonl.encode(tree._replace(line=0))
    return {turn.id for turn in there.turns} >= {turn.id for turn in tree.turns}


async def _taken(store: Store, tree: Tree) -> str | None:
    """What is in the store under one of the ids."""
    for record in tree.records:
        try:
            return f"conversation {(await store.conversation(record.id)).id!r}"
        except NotFound:
            pass
    for turn in tree.turns:
        try:
            return f"turn {(await store.turn(turn.id)).id!r}"
        except NotFound:
            pass
    return None
