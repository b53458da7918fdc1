"""What a turn takes on the disk as one conversation grows; against three peers, in one run.

A turn is 0.8 kB of question and 0.12 kB of answer, with the usage, the ids and the names that a real reply carries,
from a model that answers at once. Weighed is the database file after its write-ahead log has been moved into it.
LangGraph and agentic-api grow with the square of the turns: they are measured to 1,000 and 3,000 turns, not to 10,000.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

import peers
from report import progress, table, verdict

HERE = Path(__file__).parent
PLOT = HERE.parent / "docs" / "assets" / "store_growth.png"
MARKS = (10, 30, 100, 300, 1_000, 3_000, 10_000)
SHOWN = (300, 1_000, 3_000, 10_000)
BAR_BYTES, BAR_GROWTH = 2_000, 1.05
ENVIRONMENT = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "LANGSMITH_TRACING": "false"}


class Weight(msgspec.Struct, frozen=True):
    """A contender at a mark: bytes of its database, bytes sent to the disk on the way there, and seconds."""

    turns: int
    bytes: int
    written: int
    seconds: float


@dataclass
class Contender:
    """One way to keep the conversation: a module in `growth/`, and its weights, by turns."""

    name: str
    module: str
    python: Path
    most_turns: int = MARKS[-1]
    weights: dict[int, Weight] = field(default_factory=dict)

    def bytes_at(self, turns: int) -> float | None:
        """Bytes a turn in a conversation of that many; None where that was not measured."""
        weight = self.weights.get(turns)
        return None if weight is None else weight.bytes / turns


def contenders(*, quick: bool) -> list[Contender]:
    """Ours first. Peers are installed when they are not, except when `quick`: then those that are not are left out."""
    ours = Path(sys.executable)
    found = [Contender("multiturn", "ours", ours), Contender("multiturn, the store alone", "ours_store", ours)]
    theirs = peers.installed() if quick else peers.python()
    if theirs is not None:
        found.append(Contender("Agents SDK, SQLiteSession", "agents_sdk", theirs))
        found.append(Contender("agentic-api", "agentic_api", theirs, most_turns=3_000))
        found.append(Contender("LangGraph, SqliteSaver", "langgraph_saver", theirs, most_turns=1_000))
    return found


def measure(contender: Contender, most_turns: int) -> None:
    """Hold the conversation, in a process of its own, and note what it weighs at each mark."""
    last = min(most_turns, contender.most_turns)
    marks = [str(mark) for mark in MARKS if mark < last] + [str(last)]
    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as folder:
        command = [str(contender.python), "-m", f"growth.{contender.module}", folder, *marks]
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, env=ENVIRONMENT)
    if done.returncode != 0:
        progress("")
        raise SystemExit(f"{contender.name} failed:\n{done.stderr}")
    weights = msgspec.json.decode(done.stdout, type=list[Weight])
    contender.weights = {weight.turns: weight for weight in weights}


def report(found: Sequence[Contender], most_turns: int) -> str:
    shown = [mark for mark in SHOWN if mark < most_turns] + [most_turns]
    compared = min(1_000, most_turns)
    header = ["kB on disk, a turn", *(f"of {mark:,}" for mark in shown)]
    header += [f"x ours at {compared:,}", "written", "ms a turn"]
    ours = found[0].bytes_at(compared)
    return table(header, [_row(contender, shown, compared, ours) for contender in found])


def _row(contender: Contender, shown: Sequence[int], compared: int, ours: float | None) -> list[str]:
    """Written and time are those of the conversation of `compared` turns, or of as many as were measured."""
    theirs = contender.bytes_at(compared)
    weight = contender.weights.get(compared, contender.weights[max(contender.weights)])
    return [
        contender.name,
        *(_kilobytes(contender.bytes_at(mark)) for mark in shown),
        f"{theirs / ours:.1f}" if theirs and ours else "-",
        _kilobytes(weight.written / weight.turns),
        f"{weight.seconds / weight.turns * 1e3:.1f}",
    ]


def _kilobytes(size: float | None) -> str:
    return "-" if size is None else f"{size / 1e3:.2f}"


def judge(ours: Sequence[Contender], most_turns: int) -> bool:
    """Print the verdict on each bar, and whether all hold; a conversation shorter than they speak of is not judged."""
    if most_turns < MARKS[-1]:
        print(f"The bars are about 1,000 and {MARKS[-1]:,} turns: not judged after {most_turns:,}.")
        return True
    holds = True
    for contender in ours:
        early, late = contender.weights[1_000].bytes / 1_000, contender.weights[10_000].bytes / 10_000
        claim = f"{contender.name}: at most {BAR_BYTES:,} bytes a turn at 1,000 turns: {early:,.0f}"
        holds &= verdict(claim, early <= BAR_BYTES)
        claim = f"{contender.name}: at 10,000 turns at most 5 % above that: {late / early - 1:+.1%}"
        holds &= verdict(claim, late <= BAR_GROWTH * early)
    return holds


def plot(grown: Mapping[str, Sequence[Weight]], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [str(peers.python()), "-m", "growth.plot", str(file.absolute())]
    subprocess.run(command, input=json.dumps(msgspec.to_builtins(grown)), text=True, cwd=HERE, check=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status 1 when a bar is missed. A full run takes some ten minutes and 3 GB of temporary space.",
    )
    parser.add_argument("--turns", type=int, help="length of the conversation (default 10,000; quick: 100)")
    parser.add_argument("--plot", type=Path, help=f"where the plot goes (default {PLOT.relative_to(HERE.parent)})")
    parser.add_argument("--quick", action="store_true", help="short, no plot, with the peers that are installed")
    options = parser.parse_args()
    if options.turns is None:
        options.turns = 100 if options.quick else MARKS[-1]
    if options.plot is None and not options.quick:
        options.plot = PLOT
    if options.turns < 10:
        parser.error("at least 10 turns")
    return options


def main() -> int:
    options = parse()
    found = contenders(quick=options.quick)
    for contender in found:
        progress(f"{contender.name}: up to {min(options.turns, contender.most_turns):,} turns")
        measure(contender, options.turns)
    progress("")
    print(report(found, options.turns), end="\n\n")
    if options.plot is not None:
        plot({each.name: list(each.weights.values()) for each in found if each.module != "ours_store"}, options.plot)
        print(f"drawn in {options.plot}\n")
    return 0 if judge(found[:2], options.turns) else 1


if __name__ == "__main__":
    sys.exit(main())
