"""agno's Agent, without a database; its telemetry, which would call home, is off."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from collections.abc import Awaitable, Callable
from pathlib import Path

from agno.agent import Agent
from agno.models.openai.like import OpenAILike
from agno.tools.function import Function

from loops.metering import aweather, run


def open_agent(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    model = OpenAILike(id="bench-model", base_url=base_url, api_key="x")
    weather = Function.from_callable(aweather, name="weather")
    agent = Agent(model=model, tools=[weather], telemetry=False)

    async def ask(text: str) -> str:
        return str((await agent.arun(text)).content)

    return ask


if __name__ == "__main__":
    run(open_agent)
