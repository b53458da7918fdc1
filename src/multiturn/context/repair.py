"""Histories that arrive broken, mended on their way to a model. What is stored stays as it is.

Histories break at tools: a process dies between a call and its result, a client takes over half of somebody's
messages, a server numbers its calls from zero in every answer. Providers refuse such requests for ever after
(https://github.com/pydantic/pydantic-ai/issues/4728). The rules, the same for every format:

- A call that nobody has answered before the conversation goes on is answered by an error that says so.
- Results come right after the answer that has their calls; other words said among them come later.
- A result that nobody asked for, or that comes too late, is said in words, under a line that names its call.
- A call whose id was used before on the path gets one of its own, and its result the same one. The id depends on the
  old one and on the place alone, so that it is the same in every request.

What a format must have beyond that, it does itself: some want a user's line before the model's first words, most do not
take empty messages. A turn in which nothing is broken is given back as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from multiturn.messages import Message, Origin, Part, Text, ToolCall, ToolResult

NO_RESULT = "(There is no result: the call was left.)"


class Waiting(NamedTuple):
    """A call without a result: the `id` that it came with, the call as a model is shown it, and who made it."""

    id: str
    call: ToolCall
    origin: Origin | None


class Thread(msgspec.Struct):
    """What the turns so far leave to the next: `waiting`, the calls of the last answer; and `used`, the ids of all
    calls, each with the place of its turn. Grows with its path."""

    waiting: list[Waiting] = []
    used: dict[str, int] = {}

    def on_trial(self) -> Thread:
        """The same, to be tried with a turn that has not ended. Ids that the turn uses are left in `used`: they have
        its place, and are looked up from later places alone."""
        return Thread(list(self.waiting), self.used)


def mended(
    messages: Sequence[Message], thread: Thread, *, place: int, last: bool = False
) -> tuple[Sequence[Message], Thread]:
    """The messages of the turn at this place of a path, in order; the same object where there is nothing to mend. Then
    the thread as they leave it. With `last` the model is to speak next, so that no call may be left waiting."""
    if not thread.waiting and not any(isinstance(part, ToolCall | ToolResult) for m in messages for part in m.parts):
        return messages, thread
    if (waiting := _sound(messages, thread, place)) is not None and not (last and waiting):
        thread.used.update((id, place) for id in _calls(messages))
        return messages, Thread(waiting, thread.used)
    mender = _Mender(thread, place)
    for message in messages:
        mender.add(message)
    mender.settle(last=last)
    return tuple(mender.made), Thread(mender.waiting, thread.used)


def _calls(messages: Iterable[Message]) -> list[str]:
    return [call.call_id for message in messages if message.role == "assistant" for call in message.tool_calls]


def _sound(messages: Sequence[Message], thread: Thread, place: int) -> list[Waiting] | None:
    """The calls that wait after these messages; None where something is to be mended."""
    ids = _calls(messages)
    if len(set(ids)) < len(ids) or any(thread.used.get(id, place) < place for id in ids):
        return None
    waiting = {each.id: each for each in thread.waiting if each.id == each.call.call_id}
    if len(waiting) < len(thread.waiting):
        return None  # they go by new ids, so must their results
    for message in messages:
        if message.role == "assistant":
            if waiting:
                return None
            waiting = {call.call_id: Waiting(call.call_id, call, message.origin) for call in message.tool_calls}
        for result in message.tool_results:
            if waiting.pop(result.call_id, None) is None:
                return None
        speaks = not message.tool_results or any(not isinstance(part, ToolResult) for part in message.parts)
        if waiting and speaks and message.role != "assistant":
            return None
    if waiting and messages and messages[-1].role != "assistant":
        return None
    return list(waiting.values())


class _Mender:
    """The messages of one turn, one after the other."""

    def __init__(self, thread: Thread, place: int) -> None:
        self.made: list[Message] = []
        self.waiting = list(thread.waiting)
        self._used = thread.used
        self._place = place
        self._number = 0  # of the call in this turn
        self._here: set[str] = set()  # the ids that this turn has used
        self._others: list[Message] = []  # what was said since the last answer, without results
        self._heard = False  # whether anything was

    def add(self, message: Message) -> None:
        if message.role != "assistant":
            self._hear(message)
            return
        self.settle(last=True)
        self.waiting = [Waiting(call.call_id, self._own(call), message.origin) for call in message.tool_calls]
        shown = iter([each.call for each in self.waiting])
        parts = tuple(next(shown) if isinstance(part, ToolCall) else part for part in message.parts)
        spoken = msgspec.structs.replace(message, parts=tuple(p for p in parts if not isinstance(p, ToolResult)))
        self.made.append(spoken)
        if message.tool_results:  # a server's own tools, in one message with their calls
            self._hear(Message("tool", message.tool_results))

    def _own(self, call: ToolCall) -> ToolCall:
        """The call under an id that no other one has."""
        id, self._number = call.call_id, self._number + 1
        if id in self._here or self._used.get(id, self._place) < self._place:
            call = msgspec.structs.replace(call, call_id=f"{id[:40]}_{self._place}_{self._number}")
        self._here.add(id)
        for each in (id, call.call_id):
            self._used.setdefault(each, self._place)
        return call

    def _hear(self, message: Message) -> None:
        self._heard = True
        parts: list[Part] = []
        for part in message.parts:
            if not isinstance(part, ToolResult):
                parts.append(part)
            elif (called := self._called(part.call_id)) is not None:
                shown = msgspec.structs.replace(part, call_id=called.call.call_id, origin=called.origin)
                self.made.append(Message("tool", (shown,)))
            else:
                parts += _in_words(part)
        if parts or not (message.parts or message.role == "tool"):
            role = "user" if message.role == "tool" else message.role
            self._others.append(msgspec.structs.replace(message, role=role, parts=tuple(parts)))

    def _called(self, id: str) -> Waiting | None:
        """The first waiting call that came under this id; it waits no longer."""
        n = next((n for n, each in enumerate(self.waiting) if each.id == id), None)
        return None if n is None else self.waiting.pop(n)

    def settle(self, *, last: bool) -> None:
        """End what was said since the last answer."""
        if self._heard or last:
            self.made += [Message("tool", (_left(each),)) for each in self.waiting]
            self.waiting = []
        self.made += self._others
        self._others, self._heard = [], False


def _left(waiting: Waiting) -> ToolResult:
    _, call, origin = waiting
    said = (Text(NO_RESULT),)
    return ToolResult(call.call_id, said, name=call.name, is_error=True, kind=call.kind, origin=origin)


def _in_words(result: ToolResult) -> list[Part]:
    head = f"[{'error' if result.is_error else 'result'} of tool call {result.call_id}]"
    return [Text(f"{head}\n"), *result.parts]
