"""LangGraph: a graph of one node that calls the model, its checkpoints kept in an SQLite file by SqliteSaver."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

import sqlite3
from collections.abc import Callable
from pathlib import Path

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import SecretStr

from turns.metering import run


def open_chat(base_url: str, folder: Path) -> Callable[[str], str]:
    model = ChatOpenAI(model="bench-model", base_url=base_url, api_key=SecretStr("x"))

    def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [model.invoke(state["messages"])]}

    saver = SqliteSaver(sqlite3.connect(folder / "langgraph.db", check_same_thread=False))
    graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile(checkpointer=saver)
    thread: RunnableConfig = {"configurable": {"thread_id": "bench"}}

    def send(text: str) -> str:
        state = graph.invoke({"messages": [HumanMessage(text)]}, thread)
        return str(state["messages"][-1].content)

    return send


if __name__ == "__main__":
    run(open_chat)
