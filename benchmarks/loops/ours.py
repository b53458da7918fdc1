"""multiturn's `Agent`, which keeps nothing."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from loops.metering import aweather, run
from multiturn import Agent, tool


def open_agent(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    agent = Agent("bench-model", tools=[tool(name="weather")(aweather)], base_url=base_url, api_key="x")

    async def ask(text: str) -> str:
        return (await agent.arun(text)).text

    return ask


if __name__ == "__main__":
    run(open_agent)
