"""What a run tells while it goes on: the events that `Conversation.stream` and `Agent.run_stream` yield, in this order.

`RunStarted`, then any number of notices, content and tool events, then exactly one of `RunCompleted`, `RunPaused` (tool
calls wait) and `RunError`, after which the exception is raised. Every event has `.text`: the words to show for it,
empty where there are none, so that `print(event.text, end="")` for every event prints the answer once.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from multiturn.deltas import Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta
from multiturn.messages import Part, ToolCall, ToolResult
from multiturn.notices import Notice
from multiturn.reply import Reply
from multiturn.turns import Turn


class _Event(msgspec.Struct, frozen=True):
    @property
    def text(self) -> str:
        return ""


class RunStarted(_Event, frozen=True):
    """The user's words are in the store. `turn` is in progress."""

    turn: Turn


class RunContent(msgspec.Struct, frozen=True):
    """The next stretch of the answer. With a typed answer, `partial` is its value so far as plain data, where this
    stretch has changed it."""

    text: str
    partial: Any = None


class RefusalContent(msgspec.Struct, frozen=True):
    """The next stretch of the model's words for why it declines."""

    text: str


class ReasoningContent(_Event, frozen=True):
    """The next stretch of visible thinking, in `reasoning`; it is not part of the answer's text."""

    reasoning: str


class ToolCallContent(_Event, frozen=True):
    """The next stretch of a tool call that the model is writing; as `multiturn.deltas.ToolCallDelta`."""

    index: int
    call_id: str
    name: str
    arguments: str
    kind: Literal["function", "custom"] = "function"


class PartContent(_Event, frozen=True):
    """A part that arrived whole."""

    part: Part


class ToolCallStarted(_Event, frozen=True):
    """A tool is being called."""

    call: ToolCall


class ToolCallCompleted(_Event, frozen=True):
    """A tool has answered."""

    call: ToolCall
    result: ToolResult


class ToolCallError(_Event, frozen=True):
    """A tool has failed, or was not called; the model is told `result`, which says why."""

    call: ToolCall
    result: ToolResult


class RunNotice(_Event, frozen=True):
    """Something that the run did and that its caller should know; it stands in the turn's `notices` too."""

    notice: Notice


class RunPaused(_Event, frozen=True):
    """Tool calls wait for an approval or for a result. `reply.pending` has them; `resume` goes on."""

    reply: Reply

    @property
    def output(self) -> Reply:
        return self.reply


class RunCompleted(_Event, frozen=True):
    """The turn is in the store and the head has moved. `reply`, or `output`, is what `send` would have returned."""

    reply: Reply

    @property
    def output(self) -> Reply:
        return self.reply


class RunError(_Event, frozen=True):
    """The run has failed; the exception is raised next."""

    error: Exception


Content: TypeAlias = RunContent | RefusalContent | ReasoningContent | ToolCallContent | PartContent
ToolEvent: TypeAlias = ToolCallStarted | ToolCallCompleted | ToolCallError
Event: TypeAlias = RunStarted | RunNotice | Content | ToolEvent | RunPaused | RunCompleted | RunError


def tool_event(call: ToolCall, result: ToolResult) -> ToolEvent:
    """The event of a tool's answer."""
    return ToolCallError(call, result) if result.is_error else ToolCallCompleted(call, result)


def content_of(delta: Delta) -> Content:
    """The event of a piece of an answer."""
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
