"""`Agent`: who answers, for those who carry the history themselves; and what a `Conversation` runs its turns with.

Every method has an async twin with an `a` before its name, which is the one that works; the sync one waits for it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from multiturn import sync
from multiturn.cancel import Cancel
from multiturn.context.frame import Frame, check
from multiturn.context.framing import Framing
from multiturn.context.history import exchanges, replayed
from multiturn.errors import InvalidInput
from multiturn.events import Event, RunCompleted, RunPaused
from multiturn.ids import new_id
from multiturn.inputs import Input, as_messages
from multiturn.messages import Message, ToolCall
from multiturn.models.base import Model
from multiturn.output import Output, output_of
from multiturn.path import Path
from multiturn.recording import Recording, events_of, snapshot
from multiturn.reply import Reply
from multiturn.request import Request, Settings
from multiturn.runs import MAX_STEPS, UNDECIDED, Decisions, Run
from multiturn.tools import Tool, ToolContext, by_name
from multiturn.turns import Turn, TurnStatus, has_results, matched

if TYPE_CHECKING:
    from multiturn.context.window import Window
    from multiturn.formats.switching import Switching
    from multiturn.models.limits import Retries, Timeouts
    from multiturn.models.providers import Api


Instructions: TypeAlias = str | Callable[[Any], str | Awaitable[str]]
"""What a model is told before all else: a text, or a function that makes one of the agent or the conversation. Within
the function, use a conversation's async methods: `await chat.astate()`, not `chat.state`."""


class Agent:
    """A model, what it is told, and what it may call.

    `model` is a name or a `Model`; `instructions` a text, or a function of whoever runs it that gives one; `tools`
    functions and `Tool`s; `output` the type that answers must have; `max_steps` how often the model is asked in one
    run. `window` says how much of a history a model is shown. `base_url`, `api_key`, `api`, `client`, `switching`,
    `timeouts` and `retries` as in `Conversation`.

    An agent keeps nothing: give `messages=previous.messages` to go on. Safe to use from several tasks and threads.
    """

    def __init__(
        self,
        model: str | Model = "offline",
        instructions: Instructions | None = None,
        tools: Iterable[Tool[..., Any] | Callable[..., Any]] = (),
        output: Any = None,
        *,
        settings: Settings | None = None,
        max_steps: int = MAX_STEPS,
        window: Window | None = None,
        session_id: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        api: Api | None = None,
        client: object | None = None,
        switching: Switching | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.model = model
        self.instructions = instructions
        self.tools = by_name(tools)
        self._specs = tuple(tool.spec for tool in self.tools.values())
        self.output = None if output is None else output_of(output)
        self.settings = settings or Settings()
        self.max_steps = max_steps
        self.framing = Framing(window)
        self.session_id = session_id or new_id("session")
        self.api = api
        self.client = client
        self._ways: dict[str, Any] = {
            "base_url": base_url,
            "api_key": api_key,
            "switching": switching,
            "timeouts": timeouts,
            "retries": retries,
        }
        self._resolved: tuple[object, Model] | None = None

    # --- what a run needs ---------------------------------------------------------------------------------------

    def resolve(self, model: str | Model) -> Model:
        """The model of this name, looked up again only when the name, the API or the client has changed."""
        if not isinstance(model, str):
            return model
        asked = (model, self.api, self.client)
        if self._resolved is None or self._resolved[0] != asked:
            from multiturn.models.registry import resolve

            self._resolved = (asked, resolve(model, api=self.api, client=self.client, **self._ways))
        return self._resolved[1]

    def kind_of(self, output: Any) -> Output[Any] | None:
        """The type that an answer must have: this one, or else the agent's own."""
        if output is None or isinstance(output, Output):
            return output or self.output
        return output_of(output)

    def begin(
        self,
        model: Model,
        path: Path,
        written: Recording,
        *,
        output: Any,
        stream: bool,
        user: str | None,
        decisions: Decisions = UNDECIDED,
        frame: Frame | None = None,
    ) -> Run:
        """A run of the turn that is being recorded, after `path`."""
        turn, kind = written.turn, self.kind_of(output)

        def context(call: ToolCall) -> ToolContext:
            return ToolContext(
                call_id=call.call_id,
                conversation=turn.conversation,
                user=user,
                state=written.state if written.state is not None else {},
                attempt=1 + (call.call_id in turn.calls_started),
            )

        request = self.request(path, turn.input, turn.instructions, kind, stream=stream)
        return Run(
            model,
            request,
            tools=self.tools,
            output=kind,
            context=context,
            max_steps=self.max_steps,
            said=turn.output,
            started=turn.calls_started,
            decisions=decisions,
            frame=frame,
        )

    def request(
        self,
        path: Path,
        said: tuple[Message, ...],
        instructions: str | None,
        kind: Output[Any] | None,
        *,
        stream: bool = False,
    ) -> Request:
        """What the model is asked when this is said after `path`; `kind` is the type of the answer."""
        settings = self.settings
        if kind is not None:
            settings = msgspec.structs.replace(settings, output=kind.schema)
        return Request(
            path=path, input=said, instructions=instructions, tools=self._specs, settings=settings, stream=stream
        )

    # --- running ------------------------------------------------------------------------------------------------

    async def arun(
        self,
        said: Input,
        *,
        messages: Sequence[Message | Mapping[str, Any]] = (),
        session_id: str | None = None,
        user: str | None = None,
        state: dict[str, Any] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Reply:
        """What the run has come to; its `messages` go into the next one. `session_id`, `user` and `state` are what
        tools see; they may change the state.

        Raises a `ModelError` where the model fails, and `RunCancelled`. What a tool raises, the model is told."""
        turn = self._turn(said, session_id)
        return await reply_of(self._run(turn, _path(messages), user, state, output, cancel, stream=False))

    async def arun_stream(
        self,
        said: Input,
        *,
        messages: Sequence[Message | Mapping[str, Any]] = (),
        session_id: str | None = None,
        user: str | None = None,
        state: dict[str, Any] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> AsyncGenerator[Event, None]:
        """The events of a run as they come; the last one has its `Reply`. Otherwise as `arun`."""
        turn = self._turn(said, session_id)
        async with aclosing(self._run(turn, _path(messages), user, state, output, cancel, stream=True)) as events:
            async for event in events:
                yield event

    async def aresume(
        self,
        paused: Reply,
        *,
        approve: Iterable[str] | bool = (),
        deny: Mapping[str, str] | Iterable[str] = (),
        results: Mapping[str, object] | None = None,
        user: str | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Reply:
        """What a paused run comes to, once its calls are approved, denied, or answered from elsewhere, by their ids;
        `approve=True` approves all. Raises `InvalidInput` where nothing waits."""
        if paused.status is not TurnStatus.PAUSED:
            raise InvalidInput(f"run {paused.run_id!r} is {paused.status.value}; only a paused one goes on")
        turn = msgspec.structs.replace(paused.turn, status=TurnStatus.IN_PROGRESS)
        decisions = decided(paused.pending, approve, deny, results)
        events = self._run(
            turn, paused.before, user, deepcopy(turn.state), output, cancel, stream=False, decisions=decisions
        )
        return await reply_of(events)

    def _turn(self, said: Input, session_id: str | None) -> Turn:
        return Turn(
            id=new_id("run"),
            conversation=session_id or self.session_id,
            input=as_messages(said),
            model=self.model if isinstance(self.model, str) else f"{self.model.provider}:{self.model.name}",
            created_at=time.time(),
        )

    async def _run(
        self,
        turn: Turn,
        path: Path,
        user: str | None,
        state: dict[str, Any] | None,
        output: Any,
        cancel: Cancel | None,
        *,
        stream: bool,
        decisions: Decisions = UNDECIDED,
    ) -> AsyncGenerator[Event, None]:
        model = self.resolve(self.model)
        if has_results(turn.input):
            turn = msgspec.structs.replace(turn, input=matched(turn.input, reversed(path.messages)))
        turn = msgspec.structs.replace(turn, instructions=await told(self.instructions, self))
        written = Recording(None, turn, model)
        snapshot(state)  # what cannot be kept is told before anything is asked
        written.state = {} if state is None else state
        framing = self.framing
        request = self.request(path, turn.input, turn.instructions, self.kind_of(output))
        check(framing, model, request)
        mark = turn.window or replayed(framing, model, request)
        frame = Frame(framing, model, path, mark, summarises=False)
        run = self.begin(
            model, path, written, output=output, stream=stream, user=user, decisions=decisions, frame=frame
        )
        async with aclosing(events_of(run, written, path, cancel)) as events:
            async for event in events:
                yield event

    # --- the sync face ------------------------------------------------------------------------------------------

    def run(
        self,
        said: Input,
        *,
        messages: Sequence[Message | Mapping[str, Any]] = (),
        session_id: str | None = None,
        user: str | None = None,
        state: dict[str, Any] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Reply:
        """As `arun`."""
        return sync.run(
            self.arun(
                said,
                messages=messages,
                session_id=session_id,
                user=user,
                state=state,
                output=output,
                cancel=cancel,
            )
        )

    def run_stream(
        self,
        said: Input,
        *,
        messages: Sequence[Message | Mapping[str, Any]] = (),
        session_id: str | None = None,
        user: str | None = None,
        state: dict[str, Any] | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Iterator[Event]:
        """As `arun_stream`. The answer goes on arriving while the loop's body works."""
        return sync.iterate(
            self.arun_stream(
                said,
                messages=messages,
                session_id=session_id,
                user=user,
                state=state,
                output=output,
                cancel=cancel,
            )
        )

    def resume(
        self,
        paused: Reply,
        *,
        approve: Iterable[str] | bool = (),
        deny: Mapping[str, str] | Iterable[str] = (),
        results: Mapping[str, object] | None = None,
        user: str | None = None,
        output: Any = None,
        cancel: Cancel | None = None,
    ) -> Reply:
        """As `aresume`."""
        return sync.run(
            self.aresume(paused, approve=approve, deny=deny, results=results, user=user, output=output, cancel=cancel)
        )


async def reply_of(events: AsyncGenerator[Event, None]) -> Reply:
    """The reply that a run's last event has. Raises what the run raises."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, RunCompleted | RunPaused):
                return event.reply
    raise AssertionError("a run ends with its reply or an exception")


async def told(instructions: Instructions | None, who: Any) -> str | None:
    """The text of instructions, which may be a function of whoever runs them."""
    if instructions is None or isinstance(instructions, str):
        return instructions or None
    text = instructions(who)
    return (text if isinstance(text, str) else await text) or None


def decided(
    pending: Sequence[ToolCall],
    approve: Iterable[str] | bool,
    deny: Mapping[str, str] | Iterable[str],
    results: Mapping[str, object] | None,
) -> Decisions:
    """The caller's decisions on calls that wait. Raises `InvalidInput` for the id of none of them."""
    ids = [call.call_id for call in pending]
    approved = frozenset(ids if approve is True else () if approve is False else approve)
    declined = dict(deny) if isinstance(deny, Mapping) else dict.fromkeys(deny, "")
    if strange := (approved | declined.keys() | (results or {}).keys()) - set(ids):
        waiting = f"these wait: {', '.join(ids)}" if ids else "none waits"
        raise InvalidInput(f"no call {sorted(strange)[0]!r} waits; {waiting}")
    return Decisions(approved, declined, dict(results or {}))


def _path(messages: Sequence[Message | Mapping[str, Any]]) -> Path:
    """A history that somebody else keeps, as the turns that it would have been with us."""
    return Path(exchanges(as_messages(list(messages)))) if messages else Path()
