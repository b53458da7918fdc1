"""The server beside two others, in front of the same upstream, which answers at once: `agentic-server`, a gateway in
Rust that keeps Responses as ours does, and the LiteLLM proxy, which keeps nothing.

Sixteen connections, each asking as soon as it is answered; one process of each server. A turn is 0.8 kB of question and
0.12 kB of answer, stored durably before it is answered; a stream is of 209 events. Then one conversation of 1,000
turns, each naming the response before it, and a restart in the middle of it. Then 1,000 slow streams at once through
one process of ours. The upstream is nginx; the load comes from a process of its own.

What Python ours runs on counts: one that was compiled with profile-guided optimization, as Debian's and those of the
official images are and pyenv's are not unless asked, is a fifth faster.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from places import NAMES, places
from report import progress, table, verdict
from servers import measure, nginx
from servers.contenders import AGENTIC, LITELLM, OURS, Contender, contenders, ours, ours_on
from servers.measure import Chain, Rate, Slow

KINDS = {"responses": "stored turns/s", "streams": "stored streams/s", "chat": "requests/s"}
POSTGRES = f"{OURS}, {NAMES[1]}"


@dataclass
class Size:
    """How much is measured: the full size, or the quick one."""

    seconds: float = 5
    rounds: int = 3
    turns: int = 1000
    restarts: int = 5
    streams: int = 1000
    stream_s: float = 30
    python: Path = Path(sys.executable)
    """What our server runs on."""


@dataclass
class Figures:
    """What was found, by server."""

    rates: dict[tuple[str, str], list[Rate]] = field(default_factory=dict)
    """By server and kind, one for each round."""
    chains: dict[str, Chain] = field(default_factory=dict)
    slow: dict[str, Slow] = field(default_factory=dict)

    def rate(self, name: str, kind: str, what: Callable[[Rate], float] = lambda rate: rate.per_second) -> float | None:
        """The median of the rounds; None where that was not measured."""
        rounds = self.rates.get((name, kind))
        return median(map(what, rounds)) if rounds else None


def kinds(contender: Contender) -> list[str]:
    """What is asked of it. An answer that is not stored is compared with LiteLLM's alone."""
    if not contender.stores:
        return ["chat"]
    return ["responses", "streams", "chat"] if contender.name == OURS else ["responses", "streams"]


def measured(size: Size, *, quick: bool) -> Figures:
    figures, found = Figures(), contenders(size.python, quick=quick)
    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as folder, nginx.serve(Path(folder)) as upstream:
        for number in range(1, size.rounds + 1):
            for contender in found:
                for kind in kinds(contender):
                    progress(f"{contender.name}: {KINDS[kind]}, round {number} of {size.rounds}")
                    _keep(figures, contender, kind, upstream, size)
        for contender in found:
            if contender.stores:
                progress(f"{contender.name}: one conversation of {size.turns:,} turns")
                figures.chains[contender.name] = measure.chain(contender, upstream, size.turns, size.restarts)
        if not quick:
            measure_postgres(figures, upstream, size)
    for name, server in (("no server between", None), (OURS, ours(size.python))):
        progress(f"{name}: {size.streams:,} slow streams")
        figures.slow[name] = measure.slow(server, size.streams, size.stream_s)
    progress("")
    return figures


def measure_postgres(figures: Figures, upstream: nginx.Upstream, size: Size) -> None:
    """Ours on a PostgreSQL of its own, where that is installed."""
    with places() as here:
        for place in here:
            if place.name == NAMES[1]:
                for kind in ("responses", "streams"):
                    progress(f"{POSTGRES}: {KINDS[kind]}")
                    _keep(figures, ours_on(place, size.python), kind, upstream, size)
                progress(f"{POSTGRES}: one conversation of {size.turns:,} turns")
                figures.chains[POSTGRES] = measure.chain(
                    ours_on(place, size.python), upstream, size.turns, size.restarts
                )


def _keep(figures: Figures, contender: Contender, kind: str, upstream: nginx.Upstream, size: Size) -> None:
    found = measure.rate(contender, kind, upstream, size.seconds)
    figures.rates.setdefault((contender.name, kind), []).append(found)


def report(figures: Figures, size: Size) -> str:
    names = [name for name in (OURS, POSTGRES, AGENTIC, LITELLM) if any(name == of for of, _ in figures.rates)]
    rates = table(
        ["16 connections", *(cell for title in KINDS.values() for cell in (title, "CPU ms", "p99 ms"))],
        [[name, *(cell for kind in KINDS for cell in _cells(figures, name, kind))] for name in names],
    )
    chains = table(
        [f"ms of turn {size.turns:,}", "as it comes", "after a restart", "kB stored a turn", "kB, one turn each"],
        [_chain_row(figures, name, chain) for name, chain in figures.chains.items()],
    )
    slow = table(
        [f"{size.streams:,} slow streams", "dropped", "ms on the way", "p99", "worst", "MB at most", "CPU us an event"],
        [_slow_row(name, found) for name, found in figures.slow.items()],
    )
    return f"{rates}\n\n{chains}\n\n{slow}"


def _cells(figures: Figures, name: str, kind: str) -> list[str]:
    per_second = figures.rate(name, kind)
    cpu_s, p99_s = figures.rate(name, kind, lambda rate: rate.cpu_s), figures.rate(name, kind, lambda rate: rate.p99_s)
    if per_second is None or cpu_s is None or p99_s is None:
        return ["", "", ""]
    return [f"{per_second:,.0f}", f"{cpu_s * 1e3:.2f}", f"{p99_s * 1e3:.1f}"]


def _chain_row(figures: Figures, name: str, chain: Chain) -> list[str]:
    alone = figures.rate(name, "responses", lambda rate: rate.stored_bytes) or 0
    times = [f"{chain.warm_s * 1e3:.2f}", f"{chain.cold_s * 1e3:.2f}"]
    return [name, *times, f"{chain.stored_bytes / 1e3:.2f}", f"{alone / 1e3:.2f}"]


def _slow_row(name: str, found: Slow) -> list[str]:
    ms = [f"{seconds * 1e3:.1f}" for seconds in (found.p50_s, found.p99_s, found.worst_s)]
    memory = f"{found.peak_bytes / 1e6:.0f}" if name == OURS else ""
    return [name, f"{found.dropped:,}", *ms, memory, f"{found.cpu_s * 1e6:.0f}" if name == OURS else ""]


def judge(figures: Figures) -> bool:
    """Print the verdict on each bar, and whether all hold. Without a peer, what is about it is not judged."""
    holds = [
        _judge_rate(figures, "responses", AGENTIC, 1.2),
        _judge_rate(figures, "streams", AGENTIC, 1.0),
        *_judge_chain(figures),
        _judge_rate(figures, "chat", LITELLM, 10),
        *_judge_slow(figures.slow[OURS]),
    ]
    return all(holds)


def _judge_rate(figures: Figures, kind: str, peer: str, bar: float) -> bool:
    own, theirs = figures.rate(OURS, kind), figures.rate(peer, kind)
    claim = f"{KINDS[kind].removesuffix('/s')} a second, at least {bar:g} x {peer}"
    if own is None or theirs is None:
        print(f"not judged: {claim} (not installed)")
        return True
    return verdict(f"{claim}: {own / theirs:.2f} x", own >= bar * theirs)


def _judge_chain(figures: Figures) -> Sequence[bool]:
    own, theirs = figures.chains[OURS], figures.chains.get(AGENTIC)
    alone = figures.rate(OURS, "responses", lambda rate: rate.stored_bytes) or 0
    stored = max(own.stored_bytes, alone) / 1e3
    holds = [verdict(f"at most 2.0 kB stored a turn, be it one of many or alone: {stored:.2f} kB", stored <= 2.0)]
    for claim, seconds, bar in (("", own.warm_s, 0.1), (" right after a restart", own.cold_s, 0.3)):
        said = f"turn 1,000{claim}, at most {bar:g} x {AGENTIC}'s"
        if theirs is None:
            print(f"not judged: {said} (not installed)")
        else:
            holds.append(verdict(f"{said}: {seconds / theirs.warm_s:.3f} x", seconds <= bar * theirs.warm_s))
    return holds


def _judge_slow(found: Slow) -> Sequence[bool]:
    return [
        verdict(f"1,000 slow streams, none dropped: {found.dropped}", not found.dropped),
        verdict(f"an event is under 50 ms on its way (p99): {found.p99_s * 1e3:.1f} ms", found.p99_s < 0.05),
        verdict(f"memory under 300 MB: {found.peak_bytes / 1e6:.0f} MB", found.peak_bytes < 300e6),
    ]


def main() -> int:
    size = Size()
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status 1 when a bar is missed. A full run takes some five minutes; keep the machine idle.",
    )
    parser.add_argument("--seconds", type=float, help="for each figure of a second (default 5; quick: 0.5)")
    parser.add_argument("--rounds", type=int, help="times each is measured, in rotation (default 3; quick: 1)")
    parser.add_argument(
        "--python",
        type=Path,
        default=size.python,
        help="what our server runs on: the interpreter of a venv that has multiturn (default: this one)",
    )
    parser.add_argument("--quick", action="store_true", help="short, not judged, without what is slow to start")
    options = parser.parse_args()
    if options.quick:
        size = Size(seconds=0.5, rounds=1, turns=20, restarts=1, streams=40, stream_s=1)
    size.seconds = options.seconds or size.seconds
    size.rounds = options.rounds or size.rounds
    size.python = options.python
    figures = measured(size, quick=options.quick)
    print(f"{OURS} on Python {_version(size.python)}", end="\n\n")
    print(report(figures, size), end="\n\n")
    if options.quick:
        print("A quick run is not judged.")
        return 0
    return 0 if judge(figures) else 1


def _version(python: Path) -> str:
    done = subprocess.run([python, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
