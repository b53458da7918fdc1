"""LangGraph: a graph of one node that calls the model, its checkpoints kept in an SQLite file by SqliteSaver.

The node asks with the newest message alone: the whole history would be on the wire for nothing, as what is stored is
the state, and that has it all.
"""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

import sqlite3
from pathlib import Path

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import SecretStr

from growth import upstream
from growth.metering import Send, run


def open_chat(folder: Path) -> Send:
    model = ChatOpenAI(model="gpt-5-mini", base_url=f"{upstream.start()}/v1", api_key=SecretStr("x"))

    def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [model.invoke(state["messages"][-1:])]}

    saver = SqliteSaver(sqlite3.connect(folder / "langgraph.db", check_same_thread=False))
    graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile(checkpointer=saver)
    thread: RunnableConfig = {"configurable": {"thread_id": "bench"}}

    async def send(text: str) -> str:
        state = graph.invoke({"messages": [HumanMessage(text)]}, thread)
        return str(state["messages"][-1].content)

    return send


if __name__ == "__main__":
    run(open_chat)
