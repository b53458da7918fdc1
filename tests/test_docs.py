"""Every snippet and command of the README and the pages runs, and prints what the page says it prints.

Python blocks of one page run in order, as one program; a `text` block after one is its output. Lines with `$` in
`console` blocks run in a shell. Real providers' names lead to the scripted upstream, by their usual variables.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from multiturn import errors
from multiturn.formats.chat_completions import CANNOT_CARRY
from multiturn.models.providers import PROVIDERS
from upstream import Upstream

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
NOT_HERE = ("pip install", "git clone", "make ", "export ")  # `.ci/run` runs the make targets
KEYS = ("OPENAI_API_KEY", "XAI_API_KEY", "ARCEE_API_KEY", "MULTITURN_UPSTREAM_API_KEY")


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """(language, text) of the page's blocks in these languages, in order."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for _, language, text in found if language in languages]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, a home of its own, and providers that answer from this machine."""
    with Upstream() as upstream:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
        for key in KEYS:
            monkeypatch.setenv(key, "sk-of-nobody")
        for variable in ("OPENAI_BASE_URL", "XAI_BASE_URL", "OLLAMA_HOST"):
            monkeypatch.setenv(variable, upstream.url)
        yield


def pages_with(*languages: str) -> list[pytest.param]:  # type: ignore[valid-type]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if blocks(page, *languages)]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("page", pages_with("python"))
def test_snippets_run_and_print_what_they_say(page: Path) -> None:
    program, expected = "", ""
    for language, text in blocks(page, "python", "text"):
        if language == "python":
            program += text + "\n"
        else:
            expected += text
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = iter(done.stdout.splitlines())
    for line in expected.splitlines():
        assert line in lines, f"{line!r} was not printed, or not in this order, in:\n{done.stdout}"


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("page", pages_with("console"))
def test_commands_run(page: Path) -> None:
    for _, text in blocks(page, "console"):
        for line in text.splitlines():
            command = line.removeprefix("$ ")
            if line.startswith("$ ") and not command.startswith(NOT_HERE):
                done = subprocess.run(
                    command, shell=True, input="hello\n", capture_output=True, text=True, timeout=60, check=False
                )
                assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.usefixtures("elsewhere")
def test_the_demo_is_a_conversation() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    for words in ("345", "69", "144", "72"):
        assert words in said
    alice, bob = (part.split("\n", 2)[1] for part in re.split(r"what's my name\?", said, flags=re.IGNORECASE)[1:3])
    assert ("Bob" in alice) is not ("Bob" in bob)
    assert "Alice" in said.rsplit("$ multiturn chat", 1)[1]


def test_the_page_of_errors_shows_the_tree_of_errors() -> None:
    (tree,) = (text for _, text in blocks(ROOT / "docs" / "reference" / "errors.md", "tree"))
    assert errors.__doc__
    assert [line.strip() for line in tree.splitlines()] == [
        line.strip() for line in errors.__doc__.splitlines() if line.startswith("    ")
    ]


def test_the_page_of_models_lists_every_provider() -> None:
    page = (ROOT / "docs" / "howto" / "models.md").read_text()
    rows = re.findall(r"^\| `(\w+):` \| (\S+) \| (.*?) \|", page, re.MULTILINE)
    assert [(name, url) for name, url, _ in rows] == [(row.name, row.base_url) for row in PROVIDERS.values()]
    assert all(key in shown for row, (_, _, shown) in zip(PROVIDERS.values(), rows, strict=True) for key in row.keys)


def test_the_page_of_the_format_says_what_it_cannot_carry() -> None:
    page = (ROOT / "docs" / "reference" / "chat-completions.md").read_text()
    for what, becomes in CANNOT_CARRY.items():
        assert f"| {what} | {becomes} |" in page
