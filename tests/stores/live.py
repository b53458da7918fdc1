"""Turns in the background, for tests of stores."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.deltas import Draft, ModelAsked, TextDelta
from multiturn.stores.base import Store
from multiturn.turns import Turn
from stores.saying import new_turn


async def begun(store: Store, conversation: str = "c") -> Turn:
    return await store.begin(new_turn(conversation, background=True))


async def asked(store: Store, conversation: str = "c", *words: str) -> Turn:
    """A turn in the background whose model was asked, and has said these words by now."""
    turn = await begun(store, conversation)
    await store.keep(turn.id, [ModelAsked()])
    for word in words:
        await store.keep(turn.id, [TextDelta(word)])
    return turn


async def followed(store: Store, turn_id: str) -> tuple[list[Draft], Turn]:
    """All that a follower is given: the drafts, and the turn at last."""
    drafts: list[Draft] = []
    end = None
    async for item in store.follow(turn_id):
        assert end is None, "the turn comes last, and once"
        if isinstance(item, Turn):
            end = item
        else:
            assert item, "there is something in every batch"
            drafts += item
    assert end is not None
    return drafts, end


def words(drafts: Sequence[Draft]) -> list[str]:
    return [draft.text for draft in drafts if isinstance(draft, TextDelta)]
