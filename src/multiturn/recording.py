"""A run, written down as it goes: the turn in the store before the model is called, what streams in while it streams,
and the end together with the head."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from multiturn.agent import CUT_SHORT
from multiturn.deltas import Answer, Delta, Fold
from multiturn.errors import ConversationBusy, StoreError
from multiturn.messages import Message, Origin
from multiturn.models.base import Model
from multiturn.notices import Notice
from multiturn.stores.base import Store
from multiturn.stores.records import Head
from multiturn.turns import Fault, Totals, Turn, TurnStatus, finished

T = TypeVar("T")

_DRAFT_EVERY_S = 0.1  # how much of a stream a crash may lose
_POLL_S = 0.005  # how often a send that waits asks whether it may; only the first in line asks the store


class Recording:
    """One turn in progress. Made by `begin`; ended by the first of `complete`, `interrupt` and `fail`; a later one
    gives back the turn as it ended."""

    def __init__(self, store: Store, turn: Turn, model: Model) -> None:
        self.turn = turn
        self.before = Totals()
        self._store = store
        self._origin = Origin(provider=model.provider, model=model.name)
        self._fold = Fold()
        self._notices: list[Notice] = []
        self._draft: list[Delta] = []
        self._next_draft: asyncio.TimerHandle | None = None

    def note(self, notice: Notice) -> None:
        """Remember a notice, to stand in the turn when it ends."""
        self._notices.append(notice)

    def add(self, delta: Delta) -> None:
        """Remember a piece. The store has it at once if the last one is a while ago, else before long."""
        self._fold.add(delta)
        self._draft.append(delta)
        if self._next_draft is None:
            self._write_draft()

    def _write_draft(self) -> None:
        self._next_draft = None
        if self._draft:
            self._store.append(self.turn.id, self._draft)
            self._draft = []
            self._next_draft = asyncio.get_running_loop().call_later(_DRAFT_EVERY_S, self._write_draft)

    async def complete(self, answer: Answer) -> Turn:
        """End the turn with this answer: `incomplete` where a limit cut it short."""
        cut = answer.message.finish_reason if answer.message.finish_reason in CUT_SHORT else None
        status = TurnStatus.INCOMPLETE if cut else TurnStatus.COMPLETED
        return await self._end(status, (answer.message,), answer.alternatives, reason=cut)

    async def interrupt(self) -> Turn:
        """End the turn as the caller left it, with the text so far."""
        return await self._end(TurnStatus.INCOMPLETE, self._so_far(), reason="interrupted")

    async def fail(self, error: Exception) -> Turn:
        """End the turn as failed, with the text so far; the head stays."""
        fault = Fault(kind=type(error).__name__, message=str(error))
        with suppress(StoreError):  # where the store itself is the trouble, `error` says so already
            await self._end(TurnStatus.FAILED, self._so_far(), error=fault)
        return self.turn

    def _so_far(self) -> tuple[Message, ...]:
        return (self._fold.message(origin=self._origin),) if self._fold.parts else ()

    async def _end(
        self,
        status: TurnStatus,
        output: tuple[Message, ...],
        alternatives: tuple[Message, ...] = (),
        *,
        reason: str | None = None,
        error: Fault | None = None,
    ) -> Turn:
        if self.turn.status is not TurnStatus.IN_PROGRESS:
            return self.turn
        if self._next_draft is not None:
            self._next_draft.cancel()
        ended = finished(
            self.turn,
            status,
            before=self.before,
            at=time.time(),
            output=output,
            alternatives=alternatives,
            reason=reason,
            error=error,
            notices=self._notices,
        )
        await _to_the_end(self._write(ended))
        return self.turn

    async def _write(self, ended: Turn) -> None:
        await self._store.finish(ended)
        self.turn = ended


async def begin(
    store: Store,
    turn: Turn,
    model: Model,
    *,
    parent: str | Head | None,
    user: str | None,
    metadata: dict[str, str] | None,
    key: str | None,
    queue: bool,
) -> Recording:
    """A recording of this turn, which is in the store from now on; of the turn that was answered under `key` before,
    if there is one, and then it has ended already. With `queue`, waits while another turn runs on the conversation,
    behind those of this process that wait already; without, raises `ConversationBusy`. Cancelled while it waits, it
    leaves nothing behind."""
    async with _Place(store, turn.conversation) as place:
        while True:
            if place.is_first:
                try:
                    return await _begin_once(store, turn, model, parent=parent, user=user, metadata=metadata, key=key)
                except ConversationBusy:
                    if not queue:
                        raise
            elif not queue:
                raise ConversationBusy(turn.conversation)
            await asyncio.sleep(_POLL_S)


async def _begin_once(
    store: Store,
    turn: Turn,
    model: Model,
    *,
    parent: str | Head | None,
    user: str | None,
    metadata: dict[str, str] | None,
    key: str | None,
) -> Recording:
    writing = asyncio.ensure_future(store.begin(turn, parent=parent, user=user, metadata=metadata, key=key))
    try:
        return Recording(store, await asyncio.shield(writing), model)
    except asyncio.CancelledError:
        await _abandon(store, writing, model)
        raise


class _Place:
    """A place in the line of those in this process that want to begin a turn on one conversation."""

    _lines: ClassVar[dict[tuple[int, str], list[_Place]]] = {}

    def __init__(self, store: Store, conversation: str) -> None:
        self._name = (id(store), conversation)

    @property
    def is_first(self) -> bool:
        return self._lines[self._name][0] is self

    async def __aenter__(self) -> _Place:
        self._lines.setdefault(self._name, []).append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        line = self._lines[self._name]
        line.remove(self)
        if not line:
            self._lines.pop(self._name, None)


async def _abandon(store: Store, writing: asyncio.Future[Turn], model: Model) -> None:
    """Close a turn whose caller left while it was being written, if it was."""
    await asyncio.wait([writing])
    if writing.exception() is None:
        await Recording(store, writing.result(), model).interrupt()


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of work that is not left half-done: a cancellation waits for it and is raised then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
