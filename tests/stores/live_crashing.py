"""The processes of `test_live_processes.py`.

`run` begins a turn in the background and says its id; with `ask` it says a number every few milliseconds then, each on
a line of its own as soon as it has handed it to the store, until it is killed. `follow` says what it is given of a
turn: `word TEXT`, and `end STATUS TEXT` at last.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing

from multiturn.deltas import ModelAsked, TextDelta
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.turns import Turn
from stores.live import begun, words


async def run(store: Store, ask: str = "") -> None:
    turn = await begun(store)
    print(turn.id, flush=True)
    if ask:
        await store.keep(turn.id, [ModelAsked()])
    number = 0
    while True:
        await asyncio.sleep(0.003)
        if ask:
            number += 1
            store.append(turn.id, [TextDelta(f"{number} ")])
            print(number, flush=True)


async def follow(store: Store, turn_id: str) -> None:
    async with aclosing(store.follow(turn_id)) as items:
        async for item in items:
            if isinstance(item, Turn):
                print("end", item.status.value, item.text.replace(" ", "_"), flush=True)
            else:
                for word in words(item):
                    print("word", word, flush=True)
    await store.aclose()


if __name__ == "__main__":
    what, url, *rest = sys.argv[1:]
    asyncio.run((run if what == "run" else follow)(open_store(url), *rest))
