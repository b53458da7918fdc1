"""Stores with something in them, made as users make it: through the protocol."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from multiturn.errors import NotFound
from multiturn.messages import Message, assistant, user
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.stores.records import HEAD, ConversationRecord
from multiturn.transfer import FormatName, Imported, OnConflict, export, import_
from multiturn.turns import Fault, Totals, Turn, TurnStatus, finished
from strategies import any_message

ENDS = (TurnStatus.COMPLETED, TurnStatus.INCOMPLETE, TurnStatus.FAILED)


class Said(NamedTuple):
    """A turn; `after` picks any turn said so far as the parent, or the head if None."""

    conversation: int
    messages: Sequence[Message]
    status: TurnStatus
    after: int | None
    instructions: str | None


class Forked(NamedTuple):
    """A new conversation at some turn said so far."""

    at: int


class Deleted(NamedTuple):
    conversation: int


def any_growth() -> st.SearchStrategy[list[Said | Forked | Deleted]]:
    numbers = st.integers(0, 20)
    said = st.builds(
        Said,
        st.integers(0, 3),
        st.lists(any_message(), min_size=1, max_size=3),
        st.sampled_from(ENDS),
        st.none() | numbers,
        st.sampled_from([None, "Be brief.", "Répondez."]),
    )
    return st.lists(st.one_of(said, said, said, st.builds(Forked, numbers), st.builds(Deleted, numbers)), max_size=10)


async def grow(store: Store, steps: Iterable[Said | Forked | Deleted]) -> None:
    turns: list[Turn] = []
    conversations: list[str] = []
    for number, step in enumerate(steps):
        match step:
            case Said():
                turns.append(await _say(store, number, step, turns))
                conversations.append(turns[-1].conversation)
            case Forked(at) if turns:
                conversations.append(f"fork-{number}")
                try:
                    await store.create(ConversationRecord(id=f"fork-{number}", head=turns[at % len(turns)].id))
                except NotFound:
                    continue
            case Deleted(conversation) if conversations:
                try:
                    await store.delete(conversations[conversation % len(conversations)])
                except NotFound:
                    continue


async def _say(store: Store, number: int, step: Said, turns: list[Turn]) -> Turn:
    conversation = f"c{step.conversation}"
    parent = turns[step.after % len(turns)] if step.after is not None and turns else None
    turn = Turn(
        id=f"turn-{number:03}",
        conversation=conversation,
        input=tuple(step.messages[:1]),
        instructions=step.instructions,
        created_at=number + 0.25,
        model="m",
    )
    try:
        turn = await store.begin(turn, parent=parent.id if parent else HEAD, user="bob", metadata={"z": "1", "a": "2"})
    except NotFound:  # the parent is on another tree, or gone
        turn = await store.begin(turn, user="bob")
    output = step.messages[1:] if step.status is not TurnStatus.COMPLETED else [*step.messages[1:], assistant("yes")]
    error = Fault("TimedOut", "too late") if step.status is TurnStatus.FAILED else None
    before = (await store.turn(turn.parent)).totals if turn.parent else Totals()
    turn = finished(turn, step.status, before=before, at=number + 0.5, output=output, error=error)
    await store.finish(turn)
    return turn


async def chatted(*conversations: str, store: Store | None = None) -> Store:
    """A store with these conversations of three turns each; a new one if none is given."""
    store = store or open_store("sqlite://")
    for conversation, number in itertools.product(conversations, range(3)):
        turn = await store.begin(
            Turn(
                id=f"turn-{conversation}-{number}",
                conversation=conversation,
                input=(user(f"question {number}"),),
                instructions="Be brief.",
                created_at=float(number),
                model="m",
            )
        )
        before = (await store.turn(turn.parent)).totals if turn.parent else Totals()
        answer = assistant(f"answer {number}")
        await store.finish(finished(turn, TurnStatus.COMPLETED, before=before, at=number + 0.5, output=[answer]))
    return store


async def exported(store: Store, *ids: str, format: FormatName = "jsonl") -> bytes:
    out = io.BytesIO()
    await export(store, out, format=format, conversation_ids=ids or None)
    return out.getvalue()


async def imported(
    data: bytes, *, into: Store, format: FormatName = "jsonl", on_conflict: OnConflict = "error"
) -> Imported:
    return await import_(into, io.BytesIO(data), format=format, on_conflict=on_conflict)
