"""What one turn with one tool call costs the client, in CPU time: the question, the model's call, the tool's result,
the model's answer; against four peers, in one run.

The upstream answers at once from a process of its own, and the tool does next to nothing. What is left is the client's
work. Nothing is stored, but in the second row: there each step is durable in SQLite.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import instant
import peers
from report import progress, table, verdict

HERE = Path(__file__).parent
BAR = 0.5
ENVIRONMENT = {
    **os.environ,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    "LANGSMITH_TRACING": "false",
    "PYTHONWARNINGS": "ignore",
}


@dataclass
class Contender:
    """One way to run the loop: a module in `loops/`, and CPU seconds of each turn, a list for each run."""

    name: str
    module: str
    python: Path
    runs: list[list[float]] = field(default_factory=list)

    @property
    def turn_s(self) -> float:
        """Median CPU seconds of a turn, the first fifth left out: imports and connections."""
        return median(second for run in self.runs for second in run[len(run) // 5 :])


def contenders(*, quick: bool) -> list[Contender]:
    """Ours first. Peers are installed when they are not, except when `quick`: then those that are not are left out."""
    ours = Path(sys.executable)
    found = [Contender("multiturn, Agent", "ours", ours), Contender("multiturn, stored", "ours_stored", ours)]
    theirs = peers.installed() if quick else peers.python()
    if theirs is not None:
        found.append(Contender("openai-agents", "agents_sdk", theirs))
        found.append(Contender("pydantic-ai", "pydantic_ai_agent", theirs))
        found.append(Contender("LangGraph, prebuilt agent", "langgraph_agent", theirs))
        found.append(Contender("agno", "agno_agent", theirs))
    return found


def measure(contender: Contender, base_url: str, turns: int) -> None:
    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as folder:
        command = [str(contender.python), "-m", f"loops.{contender.module}", base_url, folder, str(turns)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, env=ENVIRONMENT)
    if done.returncode != 0:
        progress("")
        raise SystemExit(f"{contender.name} failed:\n{done.stderr}")
    contender.runs.append(json.loads(done.stdout.splitlines()[-1]))


def report(found: Sequence[Contender]) -> str:
    ours = found[0].turn_s
    rows = [[each.name, f"{each.turn_s * 1e3:.2f}", f"{each.turn_s / ours:.1f}"] for each in found]
    return table(["CPU of one turn with a tool", "ms", "x ours"], rows)


def judge(found: Sequence[Contender]) -> bool:
    theirs = [each for each in found if not each.module.startswith("ours")]
    if not theirs:
        print("not judged: peers are not installed")
        return True
    best = min(theirs, key=lambda each: each.turn_s)
    ratio = found[0].turn_s / best.turn_s
    return verdict(f"at most {BAR} x the best of the others ({best.name}): {ratio:.2f} x", ratio <= BAR)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status 1 when the bar is missed. Keep the machine idle.",
    )
    parser.add_argument("--turns", type=int, help="turns in a run (default 200; quick: 10)")
    parser.add_argument("--repeats", type=int, help="runs of each contender, in rotation (default 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a short run, with the peers that are already installed")
    options = parser.parse_args()
    turns, repeats = (10, 1) if options.quick else (200, 3)
    turns, repeats = options.turns or turns, options.repeats or repeats
    found = contenders(quick=options.quick)
    with instant.serve() as base_url:
        for repeat in range(1, repeats + 1):
            for contender in found:
                progress(f"{contender.name}: {turns} turns, run {repeat} of {repeats}")
                measure(contender, base_url, turns)
    progress("")
    print(report(found), end="\n\n")
    if options.quick:
        print("A quick run is not judged.")
        return 0
    return 0 if judge(found) else 1


if __name__ == "__main__":
    sys.exit(main())
