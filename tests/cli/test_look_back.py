"""`multiturn list`, `show`, `fork` and `delete`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.conftest import Open, Run
from cli.terminal import Terminal
from upstream import Upstream, status


@pytest.fixture
def alice(run: Run) -> str:
    """A conversation of three turns."""
    for words in ("My name is Alice", "What is 15 * 23?", "What's my name?"):
        run("chat", "--conversation", "alice-1", words)
    return "alice-1"


def test_nothing_kept_yet_is_said_kindly(run: Run, tmp_path: Path) -> None:
    done = run("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No conversations in ~/data/multiturn/chats.db yet; 'multiturn chat' begins one.\n"
    assert run("list", "--json").stdout == ""
    assert not (tmp_path / "data").exists(), "looking makes nothing"
    missing = run("list", "--store", "sqlite:///missing.db")
    assert missing.returncode == 1
    assert missing.stderr.startswith("Error: there is no store at missing.db")


def test_list_shows_what_there_is_the_last_used_first(alice: str, run: Run, open_terminal: Open) -> None:
    run("chat", "What is 2 + 2?")
    terminal = open_terminal("list")
    assert terminal.end() == 0
    head, first, second = terminal.text.splitlines()
    assert head == "id        turns  model    updated   tokens  last words"
    assert re.fullmatch(r"[0-9a-v]{8}      1  offline  just now +\d+  2 \+ 2 = 4\.", first)
    assert re.fullmatch(r"alice-1       3  offline  just now +\d+  Your name is Alice\.", second)
    assert "The last 1; --limit shows more." in _text(open_terminal("list", "--limit", "1"))
    piped = run("list").stdout.splitlines()
    assert re.match(r"conv_[0-9a-v]{26} ", piped[1]), "whole ids where nobody has to read them"
    records = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [(record["turns"], record["last"]) for record in records] == [(1, "2 + 2 = 4."), (3, "Your name is Alice.")]
    assert records[1]["id"] == alice


def test_show_reads_as_the_chat_did(alice: str, run: Run, open_terminal: Open) -> None:
    words = (
        "1 › My name is Alice\n\nNice to meet you, Alice.\n\n2 › What is 15 * 23?\n\n15 × 23 = 345.\n\n"
        "3 › What's my name?\n\nYour name is Alice."
    )
    done = run("show", alice)
    title, _, rest = done.stdout.partition("\n\n")
    assert re.fullmatch(r"alice-1 · 3 turns · offline · just now · \d+ tokens", title)
    assert rest == f"{words}\n"
    assert _text(open_terminal("show", alice)).endswith(words)
    turns = [json.loads(line) for line in run("show", alice, "--json").stdout.splitlines()]
    assert turns[0]["input"][0]["parts"][0]["text"] == "My name is Alice"
    assert {turn["status"] for turn in turns} == {"completed"}


def test_show_marks_what_failed(alice: str, run: Run) -> None:
    fail(run, alice)
    shown = run("show", alice).stdout
    assert re.search(r"m answers from here on\n\n4 › hello\n\nfailed: .* the script says 400", shown)


def test_the_end_of_an_id_is_enough(run: Run) -> None:
    id = json.loads(run("chat", "--json", "My name is Alice").stdout)["conversation"]
    assert "Nice to meet you" in run("show", id[-8:]).stdout
    assert run("chat", "--conversation", id[-8:], "What's my name?").stdout == "Your name is Alice.\n"
    assert run("show", id[-3:]).returncode == 1


@pytest.mark.parametrize("command", ["show", "fork", "delete --yes"])
def test_a_conversation_that_there_is_not(command: str, alice: str, run: Run) -> None:
    done = run(*command.split(), "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: there is no conversation 'nobody'; 'multiturn list' shows those there are.\n"


# --- fork -----------------------------------------------------------------------------------------------------------


def test_fork_prints_the_new_id_and_shares_the_past(alice: str, run: Run, open_terminal: Open) -> None:
    done = run("fork", alice)
    assert re.fullmatch(r"conv_[0-9a-v]{26}\n", done.stdout)
    assert done.stderr == ""
    assert run("chat", "--conversation", done.stdout.strip(), "What's my name?").stdout == "Your name is Alice.\n"
    assert "It shares 3 turns. Go on with: multiturn chat --conversation mine" in _text(
        open_terminal("fork", alice, "--id", "mine")
    )
    again = run("fork", alice, "--id", "mine")
    assert again.returncode == 1
    assert "there is a conversation 'mine' already" in again.stderr


def test_fork_at_an_earlier_turn(alice: str, run: Run) -> None:
    turns = [json.loads(line)["id"] for line in run("show", alice, "--json").stdout.splitlines()]
    for name, at in (("by-number", "1"), ("by-id", turns[0]), ("by-end", turns[0][-8:])):
        run("fork", alice, "--at", at, "--id", name)
        assert "1 turn " in run("show", name).stdout
        assert "15 * 23" not in run("show", name).stdout
    done = run("fork", alice, "--at", "9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no turn '9' in this conversation" in done.stderr


def test_the_tree_shows_every_turn_and_where_conversations_stand(alice: str, run: Run, open_terminal: Open) -> None:
    run("fork", alice, "--at", "2", "--id", "other")
    run("chat", "--conversation", "other", "Halve that")
    fail(run, alice)
    drawn = _text(open_terminal("show", alice, "--tree"))
    assert re.sub(r"  [0-9a-v]{8}(?=  |\n)", "  ········", drawn) == (
        "alice-1 · 5 turns · 2 conversations\n\n"
        "● My name is Alice  ········\n"
        "● What is 15 * 23?  ········\n"
        "├─● Halve that      ········  ← other\n"
        "● What's my name?   ········  ← alice-1\n"
        "✗ hello             ········  failed: RequestRejected"
    )
    assert len(run("show", alice, "--tree", "--json").stdout.splitlines()) == 5


# --- delete ---------------------------------------------------------------------------------------------------------


def test_delete_asks_first(alice: str, run: Run, open_terminal: Open) -> None:
    kept = open_terminal("delete", alice)
    kept.wait("Delete this conversation for good? [y/N]:")
    kept.type("\r")
    assert kept.end() == 1
    assert "Error: nothing was deleted." in kept.text
    gone = open_terminal("delete", alice)
    gone.wait("[y/N]:")
    gone.type("y\r")
    assert gone.end() == 0
    assert gone.text.endswith("Deleted alice-1 (3 turns).")
    assert run("show", alice).returncode == 1


def test_delete_in_a_script_needs_yes(alice: str, run: Run) -> None:
    done = run("delete", alice)
    assert (done.returncode, done.stdout) == (2, "")
    assert "say --yes to delete" in done.stderr
    assert run("delete", "--yes", alice, "nobody").returncode == 1
    assert run("show", alice).returncode == 0, "all or nothing"
    run("fork", alice, "--id", "other")
    done = run("delete", "--yes", alice, "other", alice)
    assert (done.returncode, done.stdout) == (0, "Deleted alice-1 (3 turns).\nDeleted other (3 turns).\n")


def fail(run: Run, conversation: str) -> None:
    """Say hello to a model that fails."""
    with Upstream() as upstream:
        upstream.script(status(400))
        run("chat", "--conversation", conversation, "--base-url", upstream.url, "--model", "m", "hello")


def _text(terminal: Terminal) -> str:
    assert terminal.end() == 0
    return terminal.text
