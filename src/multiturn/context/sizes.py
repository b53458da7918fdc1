"""How many tokens turns and requests take, each turn counted once."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.context.estimates import opening
from multiturn.context.tokens import Counter
from multiturn.context.view import shortened, summary_turn
from multiturn.messages import Message
from multiturn.request import Request
from multiturn.turns import Turn

_MOST_KEPT = 10_000  # messages that are no turn of ours


class Sizes:
    """What turns take, by one counter. Turns never change, so that their sizes are kept by their ids."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self._turns: dict[tuple[str, bool], int] = {}
        self._said: dict[int, tuple[Message, int]] = {}
        self._opening: tuple[object, int] | None = None

    def turn(self, turn: Turn, cut: bool = False) -> int:
        """A turn, as it is or with its results and media cut short. One without an id is counted by its messages."""
        known = self._turns.get((turn.id, cut)) if turn.id else None
        if known is None:
            known = self.messages(shortened(turn).messages if cut else turn.messages)
            if turn.id:
                self._turns[turn.id, cut] = known
        return known

    def messages(self, messages: Sequence[Message]) -> int:
        """Messages that are no turn yet; each is counted once while it is new."""
        return sum(map(self._message, messages))

    def _message(self, message: Message) -> int:
        known = self._said.get(id(message))
        if known is None or known[0] is not message:
            if len(self._said) >= _MOST_KEPT:
                self._said.clear()
            known = self._said[id(message)] = (message, self.counter.message(message))
        return known[1]

    def instructions(self, text: str | None) -> int:
        return self.counter.instructions(text)

    def opening(self, request: Request) -> int:
        """All of a request but its messages: instructions, tools and the schema of the answer among them. Counted anew
        only where one of these is another than the last time."""
        settings = request.settings
        said = (request.instructions, request.tools, settings.output, settings.tool_choice)
        if self._opening is None or self._opening[0] != said:
            self._opening = (said, opening(request, self.counter))
        return self._opening[1]

    def summary(self, text: str) -> int:
        """The exchange by which a model is told it."""
        return self.messages(summary_turn(text).messages) if text else 0
