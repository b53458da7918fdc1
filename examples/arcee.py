"""Arcee's flow: a server that keeps nothing, a list that you can see, and another model in the second round.

    python examples/arcee.py arcee:trinity-large-thinking arcee:trinity-mini

Without models, the offline model answers every round.
"""

from __future__ import annotations

import sys

import msgspec

from multiturn import Agent, Message, Reasoning


def main(first: str = "offline", second: str = "offline") -> None:
    reply = Agent(first).run("My name is Alice. What is 6 * 7?")
    show("Round 1", reply.messages)

    # the thinking of round 1 goes along, for it was Arcee's own; another provider would not be shown it
    show("Round 2", Agent(second).run("What's my name?", messages=reply.messages).messages)

    # and without it
    stripped = [without_thinking(message) for message in reply.messages]
    show("Round 2 again", Agent(second).run("What's my name?", messages=stripped).messages)


def without_thinking(message: Message) -> Message:
    parts = tuple(part for part in message.parts if not isinstance(part, Reasoning))
    return msgspec.structs.replace(message, parts=parts)


def show(title: str, messages: list[Message]) -> None:
    print(title)
    for message in messages:
        thought = f" (thinking: {message.reasoning})" if message.reasoning else ""
        print(f"  {message.role}: {message.text}{thought}")


if __name__ == "__main__":
    main(*sys.argv[1:])
