"""Turns a second of 64 conversations at once, each turn begun and finished durably, against what one fsync a turn
would allow on the same disk, measured before and after in the same run.

One process, one event loop. A turn is 0.8 kB of question and 0.12 kB of answer, and its model answers at once.

It is measured on this disk, and on one that takes 2 ms for an fsync, as a server's SSD with a journal does: the same
disk, slowed down (`slow_fsync.c`). Where an fsync takes next to nothing, what counts is the work, and there is little
that sharing it could win.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import replies
from multiturn import Conversation
from multiturn.stores.base import Store
from peers import BENCH
from places import NAMES, SQLite, places
from report import progress, table, verdict
from timing import append, opened

AT_ONCE = 64
BAR = 5
SLOW_MS = 2.0
HERE = Path(__file__).parent

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


def measure_slow(seconds: float) -> tuple[float, float] | None:
    """Fsyncs and turns a second on the disk made slow, in a process of its own; None where there is no C compiler."""
    progress(f"SQLite, an fsync of {SLOW_MS:g} ms")
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/slow_fsync.so"
        command = ["cc", "-shared", "-fPIC", "-o", library, str(HERE / "slow_fsync.c"), "-ldl"]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        environment = os.environ | {"LD_PRELOAD": library, "SLOW_FSYNC_US": str(round(SLOW_MS * 1000))}
        alone = [sys.executable, __file__, "--alone", "--seconds", str(seconds)]
        done = subprocess.run(alone, check=True, capture_output=True, text=True, env=environment)
    progress("")
    fsyncs, turns = json.loads(done.stdout)
    return fsyncs, turns


def measure_alone(seconds: float) -> list[float]:
    """Fsyncs a second, and turns a second of the way that is judged, on SQLite."""
    for turn in range(replies.EXCHANGES):
        replies.exchange(turn)
    place = SQLite()
    try:
        way, at_once = WAYS[JUDGED]
        turns = asyncio.run(turns_a_second(place.fresh(), way, at_once, seconds))
        return [fsyncs_a_second(seconds / 4), turns]
    finally:
        place.close()


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
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.seconds or (0.5 if options.quick else 10)
    if options.alone:
        print(json.dumps(measure_alone(seconds)))
        return 0
    fsyncs, found = measure(seconds)
    print(report(fsyncs, found), end="\n\n")
    slow = measure_slow(seconds)
    if slow is not None:
        print(f"with an fsync of {SLOW_MS:g} ms: {slow[0]:,.0f} fsyncs, {slow[1]:,.0f} turns a second on SQLite\n")
    if options.quick:
        print("A quick run is not judged.")
        return 0
    ratio = found[NAMES[0], JUDGED] / fsyncs
    claim = f"{AT_ONCE} conversations on SQLite: at least {BAR} x one fsync a turn"
    held = verdict(f"{claim}: {ratio:.1f} x (an fsync takes {1000 / fsyncs:.2f} ms here)", ratio >= BAR)
    if slow is None:
        print("not judged: a slow disk (there is no C compiler)")
    else:
        held &= verdict(f"{claim} of {SLOW_MS:g} ms: {slow[1] / slow[0]:.1f} x", slow[1] / slow[0] >= BAR)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
