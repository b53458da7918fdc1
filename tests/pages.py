"""The documentation's pages, and somebody who reads one of them from top to bottom, and does what it says.

- `console`: what follows `$` runs in a shell; the lines below it are printed, in this order. `multiturn serve` runs on,
  until the page starts it again at the same port, as after a Ctrl-C, or ends.
- `python`: all blocks of a page are one program; a `text` block is what has been printed since the one before.
- `toml` whose first line is `# server.toml` is what stands in that file.

`…` stands for anything in what is printed. Addresses that pages tell lead to this machine (`test_docs.elsewhere`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_HERE = ("pip install", "git clone", "make ", "export ")  # `.ci/run` runs the make targets
PATIENCE_S = 60.0
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"--port (\d+)")
_SERVE = re.compile(r"(\w+=\S+ )*multiturn serve\b(?!.* --(check|help)$)")
_PROGRAM = """
import sys
for __block in sys.stdin:
    exec(compile(open(__block.strip()).read(), __block.strip(), "exec"))
    print("\\0", flush=True)
"""


class Block(NamedTuple):
    """A block of a page; `at` is the line of the page where it begins."""

    at: int
    language: str
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The page's blocks in these languages, in order."""
    text = page.read_text(encoding="utf-8")
    found = (Block(text.count("\n", 0, each.start()) + 1, each[2], each[3]) for each in _BLOCK.finditer(text))
    return [block for block in found if block.language in languages]


class Reader:
    """Reads in the working directory; for the length of a `with` block. `addresses` are what is put in the place of
    what pages say."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses
        self._said = re.compile("|".join(map(re.escape, addresses)))
        self._program: _Program | None = None
        self._servers: dict[str, _Server] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with ExitStack() as ending:
            for server in self._servers.values():
                ending.callback(server.stop)
            if self._program:
                ending.callback(self._program.close)

    def read(self, page: Path) -> None:
        """Do all that the page says. Raises `AssertionError`, or what says where it went wrong."""
        for block in blocks(page, "console", "python", "text", "toml"):
            text = self._said.sub(lambda found: self._addresses[found[0]], block.text)
            self._do(block.language, text, f"{page.name}:{block.at}")

    def _do(self, language: str, text: str, place: str) -> None:
        match language:
            case "console":
                for command, printed in _commands(text):
                    self._run(command, printed, place)
            case "python":
                self._program = self._program or _Program()
                self._program.run(text, place)
            case "text" if self._program:
                check_lines(text.splitlines(), self._program.printed(), place)
            case "toml" if (name := re.match(r"# (\S+\.toml)\n", text)) is not None:
                Path(name[1]).write_text(text, encoding="utf-8")

    def _run(self, command: str, printed: list[str], place: str) -> None:
        if command.startswith(NOT_HERE):
            return
        if _SERVE.match(command):
            self._serve(command, printed, place)
            return
        if not shutil.which(command.split()[0]):
            pytest.skip(f"this machine has no {command.split()[0]}")
        done = subprocess.run(
            command, shell=True, input="hello\n", capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, f"{place}: {command}: {done.stderr}"
        check_lines(printed, [*done.stdout.splitlines(), *done.stderr.splitlines()], place)

    def _serve(self, command: str, printed: list[str], place: str) -> None:
        port = found[1] if (found := _PORT.search(command)) else os.environ["MULTITURN_PORT"]
        if before := self._servers.pop(port, None):
            before.stop()
        server = self._servers[port] = _Server(command, port)
        check_lines(printed, server.printed(), place)


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command, and what is below it. One may go on in the next line, behind a backslash."""
    for part in re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, *printed = part.splitlines()
        yield command, printed


def check_lines(expected: list[str], printed: list[str], place: str) -> None:
    lines = iter(printed)
    for line in filter(str.strip, expected):
        pattern = re.sub(r"([\[*?])", r"[\1]", line.rstrip()).replace("…", "*")
        assert any(fnmatchcase(each.rstrip(), pattern) for each in lines), (
            f"{place}: {line!r} was not printed, or not in this order, in:\n" + "\n".join(printed)
        )


class _Program:
    """A Python that is given one block after another."""

    def __init__(self) -> None:
        self._errors = Path("python-errors").absolute()
        self._blocks = 0
        self._lines: list[str] = []
        with self._errors.open("wb") as errors:
            command = [sys.executable, "-c", _PROGRAM]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True)

    def run(self, block: str, place: str) -> None:
        """Returns when the block has run. Raises `AssertionError` where it raises, or takes too long."""
        self._blocks += 1
        file = Path(f"block-{self._blocks}.py").absolute()
        file.write_text(block, encoding="utf-8")
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{file}\n")
        self._process.stdin.flush()
        alarm = threading.Timer(PATIENCE_S, self._process.kill)
        alarm.start()
        try:
            for line in self._process.stdout:
                if line.endswith("\0\n"):
                    self._lines += [rest] if (rest := line.removesuffix("\0\n")) else []
                    return
                self._lines.append(line.removesuffix("\n"))
        finally:
            alarm.cancel()
        raise AssertionError(f"{place}: {self._errors.read_text()}")

    def printed(self) -> list[str]:
        """What was printed since the last time."""
        lines, self._lines = self._lines, []
        return lines

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE_S)


class _Server:
    """A `multiturn serve` that answers at this port."""

    def __init__(self, command: str, port: str) -> None:
        self._log = Path(f"server-{port}.log").absolute()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(f"exec env {command}", shell=True, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                raise AssertionError(f"{command}: {self._log.read_text()}")
            time.sleep(0.05)

    def _answers(self, port: str) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
        return False

    def printed(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()

    def stop(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        assert status in (0, 130), self._log.read_text()
