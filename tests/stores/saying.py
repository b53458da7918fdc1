"""Turns for tests of stores, in a line each."""

from __future__ import annotations

from multiturn.ids import new_id
from multiturn.messages import Message, Origin, Part, Text, Usage, user
from multiturn.stores.base import Store
from multiturn.turns import Totals, Turn, TurnStatus, finished


def new_turn(
    conversation: str = "c", *said: str | Part, at: float = 1.0, model: str = "m", background: bool = False
) -> Turn:
    return Turn(
        id=new_id("turn"),
        conversation=conversation,
        input=(user(*(said or ("hello",))),),
        created_at=at,
        model=model,
        background=background,
    )


def ended(
    turn: Turn,
    status: TurnStatus = TurnStatus.COMPLETED,
    *,
    text: str = "hi",
    at: float = 2.0,
    usage: Usage | None = None,
    reason: str | None = None,
) -> Turn:
    answer = Message("assistant", (Text(text),), origin=Origin("p", "m-1"), usage=usage, finish_reason="stop")
    return finished(turn, status, before=Totals(), at=at, output=(answer,) if text else (), reason=reason)


async def say(
    store: Store,
    conversation: str = "c",
    *said: str | Part,
    parent: str | None = "",
    at: float = 1.0,
    model: str = "m",
    user: str | None = None,
    usage: Usage | None = None,
    metadata: dict[str, str] | None = None,
) -> Turn:
    """One whole turn, as it stands in the store; `parent` is the head unless it is given."""
    turn = new_turn(conversation, *said, at=at, model=model)
    if parent == "":
        turn = await store.begin(turn, user=user, metadata=metadata)
    else:
        turn = await store.begin(turn, parent=parent, user=user, metadata=metadata)
    first = said[0] if said else "hello"
    turn = ended(turn, text=f"re: {first if isinstance(first, str) else 'that'}", at=at + 0.5, usage=usage)
    await store.finish(turn)
    return turn


async def texts(store: Store, head: str | None) -> list[str]:
    return [] if head is None else [turn.input[0].text for turn in await store.path(head)]
