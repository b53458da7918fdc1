"""What one more turn costs the client, in CPU time, as a conversation grows; against three peers, in one run.

A conversation of 300 turns, 800 characters each way, with an upstream on this machine that answers at once from a
process of its own. What is left is the client's work: finding the history, putting it on the wire, reading the reply,
storing the turn. Ours, the Agents SDK and LangGraph store each turn in an SQLite file; the openai SDK stores nothing.
`client=OpenAI()` is ours, asking through the user's own openai client.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from statistics import median

import instant
import peers
from report import progress, table, verdict

HERE = Path(__file__).parent
MARKS = (10, 100, 300)
LENGTH = 800
ENVIRONMENT = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "LANGSMITH_TRACING": "false"}


@dataclass
class Contender:
    """One way to hold the conversation: a module in `turns/`, and what its runs measured so far."""

    name: str
    module: str
    python: Path
    runs: list[list[float]] = field(default_factory=list)
    """CPU seconds of each turn, a list for each time the conversation was held."""
    stored_bytes: int = 0

    def at(self, turn: int) -> float:
        """Median CPU seconds around `turn`: the turns two before to two after it (or the last five), of every run."""
        first = min(turn - 2, len(self.runs[0]) - 4)
        return median(second for run in self.runs for second in run[first - 1 : first + 4])


def contenders(*, quick: bool) -> list[Contender]:
    """Ours first. Peers are installed when they are not, except when `quick`: then those that are not are left out."""
    ours = Path(sys.executable)
    found = [Contender("multiturn", "ours", ours), Contender("multiturn, async", "ours_async", ours)]
    if util.find_spec("openai") is not None:
        found.append(Contender("multiturn, client=OpenAI()", "ours_client", ours))
    theirs = peers.installed() if quick else peers.python()
    if theirs is not None:
        found.append(Contender("openai SDK, list by hand", "openai_sdk", theirs))
        found.append(Contender("Agents SDK, SQLiteSession", "agents_sdk", theirs))
        found.append(Contender("LangGraph, SqliteSaver", "langgraph_saver", theirs))
    return found


def measure(contender: Contender, base_url: str, turns: int) -> None:
    """Hold the conversation once and add what it cost to `contender.runs`. Exits unless the whole history was sent."""
    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as folder:
        command = [str(contender.python), "-m", f"turns.{contender.module}", base_url, folder, str(turns)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, env=ENVIRONMENT)
        if done.returncode != 0:
            progress("")
            raise SystemExit(f"{contender.name} failed:\n{done.stderr}")
        contender.stored_bytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    sent, history = instant.largest_body(base_url), (2 * turns - 1) * LENGTH
    if sent < history:
        raise SystemExit(f"{contender.name} sent {sent:,} of {history:,} bytes of history: not the same work")
    contender.runs.append(json.loads(done.stdout))


def report(found: Sequence[Contender], turns: int) -> str:
    marks = [mark for mark in MARKS if mark < turns] + [turns]
    header = ["CPU ms of one turn", *(f"turn {mark}" for mark in marks), "x ours", "stored"]
    ours = found[0].at(turns)
    rows = [
        [
            contender.name,
            *(f"{contender.at(mark) * 1e3:.2f}" for mark in marks),
            f"{contender.at(turns) / ours:.1f}",
            f"{contender.stored_bytes / 1e6:.1f} MB" if contender.stored_bytes else "nothing",
        ]
        for contender in found
    ]
    return table(header, rows)


def judge(found: Sequence[Contender], turns: int) -> bool:
    """Print the verdict on each bar, and whether all hold; a conversation shorter than they speak of is not judged."""
    if turns < MARKS[-1]:
        print(f"The bars are about turn {MARKS[-1]}: not judged after {turns} turns.")
        return True
    late = {contender.module: contender.at(MARKS[-1]) for contender in found}
    grown = late["ours"] / found[0].at(MARKS[0])
    holds = verdict(f"turn 300 costs at most 1.5 x turn 10: {grown:.2f} x", grown <= 1.5)
    for module, name, share in (("ours", "turn 300", 20), ("ours_client", "turn 300 through client=OpenAI()", 10)):
        claim = f"{name} costs at most 1/{share} of the openai SDK's"
        if module in late and "openai_sdk" in late:
            of_raw = late["openai_sdk"] / late[module]
            holds = verdict(f"{claim}: 1/{of_raw:.1f}", of_raw >= share) and holds
        else:
            print(f"not judged: {claim} (not everything for it is installed)")
    return holds


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status 1 when a bar is missed. A full run takes some three minutes; keep the machine idle.",
    )
    parser.add_argument("--turns", type=int, help="length of the conversation (default 300; quick: 30; at least 12)")
    parser.add_argument("--repeats", type=int, help="times each contender holds it, in rotation (default 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a short run, with the peers that are already installed")
    options = parser.parse_args()
    turns, repeats = (30, 1) if options.quick else (300, 3)
    options.turns = turns if options.turns is None else options.turns
    options.repeats = repeats if options.repeats is None else options.repeats
    if options.turns < 12 or options.repeats < 1:
        parser.error("at least 12 turns and 1 repeat")
    return options


def main() -> int:
    options = parse()
    found = contenders(quick=options.quick)
    with instant.serve() as base_url:
        for repeat in range(1, options.repeats + 1):
            for contender in found:
                progress(f"{contender.name}: {options.turns} turns, repeat {repeat} of {options.repeats}")
                measure(contender, base_url, options.turns)
    progress("")
    print(report(found, options.turns), end="\n\n")
    return 0 if judge(found, options.turns) else 1


if __name__ == "__main__":
    sys.exit(main())
