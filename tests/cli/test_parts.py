"""The small parts of the command line, without a process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import click
import pytest

from multiturn import messages
from multiturn.cli import places
from multiturn.cli.commands import is_command
from multiturn.cli.console import one_line, sentence
from multiturn.cli.ids import find_turn, short
from multiturn.cli.opening import Asked
from multiturn.cli.signals import Signals, Stopped
from multiturn.cli.transcript import age
from multiturn.cli.tree import Drawing, lines
from multiturn.ids import new_id
from multiturn.turns import Turn

# --- the tree -------------------------------------------------------------------------------------------------------


def turn(id: str, parent: str | None = None) -> Turn:
    return Turn(id=id, conversation="c", parent=parent, input=(messages.user(id),))


def test_a_tree_runs_straight_along_the_path_and_branches_aside() -> None:
    turns = (turn("a"), turn("b", "a"), turn("x", "a"), turn("y", "x"), turn("z", "x"), turn("c", "b"), turn("again"))
    drawn = [f"{branches}{node.id}" for branches, node in lines(Drawing(turns, {"a", "b", "c"}, {}, "c"))]
    assert drawn == ["├─again", "a", "├─x", "│ ├─y", "│ z", "b", "c"]


def test_a_tree_of_ten_thousand_turns_in_a_row_is_drawn() -> None:
    turns = tuple(turn(str(number), str(number - 1) if number else None) for number in range(10_000))
    assert len(list(lines(Drawing(turns, set(), {}, "c")))) == 10_000


# --- ids ------------------------------------------------------------------------------------------------------------


def test_made_up_ids_are_shortened_and_others_are_not() -> None:
    id = new_id("conv")
    assert short(id) == id[-8:]
    assert short("my-conversation-about-trains") == "my-conversation-about-trains"


def test_a_turn_is_found_by_id_end_and_number() -> None:
    turns = [turn(new_id("turn")) for _ in range(3)]
    for given in (turns[1].id, turns[1].id[-8:], "2"):
        assert find_turn(turns, turns, given) is turns[1]
    for given in ("0", "4", turns[1].id[-3:], ""):
        with pytest.raises(click.ClickException, match="there is no turn"):
            find_turn(turns, turns, given)


def test_an_end_that_fits_two_is_refused() -> None:
    twins = [turn(f"turn_{'0' * 17}{first}{'a' * 8}") for first in "12"]
    with pytest.raises(click.ClickException, match="give more of it"):
        find_turn(twins, [], "aaaaaaaa")


# --- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("sqlite:///relative.db", "relative.db"),
        ("sqlite:////srv/chats.db", "/srv/chats.db"),
        ("sqlite:////home/me/chats.db", "~/chats.db"),
        ("sqlite://", "sqlite://"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
    ],
)
def test_a_store_is_shown_as_people_write_it_and_without_its_password(
    url: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert places.shown(url) == what


def test_the_way_back_is_a_command_that_works_and_holds_no_password() -> None:
    asked = Asked(store="sqlite:///my chats.db", base_url="http://localhost:8000/v1")
    assert asked.way_back("c").endswith(
        "--conversation c --store 'sqlite:///my chats.db' --base-url http://localhost:8000/v1"
    )
    assert "secret" not in Asked(store="postgresql://me:secret@h/d", base_url="http://me:secret@h/v1").way_back("c")


def test_the_default_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MULTITURN_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")  # which the XDG specification wants ignored
    assert places.store_url(None) == f"sqlite:///{tmp_path}/.local/share/multiturn/chats.db"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert places.store_url(None) == "sqlite:////data/multiturn/chats.db"
    monkeypatch.setenv("MULTITURN_STORE", "sqlite:///named.db")
    assert places.store_url(None) == "sqlite:///named.db"
    assert places.store_url("sqlite://") == "sqlite://"


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "yes"),
    [("/help", True), ("/edit 2 x", True), ("/nope", True), ("/", True), ("/usr/bin", False), ("a /b", False)],
)
def test_what_is_a_command(words: str, yes: bool) -> None:
    assert is_command(words) is yes


def test_messages_become_sentences_about_options() -> None:
    assert (
        sentence("openai needs a key: set OPENAI_API_KEY, or give api_key") == "openai needs a key: set OPENAI_API_KEY."
    )
    assert sentence("set X, or give base_url, to ask it") == "set X, or give --base-url, to ask it."
    assert sentence("is the server running?") == "is the server running?"


def test_one_line() -> None:
    assert one_line("a\n\n b\tc\x1b") == "a b c�"
    assert one_line("word " * 100, 10) == "word word…"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "just now"), (30, "30 seconds ago"), (90, "1 minute ago"), (7300, "2 hours ago"), (86_400 * 3, "3 days ago")],
)
def test_ages(seconds: float, words: str) -> None:
    assert age(time.time() - seconds) == words
    assert age(0.0).startswith(("1970", "1969"))


# --- signals --------------------------------------------------------------------------------------------------------


async def test_an_interrupt_stops_only_what_it_may() -> None:
    async def send(signum: int) -> str:
        os.kill(os.getpid(), signum)
        await asyncio.sleep(0.05)
        return "done"

    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)  # nothing is at work: no effect
        assert await signals.run(send(signal.SIGINT)) == "done"
        with pytest.raises(Stopped) as stopped:
            await signals.run(send(signal.SIGINT), by_interrupt=True)
        assert stopped.value.signum == signal.SIGINT
        assert await signals.run(send(signal.SIGINT)) == "done"
        with pytest.raises(Stopped):
            await signals.run(send(signal.SIGTERM))


async def test_a_signal_to_end_is_remembered_until_there_is_work_to_stop() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.02)
        with pytest.raises(Stopped):
            await signals.run(asyncio.sleep(60))


async def test_a_cancellation_that_is_not_ours_stays_one() -> None:
    with Signals() as signals:
        outer = asyncio.create_task(signals.run(asyncio.sleep(60)))
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
