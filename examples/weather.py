"""A tool over two turns: the weather here, then there. The second question is understood by the first.

Run it with a model of yours, `python examples/weather.py anthropic:claude-sonnet-5`; without one, the offline model
answers.
"""

from __future__ import annotations

import sys
from typing import TypedDict

from multiturn import Conversation, tool
from multiturn.events import ToolCallCompleted


class Weather(TypedDict):
    celsius: int
    sky: str


WEATHER: dict[str, Weather] = {
    "Tokyo": {"celsius": 22, "sky": "sunny"},
    "New York": {"celsius": 17, "sky": "cloudy"},
}


@tool
def get_weather(city: str) -> Weather:
    """The current weather in a city.

    city: its name in English
    """
    return WEATHER[city]


def main(model: str = "offline") -> None:
    chat = Conversation(model, tools=[get_weather])
    for words in ("What's the weather in Tokyo?", "How about New York?"):
        print(f"user › {words}\n bot › ", end="")
        for event in chat.stream(words):
            if isinstance(event, ToolCallCompleted):
                print(f"[{event.call.name} {event.call.arguments} → {event.result.text}] ", end="")
            print(event.text, end="", flush=True)
        print("\n")
    print("said so far:", ", ".join(message.role for message in chat.history))


if __name__ == "__main__":
    main(*sys.argv[1:])
