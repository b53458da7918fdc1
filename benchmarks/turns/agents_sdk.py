"""The OpenAI Agents SDK, its session kept in an SQLite file; tracing, which would call openai.com, is off."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from collections.abc import Awaitable, Callable
from pathlib import Path

from agents import Agent, OpenAIChatCompletionsModel, Runner, SQLiteSession, set_tracing_disabled
from openai import AsyncOpenAI

from turns.metering import run_async


def open_chat(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=base_url, api_key="x")
    agent = Agent("bench", model=OpenAIChatCompletionsModel("bench-model", openai_client=client))
    session = SQLiteSession("bench", folder / "agents.db")

    async def send(text: str) -> str:
        return str((await Runner.run(agent, text, session=session)).final_output)

    return send


if __name__ == "__main__":
    run_async(open_chat)
