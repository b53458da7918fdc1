"""multiturn's `Conversation`, each step of its turn durable in SQLite."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from loops.metering import aweather, run
from multiturn import Conversation, open_store, tool


def open_agent(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    store = open_store(f"sqlite:///{folder.resolve()}/ours.db")
    tools = [tool(name="weather")(aweather)]

    async def ask(text: str) -> str:
        chat = Conversation("bench-model", tools=tools, base_url=base_url, api_key="x", store=store)
        return (await chat.asend(text)).text

    return ask


if __name__ == "__main__":
    run(open_agent)
