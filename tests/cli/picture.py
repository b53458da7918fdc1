"""Pictures of a terminal for the docs, drawn from what really stood on its screen: `python -m cli.picture FOLDER`, in
`tests/`, draws them all anew. `test_show_window.py` sees to it that they show what the command prints."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

from cli.terminal import Terminal
from multiturn import Conversation, tool
from multiturn.context.policies import Summarise
from multiturn.context.window import Window

CONTEXT = 4096
SHOWN = ("show", "trip", "--window", "--context", str(CONTEXT))


def svg(screen: pyte.Screen, title: str, typed: str) -> str:
    """The screen as an SVG, up to its last line, under the command that was typed."""
    console = Console(record=True, width=screen.columns, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {typed}", style="bold"))
    used = max((n for n, line in enumerate(screen.display) if line.strip()), default=0)
    for y in range(used + 1):
        line = Text()
        row = [screen.buffer[y][x] for x in range(screen.columns)]
        for look, chars in groupby(row, lambda char: (char.fg, char.bold, char.reverse)):
            colour = {"default": None, "brown": "yellow"}.get(look[0], look[0])
            line.append("".join(char.data for char in chars), Style(color=colour, bold=look[1], reverse=look[2]))
        line.rstrip()
        console.print(line)
    return console.export_svg(title=title, unique_id="multiturn")


def long_conversation(store: str) -> None:
    """Three hundred turns with a tool, a pin and summaries, as `trip`."""

    @tool
    def get_stock(item: str) -> int:
        """How many pieces of an item are in stock."""
        return len(item)

    window = Window(context_tokens=CONTEXT, policy=Summarise())
    chat = Conversation(
        "offline", store=store, id="trip", instructions="You mind a shop. Be brief.", tools=[get_stock], window=window
    )
    chat.send("My name is Alice, and I collect robots. My shop is called Tin and Spring.", pin=True)
    for n in range(299):
        chat.send("What is the stock of the robot?" if n % 5 == 0 else f"Write 40 words about robot number {n}.")


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "multiturn").mkdir()
        long_conversation(f"sqlite:///{home}/multiturn/chats.db")
        env = {**os.environ, "HOME": home, "XDG_DATA_HOME": home, "LANG": "C.UTF-8"}
        terminal = Terminal(*SHOWN, env=env, columns=76, rows=16)
        terminal.end()
        typed = f"multiturn {' '.join(SHOWN)}"
        (folder / "show_window.svg").write_text(svg(terminal.screen, "multiturn", typed), encoding="utf-8")
        terminal.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
