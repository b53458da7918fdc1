"""A menu as a typed answer: seen while it comes, and a value of your own class in the end.

Run it with a model of yours, `python examples/menu.py openai:gpt-5-mini`; without one, the offline model answers.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from multiturn import Conversation, RunCompleted, RunContent


@dataclass
class Dish:
    name: str
    price: float
    description: str


@dataclass
class Menu:
    """What is on the card."""

    cuisine: str
    dishes: list[Dish]


CARD = """Read this card.
cuisine: Italian
name: Margherita, price: 9.50, description: tomato and mozzarella"""


def main(model: str = "offline") -> None:
    chat = Conversation(model)
    for event in chat.stream(CARD, output=Menu):
        if isinstance(event, RunContent) and event.partial:
            print("so far:", event.partial)  # plain data, not checked yet
        if isinstance(event, RunCompleted):
            menu: Menu = event.output.output
    print(f"\n{menu.cuisine}:")
    for dish in menu.dishes:
        print(f"  {dish.name}, ${dish.price:.2f}: {dish.description}")

    price = chat.send("What does everything on the card cost together, for 2 people? That is 9.50 * 2.", output=float)
    print(f"\nfor two: ${price.output:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
