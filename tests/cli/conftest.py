"""The real command, in processes of its own, with a home of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from cli.terminal import PATIENCE_S, Terminal
from multiturn.cli import main


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, *arguments: str, say: str = "", **more: str) -> Done:
        """`multiturn …` with `say` on stdin and `more` in its environment, to its end."""


class Open(Protocol):
    def __call__(self, *arguments: str, columns: int = 80, rows: int = 24, piped: str = "", **more: str) -> Terminal:
        """`multiturn …` in a terminal, with `more` in its environment; with `piped`, at the end of that pipe."""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing is set and nothing is kept yet."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MULTITURN_", "LC_", "COLUMNS"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "OPENAI_API_KEY", "LINES", "EDITOR"):
        ours.pop(name, None)
    return {**ours, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "LANG": "C.UTF-8"}


@pytest.fixture
def run(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in this process, which takes a tenth of the time."""

    def run(*arguments: str, say: str = "", **more: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", {**env, **more})
            patch.chdir(tmp_path)
            pipes = [io.TextIOWrapper(io.BytesIO(data), "utf-8") for data in (say.encode(), b"", b"")]
            for name, pipe in zip(("stdin", "stdout", "stderr"), pipes, strict=True):
                patch.setattr(sys, name, pipe)
            status = main(arguments)
            out, err = (_written(pipe) for pipe in pipes[1:])
        return Done(status, out, err)

    return run


def _written(pipe: io.TextIOWrapper) -> str:
    pipe.flush()
    pipe.seek(0)
    return pipe.read()


@pytest.fixture
def run_process(env: dict[str, str], tmp_path: Path) -> Run:
    """The command in a process of its own."""

    def run(*arguments: str, say: str = "", **more: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "multiturn", *arguments],
            input=say.encode(),
            capture_output=True,
            env={**env, **more},
            cwd=tmp_path,
            timeout=PATIENCE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def open_terminal(env: dict[str, str]) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_terminal(*arguments: str, columns: int = 80, rows: int = 24, piped: str = "", **more: str) -> Terminal:
        opened.append(Terminal(*arguments, env={**env, **more}, columns=columns, rows=rows, piped=piped))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        terminal.close()
