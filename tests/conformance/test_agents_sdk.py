"""The OpenAI Agents SDK, as it is, in front of our server: over HTTP and WebSocket, by response ids, and with sessions
that keep what was said here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    Model,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from agents.memory import OpenAIResponsesCompactionSession, SQLiteSession
from agents.models.openai_responses import OpenAIResponsesWSModel

from conformance.checking import Watch
from serving import Server


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: sunny, 21 degrees"


@pytest.fixture(autouse=True)
def untraced() -> None:
    set_tracing_disabled(True)  # it would be sent to OpenAI


@pytest.fixture
async def sdk(server: Server, watch: Watch) -> AsyncIterator[openai.AsyncOpenAI]:
    through = openai.DefaultAsyncHttpxClient(transport=watch.async_transport())
    async with openai.AsyncOpenAI(
        base_url=server.base_url, api_key="none", max_retries=0, http_client=through
    ) as client:
        yield client


@pytest.fixture(params=["http", "websocket"])
async def model(request: pytest.FixtureRequest, sdk: openai.AsyncOpenAI) -> AsyncIterator[Model]:
    if request.param == "http":
        yield OpenAIResponsesModel("gpt-5-mini", sdk)
        return
    over_socket = OpenAIResponsesWSModel("gpt-5-mini", sdk)
    yield over_socket
    await over_socket.close()


def agent(model: Model) -> Agent[None]:
    return Agent("helper", instructions="Help.", model=model, tools=[get_weather])


async def test_it_holds_a_conversation_by_response_ids(model: Model) -> None:
    first = await Runner.run(agent(model), "My name is Alice. What is the weather in Paris?")
    assert "Paris: sunny, 21 degrees" in first.final_output
    second = await Runner.run(agent(model), "What's my name?", previous_response_id=first.last_response_id)
    assert "Alice" in second.final_output
    third = await Runner.run(agent(model), "And the weather in London?", previous_response_id=second.last_response_id)
    assert "London: sunny, 21 degrees" in third.final_output


async def test_it_holds_a_conversation_by_sending_everything_again(model: Model) -> None:
    first = await Runner.run(agent(model), "My name is Alice. What is the weather in Paris?")
    again: Any = [*first.to_input_list(), {"role": "user", "content": "What's my name?"}]
    second = await Runner.run(agent(model), again)
    assert "Alice" in second.final_output


async def test_it_streams(model: Model) -> None:
    run = Runner.run_streamed(agent(model), "What is the weather in Paris?")
    kinds = [event.type async for event in run.stream_events()]
    assert {"raw_response_event", "run_item_stream_event"} <= set(kinds)
    assert "Paris: sunny, 21 degrees" in str(run.final_output)


async def test_its_conversations_session_keeps_what_was_said(model: Model, sdk: openai.AsyncOpenAI) -> None:
    session = OpenAIConversationsSession(openai_client=sdk)
    await Runner.run(agent(model), "My name is Alice. What is the weather in Paris?", session=session)
    second = await Runner.run(agent(model), "What's my name?", session=session)
    assert "Alice" in second.final_output
    kinds = [item.get("type", "message") for item in await session.get_items()]
    assert kinds == ["message", "function_call", "function_call_output", "message", "message", "message"]
    last: Any = await session.pop_item()
    assert last is not None
    assert last["role"] == "assistant"
    assert len(await session.get_items()) == 5
    assert len(await session.get_items(limit=2)) == 2
    await session.clear_session()


async def test_its_conversation_id_goes_on_here(model: Model, sdk: openai.AsyncOpenAI) -> None:
    conversation = await sdk.conversations.create()
    for asked, expected in (
        ("My name is Alice. What is the weather in Paris?", "21 degrees"),
        ("What's my name?", "Alice"),
    ):
        run = await Runner.run(agent(model), asked, conversation_id=conversation.id)
        assert expected in run.final_output
    items = [item async for item in sdk.conversations.items.list(conversation.id)]
    assert len(items) == 6


@pytest.mark.parametrize("mode", ["previous_response_id", "input"])
async def test_its_compaction_session_makes_a_long_history_short(
    model: Model, sdk: openai.AsyncOpenAI, mode: Any
) -> None:
    session = OpenAIResponsesCompactionSession(
        "talk",
        SQLiteSession("talk"),
        client=sdk,
        model="gpt-5-mini",
        compaction_mode=mode,
        should_trigger_compaction=lambda context: len(context["compaction_candidate_items"]) >= 3,
    )
    await Runner.run(agent(model), "My name is Alice. What is the weather in Paris?", session=session)
    kinds = [item.get("type") for item in await session.get_items()]
    assert kinds[-1] == "compaction"
    assert "function_call" not in kinds
    second = await Runner.run(agent(model), "What's my name?", session=session)
    assert "Alice" in second.final_output
