"""A support bot that looks up orders and opens tickets, and remembers both.

Run it with a model of yours, `python examples/support_bot.py xai:grok-4.5`; without one, the offline model answers.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from multiturn import Conversation, ToolContext, tool
from multiturn.tools import ToolFailed

ORDERS = {"ORD-123": {"status": "shipped", "eta": "2 days"}, "ORD-456": {"status": "processing", "eta": "5 days"}}


@tool
def lookup_order(order_id: str) -> dict[str, str]:
    """Look up an order by its id.

    order_id: as on the receipt, such as ORD-123
    """
    if order_id not in ORDERS:
        raise ToolFailed(f"there is no order {order_id}")  # the model reads this, and the bot goes on
    return ORDERS[order_id]


@tool
def create_ticket(issue: str, priority: Literal["low", "medium", "high"], context: ToolContext) -> str:
    """Open a support ticket, where a customer wants to file a complaint.

    issue: what is wrong
    """
    tickets: list[dict[str, Any]] = context.state.setdefault("tickets", [])  # kept with the conversation
    tickets.append({"issue": issue, "priority": priority})
    return f"ticket {len(tickets)} is open"


def main(model: str = "offline") -> None:
    bot = Conversation(
        model,
        instructions="You are a support agent of TechCorp. Look orders up, and open tickets for complaints.",
        tools=[lookup_order, create_ticket],
        max_steps=8,  # a model that calls tools for ever is stopped here
    )
    for words in (
        "Hi, I am Alice, and my parcel has not arrived.",
        "Please look up my order, ORD-123.",
        "And what about order ORD-999?",
        "Please file a high priority complaint about the delay.",
        "What is my name?",
    ):
        reply = bot.send(words)
        print(f"user › {words}")
        for message in reply.turn.output:
            for call in message.tool_calls:
                print(f"tool › {call.name} {call.arguments}")
        print(f" bot › {reply}\n")
    print("tickets:", bot.state.get("tickets", []))


if __name__ == "__main__":
    main(*sys.argv[1:])
