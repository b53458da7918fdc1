"""A conversation with the default window. Without its store and its model, which turn_overhead.py times, only that
which counts, leaves out and encodes."""

from __future__ import annotations

from collections.abc import Iterable
from time import process_time

import words
from multiturn.context.frame import Frame, check
from multiturn.context.framing import Framing
from multiturn.context.window import Window
from multiturn.formats import chat_completions
from multiturn.formats.chat_completions import Dialect
from multiturn.messages import Message, Origin, Text, Usage, user
from multiturn.path import Path
from multiturn.request import Request
from multiturn.turns import Turn, TurnStatus
from windows.metering import INSTRUCTIONS, Choose, Sizes, run

DIALECT = Dialect()


class Named:
    """A model that nobody asks."""

    provider, name = "openai", "gpt-5-mini"


def encode(messages: Iterable[Message]) -> bytes:
    return chat_completions.encode_messages(tuple(messages), DIALECT)


def opened(sizes: Sizes, budget: int) -> Choose:
    turns = Turns(budget)

    async def choose(turn: int) -> Iterable[str]:
        asked = await turns.asked(user(words.question(turn)))
        shown = [message.text for message in asked.messages]
        tokens = sum(map(sizes.tokens, shown))
        turns.answered(asked, words.answer(turn), tokens, sizes.tokens(words.answer(turn)))
        return shown

    return choose


class Turns:
    """What a `Conversation` does with its window in a turn; `tests/test_benchmarks.py` has both ask the same. `seconds`
    are of CPU, for counting and leaving out in the last turn."""

    def __init__(self, budget: int) -> None:
        self.framing = Framing(Window(context_tokens=budget, reserve_tokens=0))
        self.path = Path()
        self.seconds = 0.0
        self._number = 0

    async def asked(self, said: Message) -> Request:
        """The request of the next turn, encoded."""
        request = Request(path=Path(), input=(said,), instructions=INSTRUCTIONS)
        start = process_time()
        check(self.framing, Named(), request)  # type: ignore[arg-type]
        frame = Frame(self.framing, Named(), self.path, self.path.mark)  # type: ignore[arg-type]
        fitted = await frame.fit(request)
        self.seconds = process_time() - start
        self._mark = fitted.mark
        history = fitted.request.path.encoded("benchmark", encode)
        chat_completions.encode_request(fitted.request, history, model="gpt-5-mini", dialect=DIALECT)
        return fitted.request

    def answered(self, request: Request, text: str, read: int, written: int) -> None:
        usage = Usage(input_tokens=read, output_tokens=written)
        answer = Message("assistant", (Text(text),), origin=Origin("openai", "gpt-5-mini"), usage=usage)
        self._number += 1
        turn = Turn(
            id=f"t{self._number}",
            input=request.input,
            output=(answer,),
            instructions=INSTRUCTIONS,
            status=TurnStatus.COMPLETED,
            window=self._mark,
        )
        self.path = self.path.followed_by(turn)


if __name__ == "__main__":
    run(opened)
