"""pydantic-ai's Agent."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic_ai import Agent, Tool
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from loops.metering import aweather, run


def open_agent(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    model = OpenAIChatModel("bench-model", provider=OpenAIProvider(base_url=base_url, api_key="x"))
    agent = Agent(model, tools=[Tool(aweather, name="weather")])

    async def ask(text: str) -> str:
        return str((await agent.run(text)).output)

    return ask


if __name__ == "__main__":
    run(open_agent)
