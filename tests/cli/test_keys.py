"""`multiturn keys`: who may call the server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.conftest import Open, Run
from multiturn.stores import open_store


@pytest.mark.parametrize("command", [[], ["create"], ["list"], ["revoke"]])
def test_help_teaches(run: Run, command: list[str]) -> None:
    done = run("keys", *command, "--help")
    assert done.returncode == 0
    assert "Examples:\n    multiturn keys" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_key_is_shown_once_and_alone_on_stdout(run: Run) -> None:
    made = run("keys", "create", "--tenant", "acme", "--name", "their site", "--rpm", "60", "--tpm", "1000")
    assert made.returncode == 0
    assert re.fullmatch(r"mt-[0-9a-f]{48}\n", made.stdout)
    key = json.loads(run("keys", "list", "--json").stdout)
    assert key.pop("created_at") > 0
    assert made.stderr == (
        f"This is {key['id']}, a key of the tenant acme, in ~/data/multiturn/chats.db. It is shown only now.\n"
    )
    del key["id"]
    assert key == {
        "tenant": "acme",
        "name": "their site",
        "revoked_at": None,
        "requests_per_minute": 60,
        "tokens_per_minute": 1000,
    }
    assert made.stdout.strip() not in run("keys", "list").stdout


def test_without_a_tenant_it_is_the_key_of_whoever_runs_the_server(run: Run) -> None:
    assert "a key of whoever runs the server" in run("keys", "create").stderr
    assert json.loads(run("keys", "list", "--json").stdout)["tenant"] == ""


def test_keys_are_listed_the_oldest_first(run: Run, open_terminal: Open) -> None:
    for arguments in (["--tenant", "acme", "--name", "web", "--rpm", "60"], ["--tenant", "beta", "--tpm", "5000"]):
        run("keys", "create", *arguments)
    titles, first, second = run("keys", "list").stdout.splitlines()
    assert titles.split() == ["id", "tenant", "name", "made", "limits"]
    assert first.split()[1:3] == ["acme", "web"]
    assert first.endswith("60 requests a minute")
    assert second.endswith("5,000 tokens a minute")


def test_where_there_are_none_it_says_how_to_make_one(run: Run) -> None:
    done = run("keys", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No keys in ~/data/multiturn/chats.db; 'multiturn keys create' makes one.\n"
    assert run("keys", "list", "--json") == (0, "", "")


def test_a_revoked_key_stays_in_the_list(run: Run) -> None:
    run("keys", "create", "--tenant", "acme", "--name", "web")
    id = json.loads(run("keys", "list", "--json").stdout)["id"]
    done = run("keys", "revoke", id[-8:])
    assert (done.returncode, done.stdout) == (0, f"Revoked {id}, web, a key of the tenant acme.\n")
    assert json.loads(run("keys", "list", "--json").stdout)["revoked_at"] > 0
    assert "revoked just now" in run("keys", "list").stdout
    assert run("keys", "revoke", id).stdout == f"{id} was revoked before.\n"


@pytest.mark.parametrize("given", ["key_nope", "ke", "", "y_"])
def test_a_key_that_is_not_there_is_said(run: Run, given: str) -> None:
    says = f"Error: there is no key '{given}'; 'multiturn keys list' shows those there are.\n"
    assert run("keys", "revoke", given) == (1, "", says)  # no store yet
    run("keys", "create")
    assert run("keys", "revoke", given) == (1, "", says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tenant", "a\nb"], "--tenant must be one line of at most 100 characters"),
        (["--tenant", " acme"], "--tenant must be one line"),
        (["--name", "x" * 101], "--name must be one line of at most 100 characters"),
        (["--rpm", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_cannot_be_a_key_is_refused(run: Run, arguments: list[str], says: str) -> None:
    done = run("keys", "create", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


async def test_keys_are_those_of_the_store_that_is_named(run: Run, tmp_path: Path) -> None:
    run("keys", "create", "--tenant", "acme", "--store", "sqlite:///other.db")
    assert run("keys", "list", "--json").stdout == ""
    store = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    assert [key.tenant for key in await store.keys()] == ["acme"]
    await store.aclose()
