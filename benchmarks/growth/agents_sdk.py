"""The OpenAI Agents SDK, its session kept in an SQLite file; tracing, which would call openai.com, is off.

A run reads only the last two items of the session: the whole history would be on the wire for nothing, as what is
stored is each run's new items.
"""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from pathlib import Path

from agents import (
    Agent,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    SessionSettings,
    SQLiteSession,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from growth import upstream
from growth.metering import Send, run


def open_chat(folder: Path) -> Send:
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=f"{upstream.start()}/v1", api_key="x")
    agent = Agent("bench", model=OpenAIResponsesModel("gpt-5-mini", openai_client=client))
    session = SQLiteSession("bench", folder / "agents.db")
    short = RunConfig(session_settings=SessionSettings(limit=2))

    async def send(text: str) -> str:
        return str((await Runner.run(agent, text, session=session, run_config=short)).final_output)

    return send


if __name__ == "__main__":
    run(open_chat)
