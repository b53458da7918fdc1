"""Definable's flow: an agent that keeps nothing, runs that hand their messages on, and streams that do so at their end.

Run it with a model of yours, `python examples/definable.py openai:gpt-5-mini`; without one, the offline model answers.
"""

from __future__ import annotations

import sys

from multiturn import Agent, RunCompleted, RunPaused, tool
from multiturn.events import ToolCallStarted

SESSION = "user-123-chat-abc"


@tool(approval=True)
def send_report(text: str) -> str:
    """Send a report to the school."""
    return f"sent: {text}"


def main(model: str = "offline") -> None:
    agent = Agent(model, instructions="You are a math tutor.", tools=[send_report])

    first = agent.run("What is 15 * 23?", session_id=SESSION)
    print(first.content)
    second = agent.run("Now divide that by 5.", messages=first.messages, session_id=SESSION)
    print(second.content, second.session_id == SESSION, second.run_id != first.run_id)

    messages = second.messages
    for words in ("Add 1 to that.", 'Send the report "Alice can divide".'):
        for event in agent.run_stream(words, messages=messages, session_id=SESSION):
            print(event.text, end="", flush=True)
            if isinstance(event, ToolCallStarted):
                print(f"[{event.call.name}]", end=" ")
            elif isinstance(event, RunPaused):  # continue_run: somebody has to agree first
                print(f"may it {event.output.pending[0].name}? yes.", end=" ")
                done = agent.resume(event.output, approve=True)
                print(done, end="")
                messages = done.messages
            elif isinstance(event, RunCompleted):
                messages = event.output.messages
        print()
    print([message.role for message in messages])


if __name__ == "__main__":
    main(*sys.argv[1:])
