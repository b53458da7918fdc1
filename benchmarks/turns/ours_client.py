"""multiturn, `chat.send`, through the user's own `OpenAI()`, kept in SQLite."""

from collections.abc import Callable
from pathlib import Path

from openai import OpenAI

from multiturn import Conversation
from turns.metering import run


def open_chat(base_url: str, folder: Path) -> Callable[[str], str]:
    client = OpenAI(base_url=base_url, api_key="x")
    chat = Conversation("bench-model", client=client, store=f"sqlite:///{folder.resolve()}/ours.db")

    def send(text: str) -> str:
        return chat.send(text).text

    return send


if __name__ == "__main__":
    run(open_chat)
