"""A conversation from end to end, with no key and no network: `make demo`.

The built-in offline model answers. It is small, but it really reads what it is sent.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from multiturn import Conversation

WORD_S = 0.02 if sys.stdout.isatty() else 0.0  # as fast as a person reads, where a person is reading


def say(chat: Conversation, who: str, words: str, *, replace: str | None = None) -> None:
    """One turn, printed as it streams; in the place of the turn `replace`, if given."""
    print(f"\n{who} › {words}\n  bot › ", end="", flush=True)
    for event in chat.stream(words, replace=replace):
        print(event.text, end="", flush=True)
        time.sleep(WORD_S if event.text else 0)
    print()


def heading(text: str) -> None:
    print(f"\n── {text} {'─' * max(3, 74 - len(text))}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'chats.db'}"
        chat = Conversation("offline", instructions="You are a friendly tutor.", store=store, id="alice-1")

        heading("It remembers, though the model itself forgets")
        say(chat, "Alice", "Hello! My name is Alice.")
        say(chat, "Alice", "What is 15 * 23?")
        say(chat, "Alice", "Now divide that by 5.")
        say(chat, "Alice", "Do you still know my name?")

        heading("A fork: same past, another future")
        fork = chat.fork(id="bob-1")
        say(fork, "  Bob", "Sorry, Bob at the keyboard now: my name is Bob. What is 100 - 1?")
        say(fork, "  Bob", "What's my name?")
        say(chat, "Alice", "And what's my name?")

        heading("An edit: what if the question had been another one?")
        product = chat.turns[1]
        print(f'\n(in the place of "{product.input[0].text}")', end="")
        say(chat, "Alice", "What is 12 * 12?", replace=product.id)
        say(chat, "Alice", "Halve that.")

        heading("Another process opens the file and goes on")
        command = ["chat", "--store", store, "--conversation", "alice-1", "What's my name? And double that."]
        print(f'\n$ multiturn chat --conversation alice-1 "{command[-1]}"', flush=True)
        subprocess.run([sys.executable, "-m", "multiturn", *command], check=True)

        usage = chat.usage
        print(
            f"\nThat was {len(chat.turns)} turns on one head and {len(fork.turns)} on the other, "
            f"{usage.total_tokens} tokens (the offline model's own count), in one SQLite file."
        )
        print("With a key of yours: multiturn chat --model openai:gpt-5-mini")


if __name__ == "__main__":
    main()
