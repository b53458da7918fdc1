"""`Reply`: what `send` gives back, a view of one finished turn."""

from __future__ import annotations

from typing import Any

import msgspec

from multiturn.messages import Message, ToolCall, Usage
from multiturn.path import Path
from multiturn.turns import Turn, TurnStatus


class Reply(msgspec.Struct, frozen=True):
    """A finished turn, or a paused one, as the caller of `send` wants to see it. `print(reply)` prints the answer.
    `output` is the typed answer, where one was asked for, and `before` the turns before this one."""

    turn: Turn
    output: Any = None
    before: Path = Path()

    @property
    def content(self) -> Any:
        """The typed answer where one was asked for, else the text."""
        return self.text if self.output is None else self.output

    @property
    def messages(self) -> list[Message]:
        """The whole history up to here, oldest first, to be given to an agent's next run; a new list each time."""
        return [*self.before.messages, *self.turn.messages]

    @property
    def new_messages(self) -> list[Message]:
        """What this run has added, the caller's words first."""
        return list(self.turn.messages)

    @property
    def run_id(self) -> str:
        return self.turn.id

    @property
    def session_id(self) -> str:
        """The conversation's id, or the session that an agent was run in."""
        return self.turn.conversation

    @property
    def reasoning(self) -> str:
        """The model's visible thinking, of all its messages."""
        return "\n".join(message.reasoning for message in self.turn.output if message.reasoning)

    @property
    def duration_s(self) -> float:
        """Seconds from the beginning to the end."""
        return (self.turn.finished_at or self.turn.created_at) - self.turn.created_at

    @property
    def text(self) -> str:
        """The answer's text; a refusal's words are in `message.parts`."""
        return self.turn.text

    @property
    def message(self) -> Message:
        """The model's last message."""
        return next(message for message in reversed(self.turn.output) if message.role == "assistant")

    @property
    def usage(self) -> Usage:
        """The turn's tokens, over all its model calls."""
        return self.turn.usage

    @property
    def model(self) -> str | None:
        """The model as its provider reports it; as it was asked for where the provider says nothing."""
        origin = self.message.origin
        return (origin.model if origin else None) or self.turn.model

    @property
    def status(self) -> TurnStatus:
        """`completed`; `incomplete` where a limit cut the answer short; `paused` where tool calls wait."""
        return self.turn.status

    @property
    def pending(self) -> tuple[ToolCall, ...]:
        """The tool calls that wait for an approval or for a result."""
        return self.turn.pending if self.turn.status is TurnStatus.PAUSED else ()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of the last message: what a caller who runs tools by himself has to answer."""
        return self.message.tool_calls

    def __str__(self) -> str:
        return self.text
