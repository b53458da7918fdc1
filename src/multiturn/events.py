"""What a run tells while it goes on: the events that `Conversation.stream` yields, in this order.

`RunStarted`, then any number of notices and content events, then exactly one of `RunCompleted` (with the reply) or,
where the run fails, an exception. Every event has `.text`: the words to show for it, empty where there are none, so
that `print(event.text, end="")` for every event prints the answer once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from multiturn.messages import Part
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
    """The next stretch of the answer."""

    text: str


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


class RunNotice(_Event, frozen=True):
    """Something that the run did and that its caller should know; it stands in the turn's `notices` too."""

    notice: Notice


class RunCompleted(_Event, frozen=True):
    """The turn is in the store and the head has moved. `reply` is what `send` would have returned."""

    reply: Reply


Content: TypeAlias = RunContent | RefusalContent | ReasoningContent | ToolCallContent | PartContent
Event: TypeAlias = RunStarted | RunNotice | Content | RunCompleted
