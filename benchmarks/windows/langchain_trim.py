"""LangChain's `trim_messages` over the whole history before every call, as its guide on short-term memory has it."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from __future__ import annotations

from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, trim_messages

import words
from windows.metering import INSTRUCTIONS, Choose, Sizes, run


def opened(sizes: Sizes, budget: int) -> Choose:
    messages: list[BaseMessage] = [SystemMessage(INSTRUCTIONS)]

    def count(some: Sequence[BaseMessage]) -> int:
        return sum(sizes.tokens(str(message.content)) for message in some)

    async def choose(turn: int) -> Iterable[str]:
        messages.append(HumanMessage(words.question(turn)))
        shown = trim_messages(
            messages,
            max_tokens=budget,
            strategy="last",
            token_counter=count,
            start_on="human",
            include_system=True,
        )
        messages.append(AIMessage(words.answer(turn)))
        return [str(message.content) for message in shown[1:]]

    return choose


if __name__ == "__main__":
    run(opened)
