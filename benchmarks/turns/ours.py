"""multiturn, `chat.send`, kept in SQLite."""

from collections.abc import Callable
from pathlib import Path

from multiturn import Conversation
from turns.metering import run


def open_chat(base_url: str, folder: Path) -> Callable[[str], str]:
    chat = Conversation("bench-model", base_url=base_url, api_key="x", store=f"sqlite:///{folder.resolve()}/ours.db")

    def send(text: str) -> str:
        return chat.send(text).text

    return send


if __name__ == "__main__":
    run(open_chat)
