"""One run: a model and tools in turn, until there is an answer. Knows no store; what it yields is enough to write it
down, so that it can go on after a crash without calling again what has answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Literal, TypeAlias

import msgspec

from multiturn import tools
from multiturn.context.frame import Fitted, Frame
from multiturn.deltas import Answer, CallsStarted, Delta, Deltas, Said
from multiturn.errors import ContextOverflow, EmptyAnswer, OutputInvalid
from multiturn.messages import Message, Reasoning, Refusal, ToolCall, ToolResult, tool_result, user
from multiturn.models.base import Model
from multiturn.notices import Notice
from multiturn.output import InvalidOutput, Output
from multiturn.request import Request
from multiturn.tools import Tool, ToolContext
from multiturn.turns import TurnStatus, in_order, pending_calls

CUT_SHORT = ("length", "content_filter")
"""The finish reasons of an answer that is there in part; its turn is `incomplete`."""
MAX_STEPS = 30
OUTPUT_ATTEMPTS = 3

DECLINED = "The user declined this call."
INTERRUPTED = "The program ended while this ran. Whether it took effect is not known."
STOPPED = "Stopped before it ended."


class Decisions(msgspec.Struct, frozen=True):
    """What became of calls that waited, by their ids: approved ones are run, declined ones answered with the reason,
    and a result that is given is that call's result."""

    approved: frozenset[str] = frozenset()
    declined: Mapping[str, str] = {}
    results: Mapping[str, object] = {}


UNDECIDED: Final = Decisions()


class CallStarted(msgspec.Struct, frozen=True):
    """A tool is being called."""

    call: ToolCall


class CallEnded(msgspec.Struct, frozen=True):
    """What a tool gave back, or why it did not run."""

    call: ToolCall
    result: ToolResult


class Waiting(msgspec.Struct, frozen=True):
    """The run's end, for now: these calls wait for an approval or for a result from elsewhere."""

    calls: tuple[ToolCall, ...]
    reason: Literal["approval", "result"]


class Ended(msgspec.Struct, frozen=True):
    """The run's end. `value` is the typed answer; `answer` is None where the limit of steps was reached."""

    status: TurnStatus
    answer: Answer | None = None
    value: Any = None
    reason: str | None = None


Item: TypeAlias = Delta | Deltas | Notice | Fitted | Said | CallsStarted | CallStarted | CallEnded | Waiting | Ended


class Run:
    """A request, and what has been said since. `items()` yields what happens; the last item is `Waiting` or `Ended`."""

    def __init__(
        self,
        model: Model,
        request: Request,
        *,
        tools: Mapping[str, Tool[..., Any]] | None = None,
        output: Output[Any] | None = None,
        context: Callable[[ToolCall], ToolContext] = lambda call: ToolContext(call_id=call.call_id),
        max_steps: int = MAX_STEPS,
        said: Sequence[Message] = (),
        started: Sequence[str] = (),
        decisions: Decisions = UNDECIDED,
        frame: Frame | None = None,
    ) -> None:
        self.said = list(said)
        self.keep: Callable[[Said], Awaitable[None]] | None = None
        """Brings what a tool gave back to the disk, while others still run and whether or not somebody reads on."""
        self._model = model
        self._request = request
        self._tools = tools or {}
        self.output = output
        self._context = context
        self._max_steps = max_steps
        self._started = frozenset(started)
        self._decisions = decisions
        self._frame = frame
        self._wrong_outputs = 0

    async def items(self) -> AsyncGenerator[Item, None]:
        """What happens, as it happens. Raises a `ModelError`, `OutputInvalid` among them; never what a tool raises."""
        while True:
            if self.said:
                async with aclosing(self._answer_calls()) as items:
                    async for item in items:
                        yield item
            if waiting := pending_calls(self.said):
                outside = any(self._is_outside(call) for call in waiting)
                yield Waiting(waiting, "result" if outside else "approval")
                return
            if sum(message.role == "assistant" for message in self.said) >= self._max_steps:
                yield Ended(TurnStatus.INCOMPLETE, reason="max_steps")
                return
            answer: Answer | None = None
            async with aclosing(self._answer()) as answering:
                async for part in answering:
                    if isinstance(part, Answer):
                        answer = part
                    else:
                        yield part
            assert answer is not None, "a model ends with its answer"
            for item in self._ended(answer):
                yield item
                if isinstance(item, Ended):
                    return

    # --- the model ----------------------------------------------------------------------------------------------

    def _answer(self) -> AsyncGenerator[Delta | Deltas | Notice | Fitted | Answer, None]:
        """The model's answer to the request and all that was said since."""
        request = self._request
        if self.said:
            request = msgspec.structs.replace(request, input=(*request.input, *in_order(self.said)))
        return self._model.answer(request) if self._frame is None else self._fitted_answer(request, self._frame)

    def _ended(self, answer: Answer) -> Sequence[Said | Ended]:
        """What an answer comes to: the run's end, or more that is said. Raises `EmptyAnswer`."""
        message = answer.message
        _check(message, self._model)
        if message.finish_reason in CUT_SHORT:
            return (Ended(TurnStatus.INCOMPLETE, answer, reason=message.finish_reason),)
        if self._tools and message.tool_calls:
            return (self._say(message),)
        value, problem = self._typed(message)
        if problem is None:
            return (Ended(TurnStatus.COMPLETED, answer, value),)
        return self._say(message), self._say(user(problem))

    async def _fitted_answer(
        self, request: Request, frame: Frame
    ) -> AsyncGenerator[Delta | Deltas | Notice | Fitted | Answer, None]:
        """The model's answer to the request as it fits the window; where its provider finds it too long all the same,
        to a smaller one, once."""
        fitted: Fitted | None = await frame.fit(request)
        refused: ContextOverflow | None = None
        while fitted is not None:
            if fitted.mark is not None:
                yield fitted
            for notice in fitted.notices:
                yield notice
            begun = False
            try:
                async with aclosing(self._model.answer(fitted.request)) as items:
                    async for item in items:
                        begun = begun or not isinstance(item, Notice)
                        yield item
                return
            except ContextOverflow as error:
                if begun or refused is not None:
                    raise
                refused = error
                fitted = await frame.refit(request, error)
        assert refused is not None
        raise refused

    def _say(self, message: Message) -> Said:
        self.said.append(message)
        return Said(message)

    def _typed(self, message: Message) -> tuple[Any, str | None]:
        """The typed answer, if one is wanted, and what the model has to be told about it if it is wrong. Raises
        `OutputInvalid` at the last attempt."""
        if self.output is None or message.tool_calls or any(isinstance(part, Refusal) for part in message.parts):
            return None, None
        try:
            return self.output.decode(message.text), None
        except InvalidOutput as error:
            self._wrong_outputs += 1
            if self._wrong_outputs < OUTPUT_ATTEMPTS:
                return None, error.problem
            raise OutputInvalid(
                f"{self._model.provider}:{self._model.name} did not give the answer that was asked for in "
                f"{OUTPUT_ATTEMPTS} attempts: {error.problem}",
                provider=self._model.provider,
                model=self._model.name,
            ) from None

    # --- the tools ----------------------------------------------------------------------------------------------

    async def _answer_calls(self) -> AsyncGenerator[Item, None]:
        """Run what can be run, all at once, and say what came of it; what waits is left."""
        while True:
            ready: dict[str, ToolCall] = {}  # of calls under one id the first, for results are told apart by it
            for call in pending_calls(self.said):
                result = self._settled(call)
                if result is not None:
                    yield self._say(Message(role="tool", parts=(result,)))
                    yield CallEnded(call, result)
                elif not self._waits(call):
                    ready.setdefault(call.call_id, call)
            if not ready:
                break
            async with aclosing(self._run_calls(tuple(ready.values()))) as items:
                async for item in items:
                    yield item
        self._decisions, self._started = UNDECIDED, frozenset()  # a later call may bear the same id

    async def _run_calls(self, calls: Sequence[ToolCall]) -> AsyncGenerator[Item, None]:
        yield CallsStarted(tuple(call.call_id for call in calls))
        for call in calls:
            yield CallStarted(call)
        kept: dict[int, Message] = {}

        async def keep(n: int, result: ToolResult) -> None:
            kept[n] = Message(role="tool", parts=(result,))
            if self.keep is not None:
                await self.keep(Said(kept[n]))

        called = tools.call_all(self._tools, calls, self._context, then=keep)
        try:
            async with aclosing(called) as results:
                async for n, result in results:
                    yield self._say(kept.get(n) or Message(role="tool", parts=(result,)))
                    yield CallEnded(calls[n], result)
        finally:
            told = {id(message) for message in self.said}
            self.said += [message for message in kept.values() if id(message) not in told]

    def _settled(self, call: ToolCall) -> ToolResult | None:
        """The result of a call that is not to be run."""
        decided, id = self._decisions, call.call_id
        if id in decided.results:
            return _result(call, decided.results[id])
        if id in decided.declined:
            reason = decided.declined[id]
            return _result(call, f"{DECLINED} {reason}".strip(), is_error=True)
        tool = self._tools.get(call.name)
        if id in self._started and id not in decided.approved and not (tool and tool.repeatable):
            return _result(call, INTERRUPTED, is_error=True)
        return None

    def _waits(self, call: ToolCall) -> bool:
        tool = self._tools.get(call.name)
        if tool is None:
            return False
        return self._is_outside(call) or (call.call_id not in self._decisions.approved and tool.needs_approval(call))

    def _is_outside(self, call: ToolCall) -> bool:
        tool = self._tools.get(call.name)
        return tool is not None and tool.func is None


def closed(messages: Sequence[Message], text: str = STOPPED) -> tuple[Message, ...]:
    """These messages, and a result that says `text` for each call without one; so that no call stands alone."""
    left = pending_calls(messages)
    results = [Message(role="tool", parts=(_result(call, text, is_error=True),)) for call in left]
    return in_order([*messages, *results])


def _result(call: ToolCall, value: object, *, is_error: bool = False) -> ToolResult:
    (result,) = tool_result(call.call_id, value, name=call.name, is_error=is_error).tool_results
    return result


def _check(message: Message, model: Model) -> None:
    """Raise `EmptyAnswer` for an answer with nothing in it, for it would be a turn that says nothing and that some
    providers refuse to read."""
    thought_only = all(isinstance(part, Reasoning) for part in message.parts)
    if thought_only and message.finish_reason not in CUT_SHORT:
        raise EmptyAnswer(
            f"{model.provider}:{model.name} answered with nothing at all "
            f"(finish reason: {message.finish_reason or 'none given'}); retry, or ask in other words",
            provider=model.provider,
            model=model.name,
        )
