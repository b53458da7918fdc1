"""The OpenAI Agents SDK; tracing, which would call openai.com, is off."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from collections.abc import Awaitable, Callable
from pathlib import Path

from agents import Agent, OpenAIChatCompletionsModel, Runner, Tool, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from loops.metering import aweather, run


def open_agent(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=base_url, api_key="x")
    tools: list[Tool] = [function_tool(aweather, name_override="weather")]
    agent = Agent("bench", model=OpenAIChatCompletionsModel("bench-model", openai_client=client), tools=tools)

    async def ask(text: str) -> str:
        return str((await Runner.run(agent, text)).final_output)

    return ask


if __name__ == "__main__":
    run(open_agent)
