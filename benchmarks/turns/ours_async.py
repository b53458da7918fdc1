"""multiturn, `await chat.asend`, kept in SQLite."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from multiturn import Conversation
from turns.metering import run_async


def open_chat(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    chat = Conversation("bench-model", base_url=base_url, api_key="x", store=f"sqlite:///{folder.resolve()}/ours.db")

    async def send(text: str) -> str:
        return (await chat.asend(text)).text

    return send


if __name__ == "__main__":
    run_async(open_chat)
