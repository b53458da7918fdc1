"""What a window costs and saves: one conversation of 2,000 turns within 32,000 tokens, against three ways of the field.

A turn is 0.8 kB of question and 0.12 kB of answer. Told is which share of all prompt tokens stood at the beginning of
the request before, in the same order: what a provider's prompt cache can serve. Then what our counting and trimming
costs in a turn, early and late, beside counting all that is shown anew. A full run also asks a real llama.cpp server,
with a tiny model of random weights, how many prompt tokens it has to evaluate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

import msgspec

import peers
import words
from multiturn.context.tokens import counter_for
from multiturn.messages import Message, assistant, user
from report import progress, table, verdict

HERE = Path(__file__).parent
PLOT = HERE.parent / "docs" / "assets" / "window.png"
TURNS, BUDGET = 2_000, 32_000
STRIDES = 130  # turns that are averaged: about three strides, so that each has the same number of cuts
BAR_SHARE, BAR_GROWTH, BAR_RATIO = 0.90, 1.2, 20
LLAMA_TURNS = 60
ROUNDS = 5
ENVIRONMENT = {**os.environ, "LANGSMITH_TRACING": "false"}


@dataclass
class Contender:
    """One way to keep within the budget: a module in `windows/`; and, turn by turn, the tokens of its requests and how
    many of them a cache could have served."""

    name: str
    module: str
    python: Path
    tokens: list[int] = field(default_factory=list)
    cached: list[int] = field(default_factory=list)

    @property
    def share(self) -> float:
        return sum(self.cached) / sum(self.tokens)


def contenders(*, quick: bool) -> list[Contender]:
    """Ours first. Peers are installed when they are not, except when `quick`: then those that are not are left out."""
    ours = Path(sys.executable)
    found = [Contender("multiturn", "ours", ours), Contender("sliding window of the guides", "sliding", ours)]
    theirs = peers.installed() if quick else peers.python()
    if theirs is not None:
        found.append(Contender("LangChain, trim_messages", "langchain_trim", theirs))
        found.append(Contender("Agents SDK, session limit", "agents_sdk", theirs))
    return found


def measure(contender: Contender, sizes: Sequence[int], turns: int, budget: int) -> None:
    """Hold the conversation, in a process of its own, and see what each request has in common with the last."""
    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as folder:
        file = Path(folder) / "sizes.json"
        file.write_text(json.dumps(sizes))
        command = [str(contender.python), "-m", f"windows.{contender.module}", str(file), str(turns), str(budget)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, env=ENVIRONMENT)
    if done.returncode != 0:
        progress("")
        raise SystemExit(f"{contender.name} failed:\n{done.stderr}")
    before: list[int] = []
    for messages in msgspec.json.decode(done.stdout, type=list[list[int]]):
        same = next((n for n, (one, other) in enumerate(zip(messages, before, strict=False)) if one != other), None)
        same = min(len(messages), len(before)) if same is None else same
        contender.tokens.append(sum(sizes[number] for number in messages))
        contender.cached.append(sum(sizes[number] for number in messages[:same]))
        before = messages


def sizes_of(turns: int) -> list[int]:
    """The tokens of message 0, 1, …"""
    counter = counter_for("openai", "gpt-5-mini")
    made = ((user(words.question(turn)), assistant(words.answer(turn))) for turn in range(turns))
    return [counter.message(message) for pair in made for message in pair]


# --- what it costs ----------------------------------------------------------------------------------------------------


def costs(sizes: Sequence[int], turns: int, budget: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each turn: of our counting and trimming; and of counting all that is shown anew, which is taken
    every tenth turn only. The least of several rounds, for others share the machine."""
    said = [user(words.question(turn)) for turn in range(turns)]
    answers = [words.answer(turn) for turn in range(turns)]
    counter_for("openai", "gpt-5-mini").text("the tables are read")
    rounds = [asyncio.run(_spent(said, answers, sizes, budget)) for _ in range(ROUNDS)]
    ours, anew = zip(*rounds, strict=True)
    return list(map(min, zip(*ours, strict=True))), list(map(min, zip(*anew, strict=True)))


async def _spent(
    said: Sequence[Message], answers: Sequence[str], sizes: Sequence[int], budget: int
) -> tuple[list[float], list[float]]:
    from windows.ours import Turns

    conversation, counter = Turns(budget), counter_for("openai", "gpt-5-mini")
    ours, anew = [], []
    for turn, asked in enumerate(said):
        request = await conversation.asked(asked)
        ours.append(conversation.seconds)
        if turn % 10 == 9:
            start = process_time()
            counter.messages(request.messages)
            anew.append(process_time() - start)
        read = sum(sizes[2 * (turn - len(request.path.turns)) : 2 * turn + 1])
        conversation.answered(request, answers[turn], read, sizes[2 * turn + 1])
    return ours, anew


def mean_us(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds) * 1e6


# --- what is told -----------------------------------------------------------------------------------------------------


def report(found: Sequence[Contender]) -> str:
    header = ["", "tokens a request", "from the cache", "read anew a turn", "x ours"]
    ours = sum(found[0].tokens) - sum(found[0].cached)
    return table(header, [_row(contender, ours) for contender in found])


def _row(contender: Contender, ours: int) -> list[str]:
    fresh, turns = sum(contender.tokens) - sum(contender.cached), len(contender.tokens)
    return [
        contender.name,
        f"{sum(contender.tokens) / turns:,.0f}",
        f"{contender.share:.1%}",
        f"{fresh / turns:,.0f}",
        f"{fresh / ours:.1f}",
    ]


def report_llama(turns: int) -> str:
    """Ours beside the sliding window, at a real llama.cpp server."""
    from windows import llama

    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as folder:
        held = {
            name: llama.evaluated(hold, Path(folder), turns)
            for name, hold in (("multiturn", llama.ours), ("sliding window", llama.sliding))
        }
    full = turns // 3  # from here on, the window is full
    header = [f"llama.cpp, {turns} turns within {llama.MOST:,} tokens", "prompt", "evaluated", "share"]
    rows = []
    for name, counts in held.items():
        read, fresh = (sum(column) / (turns - full) for column in zip(*counts[full:], strict=True))
        rows.append([name, f"{read:,.0f}", f"{fresh:,.0f}", f"{fresh / read:.1%}"])
    return table(header, rows)


def judge(ours: Contender, spent: Sequence[float], anew: Sequence[float], turns: int) -> bool:
    """Print the verdict on each bar, and whether all hold; a conversation shorter than they speak of is not judged."""
    early, late = mean_us(spent[100 : 100 + STRIDES]), mean_us(spent[-STRIDES:])
    counted = mean_us(anew[-STRIDES // 10 :])
    print(f"Counting and trimming takes {late:,.0f} us of CPU a turn; counting what is shown anew {counted:,.0f} us.\n")
    if turns < TURNS:
        print(f"The bars are about {TURNS:,} turns: not judged after {turns:,}.")
        return True
    holds = verdict(
        f"at least {BAR_SHARE:.0%} of prompt tokens from the cache: {ours.share:.1%}", ours.share >= BAR_SHARE
    )
    claim = f"turn {turns:,} costs at most {BAR_GROWTH} x turn 100: {late / early:.2f} x"
    holds &= verdict(claim, late <= BAR_GROWTH * early)
    claim = f"at least {BAR_RATIO} x less CPU than counting the history anew: {counted / late:.0f} x"
    return holds & verdict(claim, counted >= BAR_RATIO * late)


def plot(found: Sequence[Contender], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = {each.name: [a - b for a, b in zip(each.tokens, each.cached, strict=True)] for each in found}
    command = [str(peers.python()), "-m", "windows.plot", str(file.absolute())]
    subprocess.run(command, input=json.dumps(fresh), text=True, cwd=HERE, check=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status 1 when a bar is missed. A full run takes some five minutes; the first compiles llama.cpp, "
        "which takes ten more.",
    )
    parser.add_argument("--turns", type=int, help=f"length of the conversation (default {TURNS:,}; quick: 300)")
    parser.add_argument("--plot", type=Path, help=f"where the plot goes (default {PLOT.relative_to(HERE.parent)})")
    parser.add_argument(
        "--llama", action=argparse.BooleanOptionalAction, help="ask llama.cpp too (default: if not quick)"
    )
    parser.add_argument("--quick", action="store_true", help="short, no plot, with the peers that are installed")
    options = parser.parse_args()
    if options.turns is None:
        options.turns = 300 if options.quick else TURNS
    if options.plot is None and not options.quick:
        options.plot = PLOT
    if options.turns < 300:
        parser.error("at least 300 turns")
    return options


def main() -> int:
    options = parse()
    found, sizes = contenders(quick=options.quick), sizes_of(options.turns)
    for contender in found:
        progress(f"{contender.name}: {options.turns:,} turns")
        measure(contender, sizes, options.turns, BUDGET)
    progress("")
    print(report(found), end="\n\n")
    if options.plot is not None:
        plot(found, options.plot)
        print(f"drawn in {options.plot}\n")
    if options.llama or (options.llama is None and not options.quick):
        progress("llama.cpp")
        said = report_llama(LLAMA_TURNS)
        progress("")
        print(said, end="\n\n")
    spent, anew = costs(sizes, options.turns, BUDGET)
    return 0 if judge(found[0], spent, anew, options.turns) else 1


if __name__ == "__main__":
    sys.exit(main())
