"""`Conversation`: a head on the tree of turns. Send, stream, fork, edit, retry.

Every method has an async twin with an `a` before its name, which is the one that works; the sync one waits for it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from copy import copy as shallow
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from multiturn import recording, sync
from multiturn.agent import Agent, Instructions, decided, reply_of, told
from multiturn.cancel import Cancel
from multiturn.context.contents import Contents, contents
from multiturn.context.frame import Frame, check, condensed
from multiturn.context.summary import WORDS
from multiturn.deltas import Answer
from multiturn.errors import ConversationBusy, InvalidInput, NotFound
from multiturn.events import Event, RunCompleted, RunPaused
from multiturn.ids import new_id
from multiturn.inputs import Input, as_messages
from multiturn.messages import Message, Usage, copy
from multiturn.models.base import Model
from multiturn.path import Path
from multiturn.reply import Reply
from multiturn.request import Settings
from multiturn.runs import MAX_STEPS, UNDECIDED, Decisions, Ended, Waiting
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.stores.records import HEAD, ConversationRecord, Head
from multiturn.tools import Tool
from multiturn.turns import INHERITED, Mark, Turn, TurnStatus, continues, has_results, has_run_tools, matched

if TYPE_CHECKING:
    from multiturn.context.window import Window
    from multiturn.formats.switching import Switching
    from multiturn.models.limits import Retries, Timeouts
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
    proxies. `switching` says what a provider is shown of what others said.

    `tools` are functions and `Tool`s that the model may call, `max_steps` how often it is asked in one turn, `output`
    the type that answers must have, and `state` a new conversation's first state. `window` says how much of the history
    the model is shown; without one, as much as it reads. `user` and `metadata` are kept with the conversation, to find
    it by. `on_conflict` says what a send does while another one runs on this conversation,
    here or in another process: wait its turn, raise `ConversationBusy`, or go on in a fork, whose id the reply's turn
    has.

    Nothing is read, written or connected before the first call. Safe to use from several tasks and threads.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        instructions: Instructions | None = None,
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
        tools: Iterable[Tool[..., Any] | Callable[..., Any]] = (),
        output: Any = None,
        max_steps: int = MAX_STEPS,
        state: dict[str, Any] | None = None,
        window: Window | None = None,
        on_conflict: OnConflict = "queue",
    ) -> None:
        self.id = id or new_id("conv")
        self.store = open_store(store or "sqlite://") if isinstance(store, str | None) else store
        self.user = user
        self.metadata = dict(metadata) if metadata else None
        self.on_conflict = on_conflict
        self._agent = Agent(
            tools=tools,
            output=output,
            settings=settings,
            max_steps=max_steps,
            window=window,
            base_url=base_url,
            api_key=api_key,
            api=api,
            client=client,
            switching=switching,
            timeouts=timeouts,
            retries=retries,
        )
        self._model = model
        self._instructions = instructions
        self._record: ConversationRecord | None = None if id else ConversationRecord(id=self.id)
        self._path = Path()
        self._state = recording.snapshot(state)
        self._state_of: str | None = None

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
    def instructions(self) -> Instructions | None:
        """What goes before the history from the next turn on: a text, or a function of the conversation that gives
        one."""
        return self._instructions if self._instructions is not None else self._opened().instructions

    @instructions.setter
    def instructions(self, instructions: Instructions | None) -> None:
        self._instructions = instructions or ""

    @property
    def settings(self) -> Settings:
        return self._agent.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._agent.settings = settings

    @property
    def api(self) -> Api | None:
        """Over which of its provider's APIs the model is asked from the next turn on."""
        return self._agent.api

    @api.setter
    def api(self, api: Api | None) -> None:
        self._agent.api = api

    @property
    def client(self) -> object | None:
        """The SDK client that the model is asked through from the next turn on."""
        return self._agent.client

    @client.setter
    def client(self, client: object | None) -> None:
        self._agent.client = client

    @property
    def state(self) -> dict[str, Any]:
        """The conversation's own small dict, as JSON can hold it. Tools may read and change it, and so may you, between
        turns; it is kept with each turn, so that a fork has it as it was there."""
        return sync.run(self.astate())

    async def astate(self) -> dict[str, Any]:
        """As `state`."""
        path = await self._path_to((await self._stored()).head)
        return self._state_at(path)

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
        output: Any = None,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
        cancel: Cancel | None = None,
        pin: bool = False,
    ) -> Reply:
        """The model's reply, stored. `output` is the type that the answer must have, the conversation's own if not
        given. `replace` takes the place of that turn: a sibling of it, and the head goes there. `key` makes the send
        idempotent: the same key again on this conversation gives the same turn, once it was answered, and does not ask
        the model; one that crashed between tools goes on from there. With `pin`, the turn is shown to the model however
        long the conversation grows.

        Raises a `ModelError` where the model fails: the words are kept in a failed turn, the head stays, `retry` runs
        them again. Raises `InvalidInput` before anything is stored, `TooLong` for what the model cannot hold among
        them, and `RunCancelled`.
        """
        return await reply_of(self._send(said, output, replace, key, metadata, cancel, pin, stream=False))

    async def astream(
        self,
        said: Input,
        *,
        output: Any = None,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
        cancel: Cancel | None = None,
        pin: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """The events of one turn as they come, the last one `RunCompleted` or `RunPaused` with the reply. Otherwise as
        `asend`.

        Leaving the loop early, or cancelling the task, ends the call and leaves the turn `incomplete` with the text so
        far, which the next turn then sees; with no text yet, the head stays.
        """
        async with aclosing(self._send(said, output, replace, key, metadata, cancel, pin, stream=True)) as events:
            async for event in events:
                yield event

    async def aresume(
        self,
        *,
        approve: Iterable[str] | bool = (),
        deny: Mapping[str, str] | Iterable[str] = (),
        results: Mapping[str, object] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Reply:
        """What the latest turn comes to, which is paused, has crashed between tools, or failed: it goes on from where
        it was, and tools that have answered are not called again. Calls that wait are approved, denied (with a reason
        for the model), or given their results, by their ids; `approve=True` approves all.

        A call that was being run when its process ended is run again if its tool is `repeatable` or it is approved;
        else the model is told that nobody knows what became of it. Raises `InvalidInput` where nothing can go on, and
        `ConversationBusy` where somebody else goes on with it."""
        return await reply_of(self._resume(approve, deny, results, output, cancel, stream=False))

    async def astream_resume(
        self,
        *,
        approve: Iterable[str] | bool = (),
        deny: Mapping[str, str] | Iterable[str] = (),
        results: Mapping[str, object] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> AsyncGenerator[Event, None]:
        """The events of a turn that goes on, as `aresume` and `astream` say."""
        async with aclosing(self._resume(approve, deny, results, output, cancel, stream=True)) as events:
            async for event in events:
                yield event

    async def aretry(self, *, output: Any = None) -> Reply:
        """The reply to the words said last, asked for again: the turn becomes a sibling of the one it repeats, be that
        failed, incomplete or complete. One that failed or crashed after it had run tools goes on from there instead.
        Raises `InvalidInput` if nothing has been said."""
        turn = await self.alatest()
        while turn is not None and not turn.messages:  # it has only pinned something
            turn = await self.store.turn(turn.parent) if turn.parent else None
        if turn is None:
            raise InvalidInput("there is nothing to retry; send something first")
        broke_off = turn.status is TurnStatus.FAILED or (turn.status is TurnStatus.PAUSED and turn.reason == "crashed")
        if broke_off and (has_run_tools(turn) or turn.calls_started):
            return await self.aresume(output=output)
        return await self.asend(turn.input, output=output, replace=turn.id)

    async def aedit(self, turn_id: str, said: Input, *, output: Any = None) -> Reply:
        """The reply to other words in the place of a turn's. The turn and what followed stay in the tree."""
        return await self.asend(said, output=output, replace=turn_id)

    async def _send(
        self,
        said: Input,
        output: Any,
        replace: str | None,
        key: str | None,
        metadata: dict[str, str] | None,
        cancel: Cancel | None,
        pin: bool,
        *,
        stream: bool,
    ) -> AsyncGenerator[Event, None]:
        await self._open()
        model, new = self._agent.resolve(self.model), as_messages(said)
        if has_results(new):
            turns = reversed(await self.aturns())
            new = matched(new, (message for turn in turns for message in reversed(turn.messages)))
        turn = await self._new_turn(model, new, metadata)
        if pin:
            turn = msgspec.structs.replace(turn, window=Mark(INHERITED, pinned=(turn.id,)))
        output = self._agent.kind_of(output)
        request = self._agent.request(Path(), new, turn.instructions, output)
        check(self._agent.framing, model, request)
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
                cancel=cancel,
            )
        except ConversationBusy:
            if self.on_conflict != "fork":
                raise
            fork = await self.afork()
            events = fork._send(said, output, replace, key, metadata, cancel, pin, stream=stream)
        else:
            if written.turn.status is TurnStatus.IN_PROGRESS:
                events = self._run(written, model, output, UNDECIDED, cancel, stream)
            elif written.turn.reason == "crashed":
                events = self._resume((), (), None, output, cancel, stream=stream, of=written.turn)
            else:
                events = self._already(written.turn, output)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _new_turn(self, model: Model, said: tuple[Message, ...], metadata: dict[str, str] | None = None) -> Turn:
        return Turn(
            id=new_id("turn"),
            conversation=self.id,
            input=said,
            instructions=await told(self.instructions, self),
            model=self.model if isinstance(self.model, str) else f"{model.provider}:{model.name}",
            created_at=time.time(),
            metadata=dict(metadata) if metadata else None,
        )

    async def _already(self, turn: Turn, output: Any) -> AsyncGenerator[Event, None]:
        """The event of a turn that has ended, or waits, already."""
        kind, path = self._agent.kind_of(output), await self._path_to(turn.parent)
        if turn.status is TurnStatus.PAUSED:
            yield RunPaused(Reply(turn, before=path))
        else:
            whole = turn.status is TurnStatus.COMPLETED
            yield RunCompleted(Reply(turn, kind.decode(turn.text) if kind and whole else None, path))

    async def _resume(
        self,
        approve: Iterable[str] | bool,
        deny: Mapping[str, str] | Iterable[str],
        results: Mapping[str, object] | None,
        output: Any,
        cancel: Cancel | None,
        *,
        stream: bool,
        of: Turn | None = None,
    ) -> AsyncGenerator[Event, None]:
        await self._open()
        turn = of or await self.alatest()
        if turn is None:
            raise InvalidInput("there is nothing to resume; send something first")
        model = self._agent.resolve(self.model)
        if turn.status is not TurnStatus.IN_PROGRESS:
            decided(turn.pending, approve, deny, results)  # a mistake changes nothing
        written = await recording.reopen(self.store, turn.id, model)
        try:
            decisions = decided(written.turn.pending, approve, deny, results)
        except InvalidInput:  # it has crashed elsewhere, and only now shows what waits
            await written.pause(Waiting(written.turn.pending, "approval"))
            raise
        async with aclosing(self._run(written, model, output, decisions, cancel, stream)) as events:
            async for event in events:
                yield event

    async def _run(
        self,
        written: recording.Recording,
        model: Model,
        output: Any,
        decisions: Decisions,
        cancel: Cancel | None,
        stream: bool,
    ) -> AsyncGenerator[Event, None]:
        """The events of a turn that has begun."""
        path = Path()
        try:
            path = await self._path_to(written.turn.parent)
            written.before = path.totals
            written.state = self._state_after(path, written.turn)
            run = self._agent.begin(
                model,
                path,
                written,
                output=output,
                stream=stream,
                user=self.user,
                decisions=decisions,
                frame=Frame(self._agent.framing, model, path, self._mark_of(path, written.turn)),
            )
        except Exception as error:
            await written.fail(error)
            raise
        except BaseException:
            await written.interrupt()
            raise
        try:
            async with aclosing(recording.events_of(run, written, path, cancel)) as events:
                async for event in events:
                    self._follow(path, written.turn)
                    yield event
        finally:
            self._follow(path, written.turn)

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
        if continues(turn) and self._path.head != turn.id:
            self._path = path.followed_by(turn)

    def _state_after(self, path: Path, turn: Turn) -> dict[str, Any]:
        """The state that a turn begins with, a copy: its own where it goes on, else that of the conversation. What it
        makes of it counts once it has ended."""
        return deepcopy(self._state_at(path) if turn.state is None else turn.state)

    def _state_at(self, path: Path) -> dict[str, Any]:
        """What the caller has set since the last turn of ours, or what the turn before has left."""
        if self._state is None or self._state_of != path.head:
            kept = path.turns[-1].state if path.turns else None
            self._state, self._state_of = deepcopy(kept or {}), path.head
        return self._state

    def _mark_of(self, path: Path, turn: Turn) -> Mark:
        """What of the path a turn that begins, or goes on, is shown at first."""
        return (turn.window.after(path.mark) if turn.window else path.mark).unpinning(turn.id)

    # --- the window ----------------------------------------------------------------------------------------------

    async def awindow(self, said: Input | None = None) -> Contents:
        """What the next request will hold if this is said: tokens of each part, and of what the model takes. Printed, a
        bar. What would not fit is not left out yet."""
        await self._open()
        path, model = await self._path_to((await self._stored()).head), self._agent.resolve(self.model)
        new = () if said is None else as_messages(said)
        request = self._agent.request(path, new, await told(self.instructions, self), self._agent.output)
        return contents(Frame(self._agent.framing, model, path, path.mark), model, request)

    async def afits(self, said: Input) -> bool:
        """Whether this can be said without leaving out more than is left out now."""
        return (await self.awindow(said)).fits

    async def apin(self, turn_id: str) -> None:
        """Show this turn to the model however long the conversation grows. Raises `NotFound` for a turn that is not on
        the way to the head. Kept with a turn of its own, in which nothing is said."""

        def pinned(path: Path) -> Mark:
            if path.until(turn_id) is None:
                raise NotFound("turn", turn_id)
            return path.mark.pinning(turn_id)

        await self._remark(pinned)

    async def aunpin(self, turn_id: str) -> None:
        """Leave this turn out again where others of its age are left out."""
        await self._remark(lambda path: path.mark.unpinning(turn_id))

    async def asummarize_and_reset(self, *, model: str | Model | None = None, words: str | None = None) -> str:
        """A summary of the conversation, by this model, whoever answers if not given, asked with these words. From now
        on the model is shown the summary and pinned turns instead of what was said; later cuts carry it on. The
        request and the summary are a turn, and the whole history stays readable.

        Raises a `ModelError` where the model fails or writes nothing, and `InvalidInput` where nothing was said."""
        asked = self._agent.resolve(self.model if model is None else model)

        async def ask(path: Path, written: recording.Recording) -> Ended:
            if not path.messages:
                raise InvalidInput("there is nothing to summarise; send something first")
            request = self._agent.request(path, written.turn.input, written.turn.instructions, None)
            answer = await condensed(self._agent.framing, asked, path, request)
            written.turn = msgspec.structs.replace(
                written.turn,
                window=Mark(
                    len(path.turns) + 1, summary=answer.text.strip(), pinned=path.mark.pinned, removed=path.mark.removed
                ),
            )
            return Ended(TurnStatus.COMPLETED, Answer(answer))

        return (await self._turn_of(as_messages(words or WORDS), ask)).text

    async def _remark(self, change: Callable[[Path], Mark]) -> None:
        async def marked(path: Path, written: recording.Recording) -> Ended:
            written.turn = msgspec.structs.replace(written.turn, window=change(path))
            return Ended(TurnStatus.COMPLETED)

        await self._turn_of((), marked)

    async def _turn_of(
        self, said: tuple[Message, ...], work: Callable[[Path, recording.Recording], Awaitable[Ended]]
    ) -> Turn:
        """A turn that no run makes, stored and followed."""
        await self._open()
        model = self._agent.resolve(self.model)
        turn = await self._new_turn(model, said)
        queue = self.on_conflict == "queue"
        written = await recording.begin(
            self.store, turn, model, parent=HEAD, user=self.user, metadata=self.metadata, key=None, queue=queue
        )
        try:
            path = await self._path_to(written.turn.parent)
            written.before, written.state = path.totals, self._state_after(path, written.turn)
            await written.end(await work(path, written))
        except Exception as error:
            await written.fail(error)
            raise
        except BaseException:
            await written.interrupt()
            raise
        self._follow(path, written.turn)
        return written.turn

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
            user=self.user or record.user,
            metadata=self.metadata or record.metadata,
            on_conflict=self.on_conflict,
        )
        fork._agent = shallow(self._agent)
        fork._agent.framing = self._agent.framing.forked()
        fork._record = await self.store.create(
            ConversationRecord(
                id=fork.id,
                user=fork.user,
                head=at or record.head,
                model=model if isinstance(model, str) else None,
                instructions=instructions if isinstance(instructions, str) and instructions else None,
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
        output: Any = None,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
        cancel: Cancel | None = None,
        pin: bool = False,
    ) -> Reply:
        """As `asend`."""
        return sync.run(
            self.asend(said, output=output, replace=replace, key=key, metadata=metadata, cancel=cancel, pin=pin)
        )

    def stream(
        self,
        said: Input,
        *,
        output: Any = None,
        replace: str | None = None,
        key: str | None = None,
        metadata: dict[str, str] | None = None,
        cancel: Cancel | None = None,
        pin: bool = False,
    ) -> Iterator[Event]:
        """As `astream`. The answer goes on arriving while the loop's body works."""
        return sync.iterate(
            self.astream(said, output=output, replace=replace, key=key, metadata=metadata, cancel=cancel, pin=pin)
        )

    def resume(
        self,
        *,
        approve: Iterable[str] | bool = (),
        deny: Mapping[str, str] | Iterable[str] = (),
        results: Mapping[str, object] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Reply:
        """As `aresume`."""
        return sync.run(self.aresume(approve=approve, deny=deny, results=results, output=output, cancel=cancel))

    def stream_resume(
        self,
        *,
        approve: Iterable[str] | bool = (),
        deny: Mapping[str, str] | Iterable[str] = (),
        results: Mapping[str, object] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Iterator[Event]:
        """As `astream_resume`."""
        return sync.iterate(
            self.astream_resume(approve=approve, deny=deny, results=results, output=output, cancel=cancel)
        )

    def retry(self, *, output: Any = None) -> Reply:
        """As `aretry`."""
        return sync.run(self.aretry(output=output))

    def edit(self, turn_id: str, said: Input, *, output: Any = None) -> Reply:
        """As `aedit`."""
        return sync.run(self.aedit(turn_id, said, output=output))

    def fork(self, at: str | None = None, *, id: str | None = None) -> Conversation:
        """As `afork`."""
        return sync.run(self.afork(at, id=id))

    def window(self, said: Input | None = None) -> Contents:
        """As `awindow`."""
        return sync.run(self.awindow(said))

    def fits(self, said: Input) -> bool:
        """As `afits`."""
        return sync.run(self.afits(said))

    def pin(self, turn_id: str) -> None:
        """As `apin`."""
        sync.run(self.apin(turn_id))

    def unpin(self, turn_id: str) -> None:
        """As `aunpin`."""
        sync.run(self.aunpin(turn_id))

    def summarize_and_reset(self, *, model: str | Model | None = None, words: str | None = None) -> str:
        """As `asummarize_and_reset`."""
        return sync.run(self.asummarize_and_reset(model=model, words=words))

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


def _line(message: Message, width: int) -> str:
    text = " ".join(message.text.split()) or f"[{', '.join(type(part).__name__.lower() for part in message.parts)}]"
    return f"{message.role}: {text if len(text) <= width else text[: width - 1] + '…'}"
