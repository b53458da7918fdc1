"""A run, written down as it goes: the turn in the store before the model is called, what streams in while it streams,
what tools are called and give back as they do, and the end together with the head. Without a store, nothing is
written, and all else is the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing, suppress
from copy import deepcopy
from typing import Any, ClassVar

import msgspec

from multiturn.cancel import Cancel, to_the_end, until
from multiturn.context.frame import Fitted
from multiturn.deltas import (
    CallsStarted,
    Delta,
    Deltas,
    Draft,
    Fold,
    ModelAsked,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    Said,
    TextDelta,
    ToolCallDelta,
)
from multiturn.errors import ConversationBusy, InvalidInput, ModelError, RunCancelled, StoreError
from multiturn.events import (
    Event,
    RunCompleted,
    RunContent,
    RunError,
    RunNotice,
    RunPaused,
    RunStarted,
    ToolCallStarted,
    content_of,
    tool_event,
)
from multiturn.messages import Message, Origin, Usage
from multiturn.models.base import Model
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.reply import Reply
from multiturn.runs import CallEnded, CallStarted, Ended, Item, Run, Waiting, closed
from multiturn.stores.base import Store
from multiturn.stores.records import Head
from multiturn.turns import Fault, Totals, Turn, TurnStatus, finished, in_order, pending_calls

_DRAFT_EVERY_S = 0.1  # how much of a stream a crash may lose, as long as few run at once
_MOST_DRAFTS_A_S = 1000.0  # of all that run in this process
_FOLLOWED_EVERY_S = 0.02  # how far behind others may be who follow a turn in the background
_POLL_S = 0.005  # how often a send that waits asks whether it may; only the first in line asks the store


class Recording:
    """One turn in progress. Made by `begin` or `reopen`, or without a store; ended by the first of `end`, `pause`,
    `interrupt` and `fail`; a later one gives back the turn as it ended."""

    _streaming: ClassVar[set[Recording]] = set()  # those of this process that write drafts

    def __init__(self, store: Store | None, turn: Turn, model: Model) -> None:
        self.turn = turn
        self.before = Totals()
        self.state: dict[str, Any] | None = None
        self.stopped_by: Exception | None = None
        """Why the run is being broken off, where it is not its reader who does that."""
        self._store = store
        self._said = list(turn.output)
        self._started = set(turn.calls_started)
        self._unwritten: list[Draft] = []
        self._on_disk: dict[int, Message] = {}  # results by identity, kept alive so that no other gets it
        self._origin = Origin(provider=model.provider, model=model.name)
        self._fold = Fold()
        self._notices: list[Notice] = []
        self._draft: list[Delta] = []
        self._next_draft: asyncio.TimerHandle | None = None

    def note(self, notice: Notice) -> None:
        """Remember a notice, to stand in the turn when it ends."""
        self._notices.append(notice)

    def frame(self, fitted: Fitted) -> None:
        """Remember what the model is shown of the path from now on, and what it took to know that."""
        window = fitted.mark
        if window is not None and self.turn.window is not None and self.turn.id in self.turn.window.pinned:
            window = window.pinning(self.turn.id)
        aside = (self.turn.aside or Usage()) + fitted.aside if fitted.aside else self.turn.aside
        self.turn = msgspec.structs.replace(self.turn, window=window or self.turn.window, aside=aside)

    def add(self, deltas: Sequence[Delta]) -> None:
        """Remember these pieces. The store has them at once if the last ones are a while ago, else before long."""
        for delta in deltas:
            self._fold.add(delta)
        self._draft += deltas
        if self._next_draft is None and self._store is not None:
            self._write_draft()

    def _write_draft(self) -> None:
        self._next_draft = None
        if not self._draft or self._store is None:
            self._streaming.discard(self)
            return
        self._store.append(self.turn.id, self._draft)
        self._draft = []
        self._streaming.add(self)
        every_s = max(_DRAFT_EVERY_S, len(self._streaming) / _MOST_DRAFTS_A_S)
        if self.turn.background:
            every_s = _FOLLOWED_EVERY_S
        self._next_draft = asyncio.get_running_loop().call_later(every_s, self._write_draft)

    def _write_rest(self) -> None:
        """Those who follow a turn see every piece of it, also where what is written next makes it superfluous."""
        if self._draft and self.turn.background and self._store is not None:
            self._store.append(self.turn.id, self._draft)
            self._draft = []

    async def asking(self) -> None:
        """Write down that the model of a turn in the background is being asked from now on, so that nobody asks it
        again should this process die: on the disk when this returns."""
        if self.turn.background and self._store is not None:
            await self._store.keep(self.turn.id, [ModelAsked()])

    async def say(self, said: Said) -> None:
        """Remember a message that is whole. What a tool gave back is on the disk when this returns; an answer is
        before any of its calls is started."""
        self._forget_draft()
        self._said.append(said.message)
        if id(said.message) in self._on_disk:
            return
        self._unwritten.append(said)
        if said.message.role == "tool":
            await self._keep()

    async def keep(self, said: Said) -> None:
        """Bring what a tool gave back to the disk at once, before it is its turn to be told."""
        if self._store is not None:
            await self._store.keep(self.turn.id, [said])
        self._on_disk[id(said.message)] = said.message

    async def start(self, calls: CallsStarted) -> None:
        """Write down which calls are about to be run."""
        self._unwritten.append(calls)
        self._started.update(calls.call_ids)
        await self._keep()

    async def _keep(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if self._store is not None:
            await self._store.keep(self.turn.id, unwritten)

    def _forget_draft(self) -> None:
        self._write_rest()
        self._fold = Fold()
        self._draft = []

    async def end(self, ended: Ended) -> Turn:
        """End the turn as the run has ended."""
        output, alternatives = self._said, tuple[Message, ...]()
        if ended.answer is not None:
            output, alternatives = [*output, ended.answer.message], ended.answer.alternatives
        made = in_order(output) if ended.status is TurnStatus.COMPLETED else closed(output)
        return await self._end(ended.status, made, alternatives, reason=ended.reason)

    async def pause(self, waiting: Waiting) -> Turn:
        """Leave the turn until somebody resumes it."""
        return await self._end(TurnStatus.PAUSED, in_order(self._said), reason=waiting.reason)

    def catch_up(self, said: Sequence[Message]) -> None:
        """Take over all that was said in the run, what was not told to anybody included."""
        self._said = list(said)

    async def interrupt(self) -> Turn:
        """End the turn as the caller left it, with what was said so far."""
        return await self._end(TurnStatus.INCOMPLETE, closed(self._so_far()), reason="interrupted")

    async def break_off(self) -> Turn:
        """End the turn as its reader left it; as failed, where it is an error that stops it."""
        if self.stopped_by is None or isinstance(self.stopped_by, RunCancelled):
            return await self.interrupt()
        return await self.fail(self.stopped_by)

    async def fail(self, error: Exception) -> Turn:
        """End the turn as failed, with the text so far; the head stays."""
        fault = Fault(kind=type(error).__name__, message=str(error))
        output = in_order(self._so_far())
        left = [call.call_id for call in pending_calls(output) if call.call_id in self._started]
        with suppress(StoreError):  # where the store itself is the trouble, `error` says so already
            await self._end(TurnStatus.FAILED, output, error=fault, calls_started=left)
        return self.turn

    def _so_far(self) -> list[Message]:
        return [*self._said, self._fold.message(origin=self._origin)] if self._fold.parts else self._said

    async def _end(
        self,
        status: TurnStatus,
        output: Sequence[Message],
        alternatives: Sequence[Message] = (),
        *,
        reason: str | None = None,
        error: Fault | None = None,
        calls_started: Sequence[str] = (),
    ) -> Turn:
        if self.turn.status is not TurnStatus.IN_PROGRESS:
            return self.turn
        if self._next_draft is not None:
            self._next_draft.cancel()
            self._streaming.discard(self)
        self._write_rest()
        ended = finished(
            msgspec.structs.replace(self.turn, state=self._state_at_end(status, reason)),
            status,
            before=self.before,
            at=time.time(),
            output=output,
            alternatives=alternatives,
            reason=reason,
            error=error,
            notices=(*self.turn.notices, *self._notices),
            calls_started=calls_started,
        )
        await to_the_end(self._write(ended))
        return self.turn

    def _state_at_end(self, status: TurnStatus, reason: str | None) -> dict[str, Any] | None:
        """The state to be kept. Where the run broke off, one that cannot be kept must not keep the turn from ending."""
        try:
            state = snapshot(self.state)
        except InvalidInput:
            if status is not TurnStatus.FAILED and reason != "interrupted":
                raise
            return self.turn.state
        goes_on = status in (TurnStatus.PAUSED, TurnStatus.FAILED)
        return state or (state if goes_on else None)  # an emptied one stands in a turn that goes on

    async def _write(self, ended: Turn) -> None:
        if self._store is not None:
            await self._store.finish(ended)
        self.turn = ended


def snapshot(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """The state as it is now. Raises `InvalidInput` for what JSON cannot hold."""
    if state is None:
        return None
    try:
        copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(state))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the conversation's state must be what JSON can hold: {error}") from error
    return copy


async def events_of(
    run: Run, written: Recording, path: Path, cancel: Cancel | None = None
) -> AsyncGenerator[Event, None]:
    """The events of a run that goes on from `path`, each written down before it is told. Raises what the run raises."""
    try:
        partial = run.output and run.output.partial()
        yield RunStarted(written.turn)
        async with aclosing(recorded(run, written, cancel)) as items:
            async for item in items:
                if isinstance(item, Waiting):
                    yield RunPaused(Reply(written.turn, before=path))
                elif isinstance(item, Ended):
                    yield RunCompleted(Reply(written.turn, item.value, path))
                elif partial and isinstance(item, Said):
                    partial = run.output and run.output.partial()
                else:
                    for piece in item.all if isinstance(item, Deltas) else (item,):
                        if partial and isinstance(piece, TextDelta):
                            yield RunContent(piece.text, deepcopy(partial.add(piece.text)))
                        elif (event := _event_of(piece)) is not None:
                            yield event
    except RunCancelled:
        raise
    except Exception as error:
        yield RunError(error)
        raise


async def recorded(run: Run, written: Recording, cancel: Cancel | None = None) -> AsyncGenerator[Item, None]:
    """What happens in a run, each written down before it is told; the last item is `Waiting` or `Ended`, and
    `written.turn` is stored as it ended by then. However the run ends, or is left, the turn ends with it. Raises what
    the run raises."""
    try:
        run.keep = written.keep
        async with aclosing(until(cancel, run.items())) as items:
            async for item in items:
                match item:
                    case TextDelta() | ReasoningDelta() | ToolCallDelta() | PartDelta() | RefusalDelta():
                        written.add((item,))
                    case Deltas():
                        written.add(item.all)
                    case Said():
                        await written.say(item)
                    case CallsStarted():
                        await written.start(item)
                    case Notice():
                        written.note(item)
                    case Fitted():
                        written.frame(item)
                    case Waiting():
                        await written.pause(item)
                    case Ended():
                        await written.end(item)
                yield item
    except RunCancelled as error:
        written.catch_up(run.said)
        error.turn_id = (await written.interrupt()).id
        raise
    except Exception as error:
        written.catch_up(run.said)
        await written.fail(error)
        if isinstance(error, ModelError):
            error.turn_id = written.turn.id
        raise
    except BaseException:  # the task was cancelled, or the reader went away
        written.catch_up(run.said)
        await written.break_off()
        raise


def _event_of(item: Item) -> Event | None:
    match item:
        case CallStarted():
            return ToolCallStarted(item.call)
        case CallEnded():
            return tool_event(item.call, item.result)
        case Notice():
            return RunNotice(item)
        case Deltas() | Said() | CallsStarted() | Fitted() | Waiting() | Ended():
            return None
    return content_of(item)


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
    kind: str | None = None,
    cancel: Cancel | None = None,
) -> Recording:
    """A recording of this turn, which is in the store from now on; of the turn that was answered under `key` before,
    if there is one, and then it has ended already. With `queue`, waits while another turn runs on the conversation,
    behind those of this process that wait already; without, raises `ConversationBusy`. Cancelled while it waits, it
    leaves nothing behind; by `cancel`, it raises `RunCancelled`."""
    async with _Place(store, turn.conversation) as place:
        while True:
            if place.is_first:
                try:
                    writing = store.begin(turn, parent=parent, user=user, metadata=metadata, key=key, kind=kind)
                    return await _begun(store, writing, model)
                except ConversationBusy:
                    if not queue:
                        raise
            elif not queue:
                raise ConversationBusy(turn.conversation)
            await asyncio.sleep(_POLL_S)
            if cancel is not None and cancel.cancelled:
                raise RunCancelled("the run was cancelled")


async def reopen(store: Store, turn_id: str, model: Model) -> Recording:
    """A recording of a turn that goes on; see `Store.reopen`."""
    writing = asyncio.ensure_future(store.reopen(turn_id))
    try:
        return Recording(store, await to_the_end(writing), model)
    except asyncio.CancelledError:
        if not writing.cancelled() and writing.exception() is None:
            turn = writing.result()
            status = TurnStatus.FAILED if turn.error else TurnStatus.PAUSED
            await to_the_end(store.finish(msgspec.structs.replace(turn, status=status)))
        raise


async def _begun(store: Store, writing: Coroutine[Any, Any, Turn], model: Model) -> Recording:
    begun = asyncio.ensure_future(writing)
    try:
        return Recording(store, await to_the_end(begun), model)
    except asyncio.CancelledError:
        if not begun.cancelled() and begun.exception() is None:
            await Recording(store, begun.result(), model).interrupt()
        raise


class _Place:
    """A place in the line of those in this process that want to begin a turn on one conversation."""

    _lines: ClassVar[dict[tuple[int, str], list[_Place]]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, store: Store, conversation: str) -> None:
        self._name = (id(store), conversation)

    @property
    def is_first(self) -> bool:
        return self._lines[self._name][0] is self

    async def __aenter__(self) -> _Place:
        with self._lock:
            self._lines.setdefault(self._name, []).append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._lock:
            line = self._lines[self._name]
            line.remove(self)
            if not line:
                del self._lines[self._name]
