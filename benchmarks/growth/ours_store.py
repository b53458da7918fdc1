"""multiturn's SQLite store by itself: a turn begun, and finished with its reply."""

import itertools
import time
from pathlib import Path

import replies
from growth.metering import Send, run
from multiturn import open_store
from multiturn.ids import new_id
from multiturn.messages import user
from multiturn.turns import Totals, Turn, TurnStatus, finished


def open_chat(folder: Path) -> Send:
    store, turns, before = open_store(f"sqlite:///{folder.resolve()}/ours.db"), itertools.count(1), Totals()

    async def send(text: str) -> str:
        nonlocal before
        turn = Turn(
            id=new_id("turn"), conversation="bench", input=(user(text),), model=replies.MODEL, created_at=time.time()
        )
        begun = await store.begin(turn)
        output = [replies.reply(next(turns))]
        turn = finished(begun, TurnStatus.COMPLETED, before=before, at=time.time(), output=output)
        await store.finish(turn)
        before = turn.totals
        return turn.text

    return send


if __name__ == "__main__":
    run(open_chat)
