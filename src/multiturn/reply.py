"""`Reply`: what `send` gives back, a view of one finished turn."""

from __future__ import annotations

import msgspec

from multiturn.messages import Message, Usage
from multiturn.turns import Turn, TurnStatus


class Reply(msgspec.Struct, frozen=True):
    """A finished turn, as the caller of `send` wants to see it. `print(reply)` prints the answer."""

    turn: Turn

    @property
    def text(self) -> str:
        """The answer's text; a refusal's words are in `message.parts`."""
        return self.turn.text

    @property
    def message(self) -> Message:
        """The model's last message."""
        return self.turn.output[-1]

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
        """`completed`, or `incomplete` where a limit cut the answer short."""
        return self.turn.status

    def __str__(self) -> str:
        return self.text
