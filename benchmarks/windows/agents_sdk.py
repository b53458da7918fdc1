"""The OpenAI Agents SDK with a session that is limited to as many items as the budget holds on average."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from __future__ import annotations

import json
from collections.abc import Iterable

import httpx2
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    RunConfig,
    Runner,
    SessionSettings,
    SQLiteSession,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

import words
from windows.metering import INSTRUCTIONS, Choose, Sizes, run


def opened(sizes: Sizes, budget: int) -> Choose:
    set_tracing_disabled(True)
    last: list[dict[str, str]] = []
    turns = 0

    def answer(request: httpx2.Request) -> httpx2.Response:
        last[:] = json.loads(request.content)["messages"]
        message = {"role": "assistant", "content": words.answer(turns)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        reply = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        return httpx2.Response(200, json=reply)

    client = AsyncOpenAI(api_key="x", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))
    agent = Agent("bench", instructions=INSTRUCTIONS, model=OpenAIChatCompletionsModel("m", openai_client=client))
    session = SQLiteSession("bench")
    settings = RunConfig(session_settings=SessionSettings(limit=sizes.items_within(budget) - 1))

    async def choose(turn: int) -> Iterable[str]:
        nonlocal turns
        turns = turn
        await Runner.run(agent, words.question(turn), session=session, run_config=settings)
        return [message["content"] for message in last[1:]]

    return choose


if __name__ == "__main__":
    run(opened)
