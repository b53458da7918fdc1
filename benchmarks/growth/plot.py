"""Draws how databases grow: `python -m growth.plot FILE.png`, a JSON object of contenders on stdin, with the peers'
interpreter, for it has matplotlib."""

# mypy: disable-error-code="import-not-found"
# matplotlib is in a venv of its own (see peers.py), where mypy may not be looking.

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

OURS, THEIRS = "#1668b8", ("#b3541e", "#7a5195", "#5b7f2b", "#888888")


def draw(grown: dict[str, list[dict[str, Any]]], file: str) -> None:
    """Kilobytes a turn against turns, both axes logarithmic. A contender's name stands beside its curve's end."""
    figure, axes = pyplot.subplots(figsize=(8, 4.6), dpi=144)
    colours = iter(THEIRS)
    for name, weights in grown.items():
        mine = name.startswith("multiturn")
        turns = [weight["turns"] for weight in weights]
        sizes = [weight["bytes"] / weight["turns"] / 1e3 for weight in weights]
        colour = OURS if mine else next(colours)
        axes.plot(turns, sizes, color=colour, linewidth=2.4 if mine else 1.5, marker="o", markersize=3.5)
        axes.annotate(name, (turns[-1], sizes[-1]), (7, -3), textcoords="offset points", color=colour, fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="turns in the conversation", ylabel="kB on disk, a turn")
    axes.set_title("What a turn of 0.92 kB of text takes on the disk", loc="left", fontsize=11)
    axes.set_xlim(right=max(weights[-1]["turns"] for weights in grown.values()) * 12)
    plain = FuncFormatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file)


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
