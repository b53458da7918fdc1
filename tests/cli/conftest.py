"""The real command, in processes of its own, with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from cli.terminal import PATIENCE_S, Terminal


class Run(Protocol):
    def __call__(self, *arguments: str, say: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """`multiturn …` with `say` on stdin and `more` in its environment, to its end."""


class Open(Protocol):
    def __call__(self, *arguments: str, columns: int = 80, rows: int = 24, **more: str) -> Terminal:
        """`multiturn …` in a terminal."""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing is set and nothing is kept yet."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MULTITURN_", "LC_", "COLUMNS"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "OPENAI_API_KEY", "LINES", "EDITOR"):
        ours.pop(name, None)
    return {**ours, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "LANG": "C.UTF-8"}


@pytest.fixture
def run(env: dict[str, str], tmp_path: Path) -> Run:
    def run(*arguments: str, say: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "multiturn", *arguments]
        settings: dict[str, Any] = {"env": {**env, **more}, "cwd": tmp_path, "timeout": PATIENCE_S}
        return subprocess.run(command, input=say, capture_output=True, encoding="utf-8", check=False, **settings)

    return run


@pytest.fixture
def open_terminal(env: dict[str, str]) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_terminal(*arguments: str, columns: int = 80, rows: int = 24, **more: str) -> Terminal:
        opened.append(Terminal(*arguments, env={**env, **more}, columns=columns, rows=rows))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        terminal.close()
