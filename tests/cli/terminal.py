"""A pseudo-terminal with a screen: what a person in front of `multiturn` would see."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import pexpect  # type: ignore[import-untyped]
import pyte

PATIENCE_S = 20.0


class Terminal:
    """`multiturn …` running in a terminal of this size; with `piped`, at the end of that pipe. Send keys, and wait for
    what must appear."""

    def __init__(
        self, *arguments: str, env: Mapping[str, str], columns: int = 80, rows: int = 24, piped: str = ""
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.5)
        self.screen.write_process_input = self._answer  # type: ignore[method-assign]
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        command = [sys.executable, "-m", "multiturn", *arguments]
        if piped:
            command = ["sh", "-c", f"{piped} | {shlex.join(command)}"]
        self.child: Any = pexpect.spawn(
            command[0],
            command[1:],
            env={"TERM": "xterm-256color", **env},
            dimensions=(rows, columns),
        )
        self.child.delaybeforesend = None

    def _answer(self, data: str) -> None:
        """What a terminal says when it is asked where its cursor is."""
        self.child.send(data)

    # --- looking -------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The screen, without blanks at the ends of lines."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """Everything that was printed, also what has scrolled off the top."""
        above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip()

    def _read(self) -> bool:
        """Take in what has come; whether anything has."""
        try:
            piece = self.child.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            return False
        self.raw += piece
        self._stream.feed(piece)
        return True

    def wait(self, words: str, *, times: int = 1) -> str:
        """Wait until these words are there, so often; everything there is by then."""
        return self._wait_until(lambda: self.text.count(words) >= times, repr(words))

    def wait_without(self, words: str) -> str:
        """Wait until these words are gone from the screen; everything there is by then."""
        return self._wait_until(lambda: words not in "\n".join(self.lines), f"end of {words!r}")

    def wait_for_prompt(self) -> str:
        """Wait until the last line is an empty prompt; everything there is by then."""
        return self._wait_until(lambda: self.text.endswith("\n›"), "prompt")

    def _wait_until(self, condition: Callable[[], bool], what: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            alive = self.child.isalive()
            if not self._read() and not alive:
                raise AssertionError(f"ended without {what}:\n{self.text}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} within {PATIENCE_S} s:\n{self.text}")
        return self.text

    # --- doing ---------------------------------------------------------------------------------------------------

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def say(self, words: str) -> str:
        """Type a line, and wait for the prompt after what it brings; everything there is by then."""
        typed = f"› {words}"[: self.screen.columns]
        before = self.text.splitlines().count(typed)
        self.child.send(f"{words}\r")
        self._wait_until(lambda: self.text.splitlines().count(typed) > before, repr(typed))
        return self.wait_for_prompt()

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def end(self) -> int:
        """Wait for the end; the exit status, or minus the signal that killed it."""
        deadline = time.monotonic() + PATIENCE_S
        while self.child.isalive() or self._read():
            self._read()
            if time.monotonic() > deadline:
                raise AssertionError(f"still running:\n{self.text}")
        self.child.wait()
        return int(self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus)

    def close(self) -> None:
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
        self.child.ptyproc.delayafterclose = 0
        self.child.close(force=True)
