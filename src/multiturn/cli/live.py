"""An answer on a terminal while it arrives. What is finished is printed once and for all; only the last block, as much
of it as fits on the screen, is drawn again and again. So nothing flickers, and nothing long is there twice."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Literal, TypeAlias

from rich.console import Console

from multiturn.cli.console import lines_of, one_line, reading_width
from multiturn.cli.prose import prose_lines, split_finished

Kind: TypeAlias = Literal["answer", "reasoning"]

_FRAME_S = 0.05
_PATIENCE_S = 0.5  # how long nothing may happen before we say that we wait
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Screen:
    """The end of what is on the terminal, which may still change: these lines, the cursor at the end of the last."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: list[str] = []

    def show(self, lines: list[str]) -> None:
        """Draw these lines in the place of those shown last, the end of them where they are too many."""
        self._draw(lines[-max(1, self._console.height - 1) :])

    def settle(self, lines: list[str]) -> None:
        """Draw these lines in the place of those shown last, and leave them alone from now on."""
        self._draw([*lines, ""] if lines else [])
        self._shown = []

    def _draw(self, lines: list[str]) -> None:
        before = self._shown
        same = 0
        while same < min(len(before), len(lines)) and before[same] == lines[same]:
            same += 1
        if same == len(before) == len(lines):
            return
        start = min(same, max(len(before) - 1, 0), max(len(lines) - 1, 0))
        up = len(before) - 1 - start
        move = f"\x1b[{up}A" if up > 0 else ""
        body = "\n".join(f"{line}\x1b[K" for line in lines[start:])
        # Without automatic wrapping: a line that the terminal finds wider than we do must not become two.
        self._write(f"\x1b[?7l{move}\r{body}\x1b[J\x1b[?7h")
        self._shown = lines

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


class LiveView:
    """Where an answer appears: `async with view`, then `add` what comes."""

    def __init__(self, console: Console, *, waiting_for: str) -> None:
        self._console = console
        self._screen = Screen(console)
        self._waiting_for = waiting_for
        self._kind: Kind = "answer"
        self._pending = ""
        self._references: dict[str, Any] = {}
        self._begun = False  # something is on the screen for good
        self._dirty = False

    async def __aenter__(self) -> LiveView:
        self._quiet = _without_echo()
        self._quiet.__enter__()
        self._since = time.monotonic()
        self._clock = asyncio.create_task(self._draw_often())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clock.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await self._clock
            self._settle(self._pending)
            self._screen.settle([])
        finally:
            self._quiet.__exit__(None, None, None)

    def add(self, kind: Kind, text: str) -> None:
        if kind != self._kind:
            self._settle(self._pending)
            self._kind, self._pending = kind, ""
        self._pending += text.replace("\r", "")
        self._dirty = True

    # --- drawing -------------------------------------------------------------------------------------------------

    async def _draw_often(self) -> None:
        while True:
            began = time.monotonic()
            if self._dirty:
                self._dirty = False
                self._draw()
            elif not self._begun and not self._pending and time.monotonic() - self._since > _PATIENCE_S:
                self._screen.show([self._spinner()])
            # A very long block takes long to draw; most of the time is for what arrives.
            await asyncio.sleep(max(_FRAME_S, 4 * (time.monotonic() - began)))

    def _draw(self) -> None:
        done, self._pending = split_finished(self._pending, self._references)
        self._settle(done)
        self._screen.show(self._lines(self._pending))

    def _settle(self, text: str) -> None:
        if text.strip():
            self._screen.settle(self._lines(text))
            self._begun = True

    def _lines(self, text: str) -> list[str]:
        style = "reasoning" if self._kind == "reasoning" else "none"
        lines = prose_lines(self._console, text, style=style, references=self._references)
        return ["", *lines] if self._begun and lines else lines

    def _spinner(self) -> str:
        from rich.text import Text

        frame = _SPINNER[int(time.monotonic() * 10) % len(_SPINNER)] if self._console.encoding == "utf-8" else "."
        waiting = Text(f"{frame} waiting for {one_line(self._waiting_for, 40)}", style="note")
        return lines_of(self._console, waiting, width=reading_width(self._console))[0]


@contextmanager
def _without_echo() -> Iterator[None]:
    """Keys typed meanwhile do not appear in the middle of the answer; they wait for the prompt."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(fd, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(fd, termios.TCSANOW, before)
