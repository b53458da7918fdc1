"""Conversations made up and stored in one go, for benchmarks that begin where there is a lot already."""

from __future__ import annotations

import asyncio

import replies
from multiturn import open_store
from multiturn.ids import new_id
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord
from multiturn.turns import Totals, Turn, TurnStatus, finished
from report import progress

_AT_ONCE = 32  # conversations that are written at a time


async def fill(url: str, conversations: int, turns: int) -> None:
    """Store that many conversations of so many turns each, `c0`, `c1` and so on."""
    store, done = open_store(url), 0

    async def build(numbers: range) -> None:
        nonlocal done
        for number in numbers:
            await add(store, f"c{number}", turns, first=number * turns)
            done += 1
            progress(f"building {url}, once: {done:,} of {conversations:,} conversations")

    await asyncio.gather(*(build(range(n, conversations, _AT_ONCE)) for n in range(_AT_ONCE)))
    await store.aclose()


async def add(store: Store, conversation: str, turns: int, *, first: int = 0) -> str:
    """Store one conversation of so many turns, from exchange `first` on; its head."""
    made: list[Turn] = []
    for number in range(first, first + turns):
        made.append(_turn(conversation, made[-1] if made else None, number))
    head = made[-1].id
    await store.restore([ConversationRecord(id=conversation, head=head, latest=head, model=replies.MODEL)], made)
    return head


def _turn(conversation: str, before: Turn | None, number: int) -> Turn:
    said, answered = replies.exchange(number)
    turn = Turn(
        id=new_id("turn"),
        conversation=conversation,
        parent=before.id if before else None,
        input=(said,),
        model=replies.MODEL,
        created_at=1.76e9 + number,
    )
    totals = before.totals if before else Totals()
    return finished(turn, TurnStatus.COMPLETED, before=totals, at=1.76e9 + number + 0.5, output=(answered,))
