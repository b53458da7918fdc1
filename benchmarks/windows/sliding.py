"""The sliding window of the guides: while the conversation is too long, its oldest exchange goes."""

from __future__ import annotations

from collections.abc import Iterable

import words
from windows.metering import Choose, Sizes, run


def opened(sizes: Sizes, budget: int) -> Choose:
    messages: list[str] = []

    async def choose(turn: int) -> Iterable[str]:
        messages.append(words.question(turn))
        while sum(map(sizes.tokens, messages)) > budget:
            del messages[:2]
        shown = [*messages]
        messages.append(words.answer(turn))
        return shown

    return choose


if __name__ == "__main__":
    run(opened)
