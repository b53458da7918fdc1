"""The part of the store's contract that is about turns which run on without their caller: in the background, followed
by others, stopped from elsewhere, taken over after a crash."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from multiturn.deltas import Draft
from multiturn.turns import Turn


def any_turn(_: Turn) -> bool:
    return True


class LiveStore(Protocol):
    """A turn that is begun with `background=True` keeps its drafts when it ends, until `forget_drafts`. Draft by draft
    it can be followed, here and in other processes, while it runs and afterwards. `follow`, `cancel` and `withdraw` are
    a tenant's; the others are the store's, whichever tenant asks."""

    def follow(self, turn_id: str) -> AsyncGenerator[Sequence[Draft] | Turn, None]:
        """What a background turn has streamed since it began, or was reopened, and goes on to stream: each batch as
        soon as it is stored, nothing twice and nothing left out; at last the turn itself, ended. Any number may follow.

        If the turn's runner is gone, whoever follows closes the turn. One that `take` may have waits for that, a minute
        at most. Raises `NotFound`, also where the turn is deleted meanwhile; and `InvalidInput` where its drafts are
        not kept, or not any more."""

    async def cancel(self, turn_id: str) -> Turn:
        """Ask whoever runs a background turn to stop, and give the turn as it is by then: in progress, as a rule. It is
        closed if its runner is gone. One that has ended stays as it is. Raises `NotFound`, and `InvalidInput` if it is
        not a background turn."""

    async def cancelled(self) -> frozenset[str]:
        """The ids of the turns that run here, under this store, and were asked to stop. Cheap, to be asked often."""

    async def take(self, can: Callable[[Turn], bool] = any_turn) -> tuple[str, Turn] | None:
        """A background turn whose runner was gone before its model was asked, the oldest one of those that whoever asks
        `can` run, and its tenant. It is in progress still, runs here from now on, and is nobody else's; None if there
        is none. `can` is called in a thread of the store's."""

    async def recover(self) -> None:
        """Close the turns of runners that are gone, but for those that `take` may have."""

    async def forget_drafts(self, before: float) -> int:
        """Let go of the drafts of background turns that ended before this time; how many turns that were."""

    async def withdraw(self, turn_id: str) -> None:
        """Delete one turn and leave what follows it. A turn that nobody follows goes as with `delete_turn`. One that
        others follow stays a part of their paths and of the tree, but is not found by its id any more, nor by its
        words; it goes for good with the last one that follows it. A conversation that stood on it stands on its parent
        now. Raises `NotFound`, and `ConversationBusy` while it runs."""
