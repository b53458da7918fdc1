"""The processes of `test_pausing_processes.py`: one asks and is paused, others go on with what it has left.

`python -m stores.resuming URL MARKS pause`, or with a JSON object of `resume`'s arguments in the place of `pause`. Says
`ready` and waits for a line on stdin, then for each event a line with its class's name, and at last one of JSON: how
the turn has ended, or the error's class. `pay` and `scan`, which nobody runs here, leave a mark when they are called.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from multiturn import Conversation, tool
from multiturn.errors import MultiturnError
from multiturn.events import Event, RunCompleted, RunPaused
from multiturn.tools import AnyTool, Tool
from scripted import ScriptedModel, calling, in_turn

CALLS = calling(
    ("call_1", "mark", '{"what":"looked"}'), ("call_2", "pay", '{"euros":5}'), ("call_3", "scan", '{"page":1}')
)


def conversation(url: str, marks: str, *, slow_s: float = 0.0) -> Conversation:
    file = os.open(marks, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    @tool
    def mark(what: str) -> str:
        os.write(file, f"{what}\n".encode())
        return what

    @tool(approval=True)
    def pay(euros: int) -> str:
        os.write(file, f"paid{euros}\n".encode())
        time.sleep(slow_s)
        return f"paid {euros}"

    scan: AnyTool = Tool("scan", "Scan a page.", {"type": "object", "properties": {"page": {"type": "integer"}}}, None)
    model = ScriptedModel(in_turn(CALLS, "all is done"))
    return Conversation(model, tools=[mark, pay, scan], store=url, id="c")


def told(events: Iterable[Event]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for event in events:
        say(type(event).__name__)
        if isinstance(event, RunPaused | RunCompleted):
            turn = event.reply.turn
            last = {"id": turn.id, "status": turn.status, "text": turn.text, "reason": turn.reason}
    return last


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url: str, marks: str, task: str) -> None:
    options = {} if task == "pause" else json.loads(task)
    chat = conversation(url, marks, slow_s=options.pop("slow_s", 0.0))
    say("ready")
    sys.stdin.readline()
    try:
        say(json.dumps(told(chat.stream("pay and scan") if task == "pause" else chat.stream_resume(**options))))
    except MultiturnError as error:
        say(json.dumps({"error": type(error).__name__}))


if __name__ == "__main__":
    main(*sys.argv[1:])
