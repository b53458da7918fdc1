"""OpenAI's Chat Completions: the list that a caller owns, and the chat session that owns it for you.

Run it through your own `OpenAI()`: `python examples/openai_chat.py openai:gpt-5-mini`. Without a model, the offline
model answers.
"""

from __future__ import annotations

import sys

from openai import OpenAI

from multiturn import Agent, Conversation
from multiturn.messages import Message


def main(model: str = "offline") -> None:
    client = None if model == "offline" else OpenAI()  # with your proxies, time-outs and retries

    print("-- the caller owns the list")
    agent = Agent(model, "You are a helpful assistant.", client=client)
    messages: list[Message] = []
    for words in ("My name is Alice.", "What's my name?"):
        reply = agent.run(words, messages=messages)
        messages = reply.messages
        print(f"user › {words}\n bot › {reply}")
    print("the list:", [message.role for message in messages])

    print("\n-- a session: send, summary, reset, and the other mode in the middle")
    chat = Conversation(model, instructions="You are a helpful assistant.", client=client, api="chat")
    chat.send([{"role": "user", "content": "I am Bob."}])  # dicts are taken too
    chat.api = "responses"  # mode="responses": what was said in the other mode goes along
    print(chat.send("Who am I?"))
    print(chat.summary(turns=3, width=100))
    chat.reset()
    print("after the reset:", chat.history, chat.instructions)


if __name__ == "__main__":
    main(*sys.argv[1:])
