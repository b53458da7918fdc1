"""`Conversation`: a head on the tree of turns. Send, stream, fork, edit, retry.

Every method has an async twin with an `a` before its name, which is the one that works; the sync one waits for it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from multiturn import agent, recording, sync
from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta
from multiturn.errors import ConversationBusy, InvalidInput, ModelError, NotFound
from multiturn.events import (
    Content,
    Event,
    PartContent,
    ReasoningContent,
    RefusalContent,
    RunCompleted,
    RunContent,
    RunNotice,
    RunStarted,
    ToolCallContent,
)
from multiturn.ids import new_id
from multiturn.inputs import Input, as_messages
from multiturn.messages import Message, Usage, copy
from multiturn.models.base import Model
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.reply import Reply
from multiturn.request import Request, Settings
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.stores.records import HEAD, ConversationRecord, Head
from multiturn.turns import Turn, TurnStatus, continues

if TYPE_CHECKING:
    from multiturn.formats.switching import Switching
    from multiturn.models.http import Retries, Timeouts
    from multiturn.models.providers import Api

OnConflict: TypeAlias = Literal["queue", "reject", "fork"]


class Conversation:
    """Turns that follow one another, kept in a store.

    `model` is a name (`"openai:gpt-5-mini"`, see `multiturn.models.registry`) or a `Model`; without one, the model
    that the stored conversation used last, else the built-in `offline`. `instructions` go before the history of every
    request; without them, the stored conversation's own. `store` is a URL or a `Store`; without one, memory. An `id`
    that the store knows goes on where it left off; without one, a new conversation begins. `base_url` and `api_key`
    lead to any OpenAI-compatible endpoint; `timeouts` and `retries` say how patiently. `api` chooses among the APIs of
    a provider that has several: with `"responses"`, a provider that keeps its answers is sent only what is new.
    `client` is an SDK client of your own to ask through (`OpenAI()`, `AsyncAnthropic()`, …), with its key, retries and
    proxies. `switching` says what a provider is shown of what others said. `user` and `metadata` are
    kept with the conversation, to find it by. `on_conflict` says what a send does while another one runs on this
    conversation, here or in another process: wait its turn, raise `ConversationBusy`, or go on in a fork, whose id the
    reply's turn has.

    Nothing is read, written or connected before the first call. Safe to use from several tasks and threads.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        instructions: str | None = None,
        store: str | Store | None = None,
        id: str | None = None,
        settings: Settings | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        api: Api | None = None,
        client: object | None = None,
        switching: Switching | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        user: str | None = None,
        metadata: dict[str, str] | None = None,
        on_conflict: OnConflict = "queue",
    ) -> None:
        self.id = id or new_id("conv")
        self.store = open_store(store or "sqlite://") if isinstance(store, str | None) else store
        self.settings = settings or Settings()
        self.user = user
        self.metadata = dict(metadata) if metadata else None
        self.on_conflict = on_conflict
        self._model = model
        self._instructions = instructions
        self.api = api
        self.client = client
        self._ways: dict[str, Any] = {
            "base_url": base_url,
            "api_key": api_key,
            "switching": switching,
            "timeouts": timeouts,
            "retries": retries,
        }
        self._record: ConversationRecord | None = None if id else ConversationRecord(id=self.id)
        self._path = Path()
        self._resolved: tuple[object, Model] | None = None

    def __repr__(self) -> str:
        return f"Conversation({self._model!r}, id={self.id!r}, store={self.store.url!r})"

    # --- what it is set to ---------------------------------------------------------------------------------------

    @property
    def model(self) -> str | Model:
        """What answers the next turn. Setting it changes nothing that was said."""
        return self._model or self._opened().model or "offline"

    @model.setter
    def model(self, model: str | Model) -> None:
        self._model = model

    @property
    def instructions(self) -> str | None:
        """What goes before the history from the next turn on."""
        return self._instructions if self._instructions is not None else self._opened().instructions

    @instructions.setter
    def instructions(self, instructions: str | None) -> None:
        self._instructions = instructions or ""

    def _opened(self) -> ConversationRecord:
        return self._record if self._record is not None else sync.run(self._open())

    async def _open(self) -> ConversationRecord:
        """The record as it was when this object was first used; empty if the store had none."""
        if self._record is None:
            self._record = await self._stored()
        return self._record

    async def _stored(self) -> ConversationRecord:
        try:
            return await self.store.conversation(self.id)
        except NotFound:
            return ConversationRecord(id=self.id)

    # --- one turn ------------------------------------------------------------------------------------------------

    async def asend(
        self,
        said: Input,
        *,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Reply:
        """The model's reply, stored. `replace` takes the place of that turn: a sibling of it, and the head goes there.
        `key` makes the send idempotent: the same key again on this conversation gives the same turn, once it was
        answered, and does not ask the model.

        Raises a `ModelError` where the model fails: the words are kept in a failed turn, the head stays, `retry` runs
        them again. Raises `InvalidInput` before anything is stored.
        """
        async with aclosing(self._run(said, replace=replace, key=key, metadata=metadata, stream=False)) as events:
            async for event in events:
                if isinstance(event, RunCompleted):
                    return event.reply
        raise AssertionError("a run ends with its reply or an exception")

    async def astream(
        self,
        said: Input,
        *,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """The events of one turn as they come, the last one `RunCompleted` with the reply. Otherwise as `asend`.

        Leaving the loop early, or cancelling the task, ends the call and leaves the turn `incomplete` with the text so
        far, which the next turn then sees; with no text yet, the head stays.
        """
        async with aclosing(self._run(said, replace=replace, key=key, metadata=metadata, stream=True)) as events:
            async for event in events:
                yield event

    async def aretry(self) -> Reply:
        """The reply to the words said last, asked for again: the turn becomes a sibling of the one it repeats, be that
        failed, incomplete or complete. Raises `InvalidInput` if nothing has been said."""
        turn = await self.alatest()
        if turn is None:
            raise InvalidInput("there is nothing to retry; send something first")
        return await self.asend(turn.input, replace=turn.id)

    async def aedit(self, turn_id: str, said: Input) -> Reply:
        """The reply to other words in the place of a turn's. The turn and what followed stay in the tree."""
        return await self.asend(said, replace=turn_id)

    async def _run(
        self, said: Input, *, replace: str | None, key: str | None, metadata: dict[str, str] | None, stream: bool
    ) -> AsyncGenerator[Event, None]:
        await self._open()
        model = self._resolve()
        turn = Turn(
            id=new_id("turn"),
            conversation=self.id,
            input=as_messages(said),
            instructions=self.instructions or None,
            model=self.model if isinstance(self.model, str) else f"{model.provider}:{model.name}",
            created_at=time.time(),
            metadata=dict(metadata) if metadata else None,
        )
        parent: str | Head | None = HEAD if replace is None else (await self.store.turn(replace)).parent
        try:
            written = await recording.begin(
                self.store,
                turn,
                model,
                parent=parent,
                user=self.user,
                metadata=self.metadata,
                key=key,
                queue=self.on_conflict == "queue",
            )
        except ConversationBusy:
            if self.on_conflict != "fork":
                raise
            fork = await self.afork()
            async for event in fork._run(said, replace=replace, key=key, metadata=metadata, stream=stream):
                yield event
            return
        if written.turn.status is not TurnStatus.IN_PROGRESS:
            yield RunCompleted(Reply(written.turn))
            return
        path = Path()
        try:
            path = await self._path_to(written.turn.parent)
            written.before = path.totals
            yield RunStarted(written.turn)
            async with aclosing(agent.run(model, self._request(written.turn, path, stream))) as items:
                async for item in items:
                    if isinstance(item, Answer):
                        await written.complete(item)
                    elif isinstance(item, Notice):
                        written.note(item)
                        yield RunNotice(item)
                    else:
                        written.add(item)
                        yield _event(item)
        except Exception as error:
            await written.fail(error)
            if isinstance(error, ModelError):
                error.turn_id = turn.id
            raise
        except BaseException:  # cancelled, or the reader went away
            self._follow(path, await written.interrupt())
            raise
        self._follow(path, written.turn)
        yield RunCompleted(Reply(written.turn))

    def _resolve(self) -> Model:
        """The model that answers next; looked up again only when the name, the API or the client has changed."""
        model = self.model
        if not isinstance(model, str):
            return model
        asked = (model, self.api, self.client)
        if self._resolved is None or self._resolved[0] != asked:
            from multiturn.models.registry import resolve

            self._resolved = (asked, resolve(model, api=self.api, client=self.client, **self._ways))
        return self._resolved[1]

    def _request(self, turn: Turn, path: Path, stream: bool) -> Request:
        return Request(
            path=path, input=turn.input, instructions=turn.instructions, settings=self.settings, stream=stream
        )

    async def _path_to(self, head: str | None) -> Path:
        """The path that ends at this turn: the one at hand, an earlier stretch of it, or else read from the store,
        without what is at hand."""
        path, known = self._path.until(head), self._path.head
        if path is not None:
            return path
        assert head is not None  # `until(None)` is the empty path
        turns = await self.store.path(head, after=known)
        return self._path.followed_by(*turns) if known and turns[0].parent == known else Path(turns)

    def _follow(self, path: Path, turn: Turn) -> None:
        """Go on from where the head now is."""
        if continues(turn):
            self._path = path.followed_by(turn)

    # --- looking back --------------------------------------------------------------------------------------------

    async def aturns(self) -> list[Turn]:
        """The turns up to the head, oldest first."""
        self._path = await self._path_to((await self._stored()).head)
        return list(self._path.turns)

    async def ahistory(self) -> list[Message]:
        """Everything said up to the head, oldest first: a copy, changing it changes nothing."""
        return [copy(message) for turn in await self.aturns() for message in turn.messages]

    async def alatest(self) -> Turn | None:
        """The turn begun last, whatever became of it; None at the start and after a reset."""
        latest = (await self._stored()).latest
        return None if latest is None else await self.store.turn(latest)

    async def ausage(self) -> Usage:
        """The tokens of all turns up to the head."""
        turns = await self.aturns()
        return turns[-1].totals.usage if turns else Usage()

    async def asummary(self, *, turns: int = 3, width: int = 100) -> str:
        """The last few turns, a line a message, each cut to `width` characters."""
        recent = (await self.aturns())[-turns:]
        return "\n".join(_line(message, width) for turn in recent for message in turn.messages)

    # --- other heads ---------------------------------------------------------------------------------------------

    async def afork(self, at: str | None = None, *, id: str | None = None) -> Conversation:
        """A new conversation that shares every turn up to and including `at`, this one's head if not given; from there
        on each goes its own way. Nothing is copied. Raises `NotFound` if there is no such turn, `InvalidInput` if
        there is a conversation `id` already."""
        record = await self._stored()
        await self._open()
        instructions, model = self.instructions, self.model
        fork = Conversation(
            model,
            instructions=instructions,
            store=self.store,
            id=id or new_id("conv"),
            settings=self.settings,
            user=self.user or record.user,
            metadata=self.metadata or record.metadata,
            on_conflict=self.on_conflict,
            api=self.api,
            client=self.client,
            **self._ways,
        )
        fork._record = await self.store.create(
            ConversationRecord(
                id=fork.id,
                user=fork.user,
                head=at or record.head,
                model=model if isinstance(model, str) else None,
                instructions=instructions or None,
                metadata=fork.metadata,
            )
        )
        return fork

    async def areset(self) -> None:
        """Start over: an empty head. Instructions and model stay, and the old turns stay readable by their ids."""
        if (await self._stored()).latest is not None:
            await self.store.move_head(self.id, None)
        self._path = Path()

    # --- the sync face -------------------------------------------------------------------------------------------

    def send(
        self,
        said: Input,
        *,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Reply:
        """As `asend`."""
        return sync.run(self.asend(said, replace=replace, key=key, metadata=metadata))

    def stream(
        self,
        said: Input,
        *,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Iterator[Event]:
        """As `astream`. The answer goes on arriving while the loop's body works."""
        return sync.iterate(self.astream(said, replace=replace, key=key, metadata=metadata))

    def retry(self) -> Reply:
        """As `aretry`."""
        return sync.run(self.aretry())

    def edit(self, turn_id: str, said: Input) -> Reply:
        """As `aedit`."""
        return sync.run(self.aedit(turn_id, said))

    def fork(self, at: str | None = None, *, id: str | None = None) -> Conversation:
        """As `afork`."""
        return sync.run(self.afork(at, id=id))

    def reset(self) -> None:
        """As `areset`."""
        sync.run(self.areset())

    def summary(self, *, turns: int = 3, width: int = 100) -> str:
        """As `asummary`."""
        return sync.run(self.asummary(turns=turns, width=width))

    @property
    def history(self) -> list[Message]:
        """As `ahistory`."""
        return sync.run(self.ahistory())

    @property
    def turns(self) -> list[Turn]:
        """As `aturns`."""
        return sync.run(self.aturns())

    @property
    def latest(self) -> Turn | None:
        """As `alatest`."""
        return sync.run(self.alatest())

    @property
    def usage(self) -> Usage:
        """As `ausage`."""
        return sync.run(self.ausage())


def _event(delta: Delta) -> Content:
    match delta:
        case TextDelta():
            return RunContent(delta.text)
        case RefusalDelta():
            return RefusalContent(delta.text)
        case ReasoningDelta():
            return ReasoningContent(delta.text)
        case PartDelta():
            return PartContent(delta.part)
    return ToolCallContent(delta.index, delta.call_id, delta.name, delta.arguments, delta.kind)


def _line(message: Message, width: int) -> str:
    text = " ".join(message.text.split()) or f"[{', '.join(type(part).__name__.lower() for part in message.parts)}]"
    return f"{message.role}: {text if len(text) <= width else text[: width - 1] + '…'}"
