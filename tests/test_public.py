"""The public face: what is exported, what importing costs, and which way imports run."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import multiturn
from multiturn import errors, ids

SOURCE = Path(multiturn.__file__).parent


def test_every_public_name_is_there_and_in_order() -> None:
    assert multiturn.__all__ == sorted(multiturn.__all__) == dir(multiturn)
    for name in multiturn.__all__:
        assert getattr(multiturn, name) is not None


def test_names_for_the_type_checker_and_at_run_time_are_the_same() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    typed = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("multiturn.")
        for alias in node.names
    }
    assert typed == {f"multiturn.{home}.{name}" for name, home in multiturn._HOME.items()}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Conversatoin"):
        _ = multiturn.Conversatoin


def test_importing_imports_nothing_heavy() -> None:
    code = "import sys; before = set(sys.modules); import multiturn; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"httptools", "msgspec", "asyncio", "sqlite3", "rich", "click", "prompt_toolkit", "pydantic"}


LAYERS = [
    {"ids", "errors", "messages", "notices", "headers", "media_types"},
    {"deltas", "turns"},
    {"path"},
    {"request", "reply"},
    {"formats", "stores", "events", "schemas", "cancel"},
    {"models", "inputs", "media", "transfer", "tools", "output", "context"},
    {"runs"},
    {"recording"},
    {"sync"},
    {"agent", "mcp"},
    {"conversation"},
    {"server"},
    {"cli", "__main__", "__init__"},
]


def test_imports_run_downwards() -> None:
    level = {name: n for n, names in enumerate(LAYERS) for name in names}
    for file in SOURCE.rglob("*.py"):
        here = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("multiturn"):
                continue
            package, _, rest = (node.module or "").partition(".")
            for target in [rest.split(".")[0]] if rest else [alias.name for alias in node.names]:
                if here != "__init__" and target != "__version__":
                    assert level[target] <= level[here], f"{file.name} imports {target} from above"
            assert package == "multiturn"


def test_the_error_tree_in_the_docstring_is_the_one_in_the_code() -> None:
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if line.startswith("    ") and line.split()[0][0].isupper():
            drawn.append(((len(line) - len(line.lstrip())) // 2 - 2, line.split()[0]))
    stack: list[type] = []
    for depth, name in drawn:
        error = getattr(errors, name)
        stack[depth:] = [error]
        if depth:
            assert error.__bases__[0] is stack[depth - 1], name
        assert error.__doc__
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and name[0] != "_"}
    assert defined == {name for _, name in drawn}


def test_ids_ascend_with_time_and_never_repeat() -> None:
    made = [ids.new_id("turn") for _ in range(2000)]
    assert len(set(made)) == 2000
    assert all(len(id) == len("turn_") + 26 for id in made)
    assert [id[:14] for id in made] == sorted(id[:14] for id in made)


def test_ids_are_never_given_twice_by_threads_or_forks() -> None:
    code = (
        "import os, threading; from multiturn.ids import new_id\n"
        "made = []\n"
        "threads = [threading.Thread(target=lambda: made.extend(new_id('x') for _ in range(2000))) for _ in range(4)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "assert len(set(made)) == 8000\n"
        "reader, writer = os.pipe(); child = os.fork()\n"
        "ids = [new_id('x')[-16:] for _ in range(50)]\n"
        "if child == 0: os.write(writer, ' '.join(ids).encode()); os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "assert not set(ids) & set(os.read(reader, 9999).decode().split()), 'the same random bits in both'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
