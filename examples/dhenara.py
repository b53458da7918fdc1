"""Dhenara's flow: another provider answers each turn, and all of them read one history, tool calls and all.

    python examples/dhenara.py openai:gpt-5-mini anthropic:claude-sonnet-5 gemini:gemini-3.5-flash

Without models, the offline model answers every turn.
"""

from __future__ import annotations

import itertools
import sys

from multiturn import Conversation, tool

PRICES = {"robot": 1200.0, "easel": 80.0}
TURNS = [  # what the user says, and the instructions of that turn
    ("My name is Alice. What is the price of a robot?", "Be brief."),
    ("And what is the price of an easel?", "Build on what was said."),
    ("Please summarise our conversation.", "Come to a conclusion."),
]


@tool
def get_price(item: str) -> float:
    """The price of an item in the shop, in dollars."""
    return PRICES[item]


def main(*models: str) -> None:
    chat = Conversation(tools=[get_price])
    for (words, instructions), model in zip(TURNS, itertools.cycle(models or ["offline"]), strict=False):
        chat.model, chat.instructions = model, instructions
        reply = chat.send(words)
        print(f"user › {words}\n{model} › {reply}")
        for notice in reply.turn.notices:  # what this model was not shown as it was said
            print(f"  ({notice.text})")
        print()

    for message in chat.history:
        for call in message.tool_calls:  # typed, whoever made it
            print(f"{message.origin and message.origin.provider} called {call.name}({call.arguments})")
    print(f"{chat.usage.total_tokens} tokens in {len(chat.turns)} turns")


if __name__ == "__main__":
    main(*sys.argv[1:])
