"""What `test_hammer.py` runs eight of at once: sends, one after another, to conversations that the others send to too.

As a program it says `ready`, waits for a line, and then says which turns it was told are stored, a line each.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence

from multiturn import Conversation, open_store
from multiturn.stores.base import Store
from scripted import ScriptedModel


async def hammer(
    store: Store, name: str, conversations: Sequence[str], seconds: float, tell: Callable[[str], object]
) -> None:
    """Send for that long, each time to any of the conversations; `tell` of every turn that was acknowledged."""
    chance, end, number = random.Random(name), time.monotonic() + seconds, 0
    chats = {id: Conversation(ScriptedModel(), store=store, id=id, on_conflict="queue") for id in conversations}
    while time.monotonic() < end:
        number += 1
        reply = await chats[chance.choice(conversations)].asend(f"{name} {number}")
        assert reply.text == f"heard {name} {number}"
        tell(reply.turn.id)


async def main(url: str, name: str, seconds: str, *conversations: str) -> None:
    store = open_store(url)
    await store.conversations()  # opens it
    print("ready", flush=True)
    sys.stdin.readline()
    await hammer(store, name, conversations, float(seconds), lambda id: print(id, flush=True))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
