"""What length and number cost: appending deep in a conversation, loading, forking, and all that among a million turns;
on both stores, side by side.

A turn is 0.8 kB of question and 0.12 kB of answer; appending it is `begin` and `finish`, both durable. A cold load is
by a store that has read nothing but the head; the file is in the operating system's memory. Figures are medians.
"""

import argparse
import asyncio
import itertools
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import built
from multiturn.ids import new_id
from multiturn.stores.records import ConversationRecord
from places import NAMES, Place, places
from report import progress, table, verdict
from timing import append, in_turns, load, opened, timed

BAR_DEEP, BAR_MILLION = 1.2, 1.3
BAR_LOAD_MS = dict(zip(NAMES, (5, 10), strict=True))
BAR_FORK_MS, BAR_FORK_BYTES = 1, 1_000


@dataclass(frozen=True)
class Scale:
    """How long and how many; `conversations` of `turns` each are the million."""

    deep: int = 10_000
    shallow: int = 10
    loaded: int = 1_000
    conversations: int = 10_000
    turns: int = 100
    appends: int = 300
    loads: int = 50
    forks: int = 200


FULL = Scale()
QUICK = Scale(deep=300, loaded=100, conversations=20, turns=20, appends=20, loads=3, forks=20)


@dataclass
class Figures:
    """What one store takes: seconds, but for `fork_bytes`."""

    append_shallow: float = 0
    append_deep: float = 0
    load: float = 0
    load_and_open: float = 0
    fork: float = 0
    fork_bytes: float = 0
    append_alone: float = 0
    append_among: float = 0
    load_alone: float = 0
    load_among: float = 0


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(place: Place, scale: Scale) -> Figures:
    figures, million = Figures(), place.big(scale.conversations, scale.turns)
    progress(f"{place.name}: appending at depth {scale.deep:,}")
    asyncio.run(_depth(place.fresh(), scale, figures))
    progress(f"{place.name}: loading {scale.loaded:,} turns")
    asyncio.run(_load(place.fresh(), scale, figures))
    progress(f"{place.name}: forking")
    _fork(place, scale, figures)
    progress(f"{place.name}: among {scale.conversations * scale.turns:,} turns")
    asyncio.run(_among(million, place.fresh(), scale, figures))
    progress("")
    return figures


async def _depth(url: str, scale: Scale, figures: Figures) -> None:
    """Appends to the deep conversation, and to shallow ones, five each, in turns."""
    names = [f"shallow{number}" for number in range(scale.appends // 5)]
    async with opened(url) as store:
        await built.add(store, "deep", scale.deep)
        for name in names:
            await built.add(store, name, scale.shallow - 2)
        shallow = itertools.cycle(names)
        figures.append_shallow, figures.append_deep = await in_turns(
            scale.appends, lambda: append(store, next(shallow)), lambda: append(store, "deep")
        )


async def _load(url: str, scale: Scale, figures: Figures) -> None:
    async with opened(url) as store:
        await built.add(store, "c", scale.loaded)
    took = [await load(url, "c", scale.loaded) for _ in range(scale.loads)]
    figures.load, figures.load_and_open = (median(column) for column in zip(*took, strict=True))


def _fork(place: Place, scale: Scale, figures: Figures) -> None:
    async def build() -> str:
        async with opened(url) as store:
            return await built.add(store, "c", scale.deep)

    async def fork() -> list[float]:
        async with opened(url) as store:
            records = [ConversationRecord(id=new_id("conv"), head=head) for _ in range(scale.forks)]
            return [await timed(store.create(record)) for record in records]

    url = place.fresh()
    head, before = asyncio.run(build()), place.size(url)
    figures.fork = median(asyncio.run(fork()))
    figures.fork_bytes = (place.size(url) - before) / scale.forks


async def _among(million: str, url: str, scale: Scale, figures: Figures) -> None:
    """Conversations of one length, any of the million's and one that is alone in its store, in turns."""

    def any_of_them() -> str:
        return f"c{chance.randrange(scale.conversations)}"

    async def load_path(url: str, conversation: str) -> float:
        return (await load(url, conversation, scale.turns))[0]

    chance = random.Random(1)
    async with opened(url) as store:
        await built.add(store, "c", scale.turns)
    figures.load_among, figures.load_alone = await in_turns(
        scale.loads, lambda: load_path(million, any_of_them()), lambda: load_path(url, "c")
    )
    async with opened(million) as full, opened(url) as store:
        figures.append_among, figures.append_alone = await in_turns(
            scale.appends, lambda: append(full, any_of_them()), lambda: append(store, "c")
        )


# --- reporting --------------------------------------------------------------------------------------------------------


def report(figures: dict[str, Figures], scale: Scale) -> str:
    million = f"{scale.conversations * scale.turns:,}"
    lines: Iterable[tuple[str, Callable[[Figures], str]]] = [
        (f"append at depth {scale.shallow}", lambda it: _ms(it.append_shallow)),
        (f"append at depth {scale.deep:,}", lambda it: _ms(it.append_deep)),
        (f"cold load of {scale.loaded:,} turns", lambda it: _ms(it.load)),
        ("  and opening the store", lambda it: _ms(it.load_and_open)),
        (f"fork of {scale.deep:,} turns", lambda it: _ms(it.fork)),
        ("  on the disk", lambda it: f"{it.fork_bytes:,.0f} bytes"),
        (f"append after {scale.turns} turns, alone", lambda it: _ms(it.append_alone)),
        (f"append after {scale.turns} turns, among {million}", lambda it: _ms(it.append_among)),
        (f"cold load of {scale.turns} turns, alone", lambda it: _ms(it.load_alone)),
        (f"cold load of {scale.turns} turns, among {million}", lambda it: _ms(it.load_among)),
    ]
    shown = [(name, figures.get(name)) for name in NAMES]
    rows = [[what, *("not here" if it is None else show(it) for _, it in shown)] for what, show in lines]
    return table(["median", *NAMES], rows)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def judge(figures: dict[str, Figures], scale: Scale) -> bool:
    """Print the verdict on each bar, and whether all hold; a smaller scale than they speak of is not judged."""
    if scale != FULL:
        print("The bars are about the full scale: not judged.")
        return True
    claims = [(f"{name}: {claim}", holds) for name, it in figures.items() for claim, holds in _bars(name, it)]
    return sum(verdict(claim, holds) for claim, holds in claims) == len(claims)


def _bars(name: str, it: Figures) -> Sequence[tuple[str, bool]]:
    deep, bar_ms = it.append_deep / it.append_shallow, BAR_LOAD_MS[name]
    append, load = it.append_among / it.append_alone, it.load_among / it.load_alone
    return [
        (f"append at depth 10,000 takes at most {BAR_DEEP} x depth 10: {deep:.2f} x", deep <= BAR_DEEP),
        (f"cold load of 1,000 turns takes at most {bar_ms} ms: {it.load * 1e3:.1f} ms", it.load * 1e3 <= bar_ms),
        (f"fork of 10,000 turns takes less than {BAR_FORK_MS} ms: {_ms(it.fork)}", it.fork * 1e3 < BAR_FORK_MS),
        (f"and less than {BAR_FORK_BYTES:,} bytes: {it.fork_bytes:,.0f}", it.fork_bytes < BAR_FORK_BYTES),
        (f"append among a million takes at most {BAR_MILLION} x alone: {append:.2f} x", append <= BAR_MILLION),
        (f"load among a million takes at most {BAR_MILLION} x alone: {load:.2f} x", load <= BAR_MILLION),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status 1 when a bar is missed. The first run builds a million turns in .bench/ on each store, "
        "which takes some ten minutes and 8 GB; later runs take two minutes.",
    )
    parser.add_argument("--quick", action="store_true", help="a small scale, in some seconds; nothing is judged")
    scale = QUICK if parser.parse_args().quick else FULL
    with places() as found:
        figures = {place.name: measure(place, scale) for place in found}
    print(report(figures, scale), end="\n\n")
    return 0 if judge(figures, scale) else 1


if __name__ == "__main__":
    sys.exit(main())
