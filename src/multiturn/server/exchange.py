"""`Exchange`: what one request comes to, whatever API it came through. Begun by `Exchanges`; the turn is in the store
before the model is asked, and as it ended before the last event is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

import msgspec

from multiturn import recording
from multiturn.cancel import Cancel
from multiturn.context.frame import Frame
from multiturn.context.framing import Framing
from multiturn.context.policies import KeepAll
from multiturn.context.window import Window
from multiturn.deltas import (
    Answer,
    Delta,
    Deltas,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    each,
)
from multiturn.errors import ConversationBusy, GoingDown, MultiturnError, NotFound, TotalTimedOut
from multiturn.ids import new_id
from multiturn.messages import Message
from multiturn.models.base import Model
from multiturn.path import Path
from multiturn.request import Request, Settings, ToolSpec
from multiturn.runs import Ended, Run
from multiturn.server.auth import Caller
from multiturn.server.paths import Paths
from multiturn.server.upstreams import Upstreams
from multiturn.stores.base import Store
from multiturn.stores.records import HEAD, Head
from multiturn.turns import Mark, Turn, continues, has_results, matched

CHAIN: Final = "chain"
"""What the ids of conversations begin with that nobody has named: those of responses that follow one another."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks. `after` is the id of the turn that it follows, `conversation` that of the conversation at
    whose head it goes; with neither, a new tree begins. `opens` gives the turn a conversation of its own, with the
    request's metadata, on the tree of `after` if that is given: it is what that conversation's id begins with, and the
    rest is the turn's. What is not `stored` leaves no trace. `native` are fields that only a model knows that is asked
    in `format` too. `echo` is kept as `Turn.asked`. `truncates` lets the window leave out old turns; else a history
    that is too long is an error. `key` makes the request idempotent."""

    model: str
    messages: tuple[Message, ...]
    format: str
    instructions: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    settings: Settings = Settings()
    native: dict[str, Any] = {}
    stream: bool = False
    stored: bool = True
    after: str | None = None
    conversation: str | None = None
    opens: str | None = None
    kind: str | None = None
    truncates: bool = False
    background: bool = False
    echo: str | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    key: str | None = None


class Observer(Protocol):
    """Who is told of exchanges, to count and to trace them. Its methods are quick and never raise."""

    def began(self, exchange: Exchange) -> None:
        """The turn is stored, and its model is asked next."""

    def first(self, exchange: Exchange) -> None:
        """The first piece of the answer has come."""

    def ended(self, exchange: Exchange, error: BaseException | None) -> None:
        """The turn has ended; `error` is why, where it did not end by itself."""


class Exchanges:
    """Where exchanges begin. `model` of each comes from `upstreams`; `paths` keeps what was said lately at hand."""

    def __init__(
        self,
        store: Store,
        upstreams: Upstreams,
        *,
        path_cache_bytes: int,
        longest_s: float = 3600.0,
        queue: bool = True,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.store = store
        self.upstreams = upstreams
        self.paths = Paths(path_cache_bytes)
        self.observers = tuple(observers)
        self.running: dict[Exchange, float] = {}
        """Until when each may run, by the loop's clock; the one that began first in front."""
        self.stopped = False
        self._longest_s = longest_s
        self._clock: asyncio.TimerHandle | None = None  # one for all, for that of each would cost more than it is worth
        self._queue = queue
        self._keeping = Framing(Window(policy=KeepAll()))
        self._cutting = Framing(Window())

    async def begin(self, asked: Asked, caller: Caller, *, path: Path | None = None) -> Exchange:
        """The exchange, whose turn is stored by now. `path` is what it follows, where the caller has it: that of a
        connection that stores nothing.

        Raises `UnknownModel`; `NotFound` for what it is to follow; `ConversationBusy`, where the settings do not let it
        wait; and `InvalidInput`."""
        store, tenant = self.store.tenant(caller.tenant), caller.tenant
        path = await self._path(asked, store, tenant) if path is None else path
        id = new_id("turn")
        model = self.upstreams.model(asked.model, affinity=_root_of(path) or id)
        said = asked.messages
        if has_results(said):
            said = matched(said, (message for turn in reversed(path.turns) for message in reversed(turn.messages)))
        written = await self._written(id, asked, store, model, path, said)
        if written.turn.parent != path.head and asked.stored:
            path = await self.path(store, tenant, written.turn.parent)  # another turn has ended while it waited
        written.before = path.totals
        return Exchange(self, caller, asked, model, path, written)

    async def resumed(self, asked: Asked, caller: Caller, turn: Turn) -> Exchange:
        """The exchange of a turn that a node left before its model was asked, in progress again."""
        store = self.store.tenant(caller.tenant)
        path = await self.path(store, caller.tenant, turn.parent)
        model = self.upstreams.model(asked.model, affinity=_root_of(path) or turn.id)
        written = recording.Recording(store, turn, model)
        written.before = path.totals
        return Exchange(self, caller, asked, model, path, written)

    async def path(self, store: Store, tenant: str, head: str | None) -> Path:
        """The path that ends at this turn: at hand, or read from the store. Raises `NotFound`."""
        if head is None:
            return Path()
        path = self.paths.get(tenant, head)
        if path is None:
            path = Path(await store.path(head))
            if continues(path.turns[-1]):  # one that runs, here or elsewhere, will be another when it has ended
                self.paths.keep(tenant, path)
        return path

    async def _path(self, asked: Asked, store: Store, tenant: str) -> Path:
        if asked.after is not None:
            try:
                return await self.path(store, tenant, asked.after)
            except NotFound:
                raise NotFound("previous response", asked.after) from None
        if asked.conversation is not None:
            return await self.path(store, tenant, (await store.conversation(asked.conversation)).head)
        return Path()

    async def _written(
        self, id: str, asked: Asked, store: Store, model: Model, path: Path, said: tuple[Message, ...]
    ) -> recording.Recording:
        before = path.turns[-1] if path.turns and asked.after is not None else None
        own = asked.opens and asked.opens + id.removeprefix("turn")
        turn = Turn(
            id=id,
            conversation=own or _chain_of(before) or asked.conversation or new_id(CHAIN),
            input=said,
            instructions=asked.instructions,
            model=asked.model,
            created_at=time.time(),
            metadata=asked.metadata or None,
            asked=asked.echo,
            background=asked.background,
        )
        if not asked.stored:
            return recording.Recording(None, turn, model)
        parent: str | Head | None = before.id if before else HEAD
        queue = self._queue and (before is None or asked.key is not None)  # one that comes again waits for itself
        try:
            return await self._begun(asked, store, model, turn, parent, queue=queue)
        except ConversationBusy:
            if before is None:
                raise
            turn = msgspec.structs.replace(turn, conversation=new_id(CHAIN))
            return await self._begun(asked, store, model, turn, parent, queue=False)
        except NotFound:
            if asked.after is None:
                raise
            raise NotFound("previous response", asked.after) from None

    async def _begun(
        self, asked: Asked, store: Store, model: Model, turn: Turn, parent: str | Head | None, *, queue: bool
    ) -> recording.Recording:
        return await recording.begin(
            store,
            turn,
            model,
            parent=parent,
            user=asked.user,
            metadata=asked.metadata if asked.opens else None,
            key=asked.key,
            queue=queue,
            kind=asked.kind,
        )

    def stop(self) -> None:
        """End every exchange, now or as soon as it begins: its turn has failed, and whoever reads it gets a
        `GoingDown`."""
        self.stopped = True
        for exchange in self.running:
            exchange.stop(GoingDown())

    def run(self, exchange: Exchange) -> None:
        """It runs from now on, until it takes too long or is over."""
        loop = asyncio.get_running_loop()
        self.running[exchange] = until = loop.time() + self._longest_s
        if self._clock is None:
            self._clock = loop.call_at(until, self._ring)
        if self.stopped:
            exchange.stop(GoingDown())

    def _ring(self) -> None:
        loop, self._clock = asyncio.get_running_loop(), None
        for exchange, until in self.running.items():
            if until > loop.time():
                self._clock = loop.call_at(until, self._ring)
                return
            text = f"the answer took longer than {self._longest_s:g} s, which is the most here"
            exchange.stop(TotalTimedOut(text))

    def framing(self, *, truncates: bool) -> Framing:
        return self._cutting.forked() if truncates else self._keeping.forked()


def _chain_of(before: Turn | None) -> str | None:
    """The conversation that grows by what follows a turn: the turn's own, or a new one where that has a name, for such
    a one is not to grow by what follows one of its turns."""
    if before is None:
        return None
    return before.conversation if before.conversation.startswith(CHAIN) else new_id(CHAIN)


_SAID = (TextDelta, Deltas, ReasoningDelta, RefusalDelta, ToolCallDelta, PartDelta)  # the most frequent ones first
_UNREAD_S = 5.0  # how long one that was stopped waits for who does not read on, before it hangs up on them


class Exchange:
    """One turn that runs. `deltas` is read once, to its end; then `turn` is as it ended, and `answer` what the model
    said. Left early, it stops the model and ends the turn with what was said by then."""

    def __init__(
        self, exchanges: Exchanges, caller: Caller, asked: Asked, model: Model, path: Path, written: recording.Recording
    ) -> None:
        self.asked = asked
        self.caller = caller
        self.model = model
        self.path = path
        self.answer: Answer | None = None
        self.has_begun = False
        """Whether the model has said anything."""
        self.run: Run | None = None
        """What runs, where that is not the model that is asked for an answer."""
        self._exchanges = exchanges
        self._written = written
        self._reader: asyncio.Task[Any] | None = None  # who reads the deltas
        self._waits = False  # for the next one
        self._stopped = False  # told to wait no more
        self._why: MultiturnError | None = None

    @property
    def turn(self) -> Turn:
        """The turn as it is now."""
        return self._written.turn

    @property
    def id(self) -> str:
        """What the ids that the doors show have in common: 26 characters."""
        return self.turn.id.partition("_")[2]

    @property
    def is_replayed(self) -> bool:
        """Whether the turn was answered before, under the same idempotency key; nothing is to be run then."""
        return self.turn.finished_at is not None and self.answer is None

    async def deltas(self, cancel: Cancel | None = None) -> AsyncGenerator[Sequence[Delta], None]:
        """What the model says, piece by piece, each written down; those together that came at once. Raises a
        `ModelError`, `TooLong`, `RunCancelled`, `GoingDown` or `TotalTimedOut`; the turn has ended then too."""
        if self.is_replayed:
            return
        failed: BaseException | None = None
        exchanges, observers = self._exchanges, self._exchanges.observers
        self._reader = asyncio.current_task()
        exchanges.run(self)
        for observer in observers:
            observer.began(self)
        try:
            if self._why is not None:
                await self._written.break_off()
                raise self._why
            self._waits = True
            if self.asked.background:
                await self._asking()
            async with aclosing(recording.recorded(self.run or self._run(), self._written, cancel)) as items:
                async for item in items:
                    if isinstance(item, Ended):
                        self.answer = item.answer
                    elif isinstance(item, _SAID):
                        self._waits, is_first = False, not self.has_begun
                        if is_first:
                            self.has_begun = True
                            for observer in observers:
                                observer.first(self)
                        yield each(item)
                        if is_first:
                            self._reader = asyncio.current_task()  # the rest may be read by another one
                        if self._why is not None:
                            raise self._why
                        self._waits = True
            if self.asked.stored and continues(self.turn):
                exchanges.paths.keep(self.caller.tenant, self.path.followed_by(self.turn))
        except asyncio.CancelledError as error:
            failed = error
            if self._stopped and self._reader is not None and not self._reader.uncancel():
                assert self._why is not None
                failed = self._why
                raise failed from None
            raise
        except BaseException as error:
            failed = error
            raise
        finally:
            self._waits = False
            exchanges.running.pop(self, None)
            for observer in observers:
                observer.ended(self, failed)

    async def _asking(self) -> None:
        try:
            await self._written.asking()
        except ConversationBusy:
            raise  # another node runs it by now
        except Exception as error:
            await self._written.fail(error)
            raise

    def stop(self, why: MultiturnError) -> None:
        """End it, now or as soon as it begins: the turn as failed, or as interrupted by a `RunCancelled`. Who reads it
        gets that error: the task that waits for the model is cancelled; one that waits for its own client finds out
        after, and is cancelled where that takes long."""
        if self._why is not None:
            return
        self._why = self._written.stopped_by = why
        if self._reader is None:
            return
        if self._waits:
            self._stopped = True
            self._reader.cancel()
        else:
            asyncio.get_running_loop().call_later(_UNREAD_S, self._hang_up, self._reader)

    def _hang_up(self, reader: asyncio.Task[Any]) -> None:
        if self in self._exchanges.running:
            reader.cancel()

    async def ended(self, cancel: Cancel | None = None) -> Turn:
        """The turn as it ended. Raises as `deltas` does."""
        async with aclosing(self.deltas(cancel)) as deltas:
            async for _ in deltas:
                pass
        return self.turn

    def _run(self) -> Run:
        asked = self.asked
        request = Request(
            path=self.path,
            input=self.turn.input,
            instructions=asked.instructions,
            tools=asked.tools,
            settings=self._settings(),
            stream=asked.stream,
        )
        return Run(self.model, request, frame=self._frame())

    def _settings(self) -> Settings:
        """With what only this API knows, where the model is asked through it too."""
        asked = self.asked
        if not asked.native or getattr(self.model, "format", None) != asked.format:
            return asked.settings
        return msgspec.structs.replace(asked.settings, extra={**(asked.settings.extra or {}), **asked.native})

    def _frame(self) -> Frame | None:
        """None where the model is shown all that was said."""
        mark = self.path.mark
        if not self.asked.truncates and mark == Mark():
            return None
        return Frame(self._exchanges.framing(truncates=self.asked.truncates), self.model, self.path, mark)


def _root_of(path: Path) -> str | None:
    """What names the tree: its first turn."""
    return path.turns[0].id if path.turns else None
