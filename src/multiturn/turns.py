"""`Turn`: one exchange, a node of the tree. What went in, and everything that came out until the model was done.

A turn is written when it starts and once more when it ends; after that it never changes. Retry, edit and fork add a
sibling. `Totals` travel with each turn, so that what a path cost and how long it is are read, not computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from multiturn.errors import InvalidInput
from multiturn.messages import Message, Origin, Part, ToolCall, ToolResult, Usage
from multiturn.notices import Notice


class TurnStatus(StrEnum):
    """How far a turn has come. `IN_PROGRESS` changes, and what waits to be resumed: `PAUSED`, and `FAILED` where no
    other turn has begun since."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"  # stopped by the caller, a crash or a length limit; the output is what there was by then
    FAILED = "failed"  # the model or the way to it raised an error; the head did not move
    PAUSED = "paused"  # tool calls wait: for an approval, for a result, or after a crash; the head did not move


class Fault(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a turn failed: the error's class name, and its message for people."""

    kind: str
    message: str


class Totals(msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """Sums over a path, from the root to this turn inclusive. `bytes` is the size of the messages as our JSON. In JSON
    a flat array, for every turn has one."""

    turns: int = 0
    messages: int = 0
    bytes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None

    @property
    def usage(self) -> Usage:
        """The tokens of all turns."""
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            cache_write_tokens=self.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens,
            cost_usd=self.cost_usd,
        )


INHERITED = -1


class Removed(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Parts of a message that are shown no more: of the turn's message number `message`, these, from 0. A message with
    no part left is not shown at all."""

    turn: str
    message: int
    parts: tuple[int, ...] = ()


class Mark(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, repr_omit_defaults=True):
    """What a model is shown of the turns of a path, counted from its root: the first `skipped` are left out, but for
    the `pinned` ones among them, given by their ids; `summary` stands for them, where it is not empty; and of the first
    `shortened`, old tool results and media are shown cut. What is `removed` is not shown, whatever else is. Where
    `skipped` is `INHERITED`, all but its pins and removals, which are added, is as it was for the turn before."""

    skipped: int = 0
    shortened: int = 0
    summary: str = ""
    pinned: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()

    def after(self, before: Mark) -> Mark:
        """This mark, where it follows that one."""
        return self if self.skipped != INHERITED else before.pinning(*self.pinned).removing(*self.removed)

    def pinning(self, *turn_ids: str) -> Mark:
        return msgspec.structs.replace(self, pinned=tuple(dict.fromkeys((*self.pinned, *turn_ids))))

    def removing(self, *removed: Removed) -> Mark:
        return msgspec.structs.replace(self, removed=tuple(dict.fromkeys((*self.removed, *removed))))

    def unpinning(self, turn_id: str) -> Mark:
        return msgspec.structs.replace(self, pinned=tuple(id for id in self.pinned if id != turn_id))


_NOTHING = Usage()


class Turn(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, repr_omit_defaults=True, kw_only=True):
    """One exchange. `output` holds every message of the run in order: answers, and between them tool results.

    `model` is the name that was asked for; `output[i].origin` says who really answered. `instructions` are those this
    turn ran under; they are not inherited by turns after it. `alternatives` are further choices of the last answer,
    kept but never part of the path. `reason` says why a turn is incomplete: `interrupted`, `crashed`, `max_steps`, or
    the provider's finish reason; why one is paused: `approval`, `result` or `crashed`. `notices` tell what the run did
    that its caller should know. `calls_started` are the tool calls that were being run when their process ended:
    nobody knows what became of them. `state` is the conversation's, as this turn has left it. `window` is what the
    model is shown of the path from this turn on, where that has changed with it; `aside` the tokens of model calls that
    no message of it came from, as those for a summary. `asked` is what the API that the turn came through repeats of
    its request, as JSON of that API. A `background` turn runs on without its caller, and others can follow it. Times
    are seconds since the epoch.
    """

    id: str = ""
    conversation: str = ""
    parent: str | None = None
    status: TurnStatus = TurnStatus.IN_PROGRESS
    input: tuple[Message, ...] = ()
    output: tuple[Message, ...] = ()
    alternatives: tuple[Message, ...] = ()
    instructions: str | None = None
    model: str | None = None
    reason: str | None = None
    error: Fault | None = None
    created_at: float = 0.0
    finished_at: float | None = None
    totals: Totals = Totals()
    metadata: dict[str, str] | None = None
    notices: tuple[Notice, ...] = ()
    calls_started: tuple[str, ...] = ()
    state: dict[str, Any] | None = None
    window: Mark | None = None
    aside: Usage | None = None
    asked: str | None = None
    background: bool = False

    @property
    def usage(self) -> Usage:
        """The tokens of all its model calls."""
        if len(self.output) == 1 and self.aside is None:
            return self.output[0].usage or _NOTHING
        return sum((message.usage for message in self.output if message.usage), start=self.aside or _NOTHING)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What this turn adds to the history, oldest first."""
        return self.input + self.output

    @property
    def pending(self) -> tuple[ToolCall, ...]:
        """Its tool calls that have no result, in order."""
        return pending_calls(self.output)

    @property
    def text(self) -> str:
        """The text of the last message that has any; empty if none has."""
        return next((message.text for message in reversed(self.output) if message.text), "")


def finished(
    turn: Turn,
    status: TurnStatus,
    *,
    before: Totals,
    at: float,
    output: Sequence[Message] = (),
    alternatives: Sequence[Message] = (),
    reason: str | None = None,
    error: Fault | None = None,
    notices: Sequence[Notice] = (),
    calls_started: Sequence[str] = (),
) -> Turn:
    """The same turn, ended at time `at`. `before` are the parent's totals."""
    ended = msgspec.structs.replace(
        turn,
        status=status,
        output=tuple(output),
        alternatives=tuple(alternatives),
        reason=reason,
        error=error,
        notices=tuple(notices),
        calls_started=tuple(calls_started),
        finished_at=at,
    )
    totals = Totals(
        turns=before.turns + 1,
        messages=before.messages + len(ended.messages),
        bytes=before.bytes + len(msgspec.json.encode(ended.messages)),
        **msgspec.structs.asdict(before.usage + ended.usage),
    )
    return msgspec.structs.replace(ended, totals=totals)


def has_results(messages: Sequence[Message]) -> bool:
    """Whether tool results stand in these messages."""
    return any(message.tool_results for message in messages)


def matched(messages: Sequence[Message], before: Iterable[Message]) -> tuple[Message, ...]:
    """These messages, in which each tool result says which tool the messages before have called, how, and who did: some
    providers want to be told, and another one's call ids are not for them. `before` is newest first, and read only as
    far back as the calls are."""
    wanted = {result.call_id for message in messages for result in message.tool_results}
    calls: dict[str, tuple[ToolCall, Origin | None]] = {}
    for message in before:
        for call in reversed(message.tool_calls):
            if call.call_id in wanted:
                calls.setdefault(call.call_id, (call, message.origin))
        if len(calls) == len(wanted):
            break

    def with_call(part: Part) -> Part:
        if not isinstance(part, ToolResult) or part.call_id not in calls:
            return part
        call, origin = calls[part.call_id]
        return msgspec.structs.replace(part, name=part.name or call.name, kind=call.kind, origin=origin)

    return tuple(msgspec.structs.replace(message, parts=tuple(map(with_call, message.parts))) for message in messages)


def has_run_tools(turn: Turn) -> bool:
    """Whether tools have answered in it."""
    return any(message.tool_results for message in turn.output)


def in_order(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages of a run, with the results of each answer's tool calls right after it and in the order of the calls,
    however they came in. Where an id is used again, a result is that of the call before it."""
    made: list[Message] = []
    start, results = 0, list[Message]()

    def settle() -> None:
        order = {call.call_id: n for n, call in enumerate(made[start - 1].tool_calls)} if start else {}
        results.sort(key=lambda message: order.get(message.tool_results[0].call_id, len(order)))
        made[start:start] = results
        results.clear()

    for message in messages:
        if message.role == "tool" and message.tool_results:
            results.append(message)
            continue
        settle()
        made.append(message)
        start = len(made) if message.tool_calls else start
    settle()
    return tuple(made)


def pending_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """The tool calls in these messages that have no result after them, in order."""
    pending: list[ToolCall] = []
    for message in messages:
        for result in message.tool_results:  # of two calls under one id it answers the first
            first = next((n for n, call in enumerate(pending) if call.call_id == result.call_id), None)
            if first is not None:
                del pending[first]
        pending += message.tool_calls
    return tuple(pending)


def check_reopens(turn: Turn, *, is_latest: bool) -> Turn:
    """The turn as it is once it runs again. Raises `InvalidInput` where that may not be."""
    if turn.status not in (TurnStatus.PAUSED, TurnStatus.FAILED):
        raise InvalidInput(f"turn {turn.id!r} is {turn.status.value}; only a paused or a failed one can go on")
    if not is_latest:
        raise InvalidInput(f"the conversation has gone on since turn {turn.id!r} was {turn.status.value}; it stays so")
    output = turn.output
    if turn.status is TurnStatus.FAILED and output and output[-1].role == "assistant":
        output = output[:-1]  # the words of the answer that failed
    return msgspec.structs.replace(turn, status=TurnStatus.IN_PROGRESS, output=output)


def continues(turn: Turn) -> bool:
    """Whether the head moves to this turn when it ends: a completed one, and an incomplete one that has something to
    show. After a failure, or a stop before the first word, the next turn sees what this one saw."""
    if turn.status is TurnStatus.INCOMPLETE:
        return any(message.parts for message in turn.output)
    return turn.status is TurnStatus.COMPLETED


def answered(turn: Turn) -> bool:
    """Whether the model has had its say: the turn is complete, or cut short by a limit of its own, or waits for others.
    What was stopped, crashed or failed may be asked again."""
    if turn.status is TurnStatus.INCOMPLETE:
        return turn.reason not in ("interrupted", "crashed")
    return turn.status in (TurnStatus.COMPLETED, TurnStatus.PAUSED)
