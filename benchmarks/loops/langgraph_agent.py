"""LangGraph's prebuilt agent, without a checkpointer."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from collections.abc import Awaitable, Callable
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent
from pydantic import SecretStr

from loops.metering import aweather, run


def open_agent(base_url: str, folder: Path) -> Callable[[str], Awaitable[str]]:
    model = ChatOpenAI(model="bench-model", base_url=base_url, api_key=SecretStr("x"))
    graph = create_react_agent(model, [StructuredTool.from_function(coroutine=aweather, name="weather")])

    async def ask(text: str) -> str:
        state = await graph.ainvoke({"messages": [HumanMessage(text)]})
        return str(state["messages"][-1].content)

    return ask


if __name__ == "__main__":
    run(open_agent)
