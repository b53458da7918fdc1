"""What the command line says of itself, and how quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

import multiturn
from cli.conftest import Run


def test_help_names_every_command_and_how_to_start(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for words in (
        "chat",
        "list",
        "show",
        "fork",
        "delete",
        "serve",
        "keys",
        "multiturn chat --model openai:gpt-5-mini",
    ):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert run().stdout == done.stdout
    assert run("-h").stdout == done.stdout


@pytest.mark.parametrize("command", ["chat", "list", "show", "fork", "delete", "serve", "keys"])
def test_each_command_explains_itself_with_examples(command: str, run: Run) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"Examples:\n    multiturn {command}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_version(run_process: Run) -> None:
    assert run_process("--version") == (0, f"multiturn {multiturn.__version__}\n", "")


def test_help_loads_nothing_that_it_does_not_need(env: dict[str, str]) -> None:
    program = "import sys; from multiturn.cli import main; main(['--help']); print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True).stdout
    heavy = {"rich", "prompt_toolkit", "asyncio", "msgspec", "httptools", "multiturn.conversation", "multiturn.stores"}
    assert not heavy & set(loaded.splitlines())
