"""Grok's flow: chat, stream, look back, reset, and a chat that is stored.

Run it with a model of yours, `python examples/grok.py xai:grok-4.5` (over gRPC, with `pip install "multiturn[xai]"`);
without one, the offline model answers. The guide's other programs: support_bot.py, weather.py, picture.py, menu.py.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Literal

from multiturn import Conversation


def main(model: str = "offline") -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/chats.db"

        app = stored_chat(model, store)
        print(app.send("My favorite color is blue."))

        later = stored_chat(model, store)  # in another process, another day
        print(later.send("What's my favorite color?"))
        for event in later.stream("Count to 5"):
            print(event.text, end="", flush=True)
        print()

        for message in later.history:
            print(f"{message.role}: {message.text}")
        later.reset()  # the instructions stay
        print("after the reset:", later.history, later.instructions)


def stored_chat(model: str, store: str) -> Conversation:
    """The chat as the store has it. xAI keeps it too, and is sent only what is new."""
    api: Literal["grpc"] | None = "grpc" if model.startswith("xai:") else None
    return Conversation(model, instructions="You are a friendly assistant.", api=api, store=store, id="colours")


if __name__ == "__main__":
    main(*sys.argv[1:])
