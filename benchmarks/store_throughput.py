"""Turns a second of 64 conversations at once, each turn begun and finished durably, against what one fsync a turn
would allow on the same disk, measured before and after in the same run.

One process, one event loop. A turn is 0.8 kB of question and 0.12 kB of answer, and its model answers at once.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter

import replies
from multiturn import Conversation
from multiturn.stores.base import Store
from peers import BENCH
from places import NAMES, places
from report import progress, table, verdict
from timing import append, opened

AT_ONCE = 64
BAR = 5

OneTurn = Callable[[int], Awaitable[object]]
"""What adds turn number n to a conversation."""


def through_the_store(store: Store, number: int) -> OneTurn:
    return lambda turn: append(store, f"c{number}", turn)


def through_conversation(store: Store, number: int) -> OneTurn:
    chat = Conversation(replies.InstantModel(), store=store)
    return lambda turn: chat.asend(replies.exchange(turn)[0])


WAYS = {
    "the store alone, one at a time": (through_the_store, 1),
    f"the store alone, {AT_ONCE} at once": (through_the_store, AT_ONCE),
    f"Conversation, {AT_ONCE} at once": (through_conversation, AT_ONCE),
}
JUDGED = f"the store alone, {AT_ONCE} at once"


async def turns_a_second(url: str, way: Callable[[Store, int], OneTurn], at_once: int, seconds: float) -> float:
    async def converse(number: int) -> int:
        one_turn, done = way(store, number), 0
        while perf_counter() < end:
            done += 1
            await one_turn(done)
        return done

    async with opened(url) as store:
        await append(store, "before")
        start = perf_counter()
        end = start + seconds
        done = await asyncio.gather(*(converse(number) for number in range(at_once)))
        return sum(done) / (perf_counter() - start)


def fsyncs_a_second(seconds: float) -> float:
    """How often a page can be appended to a file and brought to the disk that `.bench/` is on."""
    took: list[float] = []
    with tempfile.NamedTemporaryFile(dir=BENCH, buffering=0) as file:
        while sum(took) < seconds:
            start = perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            took.append(perf_counter() - start)
    return 1 / median(took)


def measure(seconds: float) -> tuple[float, dict[tuple[str, str], float]]:
    """Fsyncs a second, and turns a second by store and way."""
    found: dict[tuple[str, str], float] = {}
    for turn in range(replies.EXCHANGES):
        replies.exchange(turn)
    with places() as here:
        fsyncs = [fsyncs_a_second(seconds / 4)]
        for place in here:
            for name, (way, at_once) in WAYS.items():
                progress(f"{place.name}, {name}")
                found[place.name, name] = asyncio.run(turns_a_second(place.fresh(), way, at_once, seconds))
        fsyncs.append(fsyncs_a_second(seconds / 4))
    progress("")
    return sum(fsyncs) / 2, found


def report(fsyncs: float, found: dict[tuple[str, str], float]) -> str:
    rows = [["one fsync a turn", *[f"{fsyncs:,.0f}"] * len(NAMES), "1.0"]]
    for way in WAYS:
        cells = [f"{found[name, way]:,.0f}" if (name, way) in found else "not here" for name in NAMES]
        rows.append([way, *cells, f"{found[NAMES[0], way] / fsyncs:.1f}"])
    return table(["turns a second", *NAMES, f"{NAMES[0]} x fsync"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status 1 when a bar is missed. Keep the machine idle.",
    )
    parser.add_argument("--seconds", type=float, help="for each figure (default 10; quick: 0.5)")
    parser.add_argument("--quick", action="store_true", help="short, not judged")
    options = parser.parse_args()
    fsyncs, found = measure(options.seconds or (0.5 if options.quick else 10))
    print(report(fsyncs, found), end="\n\n")
    if options.quick:
        print("A quick run is not judged.")
        return 0
    ratio = found[NAMES[0], JUDGED] / fsyncs
    claim = f"{AT_ONCE} conversations on SQLite: at least {BAR} x one fsync a turn: {ratio:.1f} x"
    return 0 if verdict(claim, ratio >= BAR) else 1


if __name__ == "__main__":
    sys.exit(main())
