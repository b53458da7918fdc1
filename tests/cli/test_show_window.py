"""`multiturn show --window`: what the next request of a conversation will hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.conftest import Open, Run
from cli.picture import CONTEXT, SHOWN, long_conversation, svg

PICTURE = Path(__file__).parents[2] / "docs" / "assets" / "show_window.svg"


@pytest.fixture
def trip(env: dict[str, str]) -> str:
    folder = Path(env["XDG_DATA_HOME"]) / "multiturn"
    folder.mkdir(parents=True)
    long_conversation(f"sqlite:///{folder}/chats.db")
    return "trip"


def test_the_window_is_drawn(trip: str, open_terminal: Open) -> None:
    terminal = open_terminal(*SHOWN, columns=76, rows=16)
    assert terminal.end() == 0
    head, bar, *parts = terminal.text.splitlines()
    assert re.fullmatch(r"offline: [\d,]+ tokens of 3,584 \(\d+%\); \d+ turns shown, \d+ left out", head)
    assert len(bar) == 74
    assert re.fullmatch("  █+·+░+", bar)
    named = [re.fullmatch(r"  . (.+?) +([\d,]+) +(\d+)%", line) for line in parts]
    assert all(named)
    assert [match[1] for match in named if match] == [
        "instructions",
        "summary of what was left out",
        "pinned turns",
        "history",
        "free",
        "kept for the answer",
    ]
    total = sum(int(match[2].replace(",", "")) for match in named if match)
    assert abs(total - CONTEXT) <= 5
    drawn = svg(terminal.screen, "multiturn", "multiturn show")
    named_in = [set(re.findall("[a-z]{4,}", text)) for text in (drawn, PICTURE.read_text(encoding="utf-8"))]
    assert {"summary", "pinned", "history", "free", "answer"} <= named_in[0] & named_in[1]


def test_a_model_that_nobody_knows_has_no_limit(run: Run) -> None:
    run("chat", "--conversation", "c", "hello")
    done = run("show", "c", "--window")
    assert done.returncode == 0
    assert "tokens of nobody knows how many; 1 turns shown" in done.stdout
    assert done.stdout.splitlines()[-1] == "Nobody knows how much this model reads; --context says it."


def test_programs_get_it_as_data(run: Run) -> None:
    run("chat", "--conversation", "c", "hello")
    held = json.loads(run("show", "c", "--window", "--context", "1000", "--json").stdout)
    assert (held["context"], held["budget"], held["turns"], held["skipped"]) == (1000, 875, 1, 0)
    assert held["used"] + held["free"] == 875


def test_where_a_terminal_has_no_blocks_it_is_plain(run_process: Run) -> None:
    run_process("chat", "--conversation", "c", "hello")
    done = run_process("show", "c", "--window", "--context", "100", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "#" in done.stdout.splitlines()[1]


def test_nobodys_key_is_needed_to_look(run: Run, env: dict[str, str]) -> None:
    """A conversation with a model of a provider whose key is not set here."""
    from multiturn import Conversation
    from scripted import ScriptedModel

    class Elsewhere(ScriptedModel):
        provider, name = "openai", "gpt-5-mini"

    folder = Path(env["XDG_DATA_HOME"]) / "multiturn"
    folder.mkdir(parents=True)
    Conversation(Elsewhere(), store=f"sqlite:///{folder}/chats.db", id="c").send("hello")
    assert run("show", "c", "--window").stdout.startswith("openai:gpt-5-mini: ")
    assert "of 300,000" in run("show", "c", "--window").stdout
