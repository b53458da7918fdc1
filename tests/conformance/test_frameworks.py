"""pydantic-ai and LangChain, as they are, through the Responses API in front of our server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import openai
import pydantic
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from conformance.checking import Watch
from serving import Server


class Person(pydantic.BaseModel):
    name: str
    age: int


# --- pydantic-ai ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def sdk(server: Server, watch: Watch) -> AsyncIterator[openai.AsyncOpenAI]:
    through = openai.DefaultAsyncHttpxClient(transport=watch.async_transport())
    async with openai.AsyncOpenAI(
        base_url=server.base_url, api_key="none", max_retries=0, http_client=through
    ) as client:
        yield client


def agent(sdk: openai.AsyncOpenAI, settings: OpenAIResponsesModelSettings | None = None) -> Agent[None, str]:
    model = OpenAIResponsesModel("gpt-5-mini", provider=OpenAIProvider(openai_client=sdk))
    made: Agent[None, str] = Agent(model, instructions="Help.", model_settings=settings)

    @made.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"{city}: sunny, 21 degrees"

    return made


@pytest.mark.parametrize("settings", [{}, {"openai_previous_response_id": "auto"}], ids=["history", "chain"])
async def test_pydantic_ai_holds_a_tool_conversation(sdk: openai.AsyncOpenAI, settings: Any) -> None:
    helper = agent(sdk, settings)
    first = await helper.run("My name is Alice. What is the weather in Paris?")
    assert "Paris: sunny, 21 degrees" in first.output
    second = await helper.run("What's my name?", message_history=first.all_messages())
    assert "Alice" in second.output
    third = await helper.run("And the weather in London?", message_history=second.all_messages())
    assert "London: sunny, 21 degrees" in third.output
    assert third.usage.output_tokens > 0


async def test_pydantic_ai_streams(sdk: openai.AsyncOpenAI) -> None:
    async with agent(sdk).run_stream("What is the weather in Paris?") as run:
        pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
    assert "Paris: sunny, 21 degrees" in "".join(pieces)
    assert len(pieces) > 1


# --- LangChain ------------------------------------------------------------------------------------------------------


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: sunny, 21 degrees"


@pytest.fixture
async def chat(server: Server, watch: Watch) -> AsyncIterator[Callable[..., Any]]:
    """Makes models, whose connections end with the test."""
    through = openai.DefaultHttpxClient(transport=watch.transport())
    async_through = openai.DefaultAsyncHttpxClient(transport=watch.async_transport())
    made: Callable[..., Any] = partial(
        ChatOpenAI,
        model="gpt-5-mini",
        base_url=server.base_url,
        api_key=pydantic.SecretStr("none"),
        max_retries=0,
        use_responses_api=True,
        http_client=through,
        http_async_client=async_through,
    )
    yield made
    through.close()
    await async_through.aclose()


@pytest.mark.parametrize("by_id", [False, True], ids=["history", "chain"])
async def test_langchain_holds_a_tool_conversation(chat: Callable[..., Any], by_id: bool) -> None:
    model = chat(use_previous_response_id=by_id).bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("My name is Alice. What is the weather in Paris?")]
    asked = await model.ainvoke(messages)
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    messages += [asked, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    answer = await model.ainvoke(messages)
    assert "Paris: sunny, 21 degrees" in answer.text
    assert answer.usage_metadata["total_tokens"] > 0
    messages += [answer, HumanMessage("What's my name?")]
    assert "Alice" in (await model.ainvoke(messages)).text


async def test_langchain_streams(chat: Callable[..., Any]) -> None:
    pieces = [piece.text async for piece in chat().astream("My name is Bo.")]
    assert "".join(pieces) == "Nice to meet you, Bo."


def test_langchain_asks_for_a_type(chat: Callable[..., Any]) -> None:
    person = chat().with_structured_output(Person).invoke("Alice is 30 years old.")
    assert isinstance(person, Person)
