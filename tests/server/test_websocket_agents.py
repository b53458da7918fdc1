"""The OpenAI Agents SDK over its WebSocket transport: tool loops, turn after turn, and a server that comes again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from agents import Agent, ModelSettings, Runner, function_tool, set_tracing_disabled
from agents.models.openai_responses import OpenAIResponsesWSModel, ResponsesWebSocketError
from openai import AsyncOpenAI

from serving import Server
from upstream import Upstream, reply, tool_call


@pytest.fixture
async def model(relay: Server) -> AsyncIterator[OpenAIResponsesWSModel]:
    set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
        model = OpenAIResponsesWSModel("m", client)
        yield model
        await model.close()


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"30 C in {city}"


def agent_of(model: OpenAIResponsesWSModel, *, store: bool | None = None) -> Agent[None]:
    return Agent(
        name="a",
        instructions="Be brief.",
        model=model,
        tools=[get_weather],
        model_settings=ModelSettings(store=store),
    )


@pytest.mark.parametrize("store", [True, False])
async def test_an_agent_calls_tools_and_goes_on_over_one_connection(
    model: OpenAIResponsesWSModel, upstream: Upstream, store: bool
) -> None:
    upstream.script(tool_call("get_weather", {"city": "Rome"}), reply("It is warm."), reply("Yes, Rome."))
    agent = agent_of(model, store=store)
    first = await Runner.run(agent, "And the weather in Rome?", auto_previous_response_id=True)
    connection = model._ws_connection
    assert first.final_output == "It is warm."
    second = await Runner.run(agent, "In Rome?", previous_response_id=first.last_response_id)
    assert second.final_output == "Yes, Rome."
    assert model._ws_connection is connection is not None
    roles = [message["role"] for message in upstream.requests[-1].json["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert "30 C in Rome" in str(upstream.requests[-1].json["messages"])


async def test_an_agent_streams(model: OpenAIResponsesWSModel, upstream: Upstream) -> None:
    upstream.script(reply("It is quite warm."))
    streamed = Runner.run_streamed(agent_of(model), "And the weather?")
    kinds = [event.data.type async for event in streamed.stream_events() if event.type == "raw_response_event"]
    assert kinds[0] == "response.created"
    assert kinds.count("response.output_text.delta") == 4
    assert streamed.final_output == "It is quite warm."


async def test_after_a_restart_an_agent_goes_on_with_what_was_stored_and_is_told_of_what_was_not(
    model: OpenAIResponsesWSModel, relay: Server, upstream: Upstream
) -> None:
    upstream.script(reply("Stored."), reply("Not stored."), reply("Again."))
    stored = await Runner.run(agent_of(model), "One.")
    fleeting = await Runner.run(agent_of(model, store=False), "Two.")
    relay.restart()
    with pytest.raises(ResponsesWebSocketError) as refused:
        await Runner.run(agent_of(model, store=False), "Three.", previous_response_id=fleeting.last_response_id)
    assert refused.value.code == "previous_response_not_found"
    again = await Runner.run(agent_of(model), "Three.", previous_response_id=stored.last_response_id)
    assert again.final_output == "Again."
    said = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert said == ["Be brief.", "One.", "Stored.", "Three."]
