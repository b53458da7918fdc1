"""The terminal as we use it: one look, and nothing that a terminal may not show."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segment

WIDEST = 100  # longer lines of prose are tiring to read

_LOOK = {
    "said": "bold",
    "mark": "bold cyan",
    "note": "dim",
    "reasoning": "dim italic",
    "warning": "yellow",
    "error": "red",
    "markdown.h1": "bold",
    "markdown.h2": "bold",
    "markdown.h3": "bold",
    "markdown.h4": "bold dim",
    "markdown.h5": "bold dim",
    "markdown.h6": "dim",
    "markdown.hr": "dim",
    "markdown.code": "cyan",
    "markdown.item.bullet": "cyan",
    "markdown.item.number": "cyan",
    "markdown.block_quote": "italic",
    "markdown.link": "underline",
    "markdown.link_url": "dim",
    "markdown.table.border": "dim",
    "markdown.table.header": "bold",
}

_PLAIN = {"›": ">", "…": ".", "·": "-", "•": "*", "→": ">", "←": "<", "●": "*", "◐": "~", "✗": "x", "○": "o", "▌": "|"}
_PLAIN |= {"├": "|", "│": "|", "└": "`", "─": "-", "“": '"', "”": '"', "’": "'", "↑": "^", "↓": "v"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that prints text as it is: no markup, no highlighting. Colours only on a terminal, and as NO_COLOR
    says."""
    from rich.console import Console
    from rich.theme import Theme

    return Console(stderr=stderr, width=width, theme=Theme(_LOOK), markup=False, highlight=False, emoji=False)


def note(text: str) -> None:
    """Say something aside, on stderr."""
    err = console(stderr=True)
    err.print(text, style="note", soft_wrap=not err.is_terminal)


def is_terminal(*streams: TextIO) -> bool:
    """Whether a person is at the other end of all of these."""
    return all(stream.isatty() for stream in streams)


def printable(text: str) -> str:
    """The text without control characters, with which a model or a file could take over the terminal."""
    return _CONTROL.sub("�", text.replace("\r\n", "\n").replace("\r", "\n"))


def sentence(text: str) -> str:
    """An error's message as a sentence for people at a command line, where what the library takes as an argument is an
    option or a variable."""
    text = printable(text).replace(", or give api_key", "").replace("give base_url", "give --base-url").strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def one_line(text: str, width: int = 60) -> str:
    """The text's first words, on one line."""
    words = " ".join(printable(text[: width * 8]).split())
    return words if len(words) <= width else words[: width - 1].rstrip() + "…"


def prepare_streams() -> None:
    """Make stdin, stdout and stderr safe to use: one that was closed before we began leads nowhere, and where one is
    not UTF-8, what it cannot carry becomes something like it, and never an error."""
    codecs.register_error("multiturn.plain", _plain)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="multiturn.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


def mark() -> str:
    """What stands before the user's words."""
    return "›" if (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf") else ">"


def lines_of(console: Console, shown: RenderableType, *, width: int) -> list[str]:
    """The lines, with their colours, that this takes at that width, without blanks at their ends."""
    from rich.segment import Segment

    rows = Segment.split_lines(console.render(shown, console.options.update(width=max(width, 1))))
    return [_painted(console, _trimmed(row)) for row in rows]


def print_lines(console: Console, shown: RenderableType, *, width: int | None = None) -> None:
    """Print this, without blanks at the ends of its lines."""
    for line in lines_of(console, shown, width=width or console.width):
        console.file.write(f"{line}\n")
    console.file.flush()


def reading_width(console: Console) -> int:
    """How wide prose may be: one less than the terminal, for a full line leaves the cursor in an undefined place."""
    return max(1, min(console.width - 1, WIDEST))


def _trimmed(row: Iterable[Segment]) -> list[Segment]:
    from rich.segment import Segment

    kept = list(row)
    while kept:
        last = kept.pop()
        if text := last.text.rstrip():
            return [*kept, Segment(text, last.style)]
    return kept


def _painted(console: Console, row: list[Segment]) -> str:
    from rich.segment import Segments

    with console.capture() as captured:
        console.print(Segments(row), end="", crop=False)
    return captured.get()
