"""`--tenant`: the commands that look after conversations, where a server keeps those of several tenants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Open, Run


@pytest.fixture
def env(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return {**env, "MULTITURN_STORE": f"sqlite:///{tmp_path}/chats.db"}


@pytest.fixture
def kept(run: Run) -> None:
    """A conversation `trip` of tenant acme, and another one of nobody."""
    for tenant, words in (("acme", "Pack apples"), ("", "Pack pears")):
        assert run("chat", "--tenant", tenant, "--conversation", "trip", words).returncode == 0


def ids(text: str) -> list[str]:
    return [json.loads(line)["id"] for line in text.splitlines()]


@pytest.mark.usefixtures("kept")
def test_a_tenant_sees_its_own(run: Run) -> None:
    assert "Pack apples" in run("show", "trip", "--tenant", "acme").stdout
    assert "Pack pears" in run("show", "trip").stdout
    assert "apples" in run("search", "pack", "--tenant", "acme").stdout
    assert "apples" not in run("search", "pack").stdout
    assert ids(run("list", "--json", "--tenant", "acme").stdout) == ["trip"]
    assert ids(run("list", "--json", "--tenant", "nobody-yet").stdout) == []
    assert json.loads(run("stats", "--json", "--tenant", "acme").stdout)["turns"] == 1
    assert run("show", "trip", "--tenant", "other").returncode == 1


@pytest.mark.usefixtures("kept")
def test_what_a_tenant_lets_go_stays_with_the_others(run: Run) -> None:
    done = run("delete", "trip", "--yes", "--tenant", "acme")
    assert (done.returncode, done.stdout) == (0, "Deleted trip (1 turn).\n")
    assert "Pack pears" in run("show", "trip").stdout
    assert ids(run("list", "--json", "--tenant", "acme").stdout) == []


@pytest.mark.usefixtures("kept")
def test_conversations_move_from_tenant_to_tenant(run: Run) -> None:
    file = run("export", "--tenant", "acme").stdout
    assert "Imported 1 conversation" in run("import", "-", "--tenant", "other", say=file).stdout
    assert run("export", "--tenant", "other").stdout == file
    assert "Pack pears" in run("export").stdout


@pytest.mark.usefixtures("kept")
def test_gc_is_for_every_tenant_or_for_one(run: Run) -> None:
    due = [json.loads(line) for line in run("gc", "--keep", "0", "--dry-run", "--json").stdout.splitlines()]
    assert [(each["id"], each.get("tenant")) for each in due] == [("trip", None), ("trip", "acme")]
    assert "  trip of acme, last used" in run("gc", "--keep", "0", "--dry-run").stdout
    assert "1 conversation would go" in run("gc", "--keep", "0", "--dry-run", "--tenant", "acme").stdout
    assert "Deleted 1 conversation" in run("gc", "--keep", "0", "--tenant", "acme").stdout
    assert "Pack pears" in run("show", "trip").stdout
    assert "Deleted 1 conversation" in run("gc", "--keep", "0").stdout


@pytest.mark.usefixtures("kept")
def test_the_way_back_leads_to_the_tenant(open_terminal: Open, run: Run) -> None:
    terminal = open_terminal("fork", "trip", "--tenant", "acme", columns=200)
    assert "--tenant acme" in terminal.wait("Go on with: ")
    assert terminal.end() == 0
    assert len(ids(run("list", "--json", "--tenant", "acme").stdout)) == 2


@pytest.mark.parametrize("command", ["check", "reseal"])
def test_what_is_of_the_whole_store_asks_for_no_tenant(command: str, run: Run) -> None:
    assert "No such option '--tenant'" in run(command, "--tenant", "acme").stderr
