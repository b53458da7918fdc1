"""Draws what a prompt cache cannot serve: `python -m windows.plot FILE.png`, a JSON object of contenders on stdin, with
the peers' interpreter, for it has matplotlib."""

# mypy: disable-error-code="import-not-found"
# matplotlib is in a venv of its own (see peers.py), where mypy may not be looking.

import json
import sys
from itertools import accumulate

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

OURS, THEIRS = "#1668b8", ("#b3541e", "#7a5195", "#5b7f2b", "#888888")


def draw(fresh: dict[str, list[int]], file: str) -> None:
    """Tokens that have to be read anew, summed up, against turns. The names stand in the order of the curves."""
    figure, axes = pyplot.subplots(figsize=(8, 4.6), dpi=144)
    colours = iter(THEIRS)
    for name, tokens in fresh.items():
        mine = name.startswith("multiturn")
        sums = [total / 1e6 for total in accumulate(tokens)]
        colour = OURS if mine else next(colours)
        axes.plot(range(1, len(sums) + 1), sums, color=colour, linewidth=2.4 if mine else 1.5, label=name)
    axes.set(xlabel="turns in the conversation", ylabel="million tokens read anew, in all")
    axes.set_title("Prompt tokens that no cache can serve, of requests of up to 32,000", loc="left", fontsize=11)
    lines, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda n: -sum(fresh[names[n]]))
    axes.legend([lines[n] for n in order], [names[n] for n in order], frameon=False, loc="upper left", fontsize=9)
    axes.set_xlim(0, max(map(len, fresh.values())))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file)


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
