"""The process that `test_tool_kills.py` kills: turn after turn, each with six calls of a tool that leaves a line in a
file for each time it is called. A turn that was broken off goes on first.

A line on stdout for each event, by its class's name.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from multiturn import Conversation, TurnStatus, tool
from multiturn.messages import Message
from multiturn.request import Request
from multiturn.tools import ToolContext
from scripted import ScriptedModel, calling

STEPS = 3


def reply(request: Request) -> str | Message:
    """Two calls in each of three steps, their ids those of the turn and the step; then an answer."""
    step = sum(message.role == "assistant" for message in request.input)
    question = request.input[0].text
    if step == STEPS:
        return f"done with {question}"
    return calling(*((f"{question}-{step}-{n}", "mark", "{}") for n in range(2)))


async def main(url: str, marks: str) -> None:
    file = os.open(marks, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    @tool
    async def mark(context: ToolContext) -> str:
        os.write(file, f"{context.call_id}\n".encode())
        await asyncio.sleep(0.002)
        return f"marked {context.call_id}"

    chat = Conversation(ScriptedModel(reply), tools=[mark], store=url, id="c")
    while True:
        latest = await chat.alatest()
        going_on = latest is not None and latest.status is TurnStatus.PAUSED
        events = chat.astream_resume() if going_on else chat.astream(f"q{time.time_ns()}")
        async for event in events:
            sys.stdout.write(f"{type(event).__name__}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
