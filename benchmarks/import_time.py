"""What `import multiturn` adds to starting Python, against four peers, in one run.

Every figure is the median over fresh processes, taken in turn (one of each, then again), minus the median of an
interpreter of the same venv that imports nothing. `import multiturn` loads its parts when they are first named, so
`from multiturn import Conversation` is measured as well: what a program that uses it pays.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import peers
from report import progress, table, verdict

BAR_MS = 60
OURS = ("import multiturn", "from multiturn import Conversation")
PEERS = {
    "import openai": "peers",
    "import pydantic_ai": "peers",
    "import agents": "peers",
    "import litellm": "peers-litellm",
}
# litellm fetches a price list from GitHub while it is imported; it is spared the wait.
ENVIRONMENT = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@dataclass
class Start:
    """Starting one interpreter with one statement, and what it took each time, in milliseconds."""

    python: Path
    statement: str
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    def once(self) -> tuple[float, float]:
        """CPU (user + system) and wall milliseconds of one fresh process. Exits when the statement fails."""
        command = [str(self.python), "-P", "-c", self.statement]
        silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        start = perf_counter()
        process = os.posix_spawn(self.python, command, ENVIRONMENT, file_actions=silent)
        _, status, used = os.wait4(process, 0)
        wall = perf_counter() - start
        if status != 0:
            raise SystemExit(f"`{self.statement}` failed in {self.python}")
        return (used.ru_utime + used.ru_stime) * 1e3, wall * 1e3

    def measure(self) -> None:
        cpu, wall = self.once()
        self.cpu_ms.append(cpu)
        self.wall_ms.append(wall)


@dataclass
class Import:
    """One statement, and the same interpreter with nothing to do."""

    start: Start
    bare: Start

    @property
    def cpu_ms(self) -> float:
        return median(self.start.cpu_ms) - median(self.bare.cpu_ms)

    @property
    def wall_ms(self) -> float:
        return median(self.start.wall_ms) - median(self.bare.wall_ms)


def imports(*, quick: bool) -> list[Import]:
    """Ours first. Peers are installed when they are not, except when `quick`: then those that are not are left out."""
    mine = Start(Path(sys.executable), "pass")
    found = [Import(Start(mine.python, statement), mine) for statement in OURS]
    bare: dict[str, Start] = {}
    for statement, name in PEERS.items():
        python = peers.installed(name) if quick else peers.python(name)
        if python is not None:
            nothing = bare.setdefault(name, Start(python, "pass"))
            found.append(Import(Start(python, statement), nothing))
    return found


def measure(found: Sequence[Import], runs: int) -> None:
    """Start everything `runs` times, taking turns, after one start each that only warms the caches."""
    starts = list({id(start): start for entry in found for start in (entry.bare, entry.start)}.values())
    for run in range(runs + 1):
        progress(f"run {run} of {runs}" if run else "warming up")
        for start in starts:
            start.measure() if run else start.once()
    progress("")


def report(found: Sequence[Import]) -> str:
    header = ["over bare Python", "CPU ms", "wall ms", "x import multiturn", "x Conversation"]
    ours, conversation = found[0].cpu_ms, found[1].cpu_ms
    rows = [
        [
            entry.start.statement,
            f"{entry.cpu_ms:.1f}",
            f"{entry.wall_ms:.1f}",
            times(entry.cpu_ms, ours),
            times(entry.cpu_ms, conversation),
        ]
        for entry in found
    ]
    return table(header, rows)


def times(theirs_ms: float, ours_ms: float) -> str:
    """How many times ours theirs is; a dash when ours is too small to divide by: noise of starting Python."""
    return f"{theirs_ms / ours_ms:.1f}" if ours_ms > 0.5 else "-"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Exit status 1 when `import multiturn` takes more than {BAR_MS} ms, CPU or wall, over bare Python.",
    )
    parser.add_argument("--runs", type=int, help="fresh processes for each statement (default 15; quick: 3)")
    parser.add_argument("--quick", action="store_true", help="few runs, with the peers that are already installed")
    options = parser.parse_args()
    runs = (3 if options.quick else 15) if options.runs is None else options.runs
    if runs < 1:
        parser.error("at least 1 run")

    found = imports(quick=options.quick)
    measure(found, runs)
    print(report(found), end="\n\n")
    slowest = max(found[0].cpu_ms, found[0].wall_ms)
    return 0 if verdict(f"import multiturn takes at most {BAR_MS} ms: {slowest:.1f} ms", slowest <= BAR_MS) else 1


if __name__ == "__main__":
    sys.exit(main())
