"""OpenAI's Responses: the provider keeps the conversation, only what is new is sent, and nothing is lost when it is.

Run it through your own `OpenAI()`: `python examples/openai_responses.py openai:gpt-5-mini`. Without a model, the
offline model answers, which keeps nothing.
"""

from __future__ import annotations

import sys
import tempfile

from openai import OpenAI

from multiturn import Conversation


def main(model: str = "offline") -> None:
    client = None if model == "offline" else OpenAI()
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/chats.db"
        chat = Conversation(model, instructions="Be brief.", client=client, api="responses", store=store, id="alice")
        first = chat.send("My name is Alice.")
        ask(chat, "What's my name?")

        again = Conversation(model, client=client, api="responses", store=store, id="alice")  # in another process
        ask(again, "What is 15 * 23?")
        fork = again.fork(at=first.turn.id)  # two continuations of one response
        ask(fork, "What did I say first?")

        again.reset()  # ids and history together
        print("after the reset:", again.history, again.instructions)


def ask(chat: Conversation, words: str) -> None:
    before = chat.history[-1].id
    reply = chat.send(words)
    print(f"user › {words}\n bot › {reply}")
    print(f"  goes on from {before or 'our own history'}; {reply.usage.input_tokens} tokens were read")
    for notice in reply.turn.notices:  # `resent`: the provider had lost its answer
        print(f"  ({notice.text})")


if __name__ == "__main__":
    main(*sys.argv[1:])
